"""Problems of a job, grouped."""

from __future__ import annotations

import io

from pvm_cli.console import console_on
from pvm_cli.problems import grouped, print_problems
from pvm_core.errors import Problem


def _shown(problems: list[Problem], *, full: bool = False) -> str:
    console = console_on(file=io.StringIO(), width=100)
    print_problems(console, problems, full=full)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_thousand_broken_files_are_one_line_with_examples() -> None:
    problems = [Problem("videos", f"clip{n}", "video.empty", "the file is empty") for n in range(1_000)]
    shown = _shown([*problems, Problem("masks", "f1", "mask.timeout", "too slow")])

    assert "1001 problems" in shown
    assert "1000x videos: the file is empty [video.empty]" in shown
    assert "and 997 more" in shown
    assert len(shown.splitlines()) < 12


def test_items_whose_message_differs_say_it() -> None:
    problems = [
        Problem("videos", "a", "video.type", "it is a JPEG"),
        Problem("videos", "b", "video.type", "it is text"),
    ]

    assert "      a\n      b: it is text" in _shown(problems)


def test_in_full_every_item_is_named() -> None:
    problems = [Problem("videos", f"clip{n}", "video.empty", "the file is empty") for n in range(40)]

    assert all(f"clip{n}" in _shown(problems, full=True) for n in range(40))


def test_groups_come_largest_first() -> None:
    one, two = Problem("a", "x", "c", "m"), Problem("b", "x", "c", "m")

    assert [g.stage for g in grouped([one, two, two])] == ["b", "a"]


def test_no_problem_prints_nothing() -> None:
    assert _shown([]) == ""
