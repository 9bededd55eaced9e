"""Which products appear in which videos, by accepted matches and verdicts; stored recommendations."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pvm_core.recommending.ranking import Ranked
from pvm_resources.store.base import Repository, json
from pvm_resources.store.labels import EFFECTIVE
from pvm_resources.store.match_record import LABELLED

#: Products and the videos that show them, each pair once: accepted, a verdict standing over the score.
_SHOWN: Final = (
    f"SELECT DISTINCT m.product_id, m.video_id FROM matches m {LABELLED} WHERE {EFFECTIVE} = 'accepted'"
)


@dataclass(frozen=True)
class Together:
    """A product that appears in the same videos: in how many of them, and in how many at all."""

    product_id: uuid.UUID
    together: int
    videos: int


@dataclass(frozen=True)
class StoredRecommendation:
    """A recommendation as the industry's last materialisation left it."""

    product_id: uuid.UUID
    score: float
    parts: Mapping[str, float]
    made_at: datetime


class Appearances(Repository):
    """Reads of table `matches`, and table `product_recommendations`."""

    def together(self, product_id: uuid.UUID, most: int) -> tuple[int, list[Together]]:
        """How many videos show a product, and the products that appear in these, most often first."""
        rows = self._db.tuples(
            f"WITH mine AS MATERIALIZED ({_SHOWN} AND m.product_id = %(id)s), "
            f"beside AS MATERIALIZED ({_SHOWN} AND m.video_id IN (SELECT video_id FROM mine)), "
            "counted AS (SELECT product_id, count(*) AS n FROM beside WHERE product_id <> %(id)s "
            "GROUP BY product_id ORDER BY n DESC, product_id LIMIT %(most)s), "
            f"all_of AS MATERIALIZED ({_SHOWN} AND m.product_id IN (SELECT product_id FROM counted)) "
            "SELECT (SELECT count(*) FROM mine), c.product_id, c.n, "
            "(SELECT count(*) FROM all_of a WHERE a.product_id = c.product_id) "
            "FROM (SELECT 1) one LEFT JOIN counted c ON true",
            {"id": product_id, "most": most},
        )
        return int(rows[0][0]), [Together(*row[1:]) for row in rows if row[1] is not None]

    def popularity(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
        """In how many videos each of the products appears."""
        query = (
            f"SELECT product_id, count(*) FROM ({_SHOWN} AND m.product_id = ANY(%s)) s GROUP BY product_id"
        )
        return {row[0]: int(row[1]) for row in self._db.tuples(query, [list(product_ids)])}

    def most_shown(self, industry: str | None, most: int) -> list[tuple[uuid.UUID, int]]:
        """Products that most videos show, of an industry (slug) or of all, and how many videos each."""
        return self._db.tuples(
            f"SELECT product_id, count(*) AS n FROM ({_SHOWN} AND (%(industry)s::text IS NULL "
            "OR j.industry = %(industry)s)) s "
            "GROUP BY product_id ORDER BY n DESC, product_id LIMIT %(most)s",
            {"industry": industry, "most": most},
        )

    def industry_of(self, product_id: uuid.UUID) -> str | None:
        """Slug of the industry that a product is of, else of the newest job that has it."""
        query = (
            "SELECT coalesce(i.slug, (SELECT j.industry FROM job_products g JOIN jobs j USING (job_id) "
            "WHERE g.product_id = p.product_id ORDER BY j.created_at DESC LIMIT 1)) "
            "FROM products p LEFT JOIN industries i ON i.slug = p.namespace WHERE p.product_id = %s"
        )
        found: str | None = self._db.value(query, [product_id])
        return found

    def listed_with(self, product_id: uuid.UUID) -> set[uuid.UUID]:
        """Products that a job found to be other listings of this one."""
        query = (
            "SELECT DISTINCT b.product_id FROM job_products a JOIN job_products b "
            "ON b.job_id = a.job_id AND b.listing_group = a.listing_group "
            "WHERE a.product_id = %(id)s AND b.product_id <> %(id)s"
        )
        return {row[0] for row in self._db.tuples(query, {"id": product_id})}

    def listing_groups(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """Product -> the first listing of its group in the newest job that has it, where it is of one."""
        query = (
            "SELECT DISTINCT ON (g.product_id) g.product_id, g.listing_group FROM job_products g "
            "JOIN jobs j USING (job_id) WHERE g.product_id = ANY(%s) AND g.listing_group IS NOT NULL "
            "ORDER BY g.product_id, j.created_at DESC"
        )
        return dict(self._db.tuples(query, [list(product_ids)]))

    def products(self, industry: str) -> list[uuid.UUID]:
        """All products of an industry, by id."""
        query = (
            "SELECT p.product_id FROM products p WHERE p.purged_at IS NULL AND (p.namespace = %(slug)s "
            "OR EXISTS (SELECT 1 FROM job_products g JOIN jobs j USING (job_id) "
            "WHERE g.product_id = p.product_id AND j.industry = %(slug)s)) ORDER BY p.product_id"
        )
        return [row[0] for row in self._db.tuples(query, {"slug": industry})]

    def set_recommendations(self, found: Mapping[uuid.UUID, Sequence[Ranked[uuid.UUID]]]) -> int:
        """Stores these products' recommendations in place of those before; how many rows. What was deleted
        meanwhile is left out."""
        rows: list[tuple[Any, ...]] = [
            (product, place, one.item, one.score, json(dict(one.parts)))
            for product, listed in found.items()
            for place, one in enumerate(listed)
        ]
        with self._db.transaction() as cursor:
            # Deleting products wait for this, so that no row comes for one that is gone.
            cursor.execute(
                "SELECT FROM products WHERE product_id = ANY(%s) ORDER BY product_id FOR KEY SHARE",
                [sorted({*found, *(row[2] for row in rows)})],
            )
            cursor.execute("DELETE FROM product_recommendations WHERE product_id = ANY(%s)", [list(found)])
            if not rows:
                return 0
            return cursor.execute(
                "INSERT INTO product_recommendations (product_id, place, other_id, score, parts) "
                "SELECT g.* FROM unnest(%s::uuid[], %s::int[], %s::uuid[], %s::float8[], %s::jsonb[]) "
                "g (product_id, place, other_id, score, parts) "
                "JOIN products a ON a.product_id = g.product_id JOIN products b ON b.product_id = g.other_id",
                [list(column) for column in zip(*rows, strict=True)],
            ).rowcount

    def unsound(self, industry: str) -> int:
        """Stored recommendations of an industry that were made of what could not be shown then."""
        query = (
            "SELECT count(*) FROM product_recommendations r JOIN products p ON p.product_id = r.product_id "
            "JOIN products o ON o.product_id = r.other_id WHERE (p.namespace = %(slug)s OR EXISTS ("
            "SELECT 1 FROM job_products g JOIN jobs j USING (job_id) WHERE g.product_id = p.product_id "
            "AND j.industry = %(slug)s)) AND (o.purged_at IS NOT NULL AND o.purged_at < r.made_at "
            "OR o.availability = 'out_of_stock' AND coalesce(o.updated_at, o.created_at) < r.made_at)"
        )
        return int(self._db.value(query, {"slug": industry}))

    def set_report(self, industry: str, job_id: str, path: str, matches: Sequence[uuid.UUID]) -> bool:
        """An industry's report is that file of the media store, of that job; False, and nothing is stored,
        where one of the matches that it shows is gone."""
        with self._db.transaction() as cursor:
            # Whoever deletes a product waits for this, and finds the row.
            there = cursor.execute(
                "SELECT match_id FROM matches WHERE match_id = ANY(%s) FOR KEY SHARE", [list(matches)]
            ).fetchall()
            if len(there) < len(matches):
                return False
            cursor.execute(
                "INSERT INTO industry_reports (industry, job_id, path) VALUES (%s, %s, %s) "
                "ON CONFLICT (industry) DO UPDATE SET job_id = excluded.job_id, path = excluded.path, "
                "made_at = now()",
                [industry, job_id, path],
            )
        return True

    def report(self, industry: str) -> str | None:
        """Media key of an industry's report; None where there is none."""
        found: str | None = self._db.value(
            "SELECT path FROM industry_reports WHERE industry = %s", [industry]
        )
        return found

    def recommendations(self, product_id: uuid.UUID) -> list[StoredRecommendation]:
        """What is stored of a product, best first."""
        query = (
            "SELECT other_id AS product_id, score, parts, made_at FROM product_recommendations "
            "WHERE product_id = %s ORDER BY place"
        )
        return self._db.all(StoredRecommendation, query, [product_id])
