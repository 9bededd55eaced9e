"""The command starts fast: what it does not need it does not import."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = ("dagster", "cv2", "torch", "pandas", "av", "numpy", "alembic", "sqlalchemy")
_PROBE = """
import sys
from pvm_cli.main import app
try:
    app(sys.argv[1:])
except SystemExit:
    pass
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (["--help"], (*_HEAVY, "psycopg", "pydantic")),
        (["run", "--help"], (*_HEAVY, "psycopg")),
        (["status"], _HEAVY),
        (["results", "--industry", "x"], _HEAVY),
        (["rules", "sets"], _HEAVY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(
    arguments: list[str], spared: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments], capture_output=True, text=True, check=False, timeout=60
    )

    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert imported, done.stderr
    assert not imported & set(spared)


def test_help_answers_in_a_moment() -> None:
    # Processor time, not the clock: the suite shares its cores. The best of four.
    assert min(_processor_seconds("--help") for _ in range(4)) < 0.6


def _processor_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "pvm_cli.main", *arguments], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
