"""Rows of listing commands: what a table and JSON make of each kind of value."""

from __future__ import annotations

import io
import json
import uuid
from datetime import UTC, datetime

import pytest

from pvm_cli.console import console_on
from pvm_cli.tables import cell_text, print_json, print_table

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _printed(width: int, *rows: tuple[object, ...]) -> str:
    stream = io.StringIO()
    console = console_on(file=stream, width=width)
    print_table(
        ("id", "text", "count"), rows, whole=("id",), cut=("text",), numbers=("count",), console=console
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "yes"), (False, "no"), (12_345, "12,345"), (0.5, "0.5"), ("[bold]x", "[bold]x")],
)
def test_a_cell_shows_its_value(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_times_are_local_to_the_minute() -> None:
    assert cell_text(_AT) == _AT.astimezone().strftime("%Y-%m-%d %H:%M")


def test_text_is_never_markup_and_styles_are_not_text() -> None:
    printed = _printed(80, ("a", "[red]x[/red] [nope]", 1_000), ("b", ("styled", "bold"), None))
    assert "[red]x[/red] [nope]" in printed
    assert "styled" in printed
    assert "1,000" in printed


def test_an_id_stays_whole_where_the_terminal_is_narrow() -> None:
    printed = _printed(50, ("20260102030405-abcd", "a very long name that has no room " * 3, 7))
    assert "20260102030405-abcd" in printed
    assert "…" in printed


def test_no_rows_are_a_header_alone() -> None:
    assert _printed(80).split()[:3] == ["id", "text", "count"]


def test_json_writes_times_and_ids_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    one = uuid.uuid4()
    print_json({"at": _AT, "id": one, "name": "gối"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"at": _AT.isoformat(), "id": str(one), "name": "gối"}
    assert "gối" in printed
