"""Work over processes: order, bounds, time limits, workers that die."""

from __future__ import annotations

import os
import platform
import resource
import signal
import time
from collections.abc import Iterator

import pytest

from pvm_core.errors import PvmError
from pvm_resources.process_pool import WorkerError, WorkPool


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkPool]:
    with WorkPool(2) as pool:
        yield pool


def _square(_: object, n: int) -> int:
    return n * n


def _slow_first(_: object, n: int) -> int:
    time.sleep(0.3 if n == 0 else 0.0)
    return n


def _add(state: int, n: int) -> int:
    return state + n


def _ten() -> int:
    return 10


def _refuse(_: object, n: int) -> int:
    if n % 2:
        raise PvmError("item.odd", str(n), "is odd", "give an even one")
    return n


def _sleep(_: object, seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _die(_: object, n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def _die_once(_: object, flag: str) -> str:
    if not os.path.exists(flag):  # noqa: PTH110 - a worker imports as little as it can
        with open(flag, "w"):  # noqa: PTH123
            os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def _defect(_: object, n: int) -> int:
    raise KeyError(n)


def _no_setup() -> int:
    raise PvmError("model.missing", "clip", "no weights", "pull them")


def _pid(_: object, n: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def _threads(_: object, n: int) -> tuple[int, str]:
    import cv2

    return cv2.getNumThreads(), os.environ["OPENBLAS_NUM_THREADS"]


def _page_faults(_: object, megabytes: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _again in range(50):
        [bytearray(megabytes << 20) for _block in range(6)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc keeps memory")
def test_memory_that_a_worker_gave_back_is_at_hand_again() -> None:
    with WorkPool(1) as pool:
        (done,) = pool.map(_page_faults, [8])
    # 2,048 pages a block: for the first six, and not for the 294 after them.
    assert done.unwrap() < 18 * 2_048


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_given(workers: int) -> None:
    with WorkPool(workers) as pool:
        assert [d.unwrap() for d in pool.map(_square, range(40))] == [n * n for n in range(40)]


def test_a_slow_first_item_does_not_change_the_order(pool: WorkPool) -> None:
    assert [d.value for d in pool.map(_slow_first, range(30))] == list(range(30))


def test_items_are_taken_lazily_and_bounded(pool: WorkPool) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for n in range(10_000):
            taken += 1
            yield n

    answers = pool.map(_square, source())
    for _ in range(3):
        next(answers)
    answers.close()
    assert taken <= 3 + 8 * 2 + 2


def test_setup_runs_per_worker_and_gives_the_state(pool: WorkPool) -> None:
    assert [d.value for d in pool.map(_add, range(5), setup=_ten)] == [10, 11, 12, 13, 14]
    assert [d.value for d in pool.map(_square, range(3))] == [0, 1, 4]


def test_an_items_error_concerns_that_item(pool: WorkPool) -> None:
    done = list(pool.map(_refuse, range(6)))
    assert [d.error.code if d.error else d.value for d in done] == [
        0,
        "item.odd",
        2,
        "item.odd",
        4,
        "item.odd",
    ]


def test_a_time_limit_ends_its_item_only(pool: WorkPool) -> None:
    start = time.monotonic()
    done = list(pool.map(_sleep, [0.0, 30.0, 0.0, 0.0], timeout_s=0.5))
    assert [d.error.code if d.error else None for d in done] == [None, "worker.timeout", None, None]
    assert time.monotonic() - start < 10


def test_the_clock_starts_after_the_workers_own_start() -> None:
    with WorkPool(1) as fresh:
        assert [d.error for d in fresh.map(_square, range(3), timeout_s=0.2)] == [None] * 3


def test_a_worker_that_dies_twice_costs_its_item(pool: WorkPool) -> None:
    done = list(pool.map(_die, range(6)))
    assert [d.value for d in done] == [0, 1, 2, None, 4, 5]
    assert done[3].error is not None
    assert done[3].error.code == "worker.died"
    assert "SIGKILL" in done[3].error.reason


def test_a_worker_that_dies_once_costs_nothing(pool: WorkPool, tmp_path: object) -> None:
    assert [d.value for d in pool.map(_die_once, [f"{tmp_path}/flag"])] == ["done"]


def test_a_defect_is_raised_with_its_traceback(pool: WorkPool) -> None:
    with pytest.raises(WorkerError, match="KeyError"):
        list(pool.map(_defect, [1]))
    assert [d.value for d in pool.map(_square, [2])] == [4]


def test_a_setup_that_fails_fails_the_map(pool: WorkPool) -> None:
    with pytest.raises(PvmError, match="no weights"):
        list(pool.map(_square, [1, 2], setup=_no_setup))
    assert [d.value for d in pool.map(_square, [2])] == [4]


def test_nothing_to_do_starts_nothing() -> None:
    with WorkPool(2) as pool:
        assert list(pool.map(_square, [])) == []
        assert pool.pids == []


def test_both_workers_work(pool: WorkPool) -> None:
    assert len({d.value for d in pool.map(_pid, range(40))}) == 2


def test_libraries_use_one_thread_in_a_worker(pool: WorkPool) -> None:
    assert next(iter(pool.map(_threads, [0]))).value == (1, "1")


def test_workers_end_with_the_pool() -> None:
    pool = WorkPool(2)
    pool.start()
    pids = pool.pids
    pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
