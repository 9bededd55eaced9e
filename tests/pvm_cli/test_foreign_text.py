"""What others wrote, in every command that prints it: shown, never obeyed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_core.errors import Problem
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from tests.pvm_resources import world

JOB = "job-1"
#: Clears the screen, sets the title, links elsewhere, goes back on the line, turns text round; and Rich's
#: markup and emoji.
ATTACK = "\x1b[2J\x1b]0;owned\x07\x9b31m\x1b]8;;http://evil\x1b\\link\r\u202e\u2066[red]no[/red] [/] :bomb:"
_FOREIGN = st.text(
    st.one_of(
        st.sampled_from("\x1b\x07\x08\r\n\x7f\x85\x9b\u2028\u202e\u2066[]/;:0a"),
        st.characters(codec="utf-8", exclude_characters="\x00"),
    ),
    min_size=1,
    max_size=60,
)
#: Every column that holds what others wrote, and a command prints.
_COLUMNS = {
    "industries": ("name", "slug = 'goi-cong-thai-hoc'"),
    "products": ("title", "true"),
    "job_videos": ("given_name", "position = 0"),
    "problems": ("message", "true"),
    "source_states": ("reason", "true"),
    "dead_letters": ("item", "true"),
    "labels": ("who", "true"),
    "api_keys": ("name", "true"),
    "endpoints": ("name", "true"),
    "deliveries": ("last_error", "true"),
}
_COMMANDS = (
    ("status",), ("status", "--job", JOB), ("results", "--job", JOB), ("results", "--job", "[red]\x1b[31m"),
    ("industries", "list"), ("industries", "show", "goi-cong-thai-hoc"), ("labels", "list"),
    ("keys", "list"), ("endpoints", "list"), ("events", "list"),
    ("rules", "show", "-i", "\x1b]0;owned\x07[/nope]"), ("retry", "\x9b2J"),
)  # fmt: skip
_DATA = (
    ("status", "--json"), ("results", "--job", JOB, "--format", "json"),
    ("results", "--job", JOB, "--format", "jsonl"), ("labels", "list", "--format", "json"),
)  # fmt: skip


def _unfit(text: str) -> list[str]:
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return [
        one
        for one in text
        if one not in "\n\t"
        and (unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(one) in bidi)
    ]


@pytest.fixture
def filled(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database with a row wherever a command looks; the commands use it."""
    for name, value in (("PVM_HOME", str(tmp_path)), ("PVM_DATABASE_URL", database_url), ("COLUMNS", "120")):
        monkeypatch.setenv(name, value)
    database = Database(database_url)
    repos = Store.over(database)
    made = world.make(repos, job_id=JOB)
    world.write(repos, made)
    repos.keys.create("n8n", ["run"])
    repos.endpoints.add("https://example.org/hook", secret="whsec_" + "A" * 32, events=["*"], name="hook")
    database.commit(outbox_write([Event(JOB, "job.completed")]))
    repos.deliveries.fan_out()
    from pvm_jobs.source_policy import parse_policies

    repos.labels(parse_policies("")).give(world.matches(made)[0].match_id, "accept", "Lan")
    repos.state.write_problems(JOB, [Problem("videos", "x.mp4", "video.empty", "It is empty")])
    yield database
    database.close()


def _write(database: Database, text: str) -> None:
    with database.transaction() as cursor:
        for table, (column, where) in _COLUMNS.items():
            cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {where}", [text])


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(ATTACK)
@given(_FOREIGN)
def test_no_command_prints_what_would_command_a_terminal(filled: Database, text: str) -> None:
    _write(filled, text)
    for command in (*_COMMANDS, *_DATA):
        done = CliRunner().invoke(app, list(command))
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
        assert not _unfit(done.stdout + done.stderr), command
    kept = json.loads(CliRunner().invoke(app, ["labels", "list", "--format", "json"]).stdout)
    assert kept[0]["who"] == text


def test_markup_and_emoji_codes_are_text(filled: Database) -> None:
    _write(filled, "[red]x[/red] [/] :bomb:")
    shown = CliRunner().invoke(app, ["industries", "list"]).stdout
    assert "[red]x[/red] [/] :bomb:" in shown


def _on_a_terminal(*command: str) -> str:
    """What a terminal of 120 columns gets."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "pvm_cli.main", *command], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        got = b""
        # Linux ends a terminal whose other side is closed with an error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65_536):
                got += part
        os.close(ours)
        assert process.wait(60) == 0, got
    return got.decode()


@pytest.mark.parametrize("command", [("results", "--job", JOB), ("results", "--job", JOB, "--format", "csv")])
def test_on_a_terminal_only_our_own_colours_are_commands(filled: Database, command: tuple[str, ...]) -> None:
    _write(filled, ATTACK)
    got = _on_a_terminal(*command)
    assert "owned" in got
    # Colours, and what the terminal makes of a line feed.
    assert not _unfit(re.sub(r"\x1b\[[0-9;]*m", "", got).replace("\r\n", "\n"))


def test_a_crash_and_its_traceback_command_nothing() -> None:
    code = (
        "from pvm_cli import main\n"
        "def fail(): raise ValueError('\\x1b]0;owned\\x07')\n"
        "main.get_command = lambda app: fail\n"
        "main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "owned" in done.stderr
    assert not _unfit(done.stderr)
