"""`pvm calibrate`: from verdicts to a calibration in force and back, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pvm_cli.main import app
from pvm_resources.store.assembly import Store
from tests.pvm_evaluation.judged import CLASSIC, INDUSTRY, clear_cut, contrary, judge, write_job

SLUG = "goi-cong-thai-hoc"
Pvm = Callable[..., Result]


@pytest.fixture
def pvm(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pvm:
    """The command line over this test's database."""
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *words: CliRunner().invoke(app, ["calibrate", "-i", INDUSTRY, *words])


def _in_force(repos: Store) -> str | None:
    found = repos.calibrations.in_force(SLUG, "classic")
    return found.calibration.name if found else None


def test_what_fares_better_is_put_in_force_and_the_way_back_is_told(pvm: Pvm, repos: Store) -> None:
    pairs = clear_cut(36, products=9)
    judge(repos, write_job(repos, pairs), pairs)
    name = f"{CLASSIC.name}+{SLUG}.1"
    tried = pvm("--dry-run")
    assert tried.exit_code == 0, tried.output
    assert f"in force: {CLASSIC.name}" in tried.output
    assert f"fit: {name}" in tried.output
    assert _in_force(repos) is None
    done = pvm()
    assert done.exit_code == 0, done.output
    assert "36 verdicts (18 right, 18 wrong) of 9 products" in done.output
    assert f"in force: {name}, for every job of {INDUSTRY} from now on" in done.output
    assert f'pvm calibrate -i "{INDUSTRY}" --revert' in done.output
    assert _in_force(repos) == name
    again = pvm()
    assert (again.exit_code, _in_force(repos)) == (0, name)
    assert "nothing to do" in again.output
    listed = pvm("--history")
    assert name in listed.output
    assert [one["in_force"] for one in json.loads(pvm("--history", "--json").stdout)] == [True]
    back = pvm("--revert")
    assert back.exit_code == 0, back.output
    assert f"in force for {INDUSTRY}: {CLASSIC.name}" in back.output
    assert _in_force(repos) is None
    none = pvm("--revert")
    assert (none.exit_code, "[calibration.none]" in none.output) == (2, True)


def test_what_fares_worse_is_refused_with_its_reasons_unless_forced(pvm: Pvm, repos: Store) -> None:
    pairs = contrary()
    judge(repos, write_job(repos, pairs), pairs)
    refused = pvm()
    assert refused.exit_code == 1, refused.output
    assert "[calibration.worse]" in refused.output
    assert "its log loss on verdicts it has not seen is greater" in refused.output.replace("\n", " ")
    assert _in_force(repos) is None
    figures = json.loads(pvm("--dry-run", "--json").stdout)
    assert figures["fitted"]["log_loss"] > figures["current"]["log_loss"]
    assert "log_loss" in figures["doubts"]
    forced = pvm("--force")
    assert forced.exit_code == 0, forced.output
    assert _in_force(repos) == f"{CLASSIC.name}+{SLUG}.1"


def test_too_few_verdicts_are_told_and_used_where_one_insists(pvm: Pvm, repos: Store) -> None:
    pairs = clear_cut(6, products=3)
    judge(repos, write_job(repos, pairs), pairs)
    refused = pvm()
    assert (refused.exit_code, "fewer than 12 verdicts" in refused.output) == (1, True)
    assert pvm("--force").exit_code == 0


def test_a_dozen_verdicts_are_enough(pvm: Pvm, repos: Store) -> None:
    pairs = clear_cut(12, products=6)
    judge(repos, write_job(repos, pairs), pairs)
    done = pvm()
    assert done.exit_code == 0, done.output
    assert _in_force(repos) == f"{CLASSIC.name}+{SLUG}.1"


def test_options_that_exclude_each_other_and_industries_without_verdicts(pvm: Pvm, repos: Store) -> None:
    assert "[calibration.options]" in pvm("--revert", "--force").output
    assert "[industry.unknown]" in pvm().output
    write_job(repos, clear_cut(2, products=2))
    found = pvm()
    assert (found.exit_code, "[calibration.labels]" in found.output) == (2, True)
