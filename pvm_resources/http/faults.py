"""What can go wrong with a download, as the user reads it, and whether another attempt may help."""

from __future__ import annotations

import socket
import ssl
from dataclasses import KW_ONLY, dataclass
from functools import partial
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
    """A download that failed for good.

    Attributes:
        attempts: requests sent for it; 0 where none was.
        rate_limited: the server answered that it gets too many requests.
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
        rate_limited: bool = False,
    ) -> None:
        self.attempts = attempts
        self.rate_limited = rate_limited
        super().__init__(code, subject, reason, remedy, retryable=retryable)

    def __reduce__(self) -> tuple[object, ...]:
        named = {name: getattr(self, name) for name in ("retryable", "attempts", "rate_limited")}
        return partial(FetchError, **named), (self.code, self.subject, self.reason, self.remedy)


@dataclass(eq=False)
class FaultError(Exception):
    """One attempt that failed: what the user reads and what happens next.

    Attributes:
        kind: second part of the error's code.
        again: another attempt may help right away; some faults may pass later and still not deserve one now.
            None = as `retryable`.
        wait_s: Retry-After of the server, seconds; None without one.
        rate_limited: the server gets too many requests: its other downloads wait too.
        unanswered: no answer came; after several in a row the server counts as down.
    """

    kind: str
    reason: str
    remedy: str
    _: KW_ONLY
    retryable: bool = False
    again: bool | None = None
    wait_s: float | None = None
    rate_limited: bool = False
    unanswered: bool = False

    def __post_init__(self) -> None:
        super().__init__(self.reason)
        self.again = self.retryable if self.again is None else self.again
        self.unanswered = self.unanswered or self.rate_limited

    def error(self, subject: str, limits: FetchLimits, attempts: int) -> FetchError:
        """The download's error after that many attempts."""
        return FetchError(
            f"{limits.family}.{self.kind}",
            subject,
            f"{self.reason} ({attempts} tries)" if attempts > 1 else self.reason,
            self.remedy,
            retryable=self.retryable,
            attempts=attempts,
            rate_limited=self.rate_limited,
        )


@dataclass(frozen=True)
class Moved:
    """A redirect, not followed yet."""

    url: str


def refused(error: AddressError, redirected: bool) -> FaultError:
    """An address that is not allowed, given or redirected to."""
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
        rate_limited=code == 429 or (code == 503 and wait_s is not None),
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
            retryable=True, again=not over, unanswered=True,
        )  # fmt: skip
    if (cause := _cause(error, socket.gaierror)) is not None:
        passing = cause.errno == socket.EAI_AGAIN
        reason = f"{error} ({cause.strerror})"
        return FaultError("unreachable", reason, "Check the address", retryable=passing, unanswered=True)
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
    return FaultError("unreachable", reason, _GONE_WRONG, retryable=True, unanswered=True)


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
