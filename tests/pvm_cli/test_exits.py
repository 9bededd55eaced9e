"""Exit codes and the one message an error becomes."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from pvm_cli.exits import MEANINGS, Exit, code_of, help_text
from pvm_cli.group import PvmGroup
from pvm_core.errors import InputError, PvmError, StoreError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("catalogue.columns", "x.csv", "no column image", "add it"), Exit.USAGE),
        (
            StoreError("database.unreachable", "database", "down", "start it", retryable=True),
            Exit.UNAVAILABLE,
        ),
        (StoreError("server.start", "data", "no", "see the log"), Exit.FAILED),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: PvmError, code: Exit) -> None:
    assert code_of(error) is code


def test_every_exit_code_is_explained() -> None:
    assert set(MEANINGS) == set(Exit)
    assert all(str(code.value) in help_text() for code in Exit)


def _app(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=PvmGroup)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        pass

    return app


def test_an_error_is_one_line_with_thing_reason_remedy_and_code() -> None:
    result = CliRunner().invoke(
        _app(InputError("catalogue.rows", "a.csv", "it has no rows", "add one")), ["fail"]
    )

    assert result.exit_code == Exit.USAGE
    assert result.stderr.strip() == "error: a.csv: it has no rows. add one [catalogue.rows]"
    assert "Traceback" not in result.output


def test_json_logs_make_the_error_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_LOG_FORMAT", "json")
    result = CliRunner().invoke(_app(StoreError("a.b", "t", "r", "m", retryable=True)), ["fail"])

    assert result.exit_code == Exit.UNAVAILABLE
    record = json.loads(result.stderr)
    assert (record["level"], record["error"]["code"], record["error"]["retryable"]) == ("error", "a.b", True)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_DEBUG", "1")
    result = CliRunner().invoke(_app(StoreError("a.b", "t", "r", "m")), ["fail"])

    assert isinstance(result.exception, StoreError)


def test_ctrl_c_is_130() -> None:
    assert CliRunner().invoke(_app(KeyboardInterrupt()), ["fail"]).exit_code == Exit.CANCELLED


def test_an_endless_subject_is_cut() -> None:
    result = CliRunner().invoke(_app(InputError("a.b", "x" * 10_000, "r", "m")), ["fail"])

    assert len(result.stderr) < 2_100
