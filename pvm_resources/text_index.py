"""The vectors of products' words: fitted, filled, and handed over from one model to the next."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import numpy as np

from pvm_core.arrays import F32
from pvm_core.errors import ModelError, PvmError
from pvm_core.text_vectors.fitting import fit, outgrown
from pvm_core.text_vectors.model import DIM, TextModel
from pvm_core.text_vectors.tokens import product_text
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_changes import Outcome
from pvm_resources.store.text_vectors import IndexState, ProductWords, TextModelRow
from pvm_resources.vectors.base import EmbeddingMetadata, ProductEmbedding, VectorStore
from pvm_resources.vectors.factory import get_vector_store
from pvm_resources.vectors.pgvector import PgVectorStore

#: Products embedded and stored together.
_BATCH: Final = 1_000
#: Most products that a model is fitted on.
_FIT_ON: Final = 20_000
_LOCK: Final = "text model"
#: Fields that a vector is of.
_WORDS: Final = frozenset({"title", "description", "category"})
_log: Final = logging.getLogger("pvm.catalogue")
#: Before any id.
_FIRST: Final = uuid.UUID(int=0)


@dataclass
class TextIndex:
    """Vectors of products' words under the model that serves, and under one that waits to.

    Args:
        store: where products and models are.
        settings: name the store of vectors.
    """

    store: Store
    settings: Settings
    _loaded: dict[str, TextModel] = field(default_factory=dict)

    def serving(self) -> TextModelRow:
        """The model that serves. Where there is none yet, one without vocabulary does from now on."""
        rows = self.store.text_vectors.models()
        if not rows or not rows[0].active:
            empty = TextModel()
            self.store.text_vectors.add(empty.key, 0, empty.to_bytes())
            rows = self.store.text_vectors.models()
        return rows[0]

    def model(self, model_key: str) -> TextModel:
        """A stored model.

        Raises:
            ModelError: ``model.form``.
        """
        if model_key not in self._loaded:
            data = self.store.text_vectors.data(model_key)
            # The one that serves, and one that waits.
            kept = dict(list(self._loaded.items())[-1:])
            self._loaded = {**kept, model_key: TextModel.from_bytes(data, model_key)}
        return self._loaded[model_key]

    def vectors(self, model_key: str) -> VectorStore:
        """The store of a model's vectors.

        Raises:
            ModelError: ``model.dimension``: the settings name another dimension.
        """
        if self.settings.vector_dimension != DIM:
            raise ModelError(
                "model.dimension", "VECTOR_DIMENSION", f"vectors of words have {DIM} numbers",
                f"Set VECTOR_DIMENSION={DIM}",
            )  # fmt: skip
        return get_vector_store(self.settings, self.store.database, model_key)

    def refit(self) -> str | None:
        """Fits a new model where the catalogue has outgrown the one that was fitted last; the new key, None
        where there is none. The one that serves goes on until the new one's vectors are complete."""
        serving = self.serving()
        rows = self.store.text_vectors.models()
        newest = max(rows, key=lambda row: (not row.active, row.products))
        count = self.store.text_vectors.count()
        if not outgrown(TextModel(products=newest.products), count):
            return None
        lock = self.store.database.run_lock(_LOCK)
        if not lock.acquire():
            return None
        try:
            words = self.store.text_vectors.texts(_FIT_ON)
            model = fit([text_of(one) for one in words])
            self.store.text_vectors.add(model.key, count, model.to_bytes())
        finally:
            lock.release()
        return model.key if model.key != serving.model_key else None

    def embed(self, industry: str | None, progress: Callable[[int], None] = lambda _count: None) -> int:
        """Embeds what has no vector of its words as they are, under every stored model; how many were.

        Args:
            industry: a slug, `UNASSIGNED`, or None for all products.
            progress: called with each batch's size.
        """
        return self._embed(industry, None, progress)

    def follow(self, outcomes: Sequence[Outcome]) -> None:
        """Embeds the new words of changes that were applied. What fails is done by the next
        materialisation."""
        other = [
            one.product_id
            for one in outcomes
            if one.effect in ("created", "updated") and not _WORDS.isdisjoint(one.changed)
        ]
        if not other:
            return
        try:
            self._embed(None, other, lambda _count: None)
        except PvmError as error:
            _log.warning("vectors do not keep up with changes: %s", error)

    def _embed(
        self,
        industry: str | None,
        only: Sequence[uuid.UUID] | None,
        progress: Callable[[int], None],
    ) -> int:
        self.serving()
        done = 0
        for row in self.store.text_vectors.models():
            model, vectors = self.model(row.model_key), self.vectors(row.model_key)
            for batch in self._lacking(row.model_key, industry, only):
                done += self._keep(model, vectors, batch)
                progress(len(batch))
        return done

    def promote(self) -> str | None:
        """Lets the newest model serve once no product lacks a vector of it; its key, None where none is
        ready. Vectors of the models before it are removed."""
        waiting = [row for row in self.store.text_vectors.models() if not row.active]
        if not waiting or self.state(waiting[0].model_key).missing:
            return None
        for key in self.store.text_vectors.activate(waiting[0].model_key):
            PgVectorStore(self.store.database, key).drop()
        return waiting[0].model_key

    def stored(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, F32]:
        """The vectors of these products under the model that serves: float32 (DIM,), unit length."""
        serving = self.serving().model_key
        vectors = self.vectors(serving)
        if isinstance(vectors, PgVectorStore):
            rows = self.store.text_vectors.stored(serving, product_ids)
            return {key: np.array(one[0].strip("[]").split(","), np.float32) for key, one in rows.items()}
        found = ((key, vectors.get_product_embedding(key)) for key in product_ids)
        return {key: vector for key, vector in found if vector is not None}

    def state(self, model_key: str, industry: str | None = None) -> IndexState:
        """How complete a model's vectors are."""
        return self.store.text_vectors.state(model_key, industry)

    def _keep(self, model: TextModel, vectors: VectorStore, batch: Sequence[ProductWords]) -> int:
        """Stores vectors of products' words; in our table, too, where they are in another store: it tells
        what is embedded, and of which words."""
        made = model.vectors([text_of(one) for one in batch])
        found = [(one, vector) for one, vector in zip(batch, made, strict=True) if np.any(vector)]
        given = [_embedding(one, vector) for one, vector in found]
        if isinstance(vectors, PgVectorStore):
            return vectors.store_product_embeddings(given)
        ids = [one.product_id for one in given]
        facts = self._facts(ids)
        vectors.store_product_embeddings(
            [replace(one, metadata=facts[one.product_id]) for one in given if one.product_id in facts]
        )
        done = PgVectorStore(self.store.database, model.key).store_product_embeddings(given)
        for product_id in set(ids) - {row.product_id for row in self.store.product_queries.of(ids)}:
            # Deleted meanwhile: what deletes it may have come before its vector.
            vectors.delete_product_embedding(product_id)
        return done

    def _facts(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, EmbeddingMetadata]:
        """What another store filters by."""
        industries = self.store.product_queries.industries_of(product_ids)
        return {
            row.product_id: EmbeddingMetadata(
                row.title, row.category, row.brand, Decimal(row.price) if row.price else None, row.currency,
                row.source, row.availability, industries.get(row.product_id, ()),
            )
            for row in self.store.product_queries.of(product_ids)
        }  # fmt: skip

    def _lacking(
        self, model_key: str, industry: str | None, only: Sequence[uuid.UUID] | None
    ) -> Iterator[list[ProductWords]]:
        after = _FIRST
        while batch := self.store.text_vectors.lacking(model_key, industry, _BATCH, after, only):
            yield batch
            after = batch[-1].product_id


def text_of(words: ProductWords) -> str:
    """What a product's vector is of."""
    return product_text(words.title, words.description, words.category)


def _embedding(one: ProductWords, vector: F32) -> ProductEmbedding:
    about = EmbeddingMetadata(one.title, one.category, text_version=one.text_version)
    return ProductEmbedding(one.product_id, vector, about)
