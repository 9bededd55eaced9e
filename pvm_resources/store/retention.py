"""Retention: rows and files of material that its source's terms, or a retention rule, no longer let be kept.

Every method that deletes something works on one batch within the caller's transaction: the caller holds the
purge lock, deletes the batch's files, then its rows. A batch is selected after its products (videos) are
locked: a run that collects one of them at the same time waits for the batch, or is detected, and what it
works on is skipped.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from psycopg import sql

from pvm_resources.postgres.locks import JOB_PREFIX, PURGE, job_lock_name
from pvm_resources.store.base import Cursor, Repository
from pvm_resources.store.matching import evidence_key

#: Below every id.
FIRST: Final = uuid.UUID(int=0)


@dataclass(frozen=True)
class Term:
    """What ends the keeping of one source's material.

    Attributes:
        name: as `products.src`, `videos.platform` or `source_answers.source` has it.
        cutoff: what was stored then or earlier is due; None: no age limit.
        unstored: pictures are a working copy, deleted with the last job that works on them.
    """

    name: str
    cutoff: datetime | None
    unstored: bool = False


@dataclass(frozen=True)
class Side:
    """Pictures of products, or frames of videos: the names of their tables and columns."""

    folder: str
    items: str
    item: str
    owners: str
    owner: str
    source: str
    members: str
    best: str


PICTURES: Final = Side(
    "products", "stored_images", "img_id", "products", "product_id", "src", "job_products", "best_img_id"
)
FRAMES: Final = Side(
    "videos", "stored_frames", "frame_id", "videos", "video_id", "platform", "job_videos", "best_frame_id"
)


@dataclass(frozen=True)
class StoredFiles:
    """Where the files of a folder of the media store have their rows; a file is named after its row's id."""

    table: str
    item: str
    path: str


#: By folder of the media store.
STORED_FILES: Final = {
    "products": StoredFiles("stored_images", "img_id", "local_path"),
    "videos": StoredFiles("stored_frames", "frame_id", "local_path"),
    "masks": StoredFiles("masks", "item_id", "mask_path"),
    "kp": StoredFiles("keypoint_sets", "item_id", "kp_blob_path"),
    "evidence": StoredFiles("matches", "match_id", "evidence_path"),
}


@dataclass(frozen=True)
class PurgeScope:
    """What one pass over the rows looks for.

    Attributes:
        terms: what ends the keeping of each source's material.
        ending: a job that counts as not running, because its run calls the purge at its end.
        limit: most rows of a batch.
    """

    terms: Sequence[Term]
    ending: str | None
    limit: int

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of `_TERMS`, and the limit."""
        return {
            "names": [term.name for term in self.terms],
            "cutoffs": [term.cutoff for term in self.terms],
            "unstored": [term.unstored for term in self.terms],
            "limit": self.limit,
        }


@dataclass(frozen=True)
class DueItem:
    """A picture or a frame that is due."""

    item_id: uuid.UUID
    owner_id: uuid.UUID
    source: str


@dataclass(frozen=True)
class PurgeBatch:
    """Items purged together, with the media keys of everything derived from them, by kind."""

    items: Sequence[DueItem] = ()
    keys: Mapping[str, Sequence[tuple[uuid.UUID, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class DueProduct:
    """A product whose texts are due."""

    product_id: uuid.UUID
    source: str


@dataclass(frozen=True)
class DueVideo:
    """A downloaded file that is due."""

    platform: str
    external_id: str
    path: str


@dataclass(frozen=True)
class Restricted:
    """A stored picture that a purge may delete later: its key, its source, and where a person finds what it
    shows: the id as given (a video's name) and the source's page."""

    key: str
    source: str
    name: str
    url: str


class Retention(Repository):
    """Finds and deletes what is due, in all tables that hold it."""

    # -- exclusion of runs and other purges ----------------------------------------------------------

    def hold(self, cursor: Cursor) -> None:
        """Takes the purge lock until the end of the transaction; waits for another purge's batch."""
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [PURGE])

    def wait_for_batch(self) -> None:
        """Returns once no batch is in flight; later batches see the caller's job lock."""
        with self._db.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [PURGE])

    def running(self, job_ids: Sequence[str]) -> set[str]:
        """Those of the jobs that a run works on right now."""
        held = self._db.locked([job_lock_name(job) for job in job_ids])
        return {name.removeprefix(JOB_PREFIX) for name in held}

    def any_running(self, ending: str | None) -> bool:
        """True while a run works on any job but `ending`."""
        jobs = [row[0] for row in self._db.tuples("SELECT job_id FROM jobs")]
        return bool(self.running(jobs) - {ending})

    def names(self) -> tuple[list[str], list[str], list[str]]:
        """All sources of stored products, all platforms of stored videos, all sources of kept answers."""
        product, video, answer = (
            [row[0] for row in self._db.tuples(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1")]
            for column, table in (("src", "products"), ("platform", "videos"), ("source", "source_answers"))
        )
        return product, video, answer

    # -- pictures and frames -----------------------------------------------------------------------

    def batch(
        self, cursor: Cursor, side: Side, scope: PurgeScope, after: uuid.UUID
    ) -> tuple[PurgeBatch, uuid.UUID | None]:
        """Due items after `after`, less those a running job works on, and the id to continue after; None
        where nothing is left."""
        found = self._due(cursor, side, scope, after, [])
        if not found:
            return PurgeBatch(), None
        owners = sorted({item.owner_id for item in found})
        lock = f"SELECT 1 FROM {side.owners} WHERE {side.owner} = ANY(%s) ORDER BY {side.owner} FOR UPDATE"
        cursor.execute(sql.SQL(lock), [owners])
        busy = self._busy_owners(cursor, side, owners, scope.ending)
        # Read again: what was collected while the rows were being locked is not due any more.
        ids = [item.item_id for item in found]
        items = [i for i in self._due(cursor, side, scope, FIRST, ids) if i.owner_id not in busy]
        return PurgeBatch(items, self._keys(cursor, side, [i.item_id for i in items])), found[-1].item_id

    def drop(self, cursor: Cursor, side: Side, batch: PurgeBatch) -> Counter[uuid.UUID]:
        """Deletes the batch's rows and everything that refers to them; its matches stay, without pictures.

        Returns:
            matches that lost their pictures, by item.
        """
        ids = [item.item_id for item in batch.items]
        rows = cursor.execute(
            sql.SQL(
                "UPDATE matches SET evidence_path = NULL, media_purged_at = now() "
                f"WHERE {side.best} = ANY(%s) RETURNING {side.best}"
            ),
            [ids],
        )
        matches = Counter(row[0] for row in rows)
        cursor.execute(sql.SQL(f"DELETE FROM {side.items} WHERE {side.item} = ANY(%s)"), [ids])
        if side is FRAMES:
            videos = list({item.owner_id for item in batch.items})
            # Without its set the next job that uses the video extracts its keyframes again.
            cursor.execute("DELETE FROM keyframe_sets WHERE video_id = ANY(%s)", [videos])
            cursor.execute(
                "UPDATE videos SET title = '', url = '', channel = '' WHERE video_id = ANY(%s)", [videos]
            )
        return matches

    def _due(
        self, cursor: Cursor, side: Side, scope: PurgeScope, after: uuid.UUID, only: Sequence[uuid.UUID]
    ) -> list[DueItem]:
        query = f"""
            SELECT i.{side.item}, i.{side.owner}, o.{side.source}
            FROM {side.items} i JOIN {side.owners} o USING ({side.owner})
            JOIN {_TERMS} ON t.name = o.{side.source}
            WHERE i.{side.item} > %(after)s
              AND (cardinality(%(only)s::uuid[]) = 0 OR i.{side.item} = ANY(%(only)s))
              AND (i.created_at <= t.cutoff OR t.unstored AND NOT EXISTS (
                   SELECT 1 FROM {side.members} m JOIN jobs j USING (job_id)
                   WHERE m.{side.owner} = i.{side.owner} AND j.status IN ('queued', 'running')))
            ORDER BY i.{side.item} LIMIT %(limit)s
        """
        values = {**scope.params, "after": after, "only": list(only)}
        return [DueItem(*row) for row in cursor.execute(sql.SQL(query), values)]

    def _busy_owners(
        self, cursor: Cursor, side: Side, owners: Sequence[uuid.UUID], ending: str | None
    ) -> set[uuid.UUID]:
        rows = cursor.execute(
            sql.SQL(f"SELECT DISTINCT {side.owner}, job_id FROM {side.members} WHERE {side.owner} = ANY(%s)"),
            [list(owners)],
        ).fetchall()
        running = self.running(sorted({job for _, job in rows})) - {ending}
        return {owner for owner, job in rows if job in running}

    def _keys(
        self, cursor: Cursor, side: Side, ids: Sequence[uuid.UUID]
    ) -> dict[str, list[tuple[uuid.UUID, str]]]:
        found: dict[str, list[tuple[uuid.UUID, str]]] = {}
        for kind, files in (
            ("pictures", STORED_FILES[side.folder]),
            ("masks", STORED_FILES["masks"]),
            ("keypoints", STORED_FILES["kp"]),
        ):
            query = (
                f"SELECT {side.item}, {files.path} FROM {files.table} "
                f"WHERE {side.item} = ANY(%s) AND {files.path} IS NOT NULL"
            )
            found[kind] = [(item, key) for item, key in cursor.execute(sql.SQL(query), [list(ids)])]
        query = (
            f"SELECT {side.best}, job_id, match_id, evidence_path FROM matches WHERE {side.best} = ANY(%s)"
        )
        rows = cursor.execute(sql.SQL(query), [list(ids)]).fetchall()
        found["evidence"] = [(item, path) for item, _, _, path in rows if path is not None]
        # A changed match names no picture any more, but the one drawn before is still stored.
        found["undrawn"] = [
            (i, evidence_key(job, match, blurred=blurred))
            for i, job, match, path in rows
            if path is None
            for blurred in (False, True)
        ]
        return found

    # -- texts -------------------------------------------------------------------------------------

    def due_products(
        self, cursor: Cursor, scope: PurgeScope, after: uuid.UUID
    ) -> tuple[list[DueProduct], uuid.UUID | None]:
        """Products after `after` whose texts are due, locked, less those of running jobs; and the id to
        continue after."""
        query = f"""
            SELECT p.product_id, p.src FROM products p JOIN {_TERMS} ON t.name = p.src
            WHERE p.product_id > %(after)s AND p.purged_at IS NULL AND p.seen_at <= t.cutoff
            ORDER BY p.product_id LIMIT %(limit)s FOR UPDATE OF p
        """
        values = {**scope.params, "after": after}
        found = [DueProduct(*row) for row in cursor.execute(sql.SQL(query), values)]
        if not found:
            return [], None
        busy = self._busy_owners(cursor, PICTURES, [p.product_id for p in found], scope.ending)
        return [p for p in found if p.product_id not in busy], found[-1].product_id

    def drop_texts(self, cursor: Cursor, product_ids: Sequence[uuid.UUID]) -> None:
        """Blanks the products' texts and deletes every address of their pictures; their ids stay."""
        ids = {"ids": list(product_ids)}
        for table in ("problems", "dead_letters"):
            # Their items are references of pictures that could not be had, as `GalleryPicture` shows them.
            cursor.execute(
                sql.SQL(
                    f"DELETE FROM {table} d USING job_pictures g WHERE g.product_id = ANY(%(ids)s) "
                    "AND d.job_id = g.job_id AND d.stage = 'product_images' "
                    "AND (d.item = g.source_ref OR (strpos(g.source_ref, '?') > 0 "
                    "AND starts_with(d.item, split_part(g.source_ref, '?', 1) || '?…')))"
                ),
                ids,
            )
        cursor.execute("DELETE FROM job_pictures WHERE product_id = ANY(%(ids)s)", ids)
        cursor.execute("DELETE FROM image_sources WHERE product_id = ANY(%(ids)s)", ids)
        cursor.execute(
            "UPDATE products SET title = '', brand = '', url = '', price = '', currency = '', "
            "description = '', category = '', availability = '', attributes = '{}', "
            "pictures = '[]', versions = '{}', said = '{}', "
            "purged_at = now() WHERE product_id = ANY(%(ids)s)",
            ids,
        )

    def stored_keys(self, cursor: Cursor, product_ids: Sequence[uuid.UUID]) -> set[str]:
        """Media keys of the products' pictures that have a row."""
        rows = cursor.execute(
            "SELECT local_path FROM stored_images WHERE product_id = ANY(%s)", [list(product_ids)]
        )
        return {row[0] for row in rows}

    def count_answers(self, scope: PurgeScope) -> dict[str, int]:
        """How many kept answers of each source are due."""
        query = f"""
            SELECT a.source, count(*) FROM source_answers a JOIN {_TERMS} ON t.name = a.source
            WHERE a.fetched_at <= t.cutoff GROUP BY 1
        """
        return {name: int(count) for name, count in self._db.tuples(query, scope.params)}

    def drop_answers(self, cursor: Cursor, scope: PurgeScope) -> dict[str, int]:
        """Deletes stored answers that are due and returns how many by source. No run needs them: answers too
        old are not read."""
        query = f"""
            WITH due AS (
                SELECT a.job_id, a.source, a.key_hash FROM source_answers a JOIN {_TERMS} ON t.name = a.source
                WHERE a.fetched_at <= t.cutoff LIMIT %(limit)s FOR UPDATE OF a
            ), gone AS (
                DELETE FROM source_answers a USING due
                WHERE (a.job_id, a.source, a.key_hash) = (due.job_id, due.source, due.key_hash)
                RETURNING a.source
            )
            SELECT source, count(*) FROM gone GROUP BY 1
        """
        rows = cursor.execute(sql.SQL(query), scope.params)
        return {name: int(count) for name, count in rows}

    # -- downloaded videos -------------------------------------------------------------------------

    def due_videos(
        self,
        cursor: Cursor,
        scope: PurgeScope,
        keep_days: Mapping[str, float],
        now: datetime,
        after: tuple[str, str],
    ) -> tuple[list[DueVideo], tuple[str, str] | None]:
        """Downloaded files that are due, by platform and id, less those of running jobs; and where to
        continue.

        A file is due once its keyframes are stored and the most generous industry among its jobs has kept it
        for `keep_days`; or once its platform's terms end its keeping.

        Args:
            keep_days: days by industry (slug).
        """
        days = {"industries": list(keep_days), "days": list(keep_days.values()), "now": now}
        values = {**scope.params, **days, "platform": after[0], "id": after[1]}
        rows = cursor.execute(sql.SQL(_DUE_VIDEOS), values).fetchall()
        if not rows:
            return [], None
        busy = self._busy_owners(cursor, FRAMES, sorted({row[3] for row in rows}), scope.ending)
        found = [DueVideo(*row[:3]) for row in rows if row[3] not in busy]
        return found, (rows[-1][0], rows[-1][1])

    def drop_videos(self, cursor: Cursor, videos: Sequence[DueVideo]) -> None:
        """Records that the files were deleted."""
        cursor.execute(
            "UPDATE video_files f SET deleted_at = now() FROM "
            "(SELECT unnest(%s::text[]) AS platform, unnest(%s::text[]) AS external_id) d "
            "WHERE f.platform = d.platform AND f.external_id = d.external_id",
            [[v.platform for v in videos], [v.external_id for v in videos]],
        )

    # -- files --------------------------------------------------------------------------------------

    def paths(self, folder: str, ids: Sequence[uuid.UUID]) -> set[str]:
        """Media keys in `folder` that the rows of these ids name."""
        files = STORED_FILES[folder]
        query = (
            f"SELECT {files.path} FROM {files.table} "
            f"WHERE {files.item} = ANY(%s) AND {files.path} IS NOT NULL"
        )
        return {row[0] for row in self._db.tuples(query, [list(ids)])}

    # -- what must not be copied where nothing can be purged -----------------------------------------

    def sources_of(self, job_id: str) -> tuple[list[str], list[str]]:
        """The sources of a job's products and the platforms of its videos."""
        products = self._db.tuples(
            "SELECT DISTINCT src FROM job_products JOIN products USING (product_id) WHERE job_id = %s",
            [job_id],
        )
        videos = self._db.tuples(
            "SELECT DISTINCT platform FROM job_videos JOIN videos USING (video_id) WHERE job_id = %s",
            [job_id],
        )
        return [row[0] for row in products], [row[0] for row in videos]

    def restricted(
        self, job_id: str, sources: Sequence[str], platforms: Sequence[str], keys: Sequence[str]
    ) -> list[Restricted]:
        """Those media keys (pictures, frames, evidence) that show material of these sources, by key."""
        values = {"job": job_id, "sources": list(sources), "platforms": list(platforms), "keys": list(keys)}
        return self._db.all(Restricted, _RESTRICTED, values)


_TERMS: Final = """unnest(%(names)s::text[], %(cutoffs)s::timestamptz[], %(unstored)s::bool[])
    AS t (name, cutoff, unstored)"""
_DUE_VIDEOS: Final = f"""
SELECT f.platform, f.external_id, f.path, f.video_id
FROM video_files f LEFT JOIN {_TERMS} ON t.name = f.platform
CROSS JOIN LATERAL (
    SELECT max(k.days) AS days FROM job_videos v JOIN jobs j USING (job_id)
    JOIN unnest(%(industries)s::text[], %(days)s::float8[]) AS k (industry, days) ON k.industry = j.industry
    WHERE v.video_id = f.video_id
) keep
WHERE f.deleted_at IS NULL AND (f.platform, f.external_id) > (%(platform)s, %(id)s) AND (
    f.fetched_at <= t.cutoff
    OR t.unstored AND NOT EXISTS (
       SELECT 1 FROM job_videos m JOIN jobs j USING (job_id)
       WHERE m.video_id = f.video_id AND j.status IN ('queued', 'running'))
    OR f.fetched_at <= %(now)s - make_interval(secs => keep.days * 86400)
       AND EXISTS (SELECT 1 FROM keyframe_sets s WHERE s.video_id = f.video_id))
ORDER BY f.platform, f.external_id LIMIT %(limit)s FOR UPDATE OF f
"""
_RESTRICTED: Final = """
SELECT i.local_path AS key, p.src AS source, p.asin_or_itemid AS name, p.url
FROM job_products jp JOIN products p USING (product_id) JOIN stored_images i USING (product_id)
WHERE jp.job_id = %(job)s AND p.src = ANY(%(sources)s) AND i.local_path = ANY(%(keys)s)
UNION
SELECT f.local_path, v.platform, min(jv.given_name), v.url
FROM job_videos jv JOIN videos v USING (video_id) JOIN stored_frames f USING (video_id)
WHERE jv.job_id = %(job)s AND v.platform = ANY(%(platforms)s) AND f.local_path = ANY(%(keys)s)
GROUP BY f.local_path, v.platform, v.url
UNION
SELECT m.evidence_path, p.src, p.asin_or_itemid, p.url
FROM matches m JOIN products p USING (product_id) JOIN videos v USING (video_id)
WHERE m.job_id = %(job)s AND m.evidence_path = ANY(%(keys)s)
  AND (p.src = ANY(%(sources)s) OR v.platform = ANY(%(platforms)s))
ORDER BY 1
"""
