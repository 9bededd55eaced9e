"""Many downloads at once: bounded, fair to servers, in the order in which they end."""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pvm_resources.http.faults import FetchError
from pvm_resources.http.host_throttle import HostLimits, HostThrottle
from pvm_resources.http.http_request import Budget, BudgetClosedError, Fetched
from pvm_resources.http.limits import FetchLimits

T = TypeVar("T")

#: Items looked at beyond those being downloaded, per thread, so that other servers' are found behind a long
#: run of one server's. Items are addresses, not content.
_AHEAD: Final = 64
#: A server kept busy by another `fetch_many` of the same fetcher is looked at again after this, seconds.
_GLANCE_S: Final = 0.05


@dataclass
class Download(Generic[T]):
    """A download under way.

    Attributes:
        url: as given; `target` is where redirects have led to.
        failed: attempts that failed.
        spent_s: seconds the current attempt has taken so far.
        not_before: time.monotonic of the next request.
    """

    item: T
    url: str
    limits: FetchLimits
    target: str = ""
    hops: int = 0
    failed: int = 0
    spent_s: float = 0.0
    not_before: float = 0.0

    def __post_init__(self) -> None:
        self.target = self.url


#: Result of one request: the content, the failure, or None where another request follows.
StepResult = Fetched | FetchError | None


@dataclass(frozen=True)
class DownloadSteps:
    """What `Fetcher` does for the scheduler.

    Attributes:
        gate: the server of the next request and its limits, or the failure.
        once: sends the request; called in a thread, after `HostThrottle.try_acquire`.
        cut: ends all requests under way.
    """

    gate: Callable[[Download[object]], tuple[str, HostLimits] | FetchError]
    once: Callable[[Download[object], str], StepResult]
    cut: Callable[[], None]


@dataclass
class DownloadScheduler(Generic[T]):
    """One `Fetcher.fetch_many`. All decisions are made in the caller's thread; the others only send requests.

    A thread is taken from the moment a download begins until the caller has it, so what is downloaded and
    not yet used is bounded by `threads` and by `budget`.
    """

    waiting: Iterator[Download[T]]
    steps: DownloadSteps
    throttle: HostThrottle
    threads: int
    budget: Budget
    busy: int = 0
    running: Counter[str] = field(default_factory=Counter)
    queued: dict[str, deque[Download[T]]] = field(default_factory=dict)
    limits: dict[str, HostLimits] = field(default_factory=dict)
    later: list[tuple[float, int, Download[T]]] = field(default_factory=list)
    failures: deque[tuple[T, FetchError]] = field(default_factory=deque)
    todo: queue.SimpleQueue[tuple[Download[T], str] | None] = field(default_factory=queue.SimpleQueue)
    done: queue.SimpleQueue[tuple[Download[T], str, StepResult | BaseException]] = field(
        default_factory=queue.SimpleQueue
    )
    started: int = 0
    held: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self) -> Iterator[tuple[T, Fetched | FetchError]]:
        try:
            while True:
                self._look_ahead()
                wait = self._hand_out()
                while self.failures:
                    yield self.failures.popleft()
                    self.held -= 1
                if not self.held:
                    return
                yield from self._finished(wait)
        finally:
            self.budget.close()
            self.steps.cut()
            for _ in range(self.started):
                self.todo.put(None)

    def _look_ahead(self) -> None:
        """Takes items while there is room, and puts each in its server's queue."""
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            self._queue(heapq.heappop(self.later)[2])
        while self.held < self.threads * (_AHEAD + 1) and not self.failures:
            job = next(self.waiting, None)
            if job is None:
                return
            self.held += 1
            self._queue(job)

    def _queue(self, job: Download[T]) -> None:
        gate = self.steps.gate(job)  # type: ignore[arg-type]
        if isinstance(gate, FetchError):
            self.failures.append((job.item, gate))
            return
        key, self.limits[gate[0]] = gate
        self.queued.setdefault(key, deque()).append(job)

    def _hand_out(self) -> float | None:
        """Begins what may begin; seconds until the next may, None where one under way must end first.

        The server with the fewest requests under way comes first, so a slow one keeps its share and no more;
        a single one never has all threads, so that items of others find one when they come.
        """
        wait = math.inf
        for key in sorted(self.queued, key=lambda k: self.running[k]):
            if self.busy >= self.threads:
                break
            while self.busy < self.threads and self.queued.get(key) and self.running[key] < self._share():
                if (seconds := self._begin(key)) is not None:
                    wait = min(wait, seconds)
                    break
        if self.later:
            wait = min(wait, max(0.0, self.later[0][0] - time.monotonic()))
        return None if math.isinf(wait) else wait

    def _share(self) -> int:
        """Threads a server may have: an equal part of them, and at most three quarters."""
        hosts = len(self.queued.keys() | self.running.keys())
        return max(1, min(self.threads // max(1, hosts), self.threads * 3 // 4) or 1)

    def _begin(self, key: str) -> float | None:
        """Begins the server's next download; the seconds to wait where it must not begin yet."""
        jobs = self.queued[key]
        # What was found when it was queued may have changed since: the server may have gone down.
        gate = self.steps.gate(jobs[0])  # type: ignore[arg-type]
        if isinstance(gate, FetchError):
            self.failures.append((jobs.popleft().item, gate))
        elif (wait := self.throttle.try_acquire(key, self.limits[key])) is not None:
            return (_GLANCE_S if not self.running[key] else math.inf) if math.isinf(wait) else wait
        else:
            self._send(jobs.popleft(), key)
        if not jobs:
            del self.queued[key]
        return None

    def _send(self, job: Download[T], key: str) -> None:
        self.busy += 1
        self.running[key] += 1
        if self.busy > self.started:
            # Daemons: a name server that never answers must not delay the end of the program.
            threading.Thread(target=self._work, name=f"fetch-{self.started}", daemon=True).start()
            self.started += 1
        self.todo.put((job, key))

    def _finished(self, wait: float | None) -> Iterator[tuple[T, Fetched | FetchError]]:
        try:
            job, key, step = self.done.get(timeout=wait)
        except queue.Empty:
            return
        self.busy -= 1
        self.running[key] -= 1
        if not self.running[key]:
            del self.running[key]
        if isinstance(step, BaseException) and not isinstance(step, FetchError):
            raise step
        if step is None:
            heapq.heappush(self.later, (job.not_before, next(self.numbers), job))
            return
        self.held -= 1
        if isinstance(step, Fetched):
            self.budget.give(len(step.data))
        yield job.item, step

    def _work(self) -> None:
        while (given := self.todo.get()) is not None:
            job, key = given
            try:
                step: StepResult | BaseException = self.steps.once(job, key)  # type: ignore[arg-type]
            except BudgetClosedError:
                return
            except BaseException as error:  # noqa: BLE001  # a defect is raised where the caller is
                step = error
            self.done.put((job, key, step))
