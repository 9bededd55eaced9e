"""Tokens and budgets shared by threads and processes, on a real PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import PvmError
from pvm_resources.postgres.driver import Database
from pvm_resources.store.quotas import RENEW_BEFORE_S, Ledger, Token

HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def _minter(minted: list[str], life: timedelta = HOUR, pause_s: float = 0.0) -> Callable[[], Token]:
    def mint() -> Token:
        time.sleep(pause_s)
        minted.append(f"t{len(minted)}")
        return Token(minted[-1], datetime.now(UTC) + life)

    return mint


# -- tokens ------------------------------------------------------------------------------------------


def test_a_token_is_minted_once_and_kept_per_account(ledger: Ledger, database: Database) -> None:
    minted: list[str] = []
    assert [ledger.token("ebay", "a", _minter(minted)) for _ in range(3)] == ["t0"] * 3
    assert Ledger(database).token("ebay", "a", _minter(minted)) == "t0"
    assert ledger.token("ebay", "b", _minter(minted)) == "t1"
    assert ledger.token("amazon", "a", _minter(minted)) == "t2"


@pytest.mark.parametrize(
    ("left_s", "renewed"), [(RENEW_BEFORE_S + 30, False), (RENEW_BEFORE_S - 30, True), (-5, True)]
)
def test_a_token_is_renewed_a_little_before_its_end(ledger: Ledger, left_s: float, renewed: bool) -> None:
    minted: list[str] = []
    ledger.token("ebay", "a", _minter(minted, timedelta(seconds=left_s)))
    ledger.token("ebay", "a", _minter(minted))
    assert len(minted) == 1 + renewed


def test_forgetting_leaves_a_token_that_another_process_stored_meanwhile(ledger: Ledger) -> None:
    minted: list[str] = []
    refused = ledger.token("ebay", "a", _minter(minted))
    ledger.forget_token("ebay", "a", refused)
    fresh = ledger.token("ebay", "a", _minter(minted))
    ledger.forget_token("ebay", "a", refused)
    assert ledger.token("ebay", "a", _minter(minted)) == fresh != refused


def test_a_failing_mint_stores_nothing_and_lets_the_next_one_try(ledger: Ledger) -> None:
    def refuse() -> Token:
        raise PvmError("source.not_configured", "ebay", "refused", "Correct it")

    with pytest.raises(PvmError, match="refused"):
        ledger.token("ebay", "a", refuse)
    assert ledger.token("ebay", "a", _minter([])) == "t0"


def test_threads_at_once_mint_one_token_and_do_not_drain_the_pool(database_url: str) -> None:
    minted: list[str] = []
    # Three connections for twenty threads: were each to hold one while it waits, none were left for the
    # mint's own budget.
    with Database(database_url, max_connections=3) as database, ThreadPoolExecutor(20) as pool:
        ledger = Ledger(database)

        def mint() -> Token:
            time.sleep(0.3)
            assert ledger.spend("ebay", "tokens", 10)
            return _minter(minted)()

        found = list(pool.map(lambda _: ledger.token("ebay", "a", mint), range(20)))
    assert minted == ["t0"]
    assert set(found) == {"t0"}


def test_accounts_do_not_wait_for_each_other(ledger: Ledger) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> Token:
        inside.set()
        go_on.wait(30)
        return Token("slow", datetime.now(UTC) + HOUR)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ledger.token, "ebay", "a", slow)
        assert inside.wait(30)
        assert ledger.token("ebay", "b", _minter([])) == "t0"
        go_on.set()
        assert waiting.result(30) == "slow"


def test_processes_at_once_mint_one_token(database_url: str, processes: Pool, tmp_path: Path) -> None:
    log = tmp_path / "minted"
    found = processes.starmap(_token_in_a_process, [(database_url, str(log))] * _PROCESSES, chunksize=1)
    assert len(log.read_text().split()) == 1
    assert set(found) == set(log.read_text().split())


def test_a_token_does_not_show_in_its_representation() -> None:
    assert "secret" not in repr(Token("secret", datetime.now(UTC)))


# -- budgets -----------------------------------------------------------------------------------------


def test_a_budget_is_per_source_account_and_day(ledger: Ledger, database: Database) -> None:
    assert [ledger.spend("ebay", "a", 2) for _ in range(3)] == [True, True, False]
    assert ledger.used("ebay", "a") == 2
    assert ledger.spend("ebay", "b", 2)
    assert ledger.spend("amazon", "a", 2)
    with database.transaction() as cursor:
        cursor.execute("UPDATE source_budgets SET day = day - 1")
    assert ledger.used("ebay", "a") == 0
    assert ledger.spend("ebay", "a", 2)


def test_the_day_is_utc_whatever_the_server_thinks(database_url: str) -> None:
    far_east = (
        database_url + ("&" if "?" in database_url else "?") + "options=-c%20TimeZone%3DPacific/Kiritimati"
    )
    with Database(far_east) as database:
        Ledger(database).spend("ebay", "a", 5)
        before = datetime.now(UTC).date()
        day = database.value("SELECT day FROM source_budgets")
    assert day in (before, datetime.now(UTC).date())


def test_more_than_is_left_takes_nothing(ledger: Ledger) -> None:
    assert ledger.spend("ebay", "a", 10, calls=7)
    assert not ledger.spend("ebay", "a", 10, calls=4)
    assert ledger.used("ebay", "a") == 7
    assert not ledger.spend("ebay", "new", 10, calls=11)
    assert ledger.used("ebay", "new") == 0
    assert not ledger.spend("ebay", "lowered", 0)


@pytest.mark.parametrize("calls", [0, -3])
def test_a_budget_cannot_be_given_back(ledger: Ledger, calls: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ledger.spend("ebay", "a", 10, calls=calls)


_accounts = iter(range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(0, 40), orders=st.lists(st.integers(1, 12), min_size=1, max_size=24))
def test_never_more_than_the_limit_is_spent(ledger: Ledger, limit: int, orders: list[int]) -> None:
    account = f"account {next(_accounts)}"
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda calls: ledger.spend("ebay", account, limit, calls), orders))
    spent = sum(calls for calls, ok in zip(orders, taken, strict=True) if ok)
    assert spent == ledger.used("ebay", account) <= limit
    left = limit - spent
    # A budget only shrinks, so what was refused does not fit into what is left at the end either.
    assert all(ok or calls > left for calls, ok in zip(orders, taken, strict=True))


def test_processes_at_once_spend_no_more_than_the_limit(
    database_url: str, processes: Pool, ledger: Ledger
) -> None:
    taken = processes.starmap(_spend_in_a_process, [(database_url, 60, 25)] * _PROCESSES, chunksize=1)
    assert sum(taken) == 60 == ledger.used("ebay", "a")


# -- other processes ---------------------------------------------------------------------------------


_PROCESSES = 4
_together: Barrier


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(_PROCESSES, timeout=120)
    with context.Pool(_PROCESSES, initializer=_meet_at, initargs=(barrier,)) as pool:
        yield pool


def _meet_at(barrier: Barrier) -> None:
    global _together
    _together = barrier


def _token_in_a_process(url: str, log: str) -> str:
    def mint() -> Token:
        time.sleep(0.3)
        value = f"from-{os.getpid()}"
        with Path(log).open("a") as file:
            file.write(value + "\n")
        return Token(value, datetime.now(UTC) + HOUR)

    with Database(url) as database:
        database.ping()
        _together.wait()
        return Ledger(database).token("ebay", "a", mint)


def _spend_in_a_process(url: str, limit: int, times: int) -> int:
    with Database(url) as database:
        ledger = Ledger(database)
        database.ping()
        _together.wait()
        return sum(ledger.spend("ebay", "a", limit) for _ in range(times))
