"""What `pvm` writes and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

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
    """True where the setting PVM_LOG_FORMAT asks for JSON: notes and errors are then one object a line."""
    return os.environ.get("PVM_LOG_FORMAT", "").lower() == "json"


def note(text: str, **fields: object) -> None:
    """One line to stderr, e.g. ``database started``; `fields` accompany it where logs are JSON."""
    if logs_are_json():
        _log().info(text, extra=fields)
    else:
        err().print(text, markup=False, soft_wrap=True)


def show_error(error: PvmError) -> None:
    """The error on stderr: a panel on a terminal, one line elsewhere, one JSON object where logs are JSON."""
    if logs_are_json():
        _log().error(error.reason, exc_info=error)
        return
    console = err()
    if not console.is_terminal:
        console.print(f"error: {_shorten(str(error), 2_000)}", markup=False, soft_wrap=True)
        return
    from rich.panel import Panel
    from rich.text import Text

    body = Text.assemble(
        (_shorten(error.subject, 400), "bold"), "\n", error.reason, ".\n", (f"→ {error.remedy}", "green")
    )
    title = "try again later" if error.retryable else "error"
    console.print(Panel(body, title=title, subtitle=error.code, border_style="red", title_align="left"))


def _log() -> logging.Logger:
    from pvm_resources import logs

    logs.setup("json")
    return logging.getLogger("pvm.cli")


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
