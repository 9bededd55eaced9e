"""Precision and recall of a job's accepted pairs against a case's known truth."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pvm_cli.lines import ResultLine

#: Half a second either side: a frame at a cut belongs to both shots.
_SLACK_S = 0.5


@dataclass(frozen=True)
class Truth:
    """What a case's clips show.

    Attributes:
        shots: (product, video) -> the spans in seconds in which the product is on screen.
        background: pairs that are also visible, half hidden; neither asked for nor wrong.
    """

    shots: dict[tuple[str, str], list[tuple[float, float]]]
    background: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    """Accepted pairs against the truth.

    Attributes:
        right, wrong, missed: numbers of pairs.
        on_time: right pairs whose second is one at which the product is on screen.
    """

    right: int
    wrong: int
    missed: int
    on_time: int

    @property
    def precision(self) -> float | None:
        """Right among accepted; None where nothing was accepted."""
        accepted = self.right + self.wrong
        return self.right / accepted if accepted else None

    @property
    def recall(self) -> float | None:
        """Right among true; None where the case shows nothing."""
        true = self.right + self.missed
        return self.right / true if true else None


def read_truth(folder: Path) -> Truth:
    """Reads ``truth.csv`` and, where there is one, ``background.csv``."""
    shots: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in _rows(folder / "truth.csv"):
        span = (float(row["start_s"]), float(row["end_s"]))
        shots.setdefault((row["product_id"], row["video_id"]), []).append(span)
    also = frozenset((row["product_id"], row["video_id"]) for row in _rows(folder / "background.csv"))
    return Truth(shots, also)


def judge(accepted: Iterable[ResultLine], truth: Truth) -> Verdict:
    """Counts right, wrong and missed pairs."""
    right, wrong, on_time = 0, 0, 0
    for line in accepted:
        pair = (line.product, line.video)
        if pair in truth.background:
            continue
        spans = truth.shots.get(pair)
        if spans is None:
            wrong += 1
            continue
        right += 1
        on_time += any(start - _SLACK_S <= line.ts <= end + _SLACK_S for start, end in spans)
    return Verdict(right, wrong, len(truth.shots) - right, on_time)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
