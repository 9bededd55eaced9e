"""How the score of a match comes from its best pair, in the figures that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvm_core.figures import cut, score_text


@dataclass(frozen=True)
class Composition:
    """A score beside its best pair.

    Attributes:
        kind: ``same``: the score is that of the best pair; ``raised``: further shots and pictures that agree
            add to it; ``held``: it lies below its best pair because a rule keeps it from being accepted.
        best, score: as shown; change: their difference as shown, so that best and change give the score.
    """

    kind: Literal["same", "raised", "held"]
    best: str
    score: str
    change: str


def composition(score: float, best: float | None) -> Composition | None:
    """The parts of a score; None where no pair is known.

    Args:
        score: of the match; best: of its best pair; each in [0, 1].
    """
    if best is None:
        return None
    difference = round(cut(score) - cut(best), 3)
    kind: Literal["same", "raised", "held"] = (
        "same" if difference == 0 else "raised" if difference > 0 else "held"
    )
    return Composition(kind, score_text(best), score_text(score), f"{abs(difference):.3f}")
