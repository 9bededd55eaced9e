"""The problems of a catalogue: the first are named one by one, those beyond are counted."""

from __future__ import annotations

from collections import Counter

from pvm_core.errors import InputError, Problem
from pvm_resources.sources.catalogue import limits


class ProblemList:
    """Problems in the order in which they are met.

    Args:
        stage: the stage they belong to.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._named: list[Problem] = []
        self._beyond: Counter[str] = Counter()

    def add(self, error: InputError) -> None:
        """Takes one more."""
        if len(self._named) < limits.MAX_PROBLEMS:
            self._named.append(Problem.of(self._stage, error))
        else:
            self._beyond[error.code] += 1

    def listed(self, subject: str) -> tuple[Problem, ...]:
        """Those named; the last one counts those beyond by their code, where there are any."""
        if not self._beyond:
            return tuple(self._named)
        counts = ", ".join(f"{count:,} x {code}" for code, count in self._beyond.most_common())
        reason = f"{self._beyond.total():,} more problems are not named one by one ({counts})"
        error = InputError("catalogue.cut", subject, reason, "Correct those that are named and run it again")
        return (*self._named, Problem.of(self._stage, error))
