"""The store of vectors that the settings choose."""

from __future__ import annotations

from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings
from pvm_resources.vectors.base import VectorStore
from pvm_resources.vectors.pgvector import PgVectorStore


def get_vector_store(settings: Settings, database: Database, model_key: str) -> VectorStore:
    """A store of the vectors of one model, not yet connected.

    Args:
        database: of our tables.
        model_key: the model's; vectors of another are not seen.
    """
    return PgVectorStore(
        database, model_key, dimension=settings.vector_dimension, index_name=settings.vector_index_name,
        min_score=settings.similarity_threshold,
    )  # fmt: skip
