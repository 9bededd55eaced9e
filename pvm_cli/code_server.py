"""The code server of `pvm up`: one that web server and daemon share, and whose children the runs are."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

#: workspace-served.yaml reads it.
SOCKET: Final = "PVM_CODE_SOCKET"
#: sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL.
_PATH_MAX: Final = 103
#: Not TMPDIR, which may differ between two calls of `pvm up`.
_SHORT_FOLDER: Final = Path("/tmp")


def code_socket(home: Path) -> Path:
    """Where the code server of a home listens: in the home, which is closed to others, where the path is
    short enough, else in a closed folder that is found again by the home's path."""
    wanted = home / "run" / "code.sock"
    if len(os.fsencode(wanted)) <= _PATH_MAX:
        return wanted
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return _SHORT_FOLDER / f"pvm-code-{os.getuid()}-{digest}" / "code.sock"


def serve_command(path: Path, module: str, attribute: str, location: str) -> list[str]:
    """Arguments of ``python -m``; the code is loaded when it is first asked for: the UI shows what is wrong
    with it."""
    return [
        "dagster", "api", "grpc", "--socket", str(path), "--module-name", module, "--attribute", attribute,
        "--location-name", location, "--lazy-load-user-code", "--use-python-environment-entry-point",
        "--inject-env-vars-from-instance", "--log-level", "warning",
    ]  # fmt: skip


def closed_folder(path: Path) -> None:
    """Makes the socket's folder, this account's alone.

    Raises:
        StoreError: ``server.socket``, it belongs to somebody else.
    """
    from pvm_core.errors import StoreError

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
