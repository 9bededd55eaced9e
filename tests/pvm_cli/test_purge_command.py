"""`pvm purge` and `pvm results` on a machine with material of restricted sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pvm_cli.main import app
from pvm_resources.postgres.driver import Statement
from pvm_resources.store.assembly import Store
from tests.pvm_resources.purge_place import Place, build


@pytest.fixture
def place(repos: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = build(repos, tmp_path / "home")
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    repos.database.commit(Statement("UPDATE stored_images SET created_at = now() - interval '7 h'"))
    return made


def _pvm(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


def test_a_dry_run_then_the_purge_then_the_results(place: Place) -> None:
    told = _pvm("purge", "--dry-run")
    assert told.exit_code == 0, told.output
    assert "would be deleted" in told.output
    assert "amazon" in told.output
    assert place.files_of(1)

    done = _pvm("purge", "--source", "ebay", "--orphans")
    assert done.exit_code == 0, done.output
    assert "amazon" not in done.output
    assert not place.files_of(1)
    assert place.files_of(2)
    assert _pvm("purge").exit_code == 0
    assert "nothing is due" in _pvm("purge").output

    shown = _pvm("results", "--job", place.job_id, "--min-score", "0", "--format", "json")
    rows = {row["product"]: row for row in json.loads(shown.stdout)}
    assert {name: (row["purged"], bool(row["evidence"])) for name, row in rows.items()} == {
        "P0": (False, True),
        "P1": (True, False),
        "P2": (True, False),
    }
    assert [row["score"] for row in rows.values()] == [0.9, 0.6, 0.3]


def test_an_unknown_source_is_named(place: Place) -> None:
    failed = _pvm("purge", "--source", "ebey")
    assert failed.exit_code == 2
    assert "purge.source" in failed.stderr
    assert "ebay" in failed.stderr
