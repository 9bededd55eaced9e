"""Problems of a job, grouped so that a thousand broken files are one line with examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvm_cli.console import shorten
from pvm_core.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = 3
_GROUPS = 12


@dataclass(frozen=True)
class Group:
    """Problems of one stage with one code, in the order they were met; `message` is that of the first."""

    stage: str
    code: str
    members: tuple[Problem, ...]

    @property
    def message(self) -> str:
        """What is wrong with the first."""
        return self.members[0].message


def grouped(problems: Iterable[Problem]) -> list[Group]:
    """Groups by stage and code, largest first."""
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.stage, problem.code), []).append(problem)
    groups = [Group(stage, code, tuple(members)) for (stage, code), members in found.items()]
    return sorted(groups, key=lambda group: -len(group.members))


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
        count = f"{len(group.members)}x {group.stage}: {shorten(group.message, 200)} [{group.code}]"
        console.print(f"  {count}", soft_wrap=True)
        limit = len(group.members) if full else _EXAMPLES
        for problem in group.members[:limit]:
            console.print(f"      {_item(problem, group)}", soft_wrap=True, style="dim")
        if len(group.members) > limit:
            console.print(f"      and {len(group.members) - limit} more", style="dim")
    if len(groups) > len(shown):
        console.print(f"  and {len(groups) - len(shown)} more kinds; pvm status --job JOB lists all")


def _item(problem: Problem, group: Group) -> str:
    item = shorten(problem.item, 120)
    return item if problem.message == group.message else f"{item}: {shorten(problem.message, 200)}"
