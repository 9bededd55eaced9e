"""The database: one transaction a commit, COPY, the outbox, a server that goes and returns, run locks."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import StoreError
from pvm_jobs.events import Event
from pvm_jobs.lifecycle import BARRIERS, derive_phase
from pvm_resources.postgres.driver import Copy, Database, Statement
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.records import Product
from tests.outbox import Outbox
from tests.pvm_resources import world

_COMPLETED = [name for _, names in BARRIERS for name in names]


def _job(repos: Store) -> str:
    return repos.jobs.create(repos.industries.ensure("x").slug, {}).job_id


def _product(n: int, title: str = "") -> Product:
    return Product(uuid.uuid5(uuid.NAMESPACE_OID, str(n)), "file", "x", f"P{n}", title)


def test_rows_and_events_stand_or_fall_together(repos: Store) -> None:
    job = _job(repos)
    bad = [_product(1), Product(uuid.uuid4(), "file", "x", "", "an empty id is refused")]
    with pytest.raises(StoreError) as caught:
        repos.catalogue.set_products(job, bad, events=[Event(job, "products.collections.completed")])
    assert caught.value.code == "store.refused"
    assert repos.catalogue.products(job) == []
    assert Outbox(repos.database).events(job) == []
    repos.catalogue.set_products(job, bad[:1], events=[Event(job, "products.collections.completed")])
    assert len(repos.catalogue.products(job)) == len(Outbox(repos.database).events(job)) == 1


def test_an_event_is_minted_once(repos: Store, database: Database) -> None:
    job = _job(repos)
    first = Event(job, "match.result", "m1", {"score": 0.9})
    database.commit(outbox_write([first, Event(job, "match.result", "m2")]))
    database.commit(outbox_write([Event(job, "match.result", "m1", {"score": 0.1})]))
    found = Outbox(repos.database).events(job)
    assert [(e.item, e.event_id == first.event_id) for e in found] == [("m1", True), ("m2", False)]
    assert found[0].payload == {"score": 0.9}
    assert [e.item for e in Outbox(repos.database).events(job, after=found[0].seq)] == ["m2"]


def test_events_keep_their_order(repos: Store, database: Database) -> None:
    job = _job(repos)
    items = [str(n) for n in (5, 3, 9, 1, 7)]
    database.commit(outbox_write([Event(job, "image.embedding.ready", item) for item in items]))
    assert [e.item for e in Outbox(repos.database).events(job)] == items


@given(order=st.permutations(_COMPLETED), repeats=st.lists(st.sampled_from(_COMPLETED), max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_phase_follows_from_the_events_in_any_order(
    repos: Store, database: Database, order: list[str], repeats: list[str]
) -> None:
    job = _job(repos)
    repos.jobs.set_running(job, "r")
    seen: set[str] = set()
    for name in [*order, *repeats]:
        database.commit(outbox_write([Event(job, name)]))
        seen.add(name)
        assert repos.jobs.get(job).phase == derive_phase(seen)
    assert repos.jobs.get(job).phase == "completed"
    assert Outbox(repos.database).phase_events(job) == set(_COMPLETED)


def test_stages_that_end_at_once_do_not_miss_each_other(repos: Store, database: Database) -> None:
    for _ in range(5):
        job = _job(repos)
        with ThreadPoolExecutor(4) as pool:
            for done in [
                pool.submit(database.commit, outbox_write([Event(job, name)])) for name in _COMPLETED[:6]
            ]:
                done.result()
        assert repos.jobs.get(job).phase == "matching"


_cells = st.tuples(
    st.integers(0, 20), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)


@given(st.lists(_cells, max_size=40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_copy_merges_like_a_dict(database: Database, rows: list[tuple[int, str]]) -> None:
    database.commit(
        Statement("CREATE TABLE IF NOT EXISTS merged (k integer PRIMARY KEY, v text)"),
        Statement("TRUNCATE merged"),
    )
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        database.commit(Copy("merged", {"k": "int4", "v": "text"}, iter(half), ("k",), update=("v",)))
    assert dict(database.tuples("SELECT k, v FROM merged")) == dict(rows)


def test_an_unchanged_row_is_not_written_again(database: Database) -> None:
    database.commit(Statement("CREATE TABLE merged (k integer PRIMARY KEY, v text)"))
    columns = {"k": "int4", "v": "text"}
    rows = [(n, "x") for n in range(100)]
    assert database.commit(Copy("merged", columns, rows, ("k",), update=("v",))) == [100]
    assert database.commit(Copy("merged", columns, rows, ("k",), update=("v",))) == [0]
    assert database.commit(Copy("merged", columns, [(1, "y")], ("k",), update=("v",))) == [1]
    assert database.commit(Copy("merged", columns, [(1, "z")], ("k",))) == [0]


def test_a_failing_source_of_rows_writes_nothing(repos: Store, database: Database) -> None:
    job = _job(repos)
    repos.catalogue.set_products(job, [_product(n) for n in range(3)])

    with pytest.raises(RuntimeError, match="source broke"):
        database.commit(
            Statement("DELETE FROM job_products"), Copy("products", {"title": "text"}, _broken(), ("title",))
        )
    assert len(repos.catalogue.products(job)) == 3
    assert database.value("SELECT 1") == 1


def _broken() -> itertools.chain[list[str]]:
    def more() -> list[str]:
        raise RuntimeError("source broke")

    return itertools.chain([["a"]], (more() for _ in range(1)))


def test_text_the_database_cannot_hold(repos: Store) -> None:
    job = _job(repos)
    repos.catalogue.set_products(job, [_product(1, "a\0b\udcffc")])
    assert repos.catalogue.products(job)[0].title == "a\ufffdb\ufffdc"
    for identity in ("a\0b", "a\udcff"):
        with pytest.raises(StoreError) as caught:
            repos.catalogue.set_products(job, [Product(uuid.uuid4(), "file", "x", identity)])
        assert caught.value.code == "store.text"


def test_a_stream_can_be_left_and_read_while_writing(repos: Store, database: Database) -> None:
    job = _job(repos)
    repos.catalogue.set_products(job, [_product(n) for n in range(50)])
    query = "SELECT position AS n FROM job_products ORDER BY position"
    stream = database.stream(lambda n: n, query, batch=7)
    assert next(stream) == 0
    for n in stream:
        database.commit(Statement("UPDATE job_products SET position = %s WHERE position = %s", [1000 + n, n]))
    assert database.value("SELECT count(*) FROM job_products WHERE position >= 1000") == 49
    left = database.stream(lambda n: n, query, batch=7)
    next(left)
    del left
    assert next(database.stream(lambda n: n, query, batch=7)) == 0


def test_more_threads_than_connections(database_url: str) -> None:
    with Database(database_url, max_connections=2) as database, ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: database.value("SELECT 1 FROM pg_sleep(0.02)"), range(24))) == 24


def test_a_forked_child_has_its_own_connections(database: Database) -> None:
    assert database.value("SELECT 1") == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if database.value("SELECT 7") == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert database.value("SELECT 2") == 2


def test_a_server_that_goes_and_returns(home: EmbeddedServer) -> None:
    home.up()
    with Database(home.uri()) as database:
        assert database.value("SELECT 1") == 1
        home.down()
        begin = time.monotonic()
        with pytest.raises(StoreError) as caught:
            database.value("SELECT 1")
        assert (caught.value.code, caught.value.retryable) == ("store.unreachable", True)
        assert time.monotonic() - begin < 8
        assert str(home.status().socket_dir) in caught.value.subject
        home.up()
        assert database.value("SELECT 1") == 1


def test_a_connection_cut_in_the_middle(database: Database, database_url: str) -> None:
    def cut() -> None:
        with database.transaction() as cursor:
            cursor.execute("CREATE TABLE half ()")
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            cursor.execute("SELECT 1")

    with pytest.raises(StoreError) as caught:
        cut()
    assert (caught.value.code, caught.value.retryable) == ("store.unreachable", True)
    assert database.value("SELECT to_regclass('half')") is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("user=pvm", "user=nobody_here"), "store.denied"),
        (("dbname=", "dbname=missing_"), "store.no_database"),
        (("password=", "password=x"), "store.denied"),
    ],
)
def test_why_it_does_not_connect(database: Database, change: tuple[str, str], code: str) -> None:
    with Database(database.dsn.replace(*change)) as wrong, pytest.raises(StoreError) as caught:
        wrong.ping()
    assert caught.value.code == code
    assert not caught.value.retryable


def test_errors_have_stable_codes(database: Database, empty_database_url: str) -> None:
    for query, code in [
        ("SELECT * FROM nowhere", "store.schema"),
        ("SELECT 1/0", "store.text"),
        ("SELEKT", "store.query"),
        ("DO $$ BEGIN RAISE disk_full; END $$", "store.disk_full"),
        ("DO $$ BEGIN RAISE deadlock_detected; END $$", "store.conflict"),
        ("DO $$ BEGIN RAISE admin_shutdown; END $$", "store.unreachable"),
        ("DO $$ BEGIN RAISE too_many_connections; END $$", "store.busy"),
    ]:
        with pytest.raises(StoreError) as caught:
            database.commit(Statement(query))
        assert caught.value.code == code, query
    with Database(empty_database_url) as bare, pytest.raises(StoreError) as caught:
        Store.over(bare).jobs.get("x")
    assert caught.value.code == "store.schema"


def test_secrets_stay_out_of_messages(database: Database) -> None:
    password = database.dsn.partition("password=")[2].split()[0]
    assert password not in repr(database)
    with pytest.raises(StoreError) as caught:
        database.value("SELECT * FROM nowhere")
    assert password not in str(caught.value)


_WRITER = """
    import sys, uuid
    from dataclasses import astuple
    from pvm_resources.postgres.driver import Database
    from pvm_resources.store.assembly import Store
    from pvm_resources.store.records import Product
    from pvm_jobs.events import Event
    repos = Store.over(Database(sys.argv[1]))
    job = sys.argv[2]
    def rows():
        for n in range(1_000_000):
            if n == 20_000:
                print("halfway", flush=True)
            yield astuple(Product(uuid.uuid4(), "file", "x", str(n)))
    from pvm_resources.postgres.driver import Copy
    from pvm_resources.store.catalogue import _PRODUCT
    from pvm_resources.store.job_changes import outbox_write
    repos.database.commit(Copy("products", _PRODUCT, rows(), ("product_id",)),
                          outbox_write([Event(job, "products.collections.completed")]))
"""


def test_a_writer_killed_in_the_middle_leaves_nothing(
    repos: Store, database: Database, database_url: str
) -> None:
    job = _job(repos)
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_WRITER), database_url, job], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "halfway\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert database.value("SELECT count(*) FROM products") == 0
    assert Outbox(repos.database).events(job) == []
    made = world.make(repos)
    world.write(repos, made)
    assert len(repos.catalogue.products(made.job.job_id)) == 3


_HOLDER = """
    import sys
    from pvm_resources.postgres.driver import Database
    lock = Database(sys.argv[1]).run_lock(sys.argv[2])
    print(lock.acquire(), flush=True)
    sys.stdin.read()
"""


def test_a_run_lock_lives_as_long_as_its_process(database: Database, database_url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_HOLDER), database_url, "run-1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    assert database.locked(["run-1", "run-2"]) == {"run-1"}
    assert database.run_lock("run-1").acquire() is False
    with pytest.raises(StoreError, match="another process"), database.run_lock("run-1"):
        pass
    holder.kill()
    holder.communicate()
    deadline = time.monotonic() + 10
    while database.locked(["run-1"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with database.run_lock("run-1") as lock:
        assert lock.held()
        assert lock.acquire()
        assert database.locked(["run-1"]) == {"run-1"}
    assert not lock.held()


def test_a_run_lock_ends_with_its_connection(database: Database, database_url: str) -> None:
    lock = database.run_lock("run-1")
    assert lock.acquire()
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute(
            # pg_locks shows the locks of the whole server, those of other tests' databases too.
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    assert not lock.held()
    assert lock.acquire()
    lock.release()


def test_json_holds_whatever_text_a_source_sends(repos: Store, database: Database) -> None:
    job = _job(repos)
    answer = {"a\0": ["b\0c", "\ud800", "\\u0000", "gối", "\U0001f6cf"], "n": 1}
    kept = {"a\ufffd": ["b\ufffdc", "\ufffd", "\\u0000", "gối", "\U0001f6cf"], "n": 1}
    answers = Store.over(database).source_runs.answers(job, "ebay")
    answers.put("k", answer)
    assert answers.get("k") == kept
    database.commit(outbox_write([Event(job, "match.result", "m", payload=answer)]))
    assert Outbox(repos.database).events(job)[-1].payload == kept


@pytest.mark.timeout(60)
def test_long_statements_travel_together_to_their_end(repos: Store) -> None:
    database = repos.database
    with database.transaction() as cursor:
        cursor.execute("CREATE TABLE long (n integer, told text)")
    # More than a socket holds, so that the server has to read before the rest can be sent.
    for size in (10, 200_000, 3_000_000):
        with database.transaction(pipelined=True) as cursor:
            assert cursor.execute("SELECT %s::integer", [size]).fetchone() == (size,)
            for n in range(3):
                cursor.execute("INSERT INTO long VALUES (%s, %s)", [n, "x" * size])
    found = database.tuples("SELECT length(told), count(*) FROM long GROUP BY 1 ORDER BY 1")
    assert found == [(10, 3), (200_000, 3), (3_000_000, 3)]

    def fail() -> None:
        with database.transaction(pipelined=True) as cursor:
            cursor.execute("INSERT INTO long VALUES (%s, %s)", [1, "y" * 3_000_000])
            cursor.execute("INSERT INTO long VALUES ('none', '')")

    with pytest.raises(StoreError):
        fail()
    assert database.value("SELECT count(*) FROM long WHERE told LIKE 'y%%'") == 0
