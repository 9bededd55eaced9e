"""Calibrations fitted to verdicts: an industry's in force and those before, and what they learn from."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.rows import tuple_row

from pvm_core.errors import InputError
from pvm_core.scoring.calibration import Calibration, from_json, to_json
from pvm_core.verification.types import VERSION
from pvm_resources.store.base import Repository, insert, json, listed
from pvm_resources.store.records import CandidatePair

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pvm.calibrations.' || %s || '.' || %s, 0))"
#: The judged pair of each verdict that says yes or no, in the newest job that was computed as %(job)s was and
#: still has its measurements: the pair the verdict was given on before the one a later job shows.
_LEARNT: Final = """
SELECT DISTINCT ON (l.seq) l.seq, l.verdict, l.source, l.platform, l.may_train, l.product_id, l.video_id,
       c.frame_id, c.img_id, c.job_id
FROM labels l
JOIN jobs j ON j.industry = l.industry AND j.status = 'completed' AND j.embed_model = %(model)s
     AND j.keys ->> 'verify' = %(verify)s
JOIN matches m ON m.job_id = j.job_id AND m.product_id = l.product_id AND m.video_id = l.video_id
JOIN candidate_pairs c ON c.job_id = m.job_id
     AND (c.frame_id, c.img_id) IN ((l.frame_id, l.img_id), (m.best_frame_id, m.best_img_id))
JOIN pair_evidence e ON e.frame_id = c.frame_id AND e.img_id = c.img_id AND e.verify_key = %(verify)s
WHERE l.industry = %(industry)s AND l.superseded_at IS NULL AND l.verdict IN ('accept', 'reject')
ORDER BY l.seq, c.frame_id = l.frame_id AND c.img_id = l.img_id DESC NULLS LAST, j.finished_at DESC, j.job_id
"""
_PAIRS: Final = """
SELECT c.frame_id, c.img_id, i.product_id, f.video_id, f.ts, f.shot, c.rank, c.sim_rgb, c.sim_gray,
       c.similarity, e.raw, c.similarity - other.best
FROM candidate_pairs c JOIN stored_frames f USING (frame_id) JOIN stored_images i USING (img_id)
JOIN pair_evidence e ON e.frame_id = c.frame_id AND e.img_id = c.img_id AND e.verify_key = %(verify)s
LEFT JOIN LATERAL (
    SELECT max(o.similarity) AS best FROM candidate_pairs o JOIN stored_images p ON p.img_id = o.img_id
    WHERE o.job_id = c.job_id AND o.frame_id = c.frame_id AND p.product_id <> i.product_id
) other ON true
WHERE c.job_id = %(job)s AND f.video_id = ANY(%(videos)s)
      AND (e.raw ? 'footprint' OR e.raw ? 'learned' OR i.product_id = ANY(%(products)s))
ORDER BY f.video_id, f.ts, c.frame_id, c.rank, c.img_id
"""


@dataclass(frozen=True)
class InstalledCalibration:
    """A calibration of an industry.

    Attributes:
        version: counts from 1 for each industry and embedder.
        body: as `to_json` writes it.
        verification: version of the measurements it was fitted on.
        figures: what its comparison showed when it was installed.
        previous: the version it replaced; None: the machine's.
    """

    industry: str
    embedder: str
    version: int
    body: str
    verification: str
    figures: dict[str, Any]
    who: str
    created_at: datetime
    previous: int | None
    in_force: bool

    @property
    def usable(self) -> bool:
        """Whether it was fitted on measurements as this release makes them."""
        return self.verification == VERSION

    @property
    def calibration(self) -> Calibration:
        """The calibration itself.

        Raises:
            ModelError: ``calibration.corrupt``.
        """
        return from_json(self.body, f"calibration {self.version} of {self.industry}")


@dataclass(frozen=True)
class JudgedPair:
    """A verdict with the pair of pictures it speaks of, as it was measured in `job_id`.

    Attributes:
        seq: of the label.
    """

    seq: int
    verdict: Literal["accept", "reject"]
    source: str
    platform: str
    may_train: bool
    product_id: uuid.UUID
    video_id: uuid.UUID
    frame_id: uuid.UUID
    img_id: uuid.UUID
    job_id: str


class Calibrations(Repository):
    """Table `calibrations`, and the measured pairs that verdicts speak of."""

    def in_force(self, industry: str, embedder: str) -> InstalledCalibration | None:
        """The industry's (slug) calibration of an embedder; None: the machine's counts. One that was fitted
        on measurements of another release is none."""
        found = self._current(industry, embedder)
        return found if found is not None and found.usable else None

    def history(self, industry: str, embedder: str | None = None) -> list[InstalledCalibration]:
        """All of an industry (slug), newest first."""
        return self._db.all(
            InstalledCalibration,
            f"SELECT {listed(InstalledCalibration)} FROM calibrations WHERE industry = %(industry)s "
            "AND (%(embedder)s::text IS NULL OR embedder = %(embedder)s) "
            "ORDER BY created_at DESC, version DESC",
            {"industry": industry, "embedder": embedder},
        )

    def next_version(self, industry: str, embedder: str) -> int:
        """The version the next one will have."""
        return int(
            self._db.value(
                "SELECT coalesce(max(version), 0) + 1 FROM calibrations "
                "WHERE industry = %s AND embedder = %s",
                [industry, embedder],
            )
        )

    def install(
        self, industry: str, version: int, calibration: Calibration, figures: Mapping[str, Any], who: str
    ) -> InstalledCalibration:
        """Puts a calibration in force; the one before stays stored.

        Args:
            version: as `next_version` gave it when the fit was made.

        Raises:
            InputError: ``calibration.changed``: another was installed meanwhile.
        """
        embedder = calibration.embedder
        with self._db.transaction() as cursor:
            cursor.execute(_LOCK, [industry, embedder])
            newest, current = cursor.execute(
                "SELECT coalesce(max(version), 0), max(version) FILTER (WHERE in_force) FROM calibrations "
                "WHERE industry = %s AND embedder = %s",
                [industry, embedder],
            ).fetchone() or (0, None)
            if newest + 1 != version:
                raise InputError(
                    "calibration.changed", industry, "another calibration was installed meanwhile",
                    "Compare again",
                )  # fmt: skip
            self._put_out(cursor, industry, embedder)
            values = {
                "industry": industry, "embedder": embedder, "version": version, "body": to_json(calibration),
                "verification": VERSION, "figures": json(dict(figures)), "who": who, "previous": current,
                "in_force": True,
            }  # fmt: skip
            self._db.write(cursor, insert("calibrations", values))
        found = self._current(industry, embedder)
        assert found is not None
        return found

    def revert(
        self, industry: str, embedder: str
    ) -> tuple[InstalledCalibration, InstalledCalibration | None]:
        """Takes the calibration in force back.

        Returns:
            the one that was in force, and the one that is now; None: the machine's.

        Raises:
            InputError: ``calibration.none``: the industry has none in force.
        """
        with self._db.transaction() as cursor:
            cursor.execute(_LOCK, [industry, embedder])
            row = cursor.execute(
                "SELECT version, previous FROM calibrations "
                "WHERE industry = %s AND embedder = %s AND in_force",
                [industry, embedder],
            ).fetchone()
            if row is None:
                raise InputError(
                    "calibration.none", industry, "it has no calibration of its own in force",
                    "The machine's calibration counts; pvm calibrate makes one from verdicts",
                )  # fmt: skip
            self._put_out(cursor, industry, embedder)
            cursor.execute(
                "UPDATE calibrations SET in_force = true "
                "WHERE industry = %s AND embedder = %s AND version = %s",
                [industry, embedder, row[1]],
            )
        (gone,) = (one for one in self.history(industry, embedder) if one.version == row[0])
        return gone, self._current(industry, embedder)

    def judged_pairs(self, industry: str, embedder: str, verify_key: str) -> list[JudgedPair]:
        """Verdicts of an industry (slug) that say yes or no, oldest first, each with its measured pair; those
        whose measurements are gone are left out.

        Args:
            embedder, verify_key: of the jobs whose measurements count.
        """
        values = {"industry": industry, "model": embedder, "verify": verify_key}
        return self._db.all(JudgedPair, _LEARNT, values)

    def verdicts(self, industry: str) -> int:
        """How many verdicts of an industry (slug) say right or wrong."""
        return int(
            self._db.value(
                "SELECT count(*) FROM labels WHERE industry = %s AND superseded_at IS NULL "
                "AND verdict IN ('accept', 'reject')",
                [industry],
            )
        )

    def pairs_of_videos(
        self, job_id: str, verify_key: str, videos: Sequence[uuid.UUID], products: Sequence[uuid.UUID]
    ) -> Iterator[tuple[CandidatePair, dict[str, Any], float | None]]:
        """The measured pairs of these videos in a job with their margins (`pvm_core.scoring.margin`), video
        by video; streamed. Of other products than these only pairs with a place in the frame come: without
        one they are nobody's rival."""
        values = {
            "job": job_id, "verify": verify_key, "videos": list(videos), "products": list(products),
        }  # fmt: skip
        for batch in self._db.batches(tuple_row, _PAIRS, values):
            for *pair, raw, margin in batch:
                yield CandidatePair(*pair), raw, margin

    def _current(self, industry: str, embedder: str) -> InstalledCalibration | None:
        return self._db.one(
            InstalledCalibration,
            f"SELECT {listed(InstalledCalibration)} FROM calibrations "
            "WHERE industry = %s AND embedder = %s AND in_force",
            [industry, embedder],
        )

    @staticmethod
    def _put_out(cursor: Any, industry: str, embedder: str) -> None:
        cursor.execute(
            "UPDATE calibrations SET in_force = false WHERE industry = %s AND embedder = %s AND in_force",
            [industry, embedder],
        )
