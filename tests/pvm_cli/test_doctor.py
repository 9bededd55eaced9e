"""`pvm doctor` on machines with one fault each: named, with its remedy; never a secret."""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pvm_cli.doctor import machine
from pvm_cli.main import app
from pvm_resources import settings as settings_module
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings

_SECRET = "s3cr3t-7f3a"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without settings, without a `.env`, with an empty home."""
    for name in (*settings_module.known_variables(), "PVM_HOEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings_module, "env_file", lambda: tmp_path / ".env")
    monkeypatch.setattr("pvm_cli.doctor.places.env_file", lambda: tmp_path / ".env")
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _examined(code: int = 0) -> dict[str, dict[str, Any]]:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == code, done.output
    report = json.loads(done.stdout)
    assert report["healthy"] is (code == 0)
    assert sum(report["counts"].values()) == len(report["findings"])
    for one in report["findings"]:
        assert bool(one["remedy"]) is (one["state"] != "ok"), one
    return {f"{one['section']}/{one['name']}": one for one in report["findings"]}


def test_a_machine_without_anything_is_healthy_and_nothing_is_made(home: Path) -> None:
    found = _examined()
    assert found["packages/requirements"]["value"] == "all there"
    assert sys.version.split()[0] in found["machine/python"]["value"]
    assert found["database/embedded server"]["state"] == "ok"
    assert found["sources/ebay"]["state"] == "note"
    assert not home.exists()
    table = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "80"}).stdout
    assert "0 failed" in table
    assert max(map(len, table.splitlines())) <= 80


def test_a_running_database_tells_its_versions(
    server: EmbeddedServer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("DAGSTER_PG_URL", database_url)
    found = _examined()
    assert "PostgreSQL 18" in found["database/pvm"]["value"]
    assert "pgvector 0.8" in found["database/pvm"]["value"]
    assert found["database/schema"]["state"] == "ok"


def test_an_open_home_and_open_secrets_are_named(home: Path, tmp_path: Path) -> None:
    (home / "pg").mkdir(parents=True)
    home.chmod(0o755)
    (home / "pg" / "password").touch(0o644)
    (tmp_path / ".env").touch(0o644)
    for path in (home / "pg" / "password", tmp_path / ".env"):
        path.chmod(0o644)
    found = _examined(1)
    for name in ("permissions", "database password", ".env"):
        assert found[f"home/{name}"]["state"] == "failed"
        assert "chmod" in found[f"home/{name}"]["remedy"]
    home.chmod(0o700)
    for path in (home / "pg" / "password", tmp_path / ".env"):
        path.chmod(0o600)
    assert _examined()["home/permissions"]["state"] == "ok"


def test_settings_that_are_not_valid_or_unknown_are_named_with_the_near_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_API_PORT", "eighty")
    monkeypatch.setenv("PVM_WORKERS", "0")
    monkeypatch.setenv("PVM_HOEM", "/x")
    (tmp_path / ".env").write_text("EBAY_CLIENT_IDD=1\nPVM_NONSENSE_OF_MINE=1\nUNRELATED=1\n")
    (tmp_path / ".env").chmod(0o600)
    found = _examined(1)
    assert found["settings/PVM_API_PORT"]["state"] == "failed"
    assert found["settings/PVM_WORKERS"]["state"] == "failed"
    assert found["settings/PVM_HOEM"]["remedy"] == "Meant is perhaps PVM_HOME"
    assert found["settings/EBAY_CLIENT_IDD"]["remedy"] == "Meant is perhaps EBAY_CLIENT_ID"
    assert found["settings/PVM_NONSENSE_OF_MINE"]["state"] == "warning"
    assert "settings/UNRELATED" not in found


def _no_keys_for_the_network(patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PVM_API_AUTH", "false")
    patch.setenv("PVM_API_HOST", "0.0.0.0")
    return "settings/PVM_API_HOST=0.0.0.0"


def _no_database(patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PVM_DATABASE_URL", f"postgresql://me:{_SECRET}@127.0.0.1:9/pvm")
    return "database/pvm"


def _no_dsn(patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PVM_DATABASE_URL", f"postgresql://me:{_SECRET}@[")
    return "database/pvm"


def _old_package(patch: pytest.MonkeyPatch) -> str:
    have = machine._have
    patch.setattr(machine, "_have", lambda name: "0.1" if name == "dagster" else have(name))
    return "packages/requirements"


def _full_disk(patch: pytest.MonkeyPatch) -> str:
    patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**8})())
    return "home/space"


def _bad_policies(patch: pytest.MonkeyPatch) -> str:
    patch.setenv("PVM_SOURCE_POLICIES", "{")
    return "settings/PVM_SOURCE_POLICIES"


@pytest.mark.parametrize(
    "fault", [_no_keys_for_the_network, _no_database, _no_dsn, _old_package, _full_disk, _bad_policies]
)
def test_a_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fault(monkeypatch)
    found = _examined(1)
    assert found[name]["state"] == "failed", found[name]


@pytest.mark.parametrize(
    ("uid", "shell", "auth", "state"),
    [
        (1_500, "/bin/bash", None, "warning"),
        (1_500, "/bin/bash", False, "warning"),
        (1_500, "/bin/bash", True, "ok"),
        (1_500, "/usr/sbin/nologin", None, None),
        (33, "/bin/bash", None, None),
        (os.geteuid(), "/bin/bash", None, None),
    ],
)
def test_people_who_could_act_in_the_dagster_ui_are_counted(
    uid: int, shell: str, auth: bool | None, state: str | None
) -> None:
    known = [pwd.struct_passwd(("x", "x", uid, uid, "", "/home/x", shell))]
    found = list(machine.accounts(Settings().model_copy(update={"ui_auth": auth}), known))
    assert [one.state for one in found] == ([state] if state else [])
    assert all("1 beside this one" in one.value for one in found)


def test_a_port_of_another_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("PVM_API_PORT", str(other.getsockname()[1]))
        found = _examined()
    assert found["services/api"]["state"] == "warning"
    assert "--api-port" in found["services/api"]["remedy"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(home: Path) -> None:
    home.mkdir(0o500)
    assert _examined(1)["home/PVM_HOME"]["state"] == "failed"


def test_no_value_of_a_secret_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = {
        name
        for field, info in Settings.model_fields.items()
        if "SecretStr" in str(info.annotation)
        for name in getattr(info.validation_alias, "choices", ())
    }
    assert len(secret) >= 8
    for name in secret:
        monkeypatch.setenv(str(name), _SECRET)
    monkeypatch.setenv("PVM_DATABASE_URL", f"postgresql://me:{_SECRET}@127.0.0.1:9/pvm?sslpassword={_SECRET}")
    monkeypatch.setenv("PVM_MEDIA_URL", f"s3://key:{_SECRET}@bucket")
    monkeypatch.setenv("PVM_WEBHOOK_URL", f"https://example.org/{_SECRET}")
    monkeypatch.setenv("PVM_YTDLP_RATE", _SECRET)
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1
        assert _SECRET not in done.stdout + done.stderr
