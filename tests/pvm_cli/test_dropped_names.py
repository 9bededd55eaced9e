"""Events that were dropped for good stay out of the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_no_file_of_the_project_names_a_dropped_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import dropped_names

    assert dropped_names.occurrences() == []


def test_a_file_that_names_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    import dropped_names

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "old.py").write_text(f'EVENT = "{".".join(("features", "ready"))}"\n')

    assert len(dropped_names.occurrences(tmp_path)) == 1


def test_the_tool_runs_as_lint_runs_it() -> None:
    done = subprocess.run([sys.executable, str(TOOLS / "dropped_names.py")], check=False)
    assert done.returncode == 0
