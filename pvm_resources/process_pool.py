"""Work spread over processes inside one step: ordered, bounded in flight, with a time limit per item.

Processes rather than threads because a time limit must be able to end its item, and because a decoder that
dies on a hostile file must cost that file and not the run. A worker is a fresh interpreter that knows nothing
of the caller's `__main__`, so it starts the same whether the caller is a program, Dagster or a test.

Libraries were measured in its place (two workers, median of three, two busy cores):

- pebble 5.2 (spawn) keeps the time limit and loses one item to a death, but multiprocessing imports the
  caller's `__main__` in each worker: under a program that has imported Dagster and OpenCV the first result
  takes 15.7 s and a worker holds 68 MiB, here 0.9 s and 9 MiB (1.3 s and 15 MiB against 0.9 s under a bare
  program). An item's overhead is 0.23 ms, here 0.10 ms. It has no setup for one map, no order with a bounded
  window and no second try, so about half of this module would stay.
- loky 3.7 has no time limit an item, and one death failed 15 of 20 items under way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

from pvm_core.errors import PvmError
from pvm_resources.signals import restore_handlers

T = TypeVar("T")
R = TypeVar("R")

#: Items handed out ahead of the one the caller waits for, per worker: bounds what a slow item holds back.
_WINDOW_PER_WORKER: Final = 8
#: A worker is given this long to say that it is ready before the first item's clock may run, seconds.
_START_LIMIT_S: Final = 60.0
#: A worker whose pipe has closed is given this long to end, seconds.
_END_LIMIT_S: Final = 10.0
#: One thread per library in a worker: the pool itself fills the cores.
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
#: A worker asks for the same tens of megabytes with every picture. glibc gives them back to the system and
#: has them cleared again each time: 12,854 page faults, 20 of 60 ms, for SIFT in a fresh worker. So blocks of
#: up to 32 MiB (the most that glibc takes) stay with the process; other C libraries ignore the variables.
_KEPT_MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}


class WorkerError(RuntimeError):
    """A worker met an exception that is no `PvmError`: a defect, with the worker's traceback as text."""


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """What became of one item.

    Attributes:
        item: as given.
        value: what the function returned; None where `error` is set.
        error: the `PvmError` the function raised, or ``worker.timeout`` / ``worker.died``.
        seconds: from handing the item out to its answer.
    """

    item: T
    value: R | None
    error: PvmError | None
    seconds: float

    def unwrap(self) -> R:
        """The value.

        Raises:
            PvmError: the item's error.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Connection
    ready: bool = False
    setup_token: int = -1
    task: int | None = None
    since: float = 0.0

    def status(self) -> int:
        """Exit status of a worker whose pipe has closed; one that does not come to its end is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(_END_LIMIT_S)
        self.process.kill()
        return self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


@dataclass
class WorkPool:
    """Worker processes shared by the steps of a run.

    Args:
        workers: processes; 0 computes in the calling process, where a time limit cannot be kept.

    A pool starts its processes at the first `map` (or `start`) and keeps them until `close`. Killed together
    with its parent: a worker whose pipe closes ends after the item it works on.
    """

    workers: int
    _pool: list[_Worker] = field(default_factory=list, init=False)
    _token: int = field(default=0, init=False)

    def __enter__(self) -> WorkPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [w.process.pid for w in self._pool]

    def start(self) -> None:
        """Starts the processes without waiting for them, so that their imports overlap with other work."""
        while len(self._pool) < self.workers:
            self._pool.append(_spawn())

    def close(self) -> None:
        """Ends all workers; one that works on an item is killed."""
        for worker in self._pool:
            worker.kill()
        self._pool.clear()

    def map(
        self,
        fn: Callable[[Any, T], R],
        items: Iterable[T],
        setup: Callable[[], Any] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Done[T, R]]:
        """`fn(state, item)` for each item, in the order given, at most 8 items a worker ahead.

        Args:
            fn: picklable by reference (a module-level function or a `functools.partial` of one).
            items: consumed lazily; each item and result crosses a pipe, so pictures travel as paths.
            setup: called once per worker for this map; what it returns is `state` (default None).
            timeout_s: seconds an item may take; its worker is then killed and replaced, and the item is done
                with the error ``worker.timeout``.

        Raises:
            WorkerError: `fn` or `setup` raised anything but a `PvmError`.
            PvmError: `setup` raised it.
        """
        if self.workers == 0:
            yield from _map_here(fn, items, setup)
            return
        waiting = iter(items)
        # A rerun that finds everything done must not pay for processes.
        first = list(islice(waiting, 1))
        if not first:
            return
        self.start()
        self._token += 1
        yield from _Mapping(self, self._token, fn, chain(first, waiting), setup, timeout_s).run()


def _map_here(
    fn: Callable[[Any, T], R], items: Iterable[T], setup: Callable[[], Any] | None
) -> Iterator[Done[T, R]]:
    state = setup() if setup else None
    for item in items:
        start = time.monotonic()
        try:
            done: Done[T, R] = Done(item, fn(state, item), None, time.monotonic() - start)
        except PvmError as error:
            done = Done(item, None, error, time.monotonic() - start)
        yield done


def _spawn() -> _Worker:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-c", f"from pvm_resources.process_pool import _serve; _serve({theirs.fileno()})"],
        pass_fds=[theirs.fileno()],
        env={**os.environ, **_ONE_THREAD, **_KEPT_MEMORY},
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    pipe = Connection(ours.detach())
    # A worker imports the caller's functions from where the caller found them.
    pipe.send(sys.path)
    return _Worker(process, pipe)


@dataclass
class _Mapping(Generic[T, R]):
    """One running `WorkPool.map`: what is handed out, what is done and waits for its turn."""

    pool: WorkPool
    token: int
    fn: Callable[[Any, T], R]
    items: Iterator[T]
    setup: Callable[[], Any] | None
    timeout_s: float | None
    given: dict[int, T] = field(default_factory=dict)
    done: dict[int, Done[T, R]] = field(default_factory=dict)
    again: deque[int] = field(default_factory=deque)
    retried: set[int] = field(default_factory=set)
    next_in: int = 0
    next_out: int = 0
    exhausted: bool = False

    def run(self) -> Iterator[Done[T, R]]:
        try:
            while True:
                self._hand_out()
                while self.next_out in self.done:
                    yield self.done.pop(self.next_out)
                    self.next_out += 1
                    self._hand_out()
                if self.exhausted and not self.given:
                    return
                self._collect()
        finally:
            # A caller that stops early leaves workers with items whose results are no longer needed.
            for index, worker in enumerate(self.pool._pool):
                if worker.task is not None:
                    worker.kill()
                    self.pool._pool[index] = _spawn()

    def _hand_out(self) -> None:
        for worker in self.pool._pool:
            if worker.task is None and (index := self._take()) is not None:
                self._send(worker, index)

    def _take(self) -> int | None:
        if self.again:
            return self.again.popleft()
        if self.exhausted or self.next_in - self.next_out >= _WINDOW_PER_WORKER * self.pool.workers:
            return None
        try:
            item = next(self.items)
        except StopIteration:
            self.exhausted = True
            return None
        self.given[self.next_in] = item
        self.next_in += 1
        return self.next_in - 1

    def _send(self, worker: _Worker, index: int) -> None:
        setup = None if worker.setup_token == self.token else (self.setup,)
        worker.ready = worker.ready and setup is None
        worker.setup_token = self.token
        worker.task, worker.since = index, time.monotonic()
        try:
            worker.pipe.send((index, setup, self.fn, self.given[index]))
        except (BrokenPipeError, ConnectionResetError):
            self._lost(worker)

    def _collect(self) -> None:
        busy = {w.pipe: w for w in self.pool._pool if w.task is not None}
        for pipe in wait(list(busy), self._patience(busy.values())):
            self._receive(busy[pipe])  # type: ignore[index]
        if self.timeout_s is None:
            return
        now = time.monotonic()
        for worker in busy.values():
            limit = self.timeout_s if worker.ready else _START_LIMIT_S
            if worker.task is not None and now - worker.since > limit:
                self._expire(worker, now - worker.since)

    def _patience(self, busy: Iterable[_Worker]) -> float | None:
        if self.timeout_s is None:
            return None
        now = time.monotonic()
        left = [(self.timeout_s if w.ready else _START_LIMIT_S) - (now - w.since) for w in busy]
        return max(min(left, default=0.0), 0.0) + 0.005

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, payload = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._lost(worker)
            return
        if kind == "ready":
            # The first item's clock starts when the worker has its imports and its setup behind it.
            worker.ready, worker.since = True, time.monotonic()
            return
        if kind == "defect":
            raise WorkerError(payload)
        if kind == "setup":
            raise payload
        self._finish(worker, payload if kind == "ok" else None, payload if kind == "error" else None)

    def _finish(self, worker: _Worker, value: R | None, error: PvmError | None) -> None:
        index = worker.task
        assert index is not None
        worker.task = None
        self.done[index] = Done(self.given.pop(index), value, error, time.monotonic() - worker.since)

    def _replace(self, worker: _Worker) -> None:
        worker.kill()
        self.pool._pool[self.pool._pool.index(worker)] = _spawn()

    def _expire(self, worker: _Worker, seconds: float) -> None:
        error = PvmError(
            "worker.timeout",
            str(self.given[worker.task or 0]),
            f"took longer than {self.timeout_s:g} s (stopped after {seconds:.1f} s)",
            "raise the time limit in the industry's rules if the item is worth it",
        )
        self._finish(worker, None, error)
        self._replace(worker)

    def _lost(self, worker: _Worker) -> None:
        index, status = worker.task, worker.status()
        self._replace(worker)
        if index is None:
            return
        worker.task = None
        if index not in self.retried:
            self.retried.add(index)
            self.again.append(index)
            return
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        error = PvmError(
            "worker.died",
            str(self.given[index]),
            f"its worker process died twice ({name})",
            "check the file with another program; if it is sound, check the machine's memory",
        )
        worker.task = index
        self._finish(worker, None, error)


def _serve(descriptor: int) -> None:
    """The loop of a worker: reads (index, setup, fn, item), answers (kind, payload)."""
    restore_handlers()
    # Ctrl-C reaches the whole process group; the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(descriptor)
    sys.path = pipe.recv()
    state: Any = None
    try:
        while True:
            _index, setup, fn, item = pipe.recv()
            try:
                if setup is not None:
                    state = setup[0]() if setup[0] else None
                    pipe.send(("ready", None))
            except PvmError as error:
                pipe.send(("setup", error))
                continue
            _answer(pipe, fn, state, item)
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return
    except BaseException:
        pipe.send(("defect", traceback.format_exc()))
        raise


def _answer(pipe: Connection, fn: Callable[[Any, T], R], state: Any, item: T) -> None:
    try:
        value = fn(state, item)
    except PvmError as error:
        pipe.send(("error", error))
    else:
        pipe.send(("ok", value))
