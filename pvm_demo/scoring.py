"""Precision, recall and right seconds of results against the truth of a case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pvm_core.proportions import lower_bound
from pvm_demo.clips import Showing

#: A second this far outside a showing still counts as right: keyframes stand at shot edges.
_SLACK_S = 0.5


@dataclass(frozen=True)
class ResultRow:
    """One scored pair of a run; `ts` in seconds, None where no frame was named."""

    product: str
    video: str
    score: float
    ts: float | None


@dataclass(frozen=True)
class CaseScore:
    """What a run got right.

    Attributes:
        accepted: pairs at or above the threshold; right: those of them in the truth.
        true: pairs in the truth.
        precision, recall: in [0, 1]; precision is 0 where nothing was accepted.
        bound: one-sided 95 % Clopper-Pearson lower bound of the precision.
        seconds_right: right pairs whose second lies inside a showing.
        wrong, missed: (product, video) of false and of missing pairs, sorted.
    """

    accepted: int
    right: int
    true: int
    precision: float
    recall: float
    bound: float
    seconds_right: int
    wrong: tuple[tuple[str, str], ...]
    missed: tuple[tuple[str, str], ...]


def score_rows(
    truth: Iterable[Showing],
    background: Iterable[tuple[str, str]],
    rows: Iterable[ResultRow],
    *,
    accept: float = 0.80,
) -> CaseScore:
    """Score `rows` against `truth`; pairs in `background` count neither way.

    Raises:
        ValueError: a pair stands in `rows` more than once.
    """
    shown: dict[tuple[str, str], list[Showing]] = {}
    for showing in truth:
        shown.setdefault((showing.product_id, showing.video_id), []).append(showing)
    excused = set(background) - set(shown)
    found: dict[tuple[str, str], ResultRow] = {}
    for row in rows:
        key = (row.product, row.video)
        if key in found:
            raise ValueError(f"more than one row for product {row.product} in video {row.video}")
        found[key] = row
    accepted = {k: r for k, r in found.items() if r.score >= accept and k not in excused}
    right = {k: r for k, r in accepted.items() if k in shown}
    return CaseScore(
        accepted=len(accepted),
        right=len(right),
        true=len(shown),
        precision=len(right) / len(accepted) if accepted else 0.0,
        recall=len(right) / len(shown) if shown else 0.0,
        bound=lower_bound(len(right), len(accepted)),
        seconds_right=sum(_on_screen(row.ts, shown[key]) for key, row in right.items()),
        wrong=tuple(sorted(set(accepted) - set(right))),
        missed=tuple(sorted(set(shown) - set(right))),
    )


def _on_screen(ts: float | None, showings: Iterable[Showing]) -> bool:
    return ts is not None and any(s.start_s - _SLACK_S <= ts <= s.end_s + _SLACK_S for s in showings)
