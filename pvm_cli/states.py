"""How a job's sources fared and what was given up, as commands show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pvm_cli.lines import shorten

if TYPE_CHECKING:
    from rich.console import Console

    from pvm_resources.store.source_runs import DeadLetter, SourceState

_STYLES = {"ok": "green", "partial": "yellow"}


def state_line(state: SourceState) -> str:
    """One line, e.g. ``ebay: not configured: EBAY_CLIENT_ID is not set. Set it [source.not_configured]``."""
    said = f"{state.source}: {_words(state)}: {_sentence(state)}".rstrip(": ")
    return said if state.state == "ok" else f"{said} [source.{state.state}]"


def print_states(console: Console, states: Sequence[SourceState]) -> None:
    """A line for each source that is not ok or has something to say; nothing where all are well."""
    for state in states:
        if state.state != "ok" or state.reason:
            console.print(state_line(state), markup=False, soft_wrap=True)


def states_table(console: Console, states: Sequence[SourceState]) -> None:
    """All sources of a job; nothing where it has asked none yet."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if not states:
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("kind", "source", "state"):
        table.add_column(name, no_wrap=name != "source", overflow="fold")
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("why, and what to do", overflow="fold")
    for state in states:
        style = _STYLES.get(state.state, "red")
        cells = (state.kind, shorten(state.source, 80), Text(_words(state), style=style), f"{state.found:,}")
        table.add_row(*cells[:1], Text(str(cells[1])), *cells[2:], Text(_sentence(state)))
    console.print()
    console.print(table)


def letters_table(console: Console, letters: Sequence[DeadLetter], job_id: str) -> None:
    """What was given up after all tries; nothing where nothing was."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    if not letters:
        return
    console.print(
        f"\n{len(letters)} given up after retries; pvm retry {job_id} tries them again", style="yellow"
    )
    table = Table(header_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("asset", no_wrap=True)
    table.add_column("item", overflow="fold")
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    table.add_column("why, and what to do", overflow="fold")
    for letter in letters:
        last = letter.last_at.astimezone().strftime("%m-%d %H:%M") if letter.last_at else ""
        why = f"{shorten(letter.message, 200)} [{letter.code}]"
        table.add_row(letter.stage, Text(shorten(letter.item, 200)), f"{letter.attempts}", last, Text(why))
    console.print(table)


def _words(state: SourceState) -> str:
    return state.state.replace("_", " ")


def _sentence(state: SourceState) -> str:
    return ". ".join(part.rstrip(".") for part in (state.reason, state.remedy) if part)
