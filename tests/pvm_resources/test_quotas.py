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
from pvm_resources.store.oauth_tokens import RENEW_BEFORE_S, OAuthTokens, Token
from pvm_resources.store.quotas import Quotas

HOUR = timedelta(hours=1)


@pytest.fixture
def tokens(database: Database) -> OAuthTokens:
    return OAuthTokens(database)


@pytest.fixture
def quotas(database: Database) -> Quotas:
    return Quotas(database)


def _minter(minted: list[str], life: timedelta = HOUR, pause_s: float = 0.0) -> Callable[[], Token]:
    def mint() -> Token:
        time.sleep(pause_s)
        minted.append(f"t{len(minted)}")
        return Token(minted[-1], datetime.now(UTC) + life)

    return mint


# -- tokens ------------------------------------------------------------------------------------------


def test_a_token_is_minted_once_and_kept_per_account(tokens: OAuthTokens, database: Database) -> None:
    minted: list[str] = []
    assert [tokens.token("ebay", "a", _minter(minted)) for _ in range(3)] == ["t0"] * 3
    assert OAuthTokens(database).token("ebay", "a", _minter(minted)) == "t0"
    assert tokens.token("ebay", "b", _minter(minted)) == "t1"
    assert tokens.token("amazon", "a", _minter(minted)) == "t2"


@pytest.mark.parametrize(
    ("left_s", "renewed"), [(RENEW_BEFORE_S + 30, False), (RENEW_BEFORE_S - 30, True), (-5, True)]
)
def test_a_token_is_renewed_a_little_before_its_end(
    tokens: OAuthTokens, left_s: float, renewed: bool
) -> None:
    minted: list[str] = []
    tokens.token("ebay", "a", _minter(minted, timedelta(seconds=left_s)))
    tokens.token("ebay", "a", _minter(minted))
    assert len(minted) == 1 + renewed


def test_forgetting_leaves_a_token_that_another_process_stored_meanwhile(tokens: OAuthTokens) -> None:
    minted: list[str] = []
    refused = tokens.token("ebay", "a", _minter(minted))
    tokens.forget("ebay", "a", refused)
    fresh = tokens.token("ebay", "a", _minter(minted))
    tokens.forget("ebay", "a", refused)
    assert tokens.token("ebay", "a", _minter(minted)) == fresh != refused


def test_a_failing_mint_stores_nothing_and_lets_the_next_one_try(tokens: OAuthTokens) -> None:
    def refuse() -> Token:
        raise PvmError("source.not_configured", "ebay", "refused", "Correct it")

    with pytest.raises(PvmError, match="refused"):
        tokens.token("ebay", "a", refuse)
    assert tokens.token("ebay", "a", _minter([])) == "t0"


def test_threads_at_once_mint_one_token_and_do_not_drain_the_pool(database_url: str) -> None:
    minted: list[str] = []
    # Three connections for twenty threads: were each to hold one while it waits, none were left for the
    # mint's own budget.
    with Database(database_url, max_connections=3) as database, ThreadPoolExecutor(20) as pool:
        tokens, quotas = OAuthTokens(database), Quotas(database)

        def mint() -> Token:
            time.sleep(0.3)
            assert quotas.spend("ebay", "tokens", 10)
            return _minter(minted)()

        found = list(pool.map(lambda _: tokens.token("ebay", "a", mint), range(20)))
    assert minted == ["t0"]
    assert set(found) == {"t0"}


def test_accounts_do_not_wait_for_each_other(tokens: OAuthTokens) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> Token:
        inside.set()
        go_on.wait(30)
        return Token("slow", datetime.now(UTC) + HOUR)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(tokens.token, "ebay", "a", slow)
        assert inside.wait(30)
        assert tokens.token("ebay", "b", _minter([])) == "t0"
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


def test_a_budget_is_per_source_account_and_day(quotas: Quotas, database: Database) -> None:
    assert [quotas.spend("ebay", "a", 2) for _ in range(3)] == [True, True, False]
    assert quotas.used("ebay", "a") == 2
    assert quotas.spend("ebay", "b", 2)
    assert quotas.spend("amazon", "a", 2)
    with database.transaction() as cursor:
        cursor.execute("UPDATE source_budgets SET day = day - 1")
    assert quotas.used("ebay", "a") == 0
    assert quotas.spend("ebay", "a", 2)


def test_the_day_is_utc_whatever_the_server_thinks(database_url: str) -> None:
    far_east = (
        database_url + ("&" if "?" in database_url else "?") + "options=-c%20TimeZone%3DPacific/Kiritimati"
    )
    with Database(far_east) as database:
        Quotas(database).spend("ebay", "a", 5)
        before = datetime.now(UTC).date()
        day = database.value("SELECT day FROM source_budgets")
    assert day in (before, datetime.now(UTC).date())


def test_more_than_is_left_takes_nothing(quotas: Quotas) -> None:
    assert quotas.spend("ebay", "a", 10, calls=7)
    assert not quotas.spend("ebay", "a", 10, calls=4)
    assert quotas.used("ebay", "a") == 7
    assert not quotas.spend("ebay", "new", 10, calls=11)
    assert quotas.used("ebay", "new") == 0
    assert not quotas.spend("ebay", "lowered", 0)


@pytest.mark.parametrize("calls", [0, -3])
def test_a_budget_cannot_be_given_back(quotas: Quotas, calls: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        quotas.spend("ebay", "a", 10, calls=calls)


_accounts = iter(range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(0, 40), orders=st.lists(st.integers(1, 12), min_size=1, max_size=24))
def test_never_more_than_the_limit_is_spent(quotas: Quotas, limit: int, orders: list[int]) -> None:
    account = f"account {next(_accounts)}"
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda calls: quotas.spend("ebay", account, limit, calls), orders))
    spent = sum(calls for calls, ok in zip(orders, taken, strict=True) if ok)
    assert spent == quotas.used("ebay", account) <= limit
    left = limit - spent
    # A budget only shrinks, so what was refused does not fit into what is left at the end either.
    assert all(ok or calls > left for calls, ok in zip(orders, taken, strict=True))


def test_processes_at_once_spend_no_more_than_the_limit(
    database_url: str, processes: Pool, quotas: Quotas
) -> None:
    taken = processes.starmap(_spend_in_a_process, [(database_url, 60, 25)] * _PROCESSES, chunksize=1)
    assert sum(taken) == 60 == quotas.used("ebay", "a")


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
        return OAuthTokens(database).token("ebay", "a", mint)


def _spend_in_a_process(url: str, limit: int, times: int) -> int:
    with Database(url) as database:
        quotas = Quotas(database)
        database.ping()
        _together.wait()
        return sum(quotas.spend("ebay", "a", limit) for _ in range(times))
