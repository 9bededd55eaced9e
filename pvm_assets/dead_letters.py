"""Dead letters: items that the network did not give after all tries, kept for `pvm retry`."""

from __future__ import annotations

from typing import Final

from pvm_core.errors import PvmError
from pvm_resources.store.source_runs import DeadLetter

#: An error that knows how often it was tried says so under this name.
_ATTEMPTS: Final = "attempts"


def letter_of(stage: str, error: PvmError, item: str) -> DeadLetter:
    """The dead letter that `error` is for `item`."""
    tried = getattr(error, _ATTEMPTS, 1)
    return DeadLetter(stage, item, error.code, f"{error.reason}. {error.remedy}", max(1, int(tried)))
