"""Backup and restore on real databases: the same rows and files, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pvm_core.errors import InputError, PvmError, StoreError
from pvm_resources.backup import archive, restore
from pvm_resources.backup.backup import back_up
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from tests.pvm_resources import world

JOB = "job-1"


def _settings(home: Path, **more: str) -> Settings:
    return load_settings(home.parent / "no.env", home=home, **more)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Settings]]:
    """A home with a job, media, an upload, a download and Dagster's rows; and its backup."""
    home = tmp_path_factory.mktemp("saved") / "home"
    settings = _settings(home)
    server = EmbeddedServer(home, durable=False)
    server.up()
    migrate.upgrade(server.uri("pvm"))
    with Database(server.uri("pvm")) as database:
        repos = Store.over(database)
        world.write(repos, world.make(repos, job_id=JOB))
        repos.keys.create("n8n", ["run"])
        repos.endpoints.add("https://example.org/hook", secret="whsec_" + "A" * 32, events=["*"])
        with database.transaction() as cursor:
            cursor.execute("UPDATE video_files SET path = %s", [f"{home}/downloads/abc.mp4"])
            cursor.execute(
                "UPDATE industries SET sources = %s", [json.dumps({"products": [f"{home}/uploads/a.csv"]})]
            )
    with psycopg.connect(server.uri("dagster")) as connection:
        connection.execute("CREATE TABLE runs (run_id text); INSERT INTO runs VALUES ('run-1')")
    MediaStore(settings.media).put("evidence/a.jpg", b"proof")
    for name, data in {
        "uploads/a.csv": b"product_id,image\n", "downloads/abc.mp4": b"film",
        "models/calibration/classic.json": b"{}", "dagster/storage/log": b"log",
        "models/big/weights.pt": b"weights", "logs/api.log": b"line",
    }.items():  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    target = home.parent / "pvm.tar"
    made = back_up(settings, target)
    assert made.files == 5
    yield target, settings
    server.down()


def _rows(server: EmbeddedServer) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of both databases."""
    found = {}
    for name in ("pvm", "dagster"):
        with psycopg.connect(server.uri(name)) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            ).fetchall()
            for (table,) in tables:
                rows = connection.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t ORDER BY 1').fetchall()
                found[f"{name}.{table}"] = rows
    return found


def test_a_wiped_home_comes_back_with_the_same_rows_and_files(
    saved: tuple[Path, Settings], tmp_path: Path
) -> None:
    file, before = saved
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    home = tmp_path / "new place" / "home"
    manifest = restore.restore(_settings(home), file)
    assert manifest.home == str(before.home)
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []
    old, new = EmbeddedServer(before.home), EmbeddedServer(home)
    try:
        new.up()
        expected = {
            table: [(str(row[0]).replace(str(before.home), str(home)),) for row in rows]
            for table, rows in _rows(old).items()
        }
        assert _rows(new) == expected
        assert any(str(home) in str(row) for row in expected["pvm.video_files"])
        with psycopg.connect(new.uri("pvm")) as connection:
            sources = connection.execute("SELECT sources FROM industries").fetchone()
        assert sources == ({"products": [f"{home}/uploads/a.csv"]},)
    finally:
        new.down()
    assert (home / "media/evidence/a.jpg").read_bytes() == b"proof"
    for name in (
        "uploads/a.csv",
        "downloads/abc.mp4",
        "models/calibration/classic.json",
        "dagster/storage/log",
    ):
        assert (home / name).read_bytes() == (before.home / name).read_bytes()
    assert not (home / "models/big").exists()
    assert not (home / "logs").exists()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_without_secrets_and_media(saved: tuple[Path, Settings], tmp_path: Path) -> None:
    _, before = saved
    file = tmp_path / "thin.tar"
    back_up(before, file, media=False, secrets=False)
    home = tmp_path / "home"
    assert not restore.restore(_settings(home), file).secrets
    server = EmbeddedServer(home)
    try:
        server.up()
        rows = _rows(server)
    finally:
        server.down()
    assert rows["pvm.jobs"]
    for table in ("api_keys", "api_secrets", "endpoints", "source_tokens", "deliveries"):
        assert rows[f"pvm.{table}"] == []
    assert not (home / "media").exists()
    assert b"whsec_" not in file.read_bytes()


def test_a_home_with_content_is_kept_unless_forced(saved: tuple[Path, Settings], tmp_path: Path) -> None:
    file, _ = saved
    home = tmp_path / "home"
    server = EmbeddedServer(home, durable=False)
    server.up()
    with psycopg.connect(server.uri("pvm")) as connection:
        connection.execute("CREATE TABLE mine ()")
    with pytest.raises(InputError) as running:
        restore.restore(_settings(home), file, force=True)
    assert running.value.code == "restore.running"
    server.down()
    MediaStore(str(home / "media")).put("evidence/mine.jpg", b"mine")
    with pytest.raises(InputError) as caught:
        restore.restore(_settings(home), file)
    assert caught.value.code == "restore.home"
    assert "pg, media" in caught.value.reason
    assert (home / "media/evidence/mine.jpg").exists()

    restore.restore(_settings(home), file, force=True)
    server.up()
    assert "pvm.mine" not in _rows(server)
    server.down()
    assert not (home / "media/evidence/mine.jpg").exists()
    assert (home / "media/evidence/a.jpg").exists()


def _rewritten(file: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    with tarfile.open(file) as tar, tarfile.open(target, "w") as out:
        for info in tar:
            source = tar.extractfile(info)
            assert source is not None
            data = change(info.name, source.read())
            if data is not None:
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
    return target


def _with(**fields: object) -> Callable[[str, bytes], bytes]:
    return lambda name, data: (
        json.dumps({**json.loads(data), **fields}).encode() if name == archive.MANIFEST else data
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_with(format=archive.FORMAT + 1), "backup.newer"),
        (_with(schema="9999"), "backup.newer"),
        (_with(postgres=99), "backup.newer"),
        (lambda name, data: data + b"x" if name == "media/evidence/a.jpg" else data, "backup.damaged"),
        (lambda name, data: None if name == "databases/pvm.dump" else data, "backup.damaged"),
        (lambda name, data: None if name == archive.CHECKSUMS else data, "backup.damaged"),
        (lambda name, data: b"[]" if name == archive.MANIFEST else data, "backup.damaged"),
    ],
)
def test_a_newer_or_damaged_backup_touches_nothing(
    saved: tuple[Path, Settings], tmp_path: Path, change: Callable[[str, bytes], bytes | None], code: str
) -> None:
    file = _rewritten(saved[0], tmp_path / "other.tar", change)
    with pytest.raises(PvmError) as caught:
        restore.restore(_settings(tmp_path / "home"), file)
    assert caught.value.code == code
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("data", [b"", b"no tar", b"\0" * 2048])
def test_another_file_is_no_backup(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(InputError) as caught:
        restore.restore(_settings(tmp_path / "home"), tmp_path / "x.tar")
    assert caught.value.code == "backup.damaged"


def test_a_backup_that_ends_early_is_damaged(saved: tuple[Path, Settings], tmp_path: Path) -> None:
    data = saved[0].read_bytes()
    with tarfile.open(saved[0]) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + last.size
    for length in (int(0.3 * end), int(0.7 * end), end - 1):
        (tmp_path / "part.tar").write_bytes(data[:length])
        with pytest.raises(InputError) as caught:
            restore.restore(_settings(tmp_path / "home"), tmp_path / "part.tar")
        assert caught.value.code == "backup.damaged"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "home/../../x", "home/models/x", "other/x"])
def test_a_member_that_leaves_the_home_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "evil.tar"
    sums = {name: archive.hashlib.sha256(b"evil").hexdigest()}
    manifest = archive.Manifest(1, "2026-01-01", "0", "0001", 18, "/x", True, True)
    with tarfile.open(file, "w") as tar:
        for member, data in {
            archive.MANIFEST: json.dumps(manifest.__dict__).encode(), name: b"evil",
            archive.CHECKSUMS: json.dumps(sums).encode(),
        }.items():  # fmt: skip
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(InputError) as caught:
        restore.restore(_settings(tmp_path / "home"), file)
    assert caught.value.code == "backup.damaged"
    assert not list(tmp_path.rglob("x"))


def test_a_failure_while_moving_in_leaves_the_home_as_it_was(
    saved: tuple[Path, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    MediaStore(str(home / "media")).put("evidence/mine.jpg", b"mine")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if Path(target) == home / "pg":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(StoreError) as caught:
        restore.restore(_settings(home), saved[0], force=True)
    assert caught.value.code == "restore.write"
    monkeypatch.undo()
    assert [path.relative_to(home).as_posix() for path in home.rglob("*.jpg")] == ["media/evidence/mine.jpg"]
    assert not (home / "pg").exists()


def test_a_killed_restore_leaves_no_half_home_and_the_next_succeeds(
    saved: tuple[Path, Settings], tmp_path: Path
) -> None:
    file, _ = saved
    home = tmp_path / "home"
    code = (
        "import sys; from pathlib import Path; from pvm_resources.backup import restore\n"
        "from pvm_resources.settings import load_settings\n"
        "restore.restore(load_settings(home=Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(home), str(file)])
    deadline = time.monotonic() + 60
    while not list(home.glob(".restore-*/pg/data")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (home / "pg").exists()
    restore.restore(_settings(home), file)
    assert (home / "pg" / "data" / "PG_VERSION").exists()
    assert not list(home.glob(".restore-*"))


def test_an_existing_file_is_not_overwritten_and_a_failure_leaves_none(
    saved: tuple[Path, Settings], tmp_path: Path
) -> None:
    file, settings = saved
    with pytest.raises(InputError) as caught:
        back_up(settings, file)
    assert caught.value.code == "backup.exists"
    with pytest.raises(StoreError) as nowhere:
        back_up(settings, tmp_path / "no" / "x.tar")
    assert nowhere.value.code == "backup.write"
    assert list(tmp_path.iterdir()) == []


def test_another_server_is_filled_where_it_is_empty(
    saved: tuple[Path, Settings], tmp_path: Path, empty_database_url: str, server: EmbeddedServer
) -> None:
    name = f"f_dagster_{os.getpid()}"
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        settings = _settings(
            tmp_path / "home", database_url=empty_database_url, dagster_url=server.uri(name),
            media_url=str(tmp_path / "elsewhere"),
        )  # fmt: skip
        restore.restore(settings, saved[0])
        with psycopg.connect(empty_database_url) as connection:
            assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
        assert (tmp_path / "elsewhere/evidence/a.jpg").read_bytes() == b"proof"
        assert not (tmp_path / "home/pg").exists()
        with pytest.raises(InputError) as caught:
            restore.restore(settings, saved[0])
        assert "PVM_DATABASE_URL" in caught.value.reason
        restore.restore(settings, saved[0], force=True)
    finally:
        with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_password_is_no_argument_of_a_program(
    saved: tuple[Path, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pvm_resources.backup import databases

    seen: list[list[str]] = []
    run = subprocess.run
    monkeypatch.setattr(
        databases.subprocess, "run", lambda command, **given: (seen.append(command), run(command, **given))[1]
    )
    server = EmbeddedServer(saved[1].home)
    databases.dump(server.uri("pvm"), tmp_path / "x.dump")
    password = (saved[1].home / "pg" / "password").read_text().strip()
    assert seen
    assert not [part for command in seen for part in command if password in part]
