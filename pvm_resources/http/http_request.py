"""One request and its answer."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

import httpx

from pvm_resources.http import body, faults
from pvm_resources.http.address_policy import AddressError, Deadline, PinnedTransport
from pvm_resources.http.faults import FaultError, Moved
from pvm_resources.http.limits import FetchLimits
from pvm_resources.http.retry import retry_after

USER_AGENT: Final = "product-video-matching/0.1"
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


@dataclass(frozen=True)
class Fetched:
    """A download.

    Attributes:
        data: the content, unpacked.
        url: where it came from in the end, redirects followed.
    """

    data: bytes
    url: str


class BudgetClosedError(Exception):
    """The caller no longer waits for the download."""


class Budget:
    """Bytes that downloads may hold together, reserved before a body is read.

    Args:
        total: bytes, at least what one download may hold.
    """

    def __init__(self, total: int) -> None:
        self._free = total
        self._closed = False
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Waits until so many bytes are free.

        Raises:
            BudgetClosedError: `close` was called.
        """
        with self._changed:
            while self._free < size and not self._closed:
                self._changed.wait()
            if self._closed:
                raise BudgetClosedError
            self._free -= size

    def give(self, size: int) -> None:
        """Returns bytes that were taken."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    def close(self) -> None:
        """Ends all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def send_request(
    transport: PinnedTransport, url: str, limits: FetchLimits, seconds: float, budget: Budget
) -> Fetched | Moved:
    """The answer of one request.

    Args:
        seconds: for all of it.
        budget: what the content is taken from; the caller gives ``len(data)`` back.

    Raises:
        AddressError: the URL is not allowed.
        FaultError: no usable answer.
    """
    deadline = Deadline(seconds)
    try:
        response = transport.handle_request(_request(url, limits, deadline))
    except httpx.TransportError as error:
        raise faults.transport(error, limits, in_body=False, over=deadline.left <= 0) from error
    try:
        if response.status_code in _REDIRECTS:
            return _next(url, response)
        _check(response, limits)
        data = _read(response, limits, deadline, budget)
    except httpx.TransportError as error:
        raise faults.transport(error, limits, in_body=True, over=deadline.left <= 0) from error
    finally:
        response.close()
    return Fetched(data, url)


def _request(url: str, limits: FetchLimits, deadline: Deadline) -> httpx.Request:
    # No httpx.Client around it: one would store cookies and send them to the next server.
    timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s, pool=limits.total_s)
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": limits.content.accept,
        "Accept-Encoding": "gzip" if limits.content.packed else "identity",
        "Connection": "keep-alive",
    }
    extensions = {"timeout": timeout.as_dict(), "deadline": deadline}
    try:
        return httpx.Request("GET", url, headers=headers, extensions=extensions)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise AddressError("fetch.url", url, "it is no http(s) address", "Give a plain one") from error


def _next(url: str, response: httpx.Response) -> Moved:
    location = response.headers.get("location", "")
    remedy = "Give the address it leads to"
    if not location:
        raise FaultError("redirect", "it redirects to nowhere", remedy)
    try:
        return Moved(str(httpx.URL(url).join(location)))
    except (httpx.InvalidURL, ValueError) as error:
        reason = f"it redirects to {location[:200]!r}, which is no http(s) address"
        raise FaultError("redirect", reason, remedy) from error


def _check(response: httpx.Response, limits: FetchLimits) -> None:
    if response.status_code != 200:
        wait_s = retry_after(response.headers.get("retry-after"))
        raise faults.status(response.status_code, limits, wait_s)
    body.check_header(limits.content, response.headers.get("content-type", ""))
    if (declared := _declared(response)) is not None and declared > limits.max_bytes:
        raise faults.too_large(limits, f"{declared:,} bytes, ")


def _declared(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) < 19 else sys.maxsize


def _read(response: httpx.Response, limits: FetchLimits, deadline: Deadline, budget: Budget) -> bytes:
    encoding = response.headers.get("content-encoding", "")
    assert isinstance(response.stream, httpx.SyncByteStream)
    declared = _declared(response)
    taken = limits.max_bytes if declared is None or encoding or limits.content.packed else declared
    start = time.monotonic()
    budget.take(taken)
    deadline.extend(time.monotonic() - start)
    kept = 0
    try:
        data = body.received(response.stream, encoding, limits)
        kept = len(data)
    finally:
        budget.give(taken - kept)
    return data
