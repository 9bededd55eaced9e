"""Dead letters: items that no attempt could download, kept for `pvm retry`."""

from __future__ import annotations

from typing import Final

from pvm_core.errors import PvmError
from pvm_resources.store.source_runs import DeadLetter

#: Attribute of an error that was retried: the number of attempts.
_ATTEMPTS: Final = "attempts"


def letter_of(stage: str, error: PvmError, item: str) -> DeadLetter:
    """The dead letter that `error` is for `item`."""
    attempts = getattr(error, _ATTEMPTS, 1)
    return DeadLetter(stage, item, error.code, f"{error.reason}. {error.remedy}", max(1, int(attempts)))
