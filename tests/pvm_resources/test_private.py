"""What other users of the machine may see of a home: nothing."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvm_core.errors import StoreError
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.private import close_home, open_place

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter; those of pytest are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="pvm-test-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert close_home(tmp_path / "a" / "home") is None
        EmbeddedServer(tmp_path / "b").up()
    finally:
        os.umask(before)
        EmbeddedServer(tmp_path / "b").down()
    assert _mode(tmp_path / "a" / "home") == 0o700
    assert _mode(tmp_path / "b") == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o701, 0o2755])
def test_a_wider_home_is_narrowed_once(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    (home / "media").mkdir(parents=True)
    home.chmod(mode)
    assert close_home(home) is None
    assert _mode(home) & 0o077 == 0
    assert _mode(home) & 0o700 == 0o700
    assert close_home(home) is None


@pytest.mark.parametrize("other", ["holds a stranger's file", "sticky"])
def test_a_folder_that_is_not_ours_alone_stays_and_is_named(tmp_path: Path, other: str) -> None:
    home = tmp_path / "home"
    (home / "media").mkdir(parents=True)
    (home / "media").chmod(0o755)
    if other == "sticky":
        home.chmod(0o1777)
    else:
        (home / "thesis.odt").touch()
        home.chmod(0o755)
    before = _mode(home)
    found = close_home(home)
    assert found is not None
    assert _mode(home) == before
    assert _mode(home / "media") == 0o700
    assert f"chmod 700 {home}" in found.remedy


def test_a_home_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        close_home(tmp_path / "file" / "home")
    assert caught.value.code == "home.unwritable"


def test_a_file_others_may_read_is_named_and_one_that_is_not_there_is_not(tmp_path: Path) -> None:
    secret = tmp_path / ".env"
    assert open_place(secret) is None
    secret.touch()
    secret.chmod(0o640)
    found = open_place(secret)
    assert found is not None
    assert f"chmod 600 {secret}" in found.remedy
    secret.chmod(0o600)
    assert open_place(secret) is None


@pytest.mark.parametrize("start", ["pvm_cli.main", "pvm_api.server", "definitions"])
def test_every_entry_point_lets_its_account_alone_read_what_it_writes(start: str, tmp_path: Path) -> None:
    tell = "import os; print(f'umask {os.umask(0):03o}')"
    code = {
        "pvm_cli.main": "from pvm_cli import main; main.get_command = lambda app: lambda: None; main.main(); "
        + tell,
        "pvm_api.server": "import atexit, os, runpy\n"
        "atexit.register(lambda: print(f'umask {os.umask(0):03o}'))\n"
        "runpy.run_module('pvm_api.server', run_name='__main__')",
        "definitions": f"import definitions; {tell}",
    }[start]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, umask=0o022,
        env={**os.environ, "PVM_HOME": str(tmp_path)},
    )  # fmt: skip
    assert "umask 077" in done.stdout, done.stderr


@root_only
def test_another_account_reads_nothing_below_a_home(open_folder: Path) -> None:
    home = open_folder / "home"
    (home / "media").mkdir(parents=True)
    (home / "media" / "upload.csv").write_text("secret")
    (home / "media" / "upload.csv").chmod(0o644)
    home.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "capture_output": True}
    command = ["/bin/cat", str(home / "media" / "upload.csv")]
    assert subprocess.run(command, **other).stdout == b"secret"  # type: ignore[call-overload]
    assert close_home(home) is None
    done = subprocess.run(command, **other)  # type: ignore[call-overload]
    assert (done.returncode, done.stdout) == (1, b"")
