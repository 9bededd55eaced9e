"""What must go: rows and files of material whose source's terms, or whose retention rule, end its keeping.

Every method that removes something works on one lot within the caller's transaction: the caller holds the
purge lock, deletes the lot's files, then drops its rows. A lot is chosen after its products (videos) are
locked, so a run that collects one of them at this moment waits for the lot, or is seen and left alone.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import sql

from pvm_resources.postgres.locks import JOB_PREFIX, PURGE, job_lock_name
from pvm_resources.store.base import Repository
from pvm_resources.store.matching import evidence_key

Cursor = psycopg.Cursor[tuple[Any, ...]]
#: Below every id.
FIRST: Final = uuid.UUID(int=0)


@dataclass(frozen=True)
class Term:
    """What ends the keeping of one source's material.

    Attributes:
        name: as `products.src`, `videos.platform` or `source_answers.source` has it.
        cutoff: what was stored then or earlier must go; None = no age limit.
        unstored: pictures are a working copy, which goes with the last job that works on them.
    """

    name: str
    cutoff: datetime | None
    unstored: bool = False


@dataclass(frozen=True)
class Side:
    """Pictures of products, or frames of videos: the names of their tables and columns."""

    items: str
    item: str
    owners: str
    owner: str
    source: str
    members: str
    best: str


PICTURES: Final = Side(
    "stored_images", "img_id", "products", "product_id", "src", "job_products", "best_img_id"
)
FRAMES: Final = Side(
    "stored_frames", "frame_id", "videos", "video_id", "platform", "job_videos", "best_frame_id"
)


@dataclass(frozen=True)
class Item:
    """A picture or a frame that is due."""

    item_id: uuid.UUID
    owner_id: uuid.UUID
    source: str


@dataclass(frozen=True)
class PurgeBatch:
    """Items that go together, with the media keys of everything derived from them, by kind."""

    items: Sequence[Item] = ()
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
    """A stored picture that must be able to go again: its key, its source, and where a person finds what it
    shows: the id as given (a video's name) and the source's page."""

    key: str
    source: str
    name: str
    url: str


class Retention(Repository):
    """Finds and drops what is due, over all tables that hold it."""

    # -- keeping out of each other's way -----------------------------------------------------------

    def hold(self, cursor: Cursor) -> None:
        """Takes the purge lock until the end of the transaction; waits for another purge's batch."""
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [PURGE])

    def wait_for_batch(self) -> None:
        """Returns once no batch is in flight; later batches see the caller's job lock."""
        with self._db.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", [PURGE])

    def now(self) -> datetime:
        """The database's clock, which also stamps what is stored."""
        found: datetime = self._db.value("SELECT now()")
        return found

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

    def lot(
        self,
        cursor: Cursor,
        side: Side,
        terms: Sequence[Term],
        after: uuid.UUID,
        limit: int,
        ending: str | None,
    ) -> tuple[PurgeBatch, uuid.UUID | None]:
        """Up to `limit` due items after `after`, less those a running job works on.

        Args:
            ending: a job that counts as not running: its run is at its end and asks.

        Returns:
            the lot, and the id to go on after; None where nothing is left.
        """
        found = self._due(cursor, side, terms, after, limit, [])
        if not found:
            return PurgeBatch(), None
        owners = sorted({item.owner_id for item in found})
        cursor.execute(
            sql.SQL(
                f"SELECT 1 FROM {side.owners} WHERE {side.owner} = ANY(%s) ORDER BY {side.owner} FOR UPDATE"
            ),
            [owners],
        )
        busy = self._busy_owners(cursor, side, owners, ending)
        # Asked again: what was collected anew while the rows were being locked is due no longer.
        ids = [item.item_id for item in found]
        items = [i for i in self._due(cursor, side, terms, FIRST, limit, ids) if i.owner_id not in busy]
        return PurgeBatch(items, self._keys(cursor, side, [i.item_id for i in items])), found[-1].item_id

    def drop(self, cursor: Cursor, side: Side, lot: PurgeBatch) -> Counter[uuid.UUID]:
        """Drops the lot's rows and everything that hangs on them; its matches stay, without pictures.

        Returns:
            matches that lost their pictures, by item.
        """
        ids = [item.item_id for item in lot.items]
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
            videos = list({item.owner_id for item in lot.items})
            # Without its set a video is cut anew by the next job that wants it.
            cursor.execute("DELETE FROM keyframe_sets WHERE video_id = ANY(%s)", [videos])
            cursor.execute("UPDATE videos SET title = '', url = '' WHERE video_id = ANY(%s)", [videos])
        return matches

    def _due(
        self,
        cursor: Cursor,
        side: Side,
        terms: Sequence[Term],
        after: uuid.UUID,
        limit: int,
        only: Sequence[uuid.UUID],
    ) -> list[Item]:
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
        values = {**_terms(terms), "after": after, "only": list(only), "limit": limit}
        return [Item(*row) for row in cursor.execute(sql.SQL(query), values)]

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
        for kind, table, path in (
            ("pictures", side.items, "local_path"),
            ("masks", "masks", "mask_path"),
            ("keypoints", "keypoint_sets", "kp_blob_path"),
        ):
            query = (
                f"SELECT {side.item}, {path} FROM {table} WHERE {side.item} = ANY(%s) AND {path} IS NOT NULL"
            )
            found[kind] = [(item, key) for item, key in cursor.execute(sql.SQL(query), [list(ids)])]
        query = (
            f"SELECT {side.best}, job_id, match_id, evidence_path FROM matches WHERE {side.best} = ANY(%s)"
        )
        rows = cursor.execute(sql.SQL(query), [list(ids)]).fetchall()
        found["evidence"] = [(item, path) for item, _, _, path in rows if path is not None]
        # A match that changed names no picture any more, but the one drawn before still lies there.
        found["undrawn"] = [(i, evidence_key(job, match)) for i, job, match, path in rows if path is None]
        return found

    # -- texts -------------------------------------------------------------------------------------

    def due_products(
        self, cursor: Cursor, terms: Sequence[Term], after: uuid.UUID, limit: int, ending: str | None
    ) -> tuple[list[DueProduct], uuid.UUID | None]:
        """Up to `limit` products after `after` whose texts are due, locked, less those of running jobs."""
        query = f"""
            SELECT p.product_id, p.src FROM products p JOIN {_TERMS} ON t.name = p.src
            WHERE p.product_id > %(after)s AND p.purged_at IS NULL AND p.seen_at <= t.cutoff
            ORDER BY p.product_id LIMIT %(limit)s FOR UPDATE OF p
        """
        values = {**_terms(terms), "after": after, "limit": limit}
        found = [DueProduct(*row) for row in cursor.execute(sql.SQL(query), values)]
        if not found:
            return [], None
        busy = self._busy_owners(cursor, PICTURES, [p.product_id for p in found], ending)
        return [p for p in found if p.product_id not in busy], found[-1].product_id

    def drop_texts(self, cursor: Cursor, product_ids: Sequence[uuid.UUID]) -> None:
        """Blanks the products' texts and drops every address of their pictures; their ids stay."""
        ids = {"ids": list(product_ids)}
        for table in ("problems", "dead_letters"):
            # Their items are the references of pictures that could not be had.
            cursor.execute(
                sql.SQL(
                    f"DELETE FROM {table} d USING job_pictures g WHERE g.product_id = ANY(%(ids)s) "
                    "AND d.job_id = g.job_id AND d.stage = 'product_images' AND d.item = g.source_ref"
                ),
                ids,
            )
        cursor.execute("DELETE FROM job_pictures WHERE product_id = ANY(%(ids)s)", ids)
        cursor.execute("DELETE FROM image_sources WHERE product_id = ANY(%(ids)s)", ids)
        cursor.execute(
            "UPDATE products SET title = '', brand = '', url = '', purged_at = now() "
            "WHERE product_id = ANY(%(ids)s)",
            ids,
        )

    def stored_keys(self, cursor: Cursor, product_ids: Sequence[uuid.UUID]) -> set[str]:
        """Media keys of the products' pictures that have a row."""
        rows = cursor.execute(
            "SELECT local_path FROM stored_images WHERE product_id = ANY(%s)", [list(product_ids)]
        )
        return {row[0] for row in rows}

    def count_answers(self, terms: Sequence[Term]) -> dict[str, int]:
        """How many kept answers of each source are due."""
        query = f"""
            SELECT a.source, count(*) FROM source_answers a JOIN {_TERMS} ON t.name = a.source
            WHERE a.fetched_at <= t.cutoff GROUP BY 1
        """
        return {name: int(count) for name, count in self._db.tuples(query, _terms(terms))}

    def drop_answers(self, cursor: Cursor, terms: Sequence[Term], limit: int) -> dict[str, int]:
        """Drops up to `limit` kept answers that are due. No run misses one: answers too old are not read."""
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
        rows = cursor.execute(sql.SQL(query), {**_terms(terms), "limit": limit})
        return {name: int(count) for name, count in rows}

    # -- downloaded videos -------------------------------------------------------------------------

    def due_videos(
        self,
        cursor: Cursor,
        terms: Sequence[Term],
        keep_days: Mapping[str, float],
        now: datetime,
        after: tuple[str, str],
        limit: int,
        ending: str | None,
    ) -> tuple[list[DueVideo], tuple[str, str] | None]:
        """Up to `limit` downloaded files that are due, by platform and id, less those of running jobs.

        A file is due once keyframes of it are cut and the most generous industry among its jobs has kept it
        for `keep_days`; or once its platform's terms end its keeping.

        Args:
            keep_days: days by industry (slug).
        """
        values = {
            **_terms(terms),
            "industries": list(keep_days),
            "days": list(keep_days.values()),
            "now": now,
            "platform": after[0],
            "id": after[1],
            "limit": limit,
        }
        rows = cursor.execute(sql.SQL(_DUE_VIDEOS), values).fetchall()
        if not rows:
            return [], None
        busy = self._busy_owners(cursor, FRAMES, sorted({row[3] for row in rows}), ending)
        found = [DueVideo(*row[:3]) for row in rows if row[3] not in busy]
        return found, (rows[-1][0], rows[-1][1])

    def drop_videos(self, cursor: Cursor, videos: Sequence[DueVideo]) -> None:
        """Notes that the files are gone."""
        cursor.execute(
            "UPDATE video_files f SET deleted_at = now() FROM "
            "(SELECT unnest(%s::text[]) AS platform, unnest(%s::text[]) AS external_id) d "
            "WHERE f.platform = d.platform AND f.external_id = d.external_id",
            [[v.platform for v in videos], [v.external_id for v in videos]],
        )

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


def _terms(terms: Sequence[Term]) -> dict[str, Any]:
    return {
        "names": [term.name for term in terms],
        "cutoffs": [term.cutoff for term in terms],
        "unstored": [term.unstored for term in terms],
    }
