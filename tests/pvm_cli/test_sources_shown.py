"""Sources at the command line: how they fared, what was given up, phrases kept, what this machine lacks."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pvm_cli.console import console_on
from pvm_cli.main import app
from pvm_cli.run import note_missing_phrases
from pvm_cli.session import Session
from pvm_cli.states import print_states, state_line
from pvm_core.errors import Problem
from pvm_jobs.request import JobRequest
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.quotas import Quotas
from pvm_resources.store.records import AssetState, Progress
from pvm_resources.store.source_runs import DeadLetter, SourceRuns, SourceState

NAME = "Gối công thái học"
STATES = [
    SourceState("products", "ebay", "ok", found=20),
    SourceState("products", "amazon", "not_configured", "AMAZON_PARTNER_TAG is not set", "Set it"),
    SourceState("videos", "youtube", "partial", "2 items failed", "See the job's problems", 18),
]


@pytest.fixture(autouse=True)
def _machine(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for info in Settings.model_fields.values():
        for name in getattr(info.validation_alias, "choices", ()):
            monkeypatch.setenv(str(name), "")
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def pvm(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def job(repos: Store) -> str:
    """A job whose sources fared differently, and which gave one picture up."""
    slug = repos.industries.ensure(NAME).slug
    made = repos.jobs.create(slug, {"products": ["ebay", "amazon"], "videos": ["youtube"]}).job_id
    source_runs = SourceRuns(repos.database)
    for kind in ("products", "videos"):
        source_runs.set_states(made, kind, [s for s in STATES if s.kind == kind])
    url = "https://i.example/1.jpg"
    source_runs.add_dead_letters(
        made, [DeadLetter("product_images", url, "picture.http", "503. Try later", 3)]
    )
    return made


def test_a_state_is_one_line_with_reason_remedy_and_code() -> None:
    assert state_line(STATES[1]) == (
        "amazon: not configured: AMAZON_PARTNER_TAG is not set. Set it [source.not_configured]"
    )


def test_after_a_run_a_line_is_printed_for_each_source_that_has_something_to_say() -> None:
    console = console_on(file=io.StringIO(), width=60)
    said = SourceState("products", "amazon", "ok", "Amazon shows 100 products a phrase", found=100)
    print_states(console, [*STATES, said])

    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "amazon: not configured: AMAZON_PARTNER_TAG is not set. Set it [source.not_configured]",
        "youtube: partial: 2 items failed. See the job's problems [source.partial]",
        "amazon: ok: Amazon shows 100 products a phrase",
    ]


def test_sources_without_a_phrase_in_their_language_are_told_before_the_run(
    repos: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    industry = repos.industries.ensure(NAME)
    session = Session(load_settings(), repos.database)
    asked = JobRequest(products=("ebay", "amazon", "/x.csv"), videos=("youtube", "bilibili"))

    note_missing_phrases(session, industry, asked)
    assert capsys.readouterr().err.splitlines() == [
        f'no queries in en: ebay and amazon searched for "{NAME}"; '
        f"keep phrases: pvm industries queries '{NAME}' --lang en \"PHRASE\"",
        f'no queries in zh: bilibili searched for "{NAME}"; '
        f"keep phrases: pvm industries queries '{NAME}' --lang zh \"PHRASE\"",
    ]

    note_missing_phrases(
        session, industry, asked.model_copy(update={"queries": {"en": ("pillow",), "zh": ("枕头",)}})
    )
    assert capsys.readouterr().err == ""


def test_a_jobs_status_shows_each_source_and_what_was_given_up(job: str) -> None:
    shown = pvm("status", "--job", job)

    assert shown.exit_code == 0, shown.output
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["products", "ebay", "ok", "20"] in rows
    assert "AMAZON_PARTNER_TAG is not set. Set it" in shown.stdout
    assert f"1 given up after retries; pvm retry {job} tries them again" in shown.stdout
    assert "https://i.example/1.jpg" in shown.stdout
    assert "503. Try later [picture.http]" in shown.stdout


def test_a_jobs_status_as_json_holds_the_same(job: str) -> None:
    (found,) = json.loads(pvm("status", "--job", job, "--json").stdout)["jobs"]

    assert [(s["source"], s["state"], s["found"]) for s in found["sources"]] == [
        ("ebay", "ok", 20), ("amazon", "not_configured", 0), ("youtube", "partial", 18),
    ]  # fmt: skip
    (given_up,) = found["dead_letters"]
    assert (given_up["item"], given_up["attempts"]) == ("https://i.example/1.jpg", 3)
    assert given_up["last_at"].startswith("20")


def test_a_jobs_status_as_json_holds_its_problems(repos: Store, job: str) -> None:
    assert json.loads(pvm("status", "--job", job, "--json").stdout)["jobs"][0]["problems"] == []
    problem = Problem("product_images", "images/a.jpg", "picture.empty", "the file is empty. Send it again")
    repos.state.write_problems(job, [problem])
    (found,) = json.loads(pvm("status", "--job", job, "--json").stdout)["jobs"]
    assert found["problems"] == [asdict(problem)]
    listed = json.loads(pvm("status", "--json").stdout)["jobs"]
    assert all("problems" not in one for one in listed)


def test_a_jobs_status_shows_what_each_asset_took(repos: Store, job: str) -> None:
    repos.state.set_progress(job, Progress("masks", 8, 8, 2))
    pace = {"seconds": 4.0, "items_per_second": 1.5}
    repos.state.finish_asset(job, AssetState("masks", "1", 8, pace))

    rows = [line.split() for line in pvm("status", "--job", job).stdout.splitlines()]
    assert ["masks", "8", "8", "2", "4.0", "1.5"] in rows
    (found,) = json.loads(pvm("status", "--job", job, "--json").stdout)["jobs"]
    (masks,) = [stage for stage in found["progress"] if stage["stage"] == "masks"]
    assert masks["items_per_second"] == 1.5


def test_what_a_later_run_had_is_no_longer_given_up(repos: Store, job: str) -> None:
    SourceRuns(repos.database).resolve(job, "product_images", ["https://i.example/1.jpg"])

    assert "given up" not in pvm("status", "--job", job).stdout


def test_phrases_are_kept_replaced_shown_and_forgotten(repos: Store) -> None:
    repos.industries.ensure(NAME)

    assert pvm("industries", "queries", NAME, "--lang", "en", "a pillow", "b  pillow").exit_code == 0
    assert pvm("industries", "queries", NAME, "--lang", "zh", "枕头").exit_code == 0
    shown = pvm("industries", "show", NAME).stdout
    assert "queries   en: a pillow, b pillow" in shown
    assert "          zh: 枕头" in shown

    pvm("industries", "queries", NAME, "--lang", "EN", "c pillow")
    assert repos.industries.get(NAME).queries == {"en": ["c pillow"], "zh": ["枕头"]}

    pvm("industries", "queries", NAME, "--lang", "zh", "--clear")
    assert repos.industries.get(NAME).queries == {"en": ["c pillow"]}

    pvm("industries", "queries", NAME, "--clear")
    assert repos.industries.get(NAME).queries == {}
    assert pvm("industries", "queries", NAME).stdout.split() == ["queries", "-"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a pillow"], "queries.language"),
        (["--lang", "en"], "queries.none"),
        (["--lang", "english", "a pillow"], "request.queries"),
        (["--lang", "en", "x" * 201], "request.queries"),
    ],
)
def test_phrases_that_are_none_are_refused(repos: Store, arguments: list[str], code: str) -> None:
    repos.industries.ensure(NAME)
    refused = pvm("industries", "queries", NAME, *arguments)

    assert refused.exit_code == 2
    assert code in refused.stderr
    assert repos.industries.get(NAME).queries == {}


def test_standing_sources_may_be_several(repos: Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("product_id,image\n1,a.jpg\n")
    catalogue = str(tmp_path / "a.csv")

    added = pvm("industries", "add", NAME, "--products", f"ebay,{catalogue}", "--videos", "youtube,bilibili")

    assert added.exit_code == 0, added.output
    assert repos.industries.get(NAME).sources == {
        "products": ["ebay", catalogue],
        "videos": ["youtube", "bilibili"],
    }
    assert f"products  ebay, {catalogue}" in pvm("industries", "show", NAME).stdout
    assert "youtube, bilibili" in pvm("industries", "list").stdout


def test_a_source_that_is_none_is_named_with_the_one_meant(repos: Store) -> None:
    repos.industries.ensure(NAME)
    refused = pvm("industries", "sources", NAME, "--products", "ebey")

    assert refused.exit_code == 2
    assert "did you mean ebay?" in refused.stderr


def test_what_this_machine_lacks_is_named_without_asking_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise AssertionError("a name was resolved")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    shown = pvm("sources")

    assert shown.exit_code == 0, shown.output
    assert "EBAY_CLIENT_ID and EBAY_CLIENT_SECRET are not set" in shown.stdout
    assert "AMAZON_CREDENTIAL_ID" in shown.stdout
    for name in ("ebay", "amazon", "file", "youtube", "bilibili", "folder", "links"):
        assert any(line.startswith(name) for line in shown.stdout.splitlines())


def test_a_shop_that_is_set_up_shows_todays_calls_and_its_terms(
    repos: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBAY_CLIENT_ID", "id")
    monkeypatch.setenv("EBAY_CLIENT_SECRET", "geheim")
    monkeypatch.setenv("EBAY_DAILY_CALLS", "100")
    monkeypatch.setenv("PVM_SOURCE_POLICIES", '{"ebay": {"max_age_h": 3}}')
    Quotas(repos.database).spend("ebay", "id@api.ebay.com", 100, 7)

    shown = pvm("sources")
    found = {one["source"]: one for one in json.loads(pvm("sources", "--json").stdout)["sources"]}

    assert "7 of 100" in shown.stdout
    assert "3 h" in shown.stdout
    assert "geheim" not in shown.output
    assert (found["ebay"]["state"], found["ebay"]["calls_today"], found["ebay"]["calls_a_day"]) == (
        "ok",
        7,
        100,
    )
    assert found["ebay"]["policy"]["max_age_h"] == 3
    assert found["amazon"]["policy"]["store_media"] is False
    assert found["file"]["policy"]["may_train"] is True


def test_cookies_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PVM_YTDLP_COOKIES", str(tmp_path / "gone.txt"))

    found = {one["source"]: one for one in json.loads(pvm("sources", "--json").stdout)["sources"]}

    assert found["bilibili"]["state"] == "not_configured"
    assert "gone.txt" in found["bilibili"]["reason"]


def test_sources_are_shown_where_there_is_no_database_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_DATABASE_URL", "")
    monkeypatch.setenv("EBAY_CLIENT_ID", "id")
    monkeypatch.setenv("EBAY_CLIENT_SECRET", "geheim")

    shown = pvm("sources")

    assert shown.exit_code == 0, shown.output
    assert "0 of 5,000" in shown.stdout
