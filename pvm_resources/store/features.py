"""Features of pictures, keyed by content and method: masks, embeddings, keypoints; models and their index."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg import sql
from psycopg.rows import tuple_row

from pvm_core.errors import ModelError
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, json
from pvm_resources.store.records import (
    Embedding,
    EmbeddingBatch,
    Item,
    KeypointSet,
    Kind,
    Mask,
    Model,
    ModelKind,
    Neighbour,
    Recall,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Feature = Literal["masks", "embeddings", "keypoints"]

_TABLES: Final = {
    "masks": ("masks", "method_key"),
    "embeddings": ("embeddings", "model_key"),
    "keypoints": ("keypoint_sets", "method_key"),
}
_MASK: Final = {
    "item_id": "uuid", "kind": "text", "method_key": "text", "has_mask": "bool", "mask_path": "text",
    "coverage": "float8", "reason": "text",
}  # fmt: skip
_EMBEDDING: Final = {
    "item_id": "uuid", "kind": "text", "model_key": "text", "model": "text", "view": "int2",
    "emb_rgb": "vector", "emb_gray": "vector",
}  # fmt: skip
_KEYPOINTS: Final = {
    "item_id": "uuid", "kind": "text", "method_key": "text", "n_keypoints": "int4", "kp_blob_path": "text",
    "status": "text", "reason": "text",
}  # fmt: skip
_ITEM: Final = (
    "i.item_id, i.kind, i.parent_id, i.local_path, i.width, i.height, i.ts, i.shot, m.mask_path, "
    "k.kp_blob_path AS kp_path"
)
_FROM: Final = """
FROM job_items i
LEFT JOIN masks m ON m.item_id = i.item_id AND m.method_key = %(mask)s
LEFT JOIN keypoint_sets k ON k.item_id = i.item_id AND k.method_key = %(keypoints)s
WHERE i.job_id = %(job)s AND i.kind = %(kind)s
"""
_ORDER: Final = "ORDER BY i.parent_id, i.ts, i.item_id"
#: pgvector's limit for an HNSW index over halfvec (its README, "HNSW").
HNSW_MAX_DIM: Final = 4_000
#: Graph parameters of pgvector's defaults, written out so that an update cannot change them.
_HNSW: Final = "m = 16, ef_construction = 64"
_MODEL: Final = "model_key, name, kind, dim, spec, active"


class Features(Repository):
    """Tables `masks`, `embeddings`, `keypoint_sets`, `models`."""

    # -- what there is to do -----------------------------------------------------------------------

    def items(
        self, job_id: str, kind: Kind, *, mask_key: str | None = None, keypoint_key: str | None = None
    ) -> Iterator[Item]:
        """The job's pictures of a kind, with their mask and keypoint files under the keys given; streamed,
        by product or video and time."""
        return self._db.stream(
            Item, f"SELECT {_ITEM} {_FROM} {_ORDER}", _keys(job_id, kind, mask_key, keypoint_key)
        )

    def missing(
        self,
        job_id: str,
        kind: Kind,
        feature: Feature,
        key: str,
        *,
        mask_key: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """The job's pictures of a kind that have no `feature` under `key`; streamed as `items`."""
        table, column = _TABLES[feature]
        return self._db.stream(
            Item,
            f"SELECT {_ITEM} {_FROM} AND NOT EXISTS (SELECT 1 FROM {table} f WHERE f.item_id = i.item_id "
            f"AND f.{column} = %(key)s) {_ORDER} LIMIT %(limit)s",
            {**_keys(job_id, kind, mask_key, None), "key": key, "limit": limit},
        )

    def covered(self, job_id: str, kind: Kind, feature: Feature, key: str) -> tuple[int, int]:
        """(pictures with the feature under `key`, pictures) of the job and kind."""
        table, column = _TABLES[feature]
        rows = self._db.tuples(
            "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM "
            f"{table} f WHERE f.item_id = i.item_id AND f.{column} = %s)), count(*) "
            "FROM job_items i WHERE i.job_id = %s AND i.kind = %s",
            [key, job_id, kind],
        )
        return int(rows[0][0]), int(rows[0][1])

    # -- masks and keypoints -----------------------------------------------------------------------

    def write_masks(
        self, masks: Iterable[Mask], *, events: Iterable[Event] = (), also: Sequence[Write] = ()
    ) -> None:
        """Stores masks; the same picture and method again replaces."""
        rows = (
            (m.item_id, m.kind, m.method_key, m.has_mask, m.mask_path, m.coverage, clean(m.reason))
            for m in masks
        )
        copy = Copy(
            "masks", _MASK, rows, ("item_id", "method_key"),
            update=("has_mask", "mask_path", "coverage", "reason"),
        )  # fmt: skip
        self._db.commit(copy, *also, events=events)

    def masks(self, job_id: str, kind: Kind, method_key: str) -> Iterator[Mask]:
        """Masks of the job's pictures; streamed."""
        return self._db.stream(
            Mask,
            f"SELECT {_of('f', _MASK)} FROM job_items i JOIN masks f USING (item_id) "
            f"WHERE i.job_id = %s AND i.kind = %s AND f.method_key = %s {_ORDER}",
            [job_id, kind, method_key],
        )

    def write_keypoints(
        self, sets: Iterable[KeypointSet], *, events: Iterable[Event] = (), also: Sequence[Write] = ()
    ) -> None:
        """Stores keypoint sets; the same picture and method again replaces."""
        rows = (
            (k.item_id, k.kind, k.method_key, k.n_keypoints, k.kp_blob_path, k.status, clean(k.reason))
            for k in sets
        )
        copy = Copy(
            "keypoint_sets", _KEYPOINTS, rows, ("item_id", "method_key"),
            update=("n_keypoints", "kp_blob_path", "status", "reason"),
        )  # fmt: skip
        self._db.commit(copy, *also, events=events)

    def keypoints(self, job_id: str, kind: Kind, method_key: str) -> Iterator[KeypointSet]:
        """Keypoint sets of the job's pictures; streamed."""
        return self._db.stream(
            KeypointSet,
            f"SELECT {_of('f', _KEYPOINTS)} FROM job_items i JOIN keypoint_sets f USING (item_id) "
            f"WHERE i.job_id = %s AND i.kind = %s AND f.method_key = %s {_ORDER}",
            [job_id, kind, method_key],
        )

    # -- embeddings --------------------------------------------------------------------------------

    def write_embeddings(
        self, embeddings: Iterable[Embedding], *, events: Iterable[Event] = (), also: Sequence[Write] = ()
    ) -> None:
        """Stores views of pictures; all views of a picture belong in one call. The model must be registered.
        A view stored already stays as it is: same key, same vector."""
        rows = ((e.item_id, e.kind, e.model_key, e.model, e.view, e.emb_rgb, e.emb_gray) for e in embeddings)
        copy = Copy("embeddings", _EMBEDDING, rows, ("item_id", "model_key", "view"))
        self._db.commit(copy, *also, events=events)

    def iter_embeddings(
        self, job_id: str, kind: Kind, model_key: str, batch: int = 1_000
    ) -> Iterator[EmbeddingBatch]:
        """Vectors of the job's pictures in batches of about `batch` rows; views of one picture are never
        split over two batches. Read in binary through a server-side cursor."""
        left: list[tuple[Any, ...]] = []
        for rows in self._db.batches(
            tuple_row,
            "SELECT e.item_id, e.view, vector_send(e.emb_rgb), vector_send(e.emb_gray) "
            "FROM job_items i JOIN embeddings e USING (item_id) "
            f"WHERE i.job_id = %s AND i.kind = %s AND e.model_key = %s {_ORDER}, e.view",
            [job_id, kind, model_key],
            batch,
            binary=True,
        ):
            rows = left + rows
            cut = len(rows)
            while cut > 0 and rows[cut - 1][0] == rows[-1][0]:
                cut -= 1
            left = rows[cut:]
            if cut:
                yield _batch(rows[:cut])
        if left:
            yield _batch(left)

    def vector_faults(self, job_id: str, model_key: str, tolerance: float = 1e-3) -> list[uuid.UUID]:
        """Items of the job with a vector that is not of unit length or not of the model's dimension."""
        rows = self._db.tuples(
            "SELECT DISTINCT e.item_id FROM job_items i JOIN embeddings e USING (item_id) "
            "JOIN models o USING (model_key) WHERE i.job_id = %(job)s AND e.model_key = %(model)s AND ("
            "abs(vector_norm(e.emb_rgb) - 1) > %(tolerance)s OR vector_dims(e.emb_rgb) <> o.dim "
            "OR abs(coalesce(vector_norm(e.emb_gray), 1) - 1) > %(tolerance)s)",
            {"job": job_id, "model": model_key, "tolerance": tolerance},
        )
        return [row[0] for row in rows]

    # -- models and their index --------------------------------------------------------------------

    def register_model(self, model: Model) -> bool:
        """Makes a model known; for an embedder also its search index over product pictures.

        Idempotent. With `active` it replaces the active model of its kind, which the founding views show.

        Returns:
            True where the model's vectors are indexed; False for other kinds, and above `HNSW_MAX_DIM`
            dimensions, where search is exact.
        """
        indexed = model.kind == "embedder" and model.dim is not None and model.dim <= HNSW_MAX_DIM
        with self._db.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pvm.models', 0))")
            cursor.execute(
                "INSERT INTO models (model_key, name, kind, dim, spec) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (model_key) DO UPDATE SET spec = excluded.spec "
                "WHERE models.spec <> excluded.spec",
                [model.model_key, model.name, model.kind, model.dim, json(model.spec)],
            )
            if model.active:
                cursor.execute(
                    "UPDATE models SET active = false WHERE kind = %s AND active AND model_key <> %s",
                    [model.kind, model.model_key],
                )
                cursor.execute(
                    "UPDATE models SET active = true WHERE model_key = %s AND NOT active", [model.model_key]
                )
            if indexed:
                # Not CONCURRENTLY: the index of a new model is empty, and in this transaction it appears
                # whole or not at all.
                cursor.execute("SET LOCAL lock_timeout = '60s'")
                cursor.execute(_create_index(model.model_key, int(model.dim or 0)))
        return indexed

    def models(self, kind: ModelKind | None = None) -> list[Model]:
        """Registered models, of one kind where given."""
        return self._db.all(
            Model,
            f"SELECT {_MODEL} FROM models WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) "
            "ORDER BY name, model_key",
            {"kind": kind},
        )

    def model(self, model_key: str) -> Model:
        """One registered model.

        Raises:
            ModelError: ``model.unregistered``.
        """
        found = self._db.one(Model, f"SELECT {_MODEL} FROM models WHERE model_key = %s", [model_key])
        if found is None:
            raise ModelError(
                "model.unregistered",
                model_key,
                "no vectors were ever stored under it",
                "Run a job with that model",
            )
        return found

    # -- search ------------------------------------------------------------------------------------

    def ann_search(
        self, model_key: str, vector: NDArray[np.float32], k: int = 20, ef_search: int = 100
    ) -> list[Neighbour]:
        """The product pictures of all jobs nearest to `vector`, best first.

        The HNSW index over half precision proposes (iterative scan, relaxed order: README of pgvector,
        "Iterative Index Scans"), full precision decides. Exact where the model has no index.

        Args:
            vector: float32 (dim,), unit length.
            k: pictures wanted, >= 1.
            ef_search: candidates the index keeps, 1 to 1000.

        Raises:
            ModelError: ``model.unregistered``, or ``model.dimension`` where `vector` is not of the model's.
        """
        dim = self._dimension(model_key, vector)
        if dim > HNSW_MAX_DIM:
            return self.exact_search(model_key, vector, k)
        # Several views of one picture may stand side by side in the answer of the index.
        near = sql.SQL(
            "WITH near AS MATERIALIZED (SELECT img_id, emb_rgb FROM embeddings "
            "WHERE model_key = {key} AND kind = 'product' "
            "ORDER BY emb_rgb::halfvec({dim}) <=> %(v)s::vector::halfvec({dim}) LIMIT {wide}) "
        ).format(key=sql.Literal(model_key), dim=sql.Literal(dim), wide=sql.Literal(max(2 * k, k + 20)))
        return self._search(near, vector, k, ef_search)

    def exact_search(self, model_key: str, vector: NDArray[np.float32], k: int = 20) -> list[Neighbour]:
        """Like `ann_search`, by comparing with every product picture."""
        self._dimension(model_key, vector)
        near = sql.SQL(
            "WITH near AS (SELECT img_id, emb_rgb FROM embeddings "
            "WHERE model_key = {key} AND kind = 'product') "
        ).format(key=sql.Literal(model_key))
        return self._search(near, vector, k, None)

    def recall_of_ann(
        self, job_id: str, model_key: str, k: int = 20, sample: int = 50, ef_search: int = 100
    ) -> Recall:
        """Recall@k of the index against exact search, for up to `sample` frames of the job.

        A neighbour counts as found where it is as similar as the exact k-th: equal pictures of two products
        may stand for each other.
        """
        queries = self._db.tuples(
            "SELECT vector_send(e.emb_rgb) FROM job_items i JOIN embeddings e USING (item_id) "
            "WHERE i.job_id = %s AND i.kind = 'frame' AND e.model_key = %s AND e.view = 0 "
            "ORDER BY md5(e.item_id::text) LIMIT %s",
            [job_id, model_key, sample],
        )
        wanted = found = 0
        for (data,) in queries:
            vector = _vectors([data])[0]
            exact = self.exact_search(model_key, vector, k)
            if not exact:
                continue
            near = self.ann_search(model_key, vector, k, ef_search)
            wanted += len(exact)
            found += sum(n.similarity >= exact[-1].similarity - 1e-6 for n in near[: len(exact)])
        return Recall(len(queries), wanted, found)

    def _dimension(self, model_key: str, vector: NDArray[np.float32]) -> int:
        dim = int(self.model(model_key).dim or 0)
        if vector.shape != (dim,):
            raise ModelError(
                "model.dimension", model_key, f"a vector {vector.shape} has not its {dim} dimensions",
                "Embed the query with the same model",
            )  # fmt: skip
        return dim

    def _search(
        self, near: sql.Composed, vector: NDArray[np.float32], k: int, ef_search: int | None
    ) -> list[Neighbour]:
        query = near + sql.SQL(
            "SELECT n.img_id, i.product_id, max(1 - (n.emb_rgb <=> %(v)s::vector)) AS similarity "
            "FROM near n JOIN stored_images i USING (img_id) GROUP BY n.img_id, i.product_id "
            "ORDER BY similarity DESC, n.img_id LIMIT %(k)s"
        )
        text = "[" + ",".join(map(repr, vector.tolist())) + "]"
        with self._db.transaction() as cursor:
            if ef_search is not None:
                # The library is loaded with its first use; before that its settings are unknown.
                cursor.execute("SELECT '[1]'::vector")
                cursor.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
                cursor.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(min(max(ef_search, 1), 1_000)))
                cursor.execute("SET LOCAL enable_seqscan = off")
            # A prepared statement would get a generic plan, which no partial index fits.
            cursor.execute(query, {"v": text, "k": k}, prepare=False)
            return [Neighbour(*row) for row in cursor.fetchall()]


def _create_index(model_key: str, dim: int) -> sql.Composed:
    digest = hashlib.sha256(model_key.encode()).hexdigest()[:16]
    return sql.SQL(
        "CREATE INDEX IF NOT EXISTS {name} ON embeddings "
        "USING hnsw ((emb_rgb::halfvec({dim})) halfvec_cosine_ops) "
        f"WITH ({_HNSW}) WHERE model_key = {{key}} AND kind = 'product'"
    ).format(
        name=sql.Identifier(f"embeddings_hnsw_{digest}"), dim=sql.Literal(dim), key=sql.Literal(model_key)
    )


def _keys(job_id: str, kind: Kind, mask_key: str | None, keypoint_key: str | None) -> dict[str, Any]:
    return {"job": job_id, "kind": kind, "mask": mask_key, "keypoints": keypoint_key}


def _of(alias: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in columns)


def _batch(rows: list[tuple[Any, ...]]) -> EmbeddingBatch:
    import numpy as np

    gray = [row[3] for row in rows]
    return EmbeddingBatch(
        [row[0] for row in rows],
        np.array([row[1] for row in rows], np.int16),
        _vectors([row[2] for row in rows]),
        None if any(data is None for data in gray) else _vectors(gray),
    )


def _vectors(data: Sequence[bytes]) -> NDArray[np.float32]:
    import numpy as np

    # vector_send: uint16 dimension, uint16 unused, then big-endian float32.
    flat = np.frombuffer(b"".join(data), dtype=">f4").reshape(len(data), -1)
    return np.ascontiguousarray(flat[:, 1:], dtype=np.float32)


__all__ = ["HNSW_MAX_DIM", "Feature", "Features", "Statement"]
