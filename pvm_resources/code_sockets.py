"""The sockets of the code servers of `pvm up`: one a code location, shared by web server and daemon."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from pvm_core.errors import StoreError

#: Names of the servers, in the files of their sockets.
CODE: Final = "code"
ATTENTION: Final = "attention"
#: sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL.
_PATH_MAX: Final = 103
#: Not TMPDIR, which may differ between two calls of `pvm up`.
_SHORT_FOLDER: Final = Path("/tmp")


def code_socket(home: Path, name: str) -> Path:
    """Where a code server of a home listens: in the home, which is closed to others, where the path is
    short enough, else in a closed folder that is found again by the home's path."""
    wanted = home / "run" / f"{name}.sock"
    if len(os.fsencode(wanted)) <= _PATH_MAX:
        return wanted
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return _SHORT_FOLDER / f"pvm-code-{os.getuid()}-{digest}" / f"{name}.sock"


def closed_folder(path: Path) -> None:
    """Makes the socket's folder, this account's alone.

    Raises:
        StoreError: ``server.socket``, it belongs to somebody else.
    """
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another account")
        folder.chmod(0o700)
    except OSError as error:
        raise StoreError("server.socket", str(folder), str(error), "Remove that folder") from error


def listens(path: Path) -> bool:
    """True where a server answers on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def has_died(path: Path) -> bool:
    """True where a server was started on the socket and none answers on it now."""
    return path.exists() and not listens(path)
