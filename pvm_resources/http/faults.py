"""What can go wrong with a download, in the words of the user, and whether another try may help."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Final

import httpx

from pvm_core.errors import MediaError
from pvm_resources.http.address_policy import AddressError
from pvm_resources.http.limits import FetchLimits

#: Answers that may be others later (RFC 9110; 425 RFC 8470, 429 RFC 6585).
RETRYABLE: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_SAID: Final = {
    401: ": it needs a login", 403: ": it is refused", 404: ": it is not there", 410: ": it is gone",
    429: ": too many requests",
}  # fmt: skip
_GONE_WRONG: Final = "Check the address and the network, then retry"


class FetchError(MediaError):
    """A download that was given up.

    Attributes:
        attempts: how often the server was asked for it; 0 where it was not.
        crowded: the server said that it is asked too much.
    """

    def __init__(
        self,
        code: str,
        subject: str,
        reason: str,
        remedy: str,
        *,
        retryable: bool = False,
        attempts: int = 1,
        crowded: bool = False,
    ) -> None:
        self.attempts = attempts
        self.crowded = crowded
        super().__init__(code, subject, reason, remedy, retryable=retryable)

    def __reduce__(self) -> tuple[object, ...]:
        said = (self.code, self.subject, self.reason, self.remedy)
        return _rebuild, (*said, self.retryable, self.attempts, self.crowded)


def _rebuild(
    code: str, subject: str, reason: str, remedy: str, retryable: bool, attempts: int, crowded: bool
) -> FetchError:
    return FetchError(code, subject, reason, remedy, retryable=retryable, attempts=attempts, crowded=crowded)


class FaultError(Exception):
    """One try that failed; what the user is told and what comes next.

    Attributes:
        kind: second part of the error's code.
        again: another try may help right away; some faults may pass later and still not deserve one now.
        wait_s: seconds the server asked to wait; None where it did not say.
        crowded: the server is asked too much: its other downloads wait too.
        deaf: no answer came about; a server that goes on so counts as down.
    """

    def __init__(
        self,
        kind: str,
        reason: str,
        remedy: str,
        *,
        retryable: bool = False,
        again: bool | None = None,
        wait_s: float | None = None,
        crowded: bool = False,
        deaf: bool = False,
    ) -> None:
        self.kind = kind
        self.reason = reason
        self.remedy = remedy
        self.retryable = retryable
        self.again = retryable if again is None else again
        self.wait_s = wait_s
        self.crowded = crowded
        self.deaf = deaf or crowded
        super().__init__(reason)

    def error(self, subject: str, limits: FetchLimits, attempts: int) -> FetchError:
        """What the user is told."""
        reason = f"{self.reason} ({attempts} tries)" if attempts > 1 else self.reason
        code = f"{limits.family}.{self.kind}"
        return FetchError(
            code,
            subject,
            reason,
            self.remedy,
            retryable=self.retryable,
            attempts=attempts,
            crowded=self.crowded,
        )


@dataclass(frozen=True)
class Moved:
    """A redirect, not followed yet."""

    url: str


def refused(error: AddressError, redirected: bool) -> FaultError:
    """An address that may not be asked, given or redirected to."""
    kind = error.code.partition(".")[2]
    if not redirected:
        return FaultError(kind, error.reason, error.remedy)
    kind = "redirect" if kind == "url" else kind
    return FaultError(kind, f"it redirects to {error.subject[:200]}: {error.reason}", error.remedy)


def too_large(limits: FetchLimits, what: str = "") -> FaultError:
    """More bytes than allowed."""
    reason = f"{what}more than the {limits.max_bytes:,} bytes allowed"
    return FaultError("too_large", reason, f"Give {limits.content.noun} that is smaller")


def status(code: int, limits: FetchLimits, wait_s: float | None) -> FaultError:
    """An answer that is none of 200 and a redirect."""
    return FaultError(
        "rate_limited" if code == 429 else "http",
        f"the server answers {code}{_SAID.get(code, '')}",
        "Try again later" if code in RETRYABLE else "Check the address",
        retryable=code in RETRYABLE,
        wait_s=wait_s,
        crowded=code == 429 or (code == 503 and wait_s is not None),
    )


def transport(error: Exception, limits: FetchLimits, *, in_body: bool, over: bool) -> FaultError:
    """What httpx raised.

    Args:
        in_body: the headers had come.
        over: the time of the whole try has run out.
    """
    if isinstance(error, httpx.TimeoutException):
        what = f"over {limits.total_s:g} s in all" if over else "no answer in time"
        return FaultError(
            "timeout", f"the server takes too long ({what})", "Try again later",
            retryable=True, again=not over, deaf=True,
        )  # fmt: skip
    if (cause := _cause(error, socket.gaierror)) is not None:
        passing = cause.errno == socket.EAI_AGAIN
        reason = f"{error} ({cause.strerror})"
        return FaultError("unreachable", reason, "Check the address", retryable=passing, deaf=True)
    if (cause := _cause(error, ssl.SSLCertVerificationError)) is not None:
        reason = f"its certificate is not valid ({cause.verify_message})"  # type: ignore[attr-defined]
        return FaultError("tls", reason, "Give an address whose certificate is valid")
    if isinstance(error, httpx.RemoteProtocolError) and not _hung_up(error):
        reason = f"the server does not speak proper HTTP ({error})"
        return FaultError("protocol", reason, "Check the address")
    if in_body:
        return FaultError(
            "truncated", "the connection ended before the content did", "Try again later", retryable=True
        )
    reason = f"the server cannot be reached ({error or type(error).__name__})"
    return FaultError("unreachable", reason, _GONE_WRONG, retryable=True, deaf=True)


def _hung_up(error: httpx.RemoteProtocolError) -> bool:
    """The server closed where more had to come; h11 and httpcore say so in these words only."""
    text = str(error)
    return "disconnected" in text or "closed connection" in text


def _cause(error: BaseException, kind: type[OSError]) -> OSError | None:
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, kind):
            return link
        link = link.__cause__ or link.__context__
    return None
