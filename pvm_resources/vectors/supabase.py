"""Vectors in a Supabase project: pgvector behind PostgREST, through the functions of ``supabase.sql``.

They compare all vectors of a model; an index of the project's own may be added for more than some thousands.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import StoreError
from pvm_resources.vectors.base import (
    DIMENSION,
    MIN_SCORE,
    Condition,
    FoundProduct,
    found_product,
    unreachable,
)
from pvm_resources.vectors.external import ExternalStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from postgrest import SyncPostgrestClient

_WHERE: Final = "Supabase"
#: What a project has to run once, and the schema that its API has to expose.
SCRIPT: Final = Path(__file__).with_name("supabase.sql")
SCHEMA: Final = "pvm_vectors"
#: Vectors of one request.
_BATCH: Final = 100


class SupabaseStore(ExternalStore):
    """See `VectorStore`.

    Args:
        client: of the schema `SCHEMA`.
    """

    def __init__(
        self,
        client: SyncPostgrestClient,
        model_key: str,
        *,
        dimension: int = DIMENSION,
        min_score: float = MIN_SCORE,
    ) -> None:
        super().__init__(model_key, dimension, min_score)
        self._client = client

    def get_product_embedding(self, product_id: uuid.UUID) -> NDArray[np.float32] | None:
        """See `VectorStore`."""
        import numpy as np

        found = self._call("fetch", model=self._key, product=str(product_id))
        return np.array(found.strip("[]").split(","), np.float32) if found else None

    def delete_product_embedding(self, product_id: uuid.UUID) -> bool:
        """See `VectorStore`."""
        return bool(self._call("remove", product=str(product_id)))

    def count(self) -> int:
        """See `VectorStore`."""
        return int(self._call("amount", model=self._key))

    def close(self) -> None:
        """See `VectorStore`."""
        self._client.session.close()

    def _store(self, rows: Sequence[tuple[str, NDArray[np.float32], dict[str, Any]]]) -> None:
        items = [
            {"product_id": product_id, "embedding": _text(vector), "kept": kept}
            for product_id, vector, kept in rows
        ]
        for start in range(0, len(items), _BATCH):
            self._call("store", model=self._key, items=items[start : start + _BATCH])

    def _search(
        self, vector: NDArray[np.float32], limit: int, conditions: Sequence[Condition]
    ) -> list[FoundProduct]:
        words = {one.name: list(one.values) for one in conditions if one.values}
        bounds = [one for one in conditions if not one.values]
        found = self._call(
            "search", model=self._key, query=_text(vector), amount=limit, words=words,
            price_min=bounds[0].least if bounds else None,
            price_max=bounds[0].most if bounds else None,
        )  # fmt: skip
        return [found_product(row["product_id"], row["cosine"], row["kept"]) for row in found]

    def _call(self, function: str, **arguments: Any) -> Any:
        import httpx
        from postgrest.exceptions import APIError

        try:
            return self._client.rpc(function, arguments).execute().data
        except httpx.HTTPError as error:
            raise unreachable(_WHERE, error) from error
        except APIError as error:
            reason = (error.message or str(error))[:200]
            remedy = f"Run {SCRIPT.name} in the project and expose the schema {SCHEMA}"
            raise StoreError("vectors.refused", _WHERE, reason, remedy) from error


def connect(url: str, key: str) -> SyncPostgrestClient:
    """A client of a project's PostgREST.

    Args:
        url: of the project.
        key: a secret key of the project.
    """
    import httpx
    from postgrest import SyncPostgrestClient

    address = f"{url.rstrip('/')}/rest/v1"
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    web = httpx.Client(base_url=address, timeout=10.0)
    return SyncPostgrestClient(address, schema=SCHEMA, headers=headers, http_client=web)


def _text(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"
