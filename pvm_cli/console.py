"""What `pvm` writes and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO, cast

from pvm_core.errors import PvmError

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """The console of results (stdout)."""
    from rich.console import Console

    return Console(highlight=False)


def err() -> Console:
    """The console of progress, notes and errors (stderr)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def logs_are_json() -> bool:
    """True where the setting PVM_LOG_FORMAT is JSON: notes and errors are then one object a line."""
    return os.environ.get("PVM_LOG_FORMAT", "").lower() == "json"


@contextmanager
def own_stderr() -> Iterator[Console]:
    """A console on this process's stderr that stays there while Dagster captures what the process writes."""
    from rich.console import Console

    try:
        handle = os.dup(sys.stderr.fileno())
    except OSError:
        # Not a file of the system, as in tests.
        yield err()
        return
    with os.fdopen(handle, "w", encoding="utf-8", buffering=1) as stream:
        yield Console(file=stream, highlight=False)


def note(text: str, to: Console | None = None, **fields: object) -> None:
    """One line, e.g. ``database started``; `fields` accompany it where logs are JSON.

    Args:
        to: default the console on stderr.
    """
    console = to or err()
    if logs_are_json():
        _log(console.file).info(text, extra=fields)
    else:
        console.print(text, markup=False, soft_wrap=True)


def show_error(error: PvmError) -> None:
    """The error on stderr: a panel on a terminal, one line elsewhere, one JSON object where logs are JSON."""
    if logs_are_json():
        _log(err().file).error(error.reason, exc_info=error)
        return
    console = err()
    if not console.is_terminal:
        console.print(f"error: {shorten(str(error), 2_000)}", markup=False, soft_wrap=True)
        return
    from rich.panel import Panel
    from rich.text import Text

    body = Text.assemble(
        (shorten(error.subject, 400), "bold"), "\n", error.reason, ".\n", (f"→ {error.remedy}", "green")
    )
    title = "try again later" if error.retryable else "error"
    console.print(Panel(body, title=title, subtitle=error.code, border_style="red", title_align="left"))


def _log(stream: IO[str]) -> logging.Logger:
    from pvm_resources import logs

    logs.setup("json", stream=cast("TextIO", stream))
    return logging.getLogger("pvm.cli")


def shorten(text: str, width: int) -> str:
    """At most `width` characters on one line, the end marked where something is left out."""
    line = flat(text)
    return line if len(line) <= width else f"{line[: width - 1]}…"


def flat(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
