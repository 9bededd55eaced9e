"""Products and videos of an industry that are here already: what a job reads that crawls nothing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvm_resources.store.base import Repository


def _latest(industry: str) -> str:
    """The latest completed job of the industry that an expression names."""
    return (
        f"(SELECT j.job_id FROM jobs j WHERE j.industry = {industry} AND j.status = 'completed' "
        "ORDER BY j.finished_at DESC, j.job_id DESC LIMIT 1)"
    )


#: Products p of an industry: of its catalogue, of changes, and those of its latest completed job; of sources
#: alone whose terms let them be kept.
_PRODUCTS: Final = f"""
p.purged_at IS NULL AND p.src = 'file' AND (p.namespace = %(slug)s OR p.product_id IN (
    SELECT product_id FROM job_products WHERE job_id = {_latest("%(slug)s")}))
"""
#: Pictures that changes named, then those of the newest job that has the product.
_PICTURES: Final = """
SELECT p.product_id, c.value AS ref, NULL AS file, 0 AS kind, c.place FROM products p,
       jsonb_array_elements_text(p.pictures) WITH ORDINALITY c (value, place)
UNION ALL
SELECT p.product_id, g.source_ref, g.file, 1, g.position FROM products p JOIN LATERAL (
    SELECT g.job_id FROM job_pictures g JOIN jobs j USING (job_id) WHERE g.product_id = p.product_id
    ORDER BY j.created_at DESC, g.job_id DESC LIMIT 1) newest ON true
JOIN job_pictures g ON g.job_id = newest.job_id AND g.product_id = p.product_id
"""


@dataclass(frozen=True)
class StoredProduct:
    """A product that is here. `pictures`: references in order, and the file of each, None for a URL."""

    product_id: uuid.UUID
    namespace: str
    external_id: str
    title: str
    pictures: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class StoredVideo:
    """A video that is here with keyframes; its name and where its file was are of its newest job."""

    video_id: uuid.UUID
    platform: str
    given_name: str
    source_ref: str
    size: int | None
    mtime: float | None
    title: str
    url: str
    published_at: datetime | None
    channel: str


class StoredMaterial(Repository):
    """Reads of products, their picture references, and videos across the jobs of an industry."""

    def products(self, industry: str) -> list[StoredProduct]:
        """Products of an industry (slug) that have a picture, by id as given."""
        rows = self._db.tuples(
            f"SELECT p.product_id, p.namespace, p.asin_or_itemid, p.title, r.ref, r.file FROM products p "
            f"JOIN ({_PICTURES}) r USING (product_id) WHERE {_PRODUCTS} "
            "ORDER BY p.asin_or_itemid, p.product_id, r.kind, r.place",
            {"slug": industry},
        )
        found: dict[uuid.UUID, tuple[tuple[str, str, str], dict[str, str | None]]] = {}
        for product, namespace, external, title, ref, file in rows:
            found.setdefault(product, ((namespace, external, title), {}))[1].setdefault(ref, file)
        return [
            StoredProduct(product, *about, tuple(pictures.items()))
            for product, (about, pictures) in found.items()
        ]

    def pictures(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, ...]]:
        """The addresses of pictures that changes named, by product; products without any are left out."""
        query = "SELECT product_id, pictures FROM products WHERE product_id = ANY(%s) AND pictures <> '[]'"
        return {row[0]: tuple(row[1]) for row in self._db.tuples(query, [list(product_ids)])}

    def videos(self, industry: str) -> list[StoredVideo]:
        """Videos of an industry's jobs that have keyframes, by name."""
        return self._db.all(
            StoredVideo,
            "SELECT * FROM (SELECT DISTINCT ON (v.video_id) v.video_id, v.platform, m.given_name, "
            "m.source_ref, m.size, m.mtime, v.title, v.url, v.published_at, v.channel "
            "FROM job_videos m JOIN jobs j USING (job_id) JOIN videos v USING (video_id) "
            "WHERE j.industry = %(slug)s AND EXISTS (SELECT 1 FROM stored_frames f "
            "WHERE f.video_id = v.video_id AND f.status = 'kept' AND f.local_path IS NOT NULL) "
            "ORDER BY v.video_id, j.created_at DESC, m.given_name) s ORDER BY given_name, video_id",
            {"slug": industry},
        )

    def unmatched_pictures(self) -> dict[str, str]:
        """Industry -> what tells the pictures apart that changes named and no job of it has read.

        Left out are industries without videos, those of which a job is waiting or running, and those whose
        latest results hold products of a shop's API: a job of what is stored would hide these.
        """
        rows = self._db.tuples(
            "SELECT i.slug, md5(string_agg(p.product_id::text || c.ref, '' ORDER BY p.product_id, c.ref)) "
            "FROM industries i JOIN products p ON p.namespace = i.slug, "
            "jsonb_array_elements_text(p.pictures) c (ref) "
            "WHERE p.purged_at IS NULL AND NOT EXISTS ("
            "SELECT 1 FROM job_pictures g JOIN jobs j USING (job_id) "
            "WHERE g.product_id = p.product_id AND g.source_ref = c.ref AND j.industry = i.slug) "
            "AND EXISTS (SELECT 1 FROM job_videos m JOIN jobs j USING (job_id) WHERE j.industry = i.slug) "
            "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.industry = i.slug "
            "AND j.status IN ('queued', 'running')) "
            "AND NOT EXISTS (SELECT 1 FROM job_products o JOIN products q USING (product_id) "
            f"WHERE q.src <> 'file' AND o.job_id = {_latest('i.slug')}) "
            "GROUP BY i.slug ORDER BY i.slug"
        )
        return dict(rows)
