"""Commands in hints work as typed; a mistyped industry is told and not stored."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pvm_cli.console import as_typed
from pvm_cli.main import app
from pvm_resources.store.assembly import Store

OWN = Path(sys.executable).with_name("pvm")


def _on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (*folders, "/usr/bin", "/bin"))))


def test_in_an_activated_shell_it_is_pvm(monkeypatch: pytest.MonkeyPatch) -> None:
    _on_path(monkeypatch, OWN.parent)
    assert as_typed("resume with pvm retry j1") == "resume with pvm retry j1"


def test_elsewhere_it_is_the_path_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    _on_path(monkeypatch)
    monkeypatch.chdir(OWN.parents[2])
    assert as_typed("pvm up; see `pvm status`") == ".venv/bin/pvm up; see `.venv/bin/pvm status`"
    monkeypatch.chdir("/usr/share")
    assert as_typed("pvm up") == f"{OWN} up"


def test_another_pvm_on_the_path_is_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pvm").write_text("#!/bin/sh\n")
    (tmp_path / "pvm").chmod(0o755)
    _on_path(monkeypatch, tmp_path)
    monkeypatch.chdir(OWN.parents[2])
    assert as_typed("pvm up") == ".venv/bin/pvm up"


@pytest.mark.parametrize("given", [["--home", "/a b"], ["--home=/a b"]])
def test_a_home_that_was_named_stays_named(monkeypatch: pytest.MonkeyPatch, given: list[str]) -> None:
    _on_path(monkeypatch, OWN.parent)
    monkeypatch.setattr(sys, "argv", ["pvm", *given, "run", "-i", "x"])
    assert as_typed("pvm up") == "pvm --home '/a b' up"


@pytest.mark.parametrize("text", ["PVM_HOME", "/opt/pvm up", "a pvm.txt", "pvm@/tmp", "pvm", "npvm up"])
def test_other_words_stay(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    _on_path(monkeypatch)
    assert as_typed(text) == text


def test_the_hint_of_a_real_command_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "PVM_HOME": str(tmp_path / "home")}
    given = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run([OWN, "results", "-i", "x"], check=False, **given)  # type: ignore[call-overload]
    command = re.search(r"or (\S+) run", done.stderr)
    assert command is not None, done.stderr
    again = subprocess.run([*shlex.split(command[1]), "--version"], check=True, **given)  # type: ignore[call-overload]
    assert again.stdout.startswith("pvm ")


@pytest.fixture
def kept(repos: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An industry, in the database that the commands use."""
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    repos.industries.ensure("gối công thái học")
    return repos


@pytest.mark.parametrize(
    "command",
    [
        ["results", "-i"], ["industries", "show"], ["industries", "queries"], ["industries", "rm"],
        ["industries", "sources", "--clear"], ["rules", "show", "-i"], ["rules", "set", "accept=0.9", "-i"],
        ["labels", "list", "-i"],
    ],
)  # fmt: skip
def test_a_command_that_reads_stores_no_mistyped_industry_and_offers_the_near_one(
    kept: Store, command: list[str]
) -> None:
    done = CliRunner().invoke(app, [*command, "goi cong thai hoc"])
    assert done.exit_code == 2
    assert 'Did you mean "gối công thái học"?' in done.stderr
    assert [industry.name for industry in kept.industries.list()] == ["gối công thái học"]


def test_an_industry_whose_sources_are_wrong_is_not_stored(kept: Store) -> None:
    done = CliRunner().invoke(app, ["industries", "add", "ghế", "--products", "/nowhere/x.csv"])
    assert done.exit_code == 2
    assert kept.industries.find("ghế") is None


def test_a_slug_is_its_industry_and_never_a_second_one(kept: Store) -> None:
    (industry,) = kept.industries.list()
    assert kept.industries.ensure(industry.slug) == industry
    assert kept.industries.draft("  " + industry.slug) == industry
    assert kept.industries.draft("ghế").name == "ghế"
    assert len(kept.industries.list()) == 1


def test_the_shell_completes_commands() -> None:
    environment = {**os.environ, "_PVM_COMPLETE": "complete_bash", "COMP_WORDS": "pvm re", "COMP_CWORD": "1"}
    done = subprocess.run([OWN], capture_output=True, text=True, check=False, env=environment)
    assert set(done.stdout.split()) >= {"results", "retry", "restore"}
