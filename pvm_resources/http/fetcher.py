"""The fetcher: downloads with redirects, retries and limits per server; one, or many at once."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import httpx

from pvm_resources.http import faults
from pvm_resources.http.address_policy import (
    AddressError,
    AddressPolicy,
    AllowList,
    PinnedTransport,
    Resolver,
    resolve,
)
from pvm_resources.http.download_scheduler import (
    Download,
    DownloadScheduler,
    DownloadSteps,
    StepResult,
)
from pvm_resources.http.faults import FaultError, FetchError, Moved
from pvm_resources.http.host_throttle import OWN_HOST, HostLimits, HostThrottle
from pvm_resources.http.http_request import Budget, Fetched, send_request
from pvm_resources.http.limits import PICTURE, FetchLimits
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.settings import Settings

T = TypeVar("T")

#: Content that `fetch_many` holds at most beside what its caller has taken, bytes: four pictures of the
#: largest size, or hundreds of usual ones.
_HELD: Final = 64_000_000


class Fetcher:
    """Downloads from public servers, and from those an allow list names; safe to use from several threads.

    Can be pickled without `verify`; connections, and what is known of servers, stay with the process.

    Args:
        limits: of a download, by default.
        allow: the user's own servers; requests to them have no rate.
        hosts: limits of requests to any other server.
        retries: how often a download is tried, and after which pauses.
        resolver: how names are resolved.
        verify: for certificates; None = those httpx knows.
    """

    def __init__(
        self,
        limits: FetchLimits = PICTURE,
        allow: AllowList | None = None,
        *,
        hosts: HostLimits | None = None,
        retries: RetryPolicy | None = None,
        resolver: Resolver = resolve,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._given = {"limits": limits, "allow": allow, "hosts": hosts, "retries": retries}
        self._limits = limits
        self._allow = allow or AllowList()
        self._host_limits = hosts or HostLimits()
        self._retries = retries or RetryPolicy()
        self._resolver = resolver
        self._verify = verify
        self._policy = AddressPolicy(self._allow, resolver)
        self._throttle = HostThrottle()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings, limits: FetchLimits = PICTURE) -> Fetcher:
        """The fetcher with the exceptions that this machine's settings make.

        Raises:
            InputError: ``settings.invalid``: ``PVM_FETCH_ALLOW`` cannot be read.
        """
        return cls(limits, AllowList.parse(settings.fetch_allow))

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Fetcher, **self._given, resolver=self._resolver), ()  # type: ignore[arg-type]

    def fetch(self, url: str, limits: FetchLimits | None = None) -> Fetched:
        """What is behind an http(s) URL.

        Raises:
            FetchError: it failed. Its code begins with the limits' family, ``picture`` or ``fetch``:
                ``.url``, ``.port``, ``.address`` (not public), ``.redirect``, ``.http`` (status),
                ``.rate_limited``, ``.type``, ``.too_large``, ``.empty``, ``.truncated``, ``.encoding``,
                ``.protocol``, ``.tls``, ``.timeout``, ``.unreachable``.
        """
        ((_, answer),) = self.fetch_many([url], concurrency=1, limits=limits)
        if isinstance(answer, FetchError):
            raise answer
        return answer

    def fetch_many(
        self,
        items: Iterable[T],
        url: Callable[[T], str] = str,
        *,
        concurrency: int = 16,
        limits: FetchLimits | None = None,
        held_bytes: int = _HELD,
    ) -> Iterator[tuple[T, Fetched | FetchError]]:
        """Downloads many items, in the order in which they end.

        A server that is slow, down or asks for a pause delays its own items only. Downloads go on while the
        caller works, as far as `concurrency` and `held_bytes` allow. Closing the generator ends those under
        way.

        Args:
            items: taken as there is room, at most 65 x `concurrency` ahead.
            url: the address of an item.
            concurrency: downloads under way or waiting for the caller; each has a thread.
            limits: default those of the fetcher.
            held_bytes: content held beside what the caller has taken, at least one download of `limits`.
        """
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        which = limits or self._limits
        transport, budget = self._transport(concurrency), Budget(max(held_bytes, which.max_bytes))
        steps = DownloadSteps(
            gate=self._gate, once=partial(self._once, transport, budget), cut=partial(_end, transport)
        )
        jobs = (Download(item, url(item), which) for item in items)
        return DownloadScheduler(jobs, steps, self._throttle, concurrency, budget).run()

    # Nothing stays open between two calls; the steps use it in a `with` all the same.
    def _transport(self, connections: int) -> PinnedTransport:
        with self._lock:
            # Reading the certificates takes longer than a hundred downloads; it is done once.
            self._verify = self._verify or httpx.create_ssl_context()
        return PinnedTransport(
            self._allow,
            resolver=self._resolver,
            ssl_context=self._verify,
            max_connections=connections,
        )

    def _gate(self, job: Download[Any]) -> tuple[str, HostLimits] | FetchError:
        """The server of the download's next request, or why there is none."""
        try:
            target = self._policy.check(job.target)
        except AddressError as error:
            return self._failure(job, faults.refused(error, job.target != job.url))
        if (circuit := self._throttle.circuit_open(str(target))) is not None:
            seconds, kind, why = circuit
            reason = f"{target} is left alone for {seconds:,.0f} s: {why}"
            return self._failure(job, FaultError(kind, reason, "Try again later", retryable=True))
        return str(target), OWN_HOST if self._policy.own(target) else self._host_limits

    def _failure(self, job: Download[Any], fault: FaultError) -> FetchError:
        # An attempt that was redirected has sent a request, whatever came of it.
        return fault.error(job.url, job.limits, job.failed + bool(job.hops))

    def _once(self, transport: PinnedTransport, budget: Budget, job: Download[Any], key: str) -> StepResult:
        """One request of the download; its place at the server is acquired and released here."""
        start = time.monotonic()
        answered = True
        try:
            answer = send_request(transport, job.target, job.limits, job.limits.total_s - job.spent_s, budget)
        except AddressError as error:
            return self._failure(job, faults.refused(error, job.target != job.url))
        except FaultError as fault:
            answered = not fault.unanswered
            return self._retried(job, key, fault)
        finally:
            self._throttle.release(key, answered=answered)
        if isinstance(answer, Fetched):
            return answer
        job.spent_s += time.monotonic() - start
        return self._redirected(job, answer)

    def _redirected(self, job: Download[Any], answer: Moved) -> FetchError | None:
        job.hops += 1
        job.target = answer.url
        if job.hops <= job.limits.max_redirects:
            return None
        reason = f"it redirects more than {job.limits.max_redirects} times"
        return self._failure(job, FaultError("redirect", reason, "Give the address it leads to"))

    def _retried(self, job: Download[Any], key: str, fault: FaultError) -> FetchError | None:
        """Plans the next attempt; the download's failure where there is none."""
        job.failed, job.hops = job.failed + 1, 0
        wait = max(fault.wait_s or 0.0, self._retries.wait_s(job.failed))
        if wait > self._retries.max_retry_after_s:
            self._throttle.open_circuit(key, wait, fault.kind, f"it asks to wait {wait:,.0f} s")
            return self._failure(job, fault)
        if fault.rate_limited:
            self._throttle.pause(key, wait)
        if not fault.again or job.failed >= self._retries.attempts:
            return self._failure(job, fault)
        job.not_before = time.monotonic() + wait
        job.target, job.spent_s = job.url, 0.0
        return None


def _end(transport: PinnedTransport) -> None:
    transport.cut()
    transport.close()
