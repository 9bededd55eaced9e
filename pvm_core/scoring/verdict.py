"""What people say of a match, and the status that follows: a verdict stands over the score."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from pvm_core.scoring.decision import Status

Verdict = Literal["accept", "reject", "unsure"]
#: Verdicts that decide; ``unsure`` leaves the match to its score.
OVERRULES: Final[Mapping[Verdict, Status]] = MappingProxyType({"accept": "accepted", "reject": "rejected"})


def effective_status(scored: Status, verdict: Verdict | None) -> Status:
    """The status a match is shown and counted under: a person's right or wrong, else what the score says."""
    return scored if verdict is None else OVERRULES.get(verdict, scored)
