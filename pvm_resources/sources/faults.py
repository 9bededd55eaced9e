"""Faults of a source: what its code raises, and the status that follows."""

from __future__ import annotations

from typing import Final, Self, cast

from pvm_core.errors import PvmError
from pvm_resources.sources.base import SourceStateName, SourceStatus

LATER: Final = "Run the job again later; what was answered is not asked again"


class SourceError(PvmError):
    """No request to a source can succeed now: its code is ``source.<state>``, its subject the source."""

    @classmethod
    def of(cls, state: SourceStateName, source: str, reason: str, remedy: str) -> SourceError:
        """The fault under which `source` gets that state."""
        return cls(f"source.{state}", source, reason, remedy, retryable=state in ("rate_limited", "failed"))

    @property
    def state(self) -> SourceStateName:
        """The state that the source is in."""
        return cast(SourceStateName, self.code.removeprefix("source."))

    @property
    def status(self) -> SourceStatus:
        """The source's status where nothing was collected."""
        return SourceStatus(self.subject, self.state, self.reason, self.remedy)


class CallError(PvmError):
    """One request was not answered usefully; others may be.

    Attributes:
        retry_after_s: seconds that the server asks to wait; None where it says nothing.
    """

    retry_after_s: float | None = None

    @classmethod
    def passing(cls, code: str, subject: str, reason: str, retry_after_s: float | None = None) -> Self:
        """A fault of the server, after which the same request may succeed."""
        found = cls(code, subject, reason, LATER, retryable=True)
        found.retry_after_s = retry_after_s
        return found


class TooManyError(CallError):
    """The server answers 429; always retryable."""

    def ending(self, source: str, who: str) -> SourceError:
        """What it means for the source once waiting has not helped."""
        wait = "" if self.retry_after_s is None else f"; it asks to wait {self.retry_after_s:,.0f} s"
        reason = f"{who} takes no more requests ({self.reason}){wait}"
        return SourceError.of("rate_limited", source, reason, self.remedy)
