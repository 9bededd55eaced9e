"""Work in turns, and answers that are remembered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from pvm_api.problems import ApiError
from pvm_api.remembered import Remembered
from pvm_api.slots import Slots


def _run(work: Callable[[], Awaitable[None]]) -> None:
    """In a thread: a browser of another test may keep an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, work).result()


def test_some_work_some_wait_and_the_others_are_sent_away() -> None:
    slots, most, done, refused = Slots("search.busy", 2, 3, 30.0), 0, 0, 0
    working = 0

    async def work() -> None:
        nonlocal working, most, done, refused
        try:
            async with slots.take():
                working += 1
                most = max(most, working)
                await anyio.sleep(0.05)
                working -= 1
                done += 1
        except ApiError:
            refused += 1

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(work)

    for _ in range(2):
        done = refused = 0
        # A place that was given back is a place, in another event loop too.
        _run(together)
        assert (done, refused) == (5, 4)
    assert most == 2


def test_nobody_waits_for_ever() -> None:
    slots = Slots("search.busy", 1, 5, 0.05)

    async def late() -> None:
        async with slots.take():
            with pytest.raises(ApiError) as caught:
                async with slots.take():
                    pass
            assert caught.value.http_status == 503
            assert caught.value.headers["Retry-After"]
            assert caught.value.retryable
        async with slots.take():
            pass

    _run(late)


def test_who_asks_at_once_gets_one_answer() -> None:
    looked = 0
    answer = Remembered[int](0.3)

    def look() -> int:
        nonlocal looked
        looked += 1
        time.sleep(0.05)
        return looked

    found: list[int] = []

    async def ask() -> None:
        found.append(await answer.get(look))

    async def together() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
        await anyio.sleep(0.4)
        await ask()

    _run(together)
    assert found == [1] * 50 + [2]
