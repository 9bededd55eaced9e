"""The embedded server's life cycle: races, kills, stale files, accounts, long paths."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pvm_core.errors import StoreError
from pvm_resources.postgres import accounts
from pvm_resources.postgres.server import DATABASES, Address, EmbeddedServer, binaries

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture
def short_home() -> Iterator[EmbeddedServer]:
    """A home whose path any account may enter and whose socket path is short."""
    folder = Path(tempfile.mkdtemp(prefix="pvm-test-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "home", durable=False)
    yield server
    server.down()
    shutil.rmtree(folder, ignore_errors=True)


def _value(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_up_serves_both_databases_and_down_stops(home: EmbeddedServer) -> None:
    assert not home.status().running
    assert home.up() is True
    assert home.up() is False
    for name in DATABASES:
        assert _value(home.uri(name), "SELECT current_database()") == name
    status = home.status()
    assert (status.running, status.initialised, status.keep, status.connections) == (True, True, False, 0)
    assert home.down() is True
    assert not home.status().running
    assert not status.socket_dir.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(home.uri())


def test_address_and_data_survive_a_restart(home: EmbeddedServer) -> None:
    home.up()
    before = home.uri()
    with psycopg.connect(before) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    home.down()
    home.up()
    assert home.uri() == before
    assert _value(before, "SELECT n FROM kept") == 7


def test_before_the_first_start_there_is_no_address(home: EmbeddedServer) -> None:
    with pytest.raises(StoreError) as caught:
        home.uri()
    assert caught.value.code == "server.not_initialised"
    assert home.down() is True


def test_only_the_password_opens_it(home: EmbeddedServer) -> None:
    home.up()
    password = home.home / "pg" / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE((home.home / "pg").stat().st_mode) == 0o700
    rules = _value(home.uri(), "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules")
    assert rules == "scram-sha-256"
    assert _value(home.uri(), "SHOW listen_addresses") == ""
    wrong = home.uri().replace(password.read_text().strip(), "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_two_homes_never_meet(tmp_path: Path, home: EmbeddedServer) -> None:
    other = EmbeddedServer(tmp_path / "other", durable=False)
    try:
        home.up()
        other.up()
        with psycopg.connect(home.uri()) as connection:
            connection.execute("CREATE TABLE mine ()")
        assert _value(other.uri(), "SELECT to_regclass('mine') IS NULL") is True
        mine, theirs = home.uri(), other.uri()
        assert mine != theirs
        crossed = mine.replace(_secret(home), _secret(other))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(crossed)
        other.down()
        assert home.status().running
    finally:
        other.down()


def _secret(server: EmbeddedServer) -> str:
    return (server.home / "pg" / "password").read_text().strip()


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("x" * 100) / ("y" * 100), durable=False)
    try:
        server.up()
        assert _value(server.uri(), "SELECT 1") == 1
        assert len(str(server.status().socket_dir)) < 90
    finally:
        server.down()


@pytest.mark.parametrize("name", ["with space", "gối 枕头", "quo'te", "per%cent", "$HOME;x"])
def test_a_path_with_odd_characters(tmp_path: Path, name: str) -> None:
    server = EmbeddedServer(tmp_path / name, durable=False)
    try:
        server.up()
        assert _value(server.uri(), "SELECT 1") == 1
    finally:
        server.down()


_RACER = """
    import sys
    from pvm_resources.postgres.server import EmbeddedServer
    server = EmbeddedServer(sys.argv[1], durable=False)
    print("ready", flush=True)
    sys.stdin.readline()
    print(server.up(), flush=True)
    import psycopg
    with psycopg.connect(server.uri()) as c:
        print(c.execute("SELECT 1").fetchone()[0], flush=True)
    sys.stdin.readline()
"""


def test_racing_starters_start_it_once(home: EmbeddedServer) -> None:
    racers = [_python(_RACER, str(home.home)) for _ in range(3)]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            _tell(racer)
        told = [(racer.stdout.readline(), racer.stdout.readline()) for racer in racers if racer.stdout]
        assert sorted(told) == [("False\n", "1\n"), ("False\n", "1\n"), ("True\n", "1\n")]
        # All three still use it.
        assert home.down(if_unused=True) is False
        for racer in racers[:2]:
            _tell(racer)
            assert racer.wait(20) == 0
        assert home.down(if_unused=True) is False
        racers[2].kill()
        racers[2].wait(20)
        assert home.down(if_unused=True) is True
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_client_that_knows_only_the_address_is_not_thrown_off(home: EmbeddedServer) -> None:
    home.up()
    with psycopg.connect(home.uri("dagster")) as client:
        assert home.status().connections == 1
        assert home.down(if_unused=True) is False
        assert client.execute("SELECT 1").fetchone() == (1,)
    assert home.down(if_unused=True) is True


def test_keep_outlives_users_until_down(home: EmbeddedServer) -> None:
    assert home.up(keep=True) is True
    home.release()
    assert home.down(if_unused=True) is False
    assert home.status().keep
    assert home.down() is True
    assert not home.status().keep
    home.up()
    assert home.down(if_unused=True) is True


def test_as_a_context_it_stops_what_it_started(home: EmbeddedServer) -> None:
    with EmbeddedServer(home.home, durable=False) as server:
        assert server.status().running
        with EmbeddedServer(home.home, durable=False):
            pass
        assert server.status().running
    assert not home.status().running


@linux
def test_a_killed_server_comes_back_with_its_data(home: EmbeddedServer) -> None:
    home.up()
    with psycopg.connect(home.uri()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    pid = home.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: not home.status().running)
    assert (home.home / "pg" / "data" / "postmaster.pid").exists()
    assert home.up() is True
    assert _value(home.uri(), "SELECT n FROM kept") == 7


@linux
def test_a_busy_backend_of_a_killed_server_does_not_stop_the_next(home: EmbeddedServer) -> None:
    home.up()
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(home.uri()) as busy:
        pid = home.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert home.up() is True
        busy.execute("SELECT 1")
    assert _value(home.uri(), "SELECT 1") == 1


@linux
def test_a_stale_pid_file_that_names_a_stranger(home: EmbeddedServer) -> None:
    home.up()
    home.down()
    account = accounts.service_account(home.home / "pg" / "data")
    with subprocess.Popen(["sleep", "60"], **account.popen()) as stranger:
        try:
            pid_file = home.home / "pg" / "data" / "postmaster.pid"
            pid_file.write_text(
                f"{stranger.pid}\n{home.home}/pg/data\n1700000000\n5432\n/tmp\n\n 1 2\nready\n"
            )
            account.own(pid_file)
            assert not home.status().running
            assert home.up() is True
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_killed_first_start_is_begun_again(home: EmbeddedServer) -> None:
    half = home.home / "pg" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert home.up() is True
    assert _value(home.uri(), "SELECT 1") == 1


@pytest.mark.parametrize(
    "delays", [[0.2], pytest.param([0.02, 0.2, 0.5], marks=pytest.mark.long)], ids=["once", "often"]
)
def test_a_starter_killed_at_any_moment_blocks_nobody(home: EmbeddedServer, delays: list[float]) -> None:
    code = """
        import sys
        from pvm_resources.postgres.server import EmbeddedServer
        print("go", flush=True)
        EmbeddedServer(sys.argv[1], durable=False).up()
        sys.stdin.readline()
    """
    for delay in delays:
        starter = _python(code, str(home.home))
        assert starter.stdout is not None
        starter.stdout.readline()
        time.sleep(delay)
        starter.kill()
        starter.communicate()
        home.up()
        assert _value(home.uri(), "SELECT 1") == 1
        home.down()


def test_a_missing_database_is_made_again(home: EmbeddedServer) -> None:
    home.up()
    with psycopg.connect(home.uri("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE dagster")
    home.up()
    assert _value(home.uri("dagster"), "SELECT 1") == 1


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        EmbeddedServer(tmp_path / "file" / "home").up()
    assert caught.value.code == "server.home"


def test_a_cluster_of_a_version_without_binaries() -> None:
    with pytest.raises(StoreError) as caught:
        binaries(9)
    assert caught.value.code == "server.binaries"
    assert "PVM_DATABASE_URL" in caught.value.remedy


def test_it_does_not_start_on_a_broken_configuration(home: EmbeddedServer) -> None:
    home.up()
    home.down()
    with (home.home / "pg" / "data" / "postgresql.auto.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(StoreError) as caught:
        home.up()
    assert caught.value.code == "server.start"
    assert "contains errors" in caught.value.reason


@root_only
@linux
def test_root_opens_no_parent_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(closed / "home", durable=False)
    try:
        modes = {p: p.stat().st_mode for p in (closed, *closed.parents)}
        server.up()
        assert _value(server.uri(), "SELECT 1") == 1
        assert {p: p.stat().st_mode for p in (closed, *closed.parents)} == modes
        assert (closed / "home" / "pg" / "data").stat().st_uid not in {0}
        assert stat.S_IMODE(server.status().socket_dir.stat().st_mode) == 0o700
    finally:
        server.down()


@root_only
def test_binaries_in_a_closed_folder_are_copied_once(
    monkeypatch: pytest.MonkeyPatch, short_home: EmbeddedServer
) -> None:
    base = short_home.home.parent
    monkeypatch.setattr(accounts, "_SHARED_COPIES", base / "copies")
    closed = base / "closed"
    closed.mkdir(mode=0o700)
    install = binaries().parent
    shutil.copytree(install, closed / install.name, symlinks=True)
    account = accounts.service_account(None)
    found = account.reachable(closed / install.name / "bin")
    assert found.is_relative_to(base / "copies")
    assert account.reachable(closed / install.name / "bin") == found
    told = subprocess.run(
        [found / "postgres", "--version"], capture_output=True, text=True, check=True, **account.popen()
    )
    assert "PostgreSQL" in told.stdout


@root_only
def test_an_ordinary_user(short_home: EmbeddedServer) -> None:
    """The whole cycle in a child that gave up root: no other account, no chown."""
    nobody = pwd.getpwnam("nobody")
    if not all(p.stat().st_mode & 0o001 for p in binaries().parents):
        pytest.skip("the binaries lie in a folder that only root may enter")
    base = short_home.home.parent
    os.chown(base, nobody.pw_uid, nobody.pw_gid)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            server = EmbeddedServer(short_home.home, durable=False)
            assert server.up() is True
            assert server.up() is False
            assert _value(server.uri(), "SELECT 1") == 1
            assert server.status().socket_dir == server.home / "pg" / "run"
            assert server.down(if_unused=True) is True
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  # the child must not return into pytest
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    _, code = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(code) == 0
    assert (short_home.home / "pg" / "data").stat().st_uid == nobody.pw_uid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_listens_where_it_is_told_and_every_client_finds_it(home: EmbeddedServer) -> None:
    place = Address("127.0.0.1", _free_port())
    listening = EmbeddedServer(home.home, durable=False, listen=place)
    listening.up()

    assert f"@127.0.0.1:{place.port}/pvm" in home.uri("pvm"), "an object that was told nothing finds it too"
    assert _value(home.uri("dagster"), "SELECT inet_server_port()") == place.port
    wrong = home.uri("pvm").replace("postgresql://pvm:", "postgresql://pvm:x")
    with pytest.raises(psycopg.OperationalError, match="password"):
        _value(wrong, "SELECT 1")

    with pytest.raises(StoreError, match=f"listens on 127.0.0.1 port {place.port}") as refused:
        EmbeddedServer(home.home, listen=Address("127.0.0.1", place.port + 1)).up()
    assert refused.value.code == "server.listen"

    listening.down()
    home.up()
    assert "127.0.0.1" not in home.uri("pvm")
    assert _value(home.uri("pvm"), "SELECT inet_server_port()") is None
    with pytest.raises(StoreError, match="its socket alone"):
        listening.up()
