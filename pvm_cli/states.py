"""The states of a job's sources and its dead letters, as commands show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pvm_cli.console import shorten
from pvm_cli.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from pvm_resources.store.source_runs import DeadLetter, SourceState

#: Colours of a source's states; red where none is named.
STATE_STYLES = {"ok": "green", "partial": "yellow"}


def state_line(state: SourceState) -> str:
    """One line, e.g. ``ebay: not configured: EBAY_CLIENT_ID is not set. Set it [source.not_configured]``."""
    said = f"{state.source}: {_words(state)}: {sentence(state.reason, state.remedy)}".rstrip(": ")
    return said if state.state == "ok" else f"{said} [source.{state.state}]"


def print_states(console: Console, states: Sequence[SourceState]) -> None:
    """A line for each source that is not ok or has something to say; nothing where all are well."""
    for state in states:
        if state.state != "ok" or state.reason:
            console.print(state_line(state), soft_wrap=True)


def states_table(console: Console, states: Sequence[SourceState]) -> None:
    """All sources of a job; nothing where it has called none yet."""
    if not states:
        return
    console.print()
    print_table(
        ("kind", "source", "state", "found", "reason, remedy"),
        ((s.kind, shorten(s.source, 80), _styled(s), s.found, sentence(s.reason, s.remedy)) for s in states),
        whole=("kind", "state"),
        numbers=("found",),
        console=console,
    )


def dead_letters_table(console: Console, dead_letters: Sequence[DeadLetter], job_id: str) -> None:
    """The items given up after all attempts; nothing where there are none."""
    if not dead_letters:
        return
    console.print(
        f"\n{len(dead_letters)} given up after retries; pvm retry {job_id} tries them again", style="yellow"
    )
    print_table(
        ("asset", "item", "tries", "last", "reason, remedy"),
        (
            (d.stage, shorten(d.item, 200), d.attempts, d.last_at, f"{shorten(d.message, 200)} [{d.code}]")
            for d in dead_letters
        ),
        whole=("asset", "last"),
        numbers=("tries",),
        console=console,
    )


def _words(state: SourceState) -> str:
    return state.state.replace("_", " ")


def _styled(state: SourceState) -> tuple[str, str]:
    return _words(state), STATE_STYLES.get(state.state, "red")


def sentence(reason: str, remedy: str) -> str:
    """Reason and remedy in one line; "" where there is neither."""
    return ". ".join(part.rstrip(".") for part in (reason, remedy) if part)
