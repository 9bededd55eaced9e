"""Problems of a job, grouped so that a thousand broken files are one line with examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvm_cli.lines import shorten
from pvm_core.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = 3
_GROUPS = 12


@dataclass(frozen=True)
class Group:
    """Problems of one stage with one code; `items` in the order they were met."""

    stage: str
    code: str
    message: str
    items: tuple[str, ...]


def grouped(problems: Iterable[Problem]) -> list[Group]:
    """Groups by stage and code, largest first; a group's message is that of its first problem."""
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.stage, problem.code), []).append(problem)
    groups = [
        Group(stage, code, members[0].message, tuple(p.item for p in members))
        for (stage, code), members in found.items()
    ]
    return sorted(groups, key=lambda g: -len(g.items))


def print_problems(console: Console, problems: Sequence[Problem], *, full: bool = False) -> None:
    """Prints the groups; with `full` every item of each.

    Does nothing where there is no problem.
    """
    groups = grouped(problems)
    if not groups:
        return
    console.print(f"\n{len(problems)} problems; the rest of the job went on", style="yellow")
    shown = groups if full else groups[:_GROUPS]
    for group in shown:
        console.print(
            f"  {len(group.items)}x {group.stage}: {shorten(group.message, 200)} [{group.code}]",
            markup=False,
            soft_wrap=True,
        )
        limit = len(group.items) if full else _EXAMPLES
        for item in group.items[:limit]:
            console.print(f"      {shorten(item, 120)}", markup=False, soft_wrap=True, style="dim")
        if len(group.items) > limit:
            console.print(f"      and {len(group.items) - limit} more", style="dim")
    if len(groups) > len(shown):
        console.print(f"  and {len(groups) - len(shown)} more kinds; pvm status --job JOB lists all")
