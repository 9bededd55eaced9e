"""Progress of a run: a bar for each asset on a terminal, a line for each elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from pvm_assets.graph import NODES
from pvm_cli.console import logs_are_json, note

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from pvm_resources.store.records import Progress

#: The ten assets in the order of the graph.
STAGES: Final = tuple(NODES)
_POLL_S = 0.4


@dataclass
class Meter:
    """Rates of the stages, from the counts seen so far.

    Attributes:
        clock: seconds from an arbitrary start, monotonic.
    """

    clock: Callable[[], float] = time.monotonic
    _first: dict[str, tuple[float, int]] = field(default_factory=dict)

    def describe(self, count: Progress) -> str:
        """E.g. ``412/1,904  8.3/s  230 reused``; the rate counts new items since the stage was first seen."""
        now = self.clock()
        fresh = count.done - count.reused
        since, before = self._first.setdefault(count.stage, (now, fresh))
        parts = [f"{count.done:,}/{count.total:,}" if count.total else f"{count.done:,}"]
        if now - since >= 1.0 and fresh > before:
            parts.append(f"{(fresh - before) / (now - since):,.1f}/s")
        if count.reused:
            parts.append(f"{count.reused:,} reused")
        return "  ".join(parts)


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """Polls the counts of a job in a thread of its own and shows them until the block ends.

    Args:
        poll: the present counts; called from the thread about twice a second. Its `PvmError` ends the
            display, not the run.
        console: where to draw (stderr).
    """

    def __init__(self, poll: Callable[[], Sequence[Progress]], console: Console) -> None:
        self._poll = poll
        self._console = console
        bars = console.is_terminal and not logs_are_json()
        self._view: _Bars | _Lines = _Bars(console) if bars else _Lines(console)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._view.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._view.stop()

    def _watch(self) -> None:
        from pvm_core.errors import PvmError

        try:
            while not self._stop.wait(_POLL_S):
                self._view.show(self._poll())
            self._view.show(self._poll())
        except PvmError as error:
            note(f"progress is not shown: {error}", self._console)


class _Bars:
    """A bar for each stage, redrawn in place."""

    def __init__(self, console: Console) -> None:
        from rich import progress as bars

        self._meter = Meter()
        self._tasks: dict[str, TaskID] = {}
        self._progress = bars.Progress(
            bars.TextColumn("{task.description:<16}"),
            bars.BarColumn(bar_width=28),
            bars.TextColumn("{task.fields[counts]}"),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
            console=console,
        )

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def show(self, counts: Sequence[Progress]) -> None:
        for count in _in_order(counts):
            if count.stage not in self._tasks:
                self._tasks[count.stage] = self._progress.add_task(count.stage, total=None, counts="")
            self._progress.update(
                self._tasks[count.stage],
                total=max(count.total or 0, count.done) or None,
                completed=count.done,
                counts=self._meter.describe(count),
            )


class _Lines:
    """A line for each finished stage; for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._meter = Meter()
        self._console = console
        self._shown: set[str] = set()

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def show(self, counts: Sequence[Progress]) -> None:
        for count in _in_order(counts):
            text = self._meter.describe(count)
            if count.total and count.done >= count.total and count.stage not in self._shown:
                self._shown.add(count.stage)
                note(f"{count.stage:<16} {text}", self._console, **asdict(count))


def _in_order(counts: Sequence[Progress]) -> list[Progress]:
    rank = {stage: n for n, stage in enumerate(STAGES)}
    return sorted(counts, key=lambda c: (rank.get(c.stage, len(rank)), c.stage))
