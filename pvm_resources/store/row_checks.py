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
    """SQL: the rows of job ``%(job)s``, their id and parent, and what must be true by column."""

    source: str
    id: str
    parent: str
    sound: Mapping[str, str]


def _unit(*columns: str) -> dict[str, str]:
    return {name: f"r.{name} IS NULL OR r.{name} BETWEEN 0 AND 1" for name in columns}


def _text(*columns: str) -> dict[str, str]:
    return {name: f"r.{name} <> ''" for name in columns}


def _at_least(least: int, *columns: str) -> dict[str, str]:
    return {name: f"r.{name} >= {least}" for name in columns}


_ROWS: Final[Mapping[RowSet, _Rows]] = {
    "products": _Rows(
        "products r JOIN job_products j USING (product_id) WHERE j.job_id = %(job)s",
        "r.product_id",
        "r.product_id",
        _text("src", "namespace", "asin_or_itemid"),
    ),
    "images": _Rows(
        "stored_images r JOIN job_images j USING (img_id) WHERE j.job_id = %(job)s",
        "r.img_id",
        "r.product_id",
        {
            "sha256": "r.sha256 ~ '^[0-9a-f]{64}$'",
            **_text("local_path"),
            **{name: f"r.{name} BETWEEN 1 AND 1024" for name in ("width", "height")},
        },
    ),
    "frames": _Rows(
        "stored_frames r JOIN job_items i ON i.item_id = r.frame_id AND i.kind = 'frame' "
        "WHERE i.job_id = %(job)s",
        "r.frame_id",
        "r.video_id",
        {**_at_least(0, "ts", "shot", "sharpness"), **_text("local_path"), **_at_least(1, "width", "height")},
    ),
    "candidates": _Rows(
        "candidate_pairs r WHERE r.job_id = %(job)s",
        "r.img_id",
        "r.frame_id",
        {
            **_at_least(1, "rank"),
            **{name: f"r.{name} BETWEEN -1.0001 AND 1.0001" for name in ("sim_rgb", "similarity")},
            "sim_gray": "r.sim_gray IS NULL OR r.sim_gray BETWEEN -1.0001 AND 1.0001",
        },
    ),
    "matches": _Rows(
        "matches r WHERE r.job_id = %(job)s",
        "r.match_id",
        "r.product_id",
        {
            **{name: f"r.{name} BETWEEN 0 AND 1" for name in ("score", "score_pair")},
            **_unit("sim_deep", "sim_kp", "sim_edge"),
            "status": "r.status IN ('accepted', 'review', 'rejected')",
            "reason": "r.reason::text <> ''",
            **_at_least(0, "ts", "consistency", "coverage"),
        },
    ),
}


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
            f"array_to_string(ARRAY[{faults}], ', ') AS faults FROM {part.source}) checked",
            {"job": job_id, "named": _NAMED},
        )[0]
        return RowCounts(total, parents, failures, tuple(examples or ()))
