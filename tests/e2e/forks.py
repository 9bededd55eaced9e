"""`pvm` from processes that have imported everything: what a test asks of a command, without its start.

A server process imports the command line, the definitions and Dagster once, and forks one child a command.
Each child is a process of its own with its own arguments, environment and output; only the imports are not
its own. What a cold start imports and costs, tests/pvm_cli/test_start.py and the jobs of `Pvm.cold` show.

Protocol: one connection of a Unix socket a command. A JSON line ``{"arguments", "environment", "cwd"}`` comes
with the descriptors of stdin, stdout and stderr; the exit code goes back. A connection that the caller closes
kills its child, and the server ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PRELOADED = (
    "definitions", "dagster_postgres", "alembic.command", "pvm_assets.execution.runner", "pvm_cli.session",
    "av", "sqlalchemy.dialects.postgresql.psycopg2",
)  # fmt: skip


class Forks:
    """The server's side of the caller.

    Args:
        folder: for the socket; short, because a socket's path is.
    """

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "forks")
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "COLUMNS": "160"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.read(1) == b"!", "the server of forks did not start"

    def run(
        self, arguments: list[str], environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``pvm`` to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end; it is killed.
        """
        request = {"arguments": arguments, "environment": environment, "cwd": str(Path.cwd())}
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            Path(os.devnull).open("rb") as stdin,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.settimeout(timeout)
            connection.connect(self._address)
            socket.send_fds(connection, [b"\n"], [stdin.fileno(), stdout.fileno(), stderr.fileno()])
            connection.sendall(json.dumps(request).encode() + b"\n")
            try:
                code = int(connection.makefile("rb").readline())
            except TimeoutError:
                raise subprocess.TimeoutExpired(arguments, timeout, _text(stdout), _text(stderr)) from None
            return subprocess.CompletedProcess(
                arguments, code, _text(stdout).decode(), _text(stderr).decode()
            )


def _text(file: tempfile._TemporaryFileWrapper[bytes]) -> bytes:
    file.seek(0)
    return file.read()


@functools.cache
def forks() -> Forks:
    """The server of this process, started at the first call."""
    return Forks(Path(tempfile.mkdtemp(prefix="pvm-forks-")))


# -- the server's process ------------------------------------------------------------------------------------


def _import_all() -> None:
    import pvm_cli

    for module in pkgutil.iter_modules(pvm_cli.__path__):
        importlib.import_module(f"pvm_cli.{module.name}")
    for name in _PRELOADED:
        importlib.import_module(name)


class _Server:
    def __init__(self, address: str) -> None:
        self._address = address
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        #: Connection and child of each command.
        self._running: dict[int, tuple[socket.socket, int]] = {}
        self._wakeup, writer = os.pipe()
        for end in (self._wakeup, writer):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def serve(self) -> list[str] | None:
        """None once the caller is gone; in a child the arguments of its command."""
        while True:
            watched = [sys.stdin.fileno(), self._wakeup, self._listener.fileno(), *self._running]
            ready, _, _ = select.select(watched, [], [])
            if sys.stdin.fileno() in ready:
                for _, pid in self._running.values():
                    _kill(pid)
                Path(self._address).unlink(missing_ok=True)
                return None
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            for handle in self._running.keys() & set(ready):
                # The caller has given up.
                _kill(self._running[handle][1])
            if self._listener.fileno() in ready:
                arguments = self._accept()
                if arguments is not None:
                    return arguments

    def _accept(self) -> list[str] | None:
        connection, _ = self._listener.accept()
        _, handles, _, _ = socket.recv_fds(connection, 1, 3)
        request = json.loads(connection.makefile("rb").readline())
        pid = os.fork()
        if pid == 0:
            return self._become(request, handles)
        for handle in handles:
            os.close(handle)
        self._running[connection.fileno()] = (connection, pid)
        return None

    def _become(self, request: dict[str, object], handles: list[int]) -> list[str]:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, handle in enumerate(handles):
            os.dup2(handle, target)
            os.close(handle)
        self._listener.close()
        for connection, _ in self._running.values():
            connection.close()
        os.environ.clear()
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        os.chdir(str(request["cwd"]))
        return [str(word) for word in request["arguments"]]  # type: ignore[attr-defined]

    def _reap(self) -> None:
        for handle, (connection, pid) in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError):
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                connection.close()
                del self._running[handle]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _main() -> None:
    # Ctrl-C ends the test run, and with it this server.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The imports of this module are not those of `pvm`, and its folder is none of the command's.
    sys.path.remove(str(Path(__file__).parent))
    _import_all()
    gc.freeze()
    server = _Server(sys.argv[1])
    os.write(1, b"!")
    arguments = server.serve()
    if arguments is None:
        return
    from pvm_cli.main import main

    sys.argv = ["pvm", *arguments]
    main()


if __name__ == "__main__":
    _main()
