"""How far a job is, in per cent, and how long the rest takes at its pace: from the shares of its stages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from pvm_assets.graph import NODES
from pvm_resources.store.records import StageShare

#: Per cent at which a phase begins, as founding document 2 has it.
_BEGINS: Final = {"collection": 0, "feature_extraction": 25, "matching": 60, "evidence": 85, "completed": 100}
_PHASES: Final = tuple(_BEGINS)
#: All phases have ended, and the run has not.
_ALMOST: Final = 99
#: Before so many seconds, and so much progress in per cent, a pace says nothing.
_PACE_S: Final = 5.0
_PACE_PERCENT: Final = 2.0


def percent_of(completed: bool, reached: str, shares: Iterable[StageShare]) -> int:
    """Per cent of a job, 0 to 100; 100 where it is completed, and only there.

    Args:
        reached: the phase that its events state, also where it has failed since.
        shares: of its stages; one that is missing has not begun.
    """
    if completed:
        return 100
    return min(_ALMOST, math.floor(_exact(reached, {one.stage: one.share for one in shares})))


def eta_s(reached: str, shares: Sequence[StageShare], now: datetime) -> int | None:
    """Seconds that the rest takes at the pace of the present run, rounded up; None where it has none yet.

    What was found done is left out of the pace: it cost no time. The pace is that of the last move: while
    nothing moves the rest becomes less by the time that passes, and once more has passed than was left, at
    least as much again is expected.
    """
    begun = [one.began_at for one in shares if one.began_at is not None]
    if not begun:
        return None
    moved = max((one.moved_at for one in shares if one.began_at and one.moved_at), default=now)
    # Two processes' clocks do not meet here: all times are the database's.
    moved = min(now, max(moved, min(begun)))
    seconds, still = (moved - min(begun)).total_seconds(), (now - moved).total_seconds()
    # A stage that ended in an earlier run counts as found.
    found = {one.stage: one.share if one.began_at is None else one.reused_share for one in shares}
    here = _exact(reached, {one.stage: one.share for one in shares})
    gained = here - _exact(reached, found)
    if seconds + still < _PACE_S or gained < _PACE_PERCENT:
        return None
    return math.ceil(max(seconds * (100 - here) / gained - still, still))


def _exact(reached: str, shares: Mapping[str, float]) -> float:
    """Per cent without rounding: a phase's stages count for equal parts of it."""
    if reached not in _BEGINS:
        return 0.0
    begins = _BEGINS[reached]
    if reached == "completed":
        return float(begins)
    width = _BEGINS[_PHASES[_PHASES.index(reached) + 1]] - begins
    stages = [name for name, node in NODES.items() if node.phase == reached]
    return begins + width * sum(shares.get(stage, 0.0) for stage in stages) / len(stages)
