"""Forward passes as large as the memory of their device allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class BatchLimit:
    """How many pictures a forward pass takes; smaller once the memory has been seen to end.

    Halving ends where a pass succeeds and loses at most half of what would have fitted; the size is kept, so
    that one embedder finds it once (the way of `toma` and of Hugging Face's `find_executable_batch_size`).

    Attributes:
        size: pictures, >= 1.
        halvings: how often a pass did not fit.
    """

    size: int
    halvings: int = 0

    def halve(self) -> None:
        """After a pass that did not fit."""
        self.size = max(1, self.size // 2)
        self.halvings += 1


def passes(
    inputs: Iterable[T],
    forward: Callable[[list[T]], R],
    limit: BatchLimit,
    exhausted: type[BaseException],
    release: Callable[[], None],
) -> Iterator[R]:
    """`forward` of all inputs in order, `limit.size` at a time; what does not fit is done again by halves.

    Args:
        inputs: taken as they are needed, so that they can be made while a pass runs.
        forward: one pass.
        limit: shrinks where a pass raises `exhausted`.
        exhausted: what `forward` raises where memory ended.
        release: gives freed memory back to the device before the next try.

    Raises:
        exhausted: a single input does not fit.
    """
    source, waiting = iter(inputs), deque[T]()
    while True:
        waiting.extend(islice(source, max(0, limit.size - len(waiting))))
        batch = list(islice(waiting, limit.size))
        if not batch:
            return
        try:
            done = forward(batch)
        except exhausted:
            if len(batch) == 1:
                raise
        else:
            for _ in batch:
                waiting.popleft()
            yield done
            continue
        # Outside the handler: its traceback would hold the tensors of the pass.
        limit.size = len(batch)
        limit.halve()
        release()
