"""`pvm run --dry-run`, and the line before a large job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pvm_cli.estimate import note_large
from pvm_cli.main import app
from pvm_cli.session import Session
from pvm_jobs.request import JobRequest
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from tests.pvm_core.make_video import drawing, panned, write_clip

Pvm = Callable[..., Result]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Two products, and a clip of 4 s."""
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "a.mp4", panned(drawing(1, 240, 320), 4.0))
    rows = "product_id,title,image\np1,A,https://shop.example/1.jpg\np2,B,https://shop.example/2.jpg\n"
    (tmp_path / "products.csv").write_text(rows)
    return tmp_path


@pytest.fixture
def pvm(database_url: str, case: Path, monkeypatch: pytest.MonkeyPatch) -> Pvm:
    """`pvm run` over the case, with a home and a database of its own."""
    monkeypatch.setenv("PVM_HOME", str(case / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("EBAY_CLIENT_ID", "id")
    monkeypatch.setenv("EBAY_CLIENT_SECRET", "secret")
    files = ["-p", str(case / "products.csv"), "-v", str(case / "clips")]
    return lambda *words: CliRunner().invoke(app, ["run", "-i", "giày", *files, *words])


def test_a_dry_run_says_what_it_takes_and_stores_nothing(pvm: Pvm, database: Database) -> None:
    done = pvm("-p", "ebay", "--top", "30", "--dry-run")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["file", "products", "2", "2", "none"] in lines
    ebay = next(line for line in lines if line[:1] == ["ebay"])
    assert ebay[-2:] == ["5,000", "enough"]
    assert next(line for line in lines if "listings:" in line) == ["listings:", "30"]
    assert any(line[:1] == ["keypoints"] for line in lines)
    assert "in all" in done.stdout
    assert "[bold]" not in done.stdout
    counts = [database.value(f"SELECT count(*) FROM {table}") for table in ("industries", "jobs")]
    assert counts == [0, 0]


def test_as_json_it_is_one_object(pvm: Pvm) -> None:
    found = json.loads(pvm("--dry-run", "--json").stdout)
    assert [one["source"] for one in found["sources"]] == ["file", "folder"]
    assert found["sources"][1]["video_s"]["most"] == pytest.approx(4, abs=0.3)
    assert pvm("--json").exit_code == 2


def test_a_large_job_is_announced_and_a_small_one_is_not(
    repos: Store, case: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(
        case / "none.env", home=case / "home", ebay_client_id="id", ebay_client_secret="s",
        ebay_daily_calls=100,
    )  # fmt: skip
    session, draft = Session(settings, repos.database), repos.industries.draft("giày")
    clips = [str(case / "clips")]
    small = JobRequest.parse({"products": [str(case / "products.csv")], "videos": clips})
    note_large(session, draft, small)
    assert capfd.readouterr().err == ""
    large = JobRequest.parse({"products": ["ebay"], "videos": ["youtube"], "top": 300})
    note_large(session, draft, large)
    said = capfd.readouterr().err
    assert "expect" in said
    assert "100 of today's calls are left" in said


def test_a_job_that_cannot_be_estimated_is_not_refused_for_it(
    repos: Store, case: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = Session(load_settings(case / "none.env", home=case / "home"), repos.database)
    gone = JobRequest.parse({"products": [str(case / "gone.csv")], "videos": [str(case / "clips")]})
    note_large(session, repos.industries.draft("giày"), gone)
    assert capfd.readouterr().err == ""
