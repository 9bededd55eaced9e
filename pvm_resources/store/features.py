"""Features of pictures, keyed by content and method: masks, embeddings, keypoints; models and their index."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg import sql
from psycopg.rows import tuple_row

from pvm_core.errors import ModelError
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, json, listed, rows
from pvm_resources.store.records import (
    Embedding,
    EmbeddingBatch,
    FoundFrame,
    Item,
    KeypointSet,
    Kind,
    KnownPicture,
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
Row = Mask | Embedding | KeypointSet


#: SQL types of the records' fields that are not text.
_TYPES: Final = {
    "item_id": "uuid", "has_mask": "bool", "coverage": "float8", "view": "int2", "emb_rgb": "vector",
    "emb_gray": "vector", "n_keypoints": "int4",
}  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """Where a feature is stored.

    Attributes:
        record: its fields are the columns.
        events: name of the event by the picture's kind.
        payload: SQL of the event's payload, over the picture i and the row f.
        method: the column that names model or method with its parameters.
        file: the column with the key of its file in the media store, "" without one.
    """

    name: str
    record: type[Row]
    events: Mapping[Kind, str]
    payload: str = "jsonb_build_object('asset_id', i.item_id)"
    method: str = "method_key"
    file: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """Name -> SQL type, in the order of the record's fields."""
        return {field.name: _TYPES.get(field.name, "text") for field in fields(self.record)}

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return tuple(name for name in self.columns if name in ("item_id", self.method, "view"))


_TABLES: Final[Mapping[Feature, _Table]] = {
    "masks": _Table(
        "masks",
        Mask,
        {"product": "products.image.masked", "frame": "video.keyframes.masked"},
        """CASE i.kind WHEN 'product'
        THEN jsonb_build_object('image_id', i.item_id, 'has_mask', f.has_mask, 'mask_path', f.mask_path)
        ELSE jsonb_build_object('video_id', i.parent_id, 'frames', jsonb_build_array(jsonb_build_object(
            'frame_id', i.item_id, 'ts', i.ts, 'has_mask', f.has_mask, 'mask_path', f.mask_path))) END""",
        file="mask_path",
    ),
    "embeddings": _Table(
        "embeddings",
        Embedding,
        {"product": "image.embedding.ready", "frame": "video.embedding.ready"},
        method="model_key",
    ),
    "keypoints": _Table(
        "keypoint_sets",
        KeypointSet,
        {"product": "image.keypoint.ready", "frame": "video.keypoint.ready"},
        file="kp_blob_path",
    ),
}
#: Pictures of a job with their files; a label is what their user knows them by.
_ITEMS: Final = """
SELECT i.item_id, i.kind, i.parent_id, i.local_path, i.width, i.height, i.ts, i.shot, m.mask_path,
       k.kp_blob_path AS kp_path,
       CASE i.kind WHEN 'product' THEN 'product ' || p.asin_or_itemid
       ELSE v.given_name || ' at ' || round(i.ts::numeric, 1) || ' s' END AS label
FROM job_items i
LEFT JOIN masks m ON m.item_id = i.item_id AND m.method_key = %(mask)s
LEFT JOIN keypoint_sets k ON k.item_id = i.item_id AND k.method_key = %(keypoints)s
LEFT JOIN products p ON p.product_id = i.parent_id
LEFT JOIN (SELECT DISTINCT ON (video_id) video_id, given_name FROM job_videos WHERE job_id = %(job)s
           ORDER BY video_id, position, given_name) v ON v.video_id = i.parent_id
WHERE i.job_id = %(job)s AND (%(kind)s::text IS NULL OR i.kind = %(kind)s)
"""
#: Product pictures before frames.
_ORDER: Final = "ORDER BY i.kind DESC, i.parent_id, i.ts, i.item_id"
#: pgvector's limit for an HNSW index over halfvec (its README, "HNSW").
HNSW_MAX_DIM: Final = 4_000
#: Graph parameters of pgvector's defaults, written out so that an update cannot change them.
_HNSW: Final = "m = 16, ef_construction = 64"
_MODEL: Final = listed(Model)


_FRAMES_LIKE: Final = """
WITH near AS MATERIALIZED (
    SELECT e.frame_id, max(1 - (e.emb_rgb <=> %(rgb)s::vector)) AS sim_rgb,
           max(1 - (e.emb_gray <=> %(gray)s::vector)) AS sim_gray
    FROM embeddings e WHERE e.model_key = %(model)s AND e.kind = 'frame' GROUP BY e.frame_id),
ranked AS (
    SELECT n.*, f.video_id, f.ts, f.shot, f.local_path, f.width, f.height,
           greatest(n.sim_rgb, n.sim_gray) AS similarity,
           row_number() OVER (PARTITION BY f.video_id
               ORDER BY greatest(n.sim_rgb, n.sim_gray) DESC, n.frame_id) AS place
    FROM near n JOIN stored_frames f USING (frame_id)
    WHERE f.status = 'kept' AND (%(industry)s::text IS NULL OR EXISTS (
        SELECT 1 FROM job_videos g JOIN jobs j USING (job_id)
        WHERE g.video_id = f.video_id AND j.industry = %(industry)s))),
page AS MATERIALIZED (
    SELECT * FROM ranked WHERE place <= %(each)s ORDER BY similarity DESC, frame_id LIMIT %(k)s)
SELECT r.frame_id, r.video_id, r.ts, r.shot, r.local_path, r.width, r.height, r.sim_rgb, r.sim_gray,
       m.mask_path, p.kp_blob_path AS kp_path, w.platform, w.url, w.title, w.channel, w.published_at,
       coalesce(g.given_name, '') AS video,
       CASE WHEN w.platform = 'file' THEN coalesce(g.source_ref, '') ELSE '' END AS video_path
FROM page r JOIN videos w USING (video_id)
LEFT JOIN masks m ON m.item_id = r.frame_id AND m.method_key = %(masks)s
LEFT JOIN keypoint_sets p ON p.item_id = r.frame_id AND p.method_key = %(keypoints)s
LEFT JOIN LATERAL (SELECT given_name, source_ref FROM job_videos v WHERE v.video_id = r.video_id
    ORDER BY v.job_id DESC, v.position, v.given_name LIMIT 1) g ON true
ORDER BY r.similarity DESC, r.frame_id
"""


class Features(Repository):
    """Tables `masks`, `embeddings`, `keypoint_sets`, `models`. Where a kind may be named, None means both
    kinds of pictures, product pictures first."""

    # -- what there is to do -----------------------------------------------------------------------

    def items(
        self,
        job_id: str,
        kind: Kind | None = None,
        *,
        mask_key: str | None = None,
        keypoint_key: str | None = None,
    ) -> Iterator[Item]:
        """The job's pictures, with their mask and keypoint files under the keys given; streamed, by product
        or video and time."""
        return self._items("", job_id, kind, mask_key, keypoints=keypoint_key)

    def missing(
        self,
        job_id: str,
        feature: Feature,
        key: str,
        *,
        mask_key: str | None = None,
        again: Collection[uuid.UUID] = (),
    ) -> Iterator[Item]:
        """The job's pictures without `feature` under `key`, and those of `again`; streamed as `items`."""
        where = f"AND (NOT {_has(_TABLES[feature])}{' OR i.item_id = ANY(%(again)s)' if again else ''})"
        return self._items(where, job_id, None, mask_key, key=key, again=list(again))

    def covered(self, job_id: str, feature: Feature, key: str) -> dict[Kind, tuple[int, int]]:
        """Kind -> (pictures with the feature under `key`, pictures) of the job."""
        rows = self._db.tuples(
            f"SELECT i.kind, count(*) FILTER (WHERE {_has(_TABLES[feature])}), count(*) FROM job_items i "
            "WHERE i.job_id = %(job)s GROUP BY i.kind",
            {"job": job_id, "key": key},
        )
        return {"product": (0, 0), "frame": (0, 0), **{kind: (has, total) for kind, has, total in rows}}

    # -- rows and their events ---------------------------------------------------------------------

    def write(self, feature: Feature, given: Iterable[Row], *, job_id: str | None = None) -> None:
        """Stores rows of one method, and with `job_id` the event of each of their pictures.

        A mask or keypoint set of the same picture and method is replaced; a vector stored already stays as it
        is. All views of a picture belong in one call, and the model must be registered.
        """
        table, found = _TABLES[feature], list(given)
        if not found:
            return
        # The same key gives the same vectors; a file may have been lost and made again.
        update = [name for name in table.columns if table.file and name not in (*table.key, "kind")]
        values = rows(found, table.columns, reason=clean)
        writes: list[Write] = [Copy(table.name, table.columns, values, table.key, update=update)]
        if job_id is not None:
            key, ids = getattr(found[0], table.method), list({row.item_id for row in found})
            writes += _announcement(table, job_id, key, ids)
        self._db.commit(*writes)

    def announce(self, job_id: str, feature: Feature, key: str) -> int:
        """Writes the event of each picture of the job that has `feature` under `key`; one that exists stays
        as it is. Returns how many are new."""
        return self._db.commit(*_announcement(_TABLES[feature], job_id, key, None))[-1]

    def announce_keyframes(self, job_id: str) -> int:
        """Writes the event of each video of the job that has keyframes; as `announce`."""
        select = """'videos.keyframes.ready', i.parent_id::text,
            jsonb_build_object('video_id', i.parent_id, 'frames', jsonb_agg(jsonb_build_object(
                'frame_id', i.item_id, 'ts', i.ts, 'local_path', i.local_path) ORDER BY i.ts, i.item_id))
            FROM job_items i WHERE i.job_id = %(job)s AND i.kind = 'frame'
            GROUP BY i.parent_id ORDER BY i.parent_id"""
        return self._db.commit(*_new_events(select, {"job": job_id}))[-1]

    def masks(self, job_id: str, method_key: str, kind: Kind | None = None) -> Iterator[Mask]:
        """Masks of the job's pictures; streamed as `items`."""
        return self._rows("masks", job_id, method_key, kind)

    def keypoints(self, job_id: str, method_key: str, kind: Kind | None = None) -> Iterator[KeypointSet]:
        """Keypoint sets of the job's pictures; streamed as `items`."""
        return self._rows("keypoints", job_id, method_key, kind)

    def files(self, job_id: str, feature: Feature, key: str) -> Iterator[tuple[uuid.UUID, str]]:
        """Pictures of the job and the media key of their feature's file, where it has one; streamed."""
        table = _TABLES[feature]
        if table.file:
            for found in self._db.batches(
                tuple_row,
                f"SELECT i.item_id, f.{table.file} FROM {_joined(table)} AND f.{table.file} IS NOT NULL",
                {"job": job_id, "key": key},
            ):
                yield from found

    def item_ids(self, job_id: str, feature: Feature, key: str) -> list[uuid.UUID]:
        """The job's pictures that have `feature` under `key`: product pictures, then frames, each by id."""
        query = f"SELECT i.item_id FROM {_joined(_TABLES[feature])} ORDER BY i.kind DESC, i.item_id"
        return [row[0] for row in self._db.tuples(query, {"job": job_id, "key": key})]

    def _items(
        self, where: str, job_id: str, kind: Kind | None, mask_key: str | None, **params: Any
    ) -> Iterator[Item]:
        given = {"job": job_id, "kind": kind, "mask": mask_key, "keypoints": None, **params}
        return self._db.stream(Item, f"{_ITEMS} {where} {_ORDER}", given)

    def _rows(self, feature: Feature, job_id: str, key: str, kind: Kind | None) -> Iterator[Any]:
        table = _TABLES[feature]
        return self._db.stream(
            table.record,
            f"SELECT {listed(table.columns, 'f')} FROM {_joined(table)} "
            f"AND (%(kind)s::text IS NULL OR i.kind = %(kind)s) {_ORDER}",
            {"job": job_id, "key": key, "kind": kind},
        )

    # -- embeddings --------------------------------------------------------------------------------

    def iter_embeddings(
        self, job_id: str, kind: Kind, model_key: str, batch: int = 1_000
    ) -> Iterator[EmbeddingBatch]:
        """Vectors of the job's pictures in batches of about `batch` rows; views of one picture are never
        split over two batches. Read in binary through a server-side cursor."""
        left: list[tuple[Any, ...]] = []
        for batch_rows in self._db.batches(
            tuple_row,
            "SELECT e.item_id, e.view, vector_send(e.emb_rgb), vector_send(e.emb_gray) "
            "FROM job_items i JOIN embeddings e USING (item_id) "
            f"WHERE i.job_id = %s AND i.kind = %s AND e.model_key = %s {_ORDER}, e.view",
            [job_id, kind, model_key],
            batch,
            binary=True,
        ):
            found = left + batch_rows
            cut = len(found)
            while cut > 0 and found[cut - 1][0] == found[-1][0]:
                cut -= 1
            left = found[cut:]
            if cut:
                yield _batch(found[:cut])
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
            True where the model's vectors are indexed; False for other kinds. Of vectors longer than
            `HNSW_MAX_DIM` the first so many numbers are.
        """
        indexed = model.kind == "embedder" and model.dim is not None
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
        "Iterative Index Scans"), full precision decides.

        Args:
            vector: float32 (dim,), unit length.
            k: pictures wanted, >= 1.
            ef_search: candidates the index keeps, 1 to 1000.

        Raises:
            ModelError: ``model.unregistered``, or ``model.dimension`` where `vector` is not of the model's.
        """
        dim = self._dimension(model_key, vector)
        # Several views of one picture may stand side by side in the answer of the index.
        near = sql.SQL(
            "WITH near AS MATERIALIZED (SELECT img_id, emb_rgb FROM embeddings "
            "WHERE model_key = {key} AND kind = 'product' "
            "ORDER BY {stored} <=> {wanted} LIMIT {wide}) "
        ).format(
            key=sql.Literal(model_key),
            stored=_indexed(sql.SQL("emb_rgb"), dim),
            wanted=_indexed(sql.SQL("%(v)s::vector"), dim),
            wide=sql.Literal(max(2 * k, k + 20)),
        )
        return self._search(near, vector, k, ef_search)

    def known_picture(self, sha256: str, model_key: str) -> KnownPicture | None:
        """A stored product picture of these bytes with its vectors; None where there is none, or none that
        the model has seen. Of several products' copies, which are alike, any."""
        found = self._db.tuples(
            "SELECT i.local_path, vector_send(e.emb_rgb), vector_send(e.emb_gray) "
            "FROM (SELECT s.img_id, s.local_path FROM stored_images s WHERE s.sha256 = %(sha)s AND EXISTS ("
            "SELECT 1 FROM embeddings e WHERE e.item_id = s.img_id AND e.model_key = %(model)s) "
            "ORDER BY s.created_at, s.img_id LIMIT 1) i "
            "JOIN embeddings e ON e.item_id = i.img_id AND e.model_key = %(model)s ORDER BY e.view",
            {"sha": sha256, "model": model_key},
        )
        if not found:
            return None
        gray = [row[2] for row in found]
        whole = None if any(data is None for data in gray) else _vectors(gray)
        return KnownPicture(found[0][0], _vectors([row[1] for row in found]), whole)

    def exact_search(self, model_key: str, vector: NDArray[np.float32], k: int = 20) -> list[Neighbour]:
        """Like `ann_search`, by comparing with every product picture."""
        self._dimension(model_key, vector)
        near = sql.SQL(
            "WITH near AS (SELECT img_id, emb_rgb FROM embeddings "
            "WHERE model_key = {key} AND kind = 'product') "
        ).format(key=sql.Literal(model_key))
        return self._search(near, vector, k, None)

    def frames_like(
        self,
        model_key: str,
        rgb: NDArray[np.float32],
        gray: NDArray[np.float32] | None,
        k: int,
        per_video: int,
        *,
        mask_key: str,
        keypoint_key: str,
        industry: str | None = None,
    ) -> list[FoundFrame]:
        """The kept keyframes of all jobs, or of an industry's (slug), most like a picture, best first; every
        one of them is compared.

        Args:
            rgb, gray: float32 (dim,), unit length; gray None: the colour vectors decide alone.
            k: frames wanted; per_video: of one video.
            mask_key, keypoint_key: under which their files are wanted.

        Raises:
            ModelError: ``model.unregistered``, or ``model.dimension`` where `rgb` is not of the model's.
        """
        self._dimension(model_key, rgb)
        return self._db.all(FoundFrame, _FRAMES_LIKE, {
            "model": model_key, "rgb": _vector(rgb), "gray": None if gray is None else _vector(gray),
            "k": k, "each": per_video, "masks": mask_key, "keypoints": keypoint_key, "industry": industry,
        })  # fmt: skip

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
        text = _vector(vector)
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


def _vector(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def _create_index(model_key: str, dim: int) -> sql.Composed:
    digest = hashlib.sha256(model_key.encode()).hexdigest()[:16]
    return sql.SQL(
        "CREATE INDEX IF NOT EXISTS {name} ON embeddings "
        "USING hnsw (({indexed}) halfvec_cosine_ops) "
        f"WITH ({_HNSW}) WHERE model_key = {{key}} AND kind = 'product'"
    ).format(
        name=sql.Identifier(f"embeddings_hnsw_{digest}"),
        indexed=_indexed(sql.SQL("emb_rgb"), dim),
        key=sql.Literal(model_key),
    )


def _indexed(vector: sql.SQL, dim: int) -> sql.Composed:
    """What of a vector the index holds: half precision, at most `HNSW_MAX_DIM` numbers (README of pgvector,
    "Indexing Subvectors")."""
    if dim <= HNSW_MAX_DIM:
        return sql.SQL("{vector}::halfvec({dim})").format(vector=vector, dim=sql.Literal(dim))
    most = sql.Literal(HNSW_MAX_DIM)
    return sql.SQL("subvector({vector}, 1, {most})::halfvec({most})").format(vector=vector, most=most)


def _has(table: _Table) -> str:
    return f"EXISTS (SELECT 1 FROM {table.name} f WHERE f.item_id = i.item_id AND f.{table.method} = %(key)s)"


def _joined(table: _Table) -> str:
    one = "AND f.view = 0 " if "view" in table.columns else ""
    return (
        f"job_items i JOIN {table.name} f ON f.item_id = i.item_id AND f.{table.method} = %(key)s {one}"
        "WHERE i.job_id = %(job)s"
    )


def _announcement(
    table: _Table, job_id: str, key: str, items: Sequence[uuid.UUID] | None
) -> tuple[Statement, Statement]:
    """The events of the job's pictures that have the feature, of `items` alone where given."""
    only = "" if items is None else "AND i.item_id = ANY(%(items)s)"
    name = f"CASE i.kind WHEN 'product' THEN '{table.events['product']}' ELSE '{table.events['frame']}' END"
    select = f"{name}, i.item_id::text, {table.payload} FROM {_joined(table)} {only} {_ORDER}"
    return _new_events(select, {"job": job_id, "key": key, "items": items})


def _new_events(select: str, params: dict[str, Any]) -> tuple[Statement, Statement]:
    """Writes that put the events of a query (name, item, payload) into the outbox; one that exists stays."""
    return (
        # As `Database.commit` does for its events: those of one job become visible in the order of `seq`.
        Statement("SELECT 1 FROM jobs WHERE job_id = %(job)s FOR NO KEY UPDATE", params),
        Statement(
            "INSERT INTO outbox (event_id, job_id, name, item, payload) SELECT gen_random_uuid(), %(job)s, "
            f"{select} ON CONFLICT (job_id, name, item) DO NOTHING",
            params,
        ),
    )


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


__all__ = ["HNSW_MAX_DIM", "Feature", "Features", "Row"]
