"""Rows as every listing command prints them: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pvm_cli.console import out
from pvm_core.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

#: A value, or a value and the style it is shown in.
Cell = object | tuple[object, str]

#: The option of commands that can print JSON.
AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]
_TIME: Final = "%Y-%m-%d %H:%M"
#: Cells of a column that is not wrapped are shown up to this width at least.
_KEPT_WIDTH: Final = 20
#: A column that is cut keeps at least this width.
_CUT_WIDTH: Final = 8


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    whole: Collection[str] = (),
    cut: Collection[str] = (),
    numbers: Collection[str] = (),
    title: str | None = None,
    console: Console | None = None,
) -> None:
    """Prints `rows` under the bold names of `columns`; text is never read as markup.

    Args:
        whole, cut, numbers: columns that stay on one line where the terminal is narrow; `cut` ones lose their
            end, `numbers` stand to the right. The others wrap.
        rows: values in the order of `columns`. Numbers get thousands separators, times are local to the
            minute, None is empty; a tuple is (value, style).
        console: default the console of results.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    styled = ((cell if isinstance(cell, tuple) else (cell, "") for cell in row) for row in rows)
    texts = [[Text(printable(cell_text(value)), style=style) for value, style in row] for row in styled]
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    kept = {*whole, *numbers}
    needs = {name: max([len(name), *(row[n].cell_len for row in texts)]) for n, name in enumerate(columns)}
    console = console or out()
    # Rich alone takes from all columns alike where the terminal is too narrow.
    room = console.width - sum(needs[name] for name in columns if name not in cut) - 3 * len(columns)
    widths = _shares({name: needs[name] for name in cut}, room)
    for name in columns:
        table.add_column(
            name,
            no_wrap=name in {*kept, *cut},
            min_width=min(needs[name], _KEPT_WIDTH) if name in kept else None,
            max_width=widths.get(name),
            overflow="ellipsis" if name in cut else "fold",
            justify="right" if name in numbers else "left",
        )
    for row in texts:
        table.add_row(*row)
    console.print(table)


def _shares(needs: Mapping[str, int], room: int) -> dict[str, int]:
    """Widths within `room`: what a column needs, or an equal share of what the smaller ones leave."""
    widths: dict[str, int] = {}
    for left, name in zip(range(len(needs), 0, -1), sorted(needs, key=needs.__getitem__), strict=True):
        widths[name] = max(min(needs[name], room // left), _CUT_WIDTH)
        room -= widths[name]
    return widths


def cell_text(value: object) -> str:
    """`value` as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime(_TIME)
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_json(value: object) -> None:
    """Prints `value` as indented JSON; times are ISO 8601, ids are text."""
    typer.echo(printable_json(json.dumps(value, ensure_ascii=False, indent=2, default=_plain)))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
