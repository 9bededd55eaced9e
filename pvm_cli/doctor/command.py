"""The command itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from typing import Final

import typer

from pvm_cli.console import as_typed, out
from pvm_cli.doctor.finding import Finding, State
from pvm_cli.exits import Exit
from pvm_cli.tables import AsJson, print_json

_MARKS: Final[dict[State, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "note": ("-", "dim"),
    "warning": ("!", "yellow"),
    "failed": ("FAILED", "red"),
}


def doctor(as_json: AsJson = False) -> None:
    """Shows what is installed, missing or mis-set here, each fault with its remedy.

    Makes no network calls and changes nothing. Holds no secret: paste it into a bug report.
    Exit code 1 where something has failed.
    """
    found = list(examine())
    if as_json:
        states = [one.state for one in found]
        counts = {state: states.count(state) for state in _MARKS}
        print_json(
            {"healthy": not counts["failed"], "counts": counts, "findings": [asdict(one) for one in found]}
        )
    else:
        _print(found)
    if any(one.state == "failed" for one in found):
        raise typer.Exit(Exit.FAILED.value)


def examine() -> Iterator[Finding]:
    """Everything that is looked at, section by section. A check that cannot be made is a finding itself."""
    from pvm_cli.doctor import configuration, databases, machine, parts, places
    from pvm_resources.settings import readable_settings

    settings, invalid = readable_settings()
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "machine": lambda: chain(machine.machine(), machine.accounts(settings)),
        "packages": machine.packages,
        "settings": lambda: configuration.configuration(settings, invalid),
        "home": lambda: places.home(settings),
        "database": lambda: databases.databases(settings),
        "services": lambda: parts.services(settings),
        "programs": parts.programs,
        "models": lambda: parts.models(settings),
        "sources": lambda: parts.sources(settings),
    }
    for section, check in checks.items():
        yield from _made(section, check)


def _made(section: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    from pvm_core.errors import PvmError

    try:
        yield from check()
    except PvmError as error:
        yield Finding(section, error.subject, error.reason, "failed", error.remedy)
    except OSError as error:
        place = error.filename or section
        remedy = "Check that this account may read it"
        yield Finding(section, str(place), error.strerror or str(error), "failed", remedy)


def _print(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pvm_core.printable import printable

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    section = ""
    for one in found:
        if one.section != section:
            section = one.section
            table.add_row("", Text(section, style="bold"), "")
        mark, style = _MARKS[one.state]
        value = Text(printable(one.value))
        if one.remedy:
            value.append(f"\n→ {printable(as_typed(one.remedy))}", style=style)
        table.add_row(Text(mark, style=style), f"  {printable(one.name)}", value)
    out().print(table)
    states = [one.state for one in found]
    out().print(
        f"\n{states.count('failed')} failed, {states.count('warning')} to look at, "
        f"{states.count('note')} optional and missing, {states.count('ok')} ok"
    )
