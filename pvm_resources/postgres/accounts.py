"""Running the embedded server under an unprivileged account where root starts it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from pvm_core.errors import StoreError
from pvm_resources.private import OTHERS

#: Usual owners of databases: Debian's and Red Hat's account, and that of the wheel's own handle.
_ACCOUNTS: Final = ("postgres", "pgserver")
#: Where root keeps a copy of the binaries when the account cannot reach the installed ones.
_SHARED_COPIES: Final = Path("/var/lib/pvm")


_ENDED: Final = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


def is_root() -> bool:
    """True where this process may not run PostgreSQL itself."""
    return os.geteuid() == 0


@dataclass(frozen=True)
class ServerAccount:
    """The account the server runs under.

    Attributes:
        uid, gid: of the account.
        other: True where that is not the account of this process (root starts the server).
    """

    uid: int
    gid: int
    other: bool

    def own(self, path: Path) -> None:
        """Makes the account the owner of `path`."""
        if self.other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_fd(self, handle: int) -> None:
        """Lets the account reopen an inherited pipe by its name."""
        if self.other:
            os.fchown(handle, self.uid, self.gid)

    def inside(self, folder: Path) -> str:
        """The path by which a child that works in `folder` reaches it, whatever its parents' permissions."""
        return "/proc/self/cwd" if self.other and Path("/proc/self/cwd").exists() else str(folder)

    def popen(self) -> dict[str, Any]:
        """Arguments of `subprocess.run` that change to the account, whose files are its own alone."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        if not self.other:
            return {"umask": OTHERS, "env": clean}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": OTHERS, "env": clean}

    def reachable(self, binaries: Path) -> Path:
        """`binaries`, or a copy of their installation where the account cannot enter a parent folder."""
        if not self.other or all(_others_enter(parent) for parent in (binaries, *binaries.parents)):
            return binaries
        install = binaries.parent
        mark = hashlib.sha256(f"{install}\0{(binaries / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()
        copy = _SHARED_COPIES / f"{install.name}-{mark[:12]}"
        if not copy.is_dir():
            _copy_install(install, copy)
        return copy / "bin"


def service_account(cluster: Path | None) -> ServerAccount:
    """The account to run the server under: this process's own, or for root the owner of an existing
    `cluster`, else a database account of the system, made where there is none.

    Raises:
        StoreError: ``server.account``.
    """
    if not is_root():
        return ServerAccount(os.geteuid(), os.getegid(), other=False)
    if cluster is not None and cluster.exists():
        owner = cluster.stat()
        if owner.st_uid != 0:
            return ServerAccount(owner.st_uid, owner.st_gid, other=True)
    entry = _entry() or _new_account()
    account = ServerAccount(entry.pw_uid, entry.pw_gid, other=True)
    if cluster is not None and cluster.exists():
        # A home copied by root, e.g. into an image, lost its owner.
        for path in (cluster, *cluster.rglob("*")):
            account.own(path)
    return account


def runs_in(pid: int, folder: Path) -> bool:
    """True where process `pid` is alive and works in `folder`, as every process of a cluster does."""
    try:
        return _works_in(psutil.Process(pid), folder)
    except psutil.Error:
        return False


def anybody_in(folder: Path) -> bool:
    """True where any process works in `folder`."""
    return any(_works_in(process, folder) for process in psutil.process_iter())


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.status() not in _ENDED and process.cwd() == str(folder)
    except psutil.Error:
        return False


def _others_enter(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


def _entry() -> pwd.struct_passwd | None:
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _new_account() -> pwd.struct_passwd:
    name = _ACCOUNTS[-1]
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise StoreError(
            "server.account",
            name,
            f"PostgreSQL does not run as root, and the account could not be made: {detail.strip()}",
            f"Make a system account named {name}, or run as another user",
        ) from error
    return pwd.getpwnam(name)


def _copy_install(install: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.parent.chmod(0o755)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=copy.parent))
    try:
        shutil.copytree(install, fresh / "install", symlinks=True)
        (fresh / "install").chmod(0o755)
        with contextlib.suppress(OSError):
            # Another home may have put the same copy there first.
            (fresh / "install").rename(copy)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
