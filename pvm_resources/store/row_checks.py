"""Rows of a job that break what every row must keep, counted in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pvm_resources.store.base import Repository

RowSet = Literal["products", "images", "frames", "candidates", "matches"]
#: Failing rows that are named.
_NAMED: Final = 10


@dataclass(frozen=True)
class RowCounts:
    """How many rows a job has, how many of them fail and why the first ones do.

    Attributes:
        parents: distinct products, videos or frames that the rows belong to.
        examples: ``<id>: <columns that fail>``, at most ten.
    """

    rows: int
    parents: int
    failures: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class _Rows:
    """SQL: rows r of the job j, their id and parent, and by column what must be true of a row beyond what the
    tables' own constraints enforce (those cannot be broken by a stored row)."""

    source: str
    id: str
    parent: str
    sound: Mapping[str, str]


_SIZE: Final = {"width": "r.width BETWEEN 1 AND 1024", "height": "r.height BETWEEN 1 AND 1024"}
_ROWS: Final[Mapping[RowSet, _Rows]] = {
    "products": _Rows(
        "products r JOIN job_products j USING (product_id)", "r.product_id", "r.product_id",
        {"src": "r.src <> ''", "namespace": "r.namespace <> ''"},
    ),
    "images": _Rows(
        "stored_images r JOIN job_images j USING (img_id)", "r.img_id", "r.product_id",
        {"local_path": "r.local_path <> ''", **_SIZE},
    ),
    "frames": _Rows(
        "stored_frames r JOIN job_items j ON j.item_id = r.frame_id AND j.kind = 'frame'", "r.frame_id",
        "r.video_id",
        {"local_path": "r.local_path <> ''", "shot": "r.shot >= 0", "sharpness": "r.sharpness >= 0"},
    ),
    "candidates": _Rows(
        "candidate_pairs r JOIN jobs j USING (job_id)", "r.img_id", "r.frame_id",
        {"similarity": "r.similarity >= r.sim_rgb"},
    ),
    "matches": _Rows(
        "matches r JOIN jobs j USING (job_id)", "r.match_id", "r.product_id",
        {"reason_code": "r.reason_code <> ''"},
    ),
}  # fmt: skip


class RowChecks(Repository):
    """Counts over the tables that the assets write."""

    def count(self, job_id: str, rows: RowSet) -> RowCounts:
        """How many of the job's rows are there, and how many fail."""
        part = _ROWS[rows]
        faults = ", ".join(
            f"CASE WHEN ({sound}) IS NOT TRUE THEN '{name}' END" for name, sound in part.sound.items()
        )
        total, parents, failures, examples = self._db.tuples(
            "SELECT count(*), count(DISTINCT parent), count(*) FILTER (WHERE faults <> ''), "
            "(array_agg(id || ': ' || faults) FILTER (WHERE faults <> ''))[:%(named)s] FROM ("
            f"SELECT {part.id}::text AS id, {part.parent} AS parent, "
            f"array_to_string(ARRAY[{faults}], ', ') AS faults "
            f"FROM {part.source} WHERE j.job_id = %(job)s) checked",
            {"job": job_id, "named": _NAMED},
        )[0]
        return RowCounts(total, parents, failures, tuple(examples or ()))
