"""What `pvm` writes and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from pvm_core.errors import PvmError
from pvm_core.printable import printable
from pvm_core.wording import shortened

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderHook
    from rich.segment import Segment

#: A command of ours in a message.
_COMMAND = re.compile(r"(?<![\w/.@-])pvm(?= [a-z-])")


def out() -> Console:
    """The console of results (stdout)."""
    return console_on()


def err() -> Console:
    """The console of progress, notes and errors (stderr)."""
    return console_on(stderr=True)


def console_on(**where: Any) -> Console:
    """A console, made as Rich makes one, that reads no markup and lets no command in foreign text pass."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, **where)
    console.push_render_hook(cast("RenderHook", _Cleaned))
    return console


class _Cleaned:
    """Prints what it wraps, cleaned; Rich's own commands for cursor and colour are no text and stay."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    @classmethod
    def process_renderables(cls, renderables: list[RenderableType]) -> list[RenderableType]:
        """The hook that Rich calls with what is about to be printed."""
        return [cls(one) for one in renderables]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for part in console.render(self._inner, options):
            yield part if part.control else part._replace(text=printable(part.text))


def data_stream() -> TextIO:
    """Where CSV and JSON go: standard output as it is, so that programs get every character; a terminal
    gets text that cannot command it."""
    return cast("TextIO", _TerminalText(sys.stdout)) if sys.stdout.isatty() else sys.stdout


class _TerminalText:
    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        return self._terminal.write(printable(text))


def logs_are_json() -> bool:
    """True where the setting PVM_LOG_FORMAT is JSON: notes and errors are then one object a line."""
    return os.environ.get("PVM_LOG_FORMAT", "").lower() == "json"


@contextmanager
def own_stderr() -> Iterator[Console]:
    """A console on this process's stderr that stays there while Dagster captures what the process writes."""
    try:
        handle = os.dup(sys.stderr.fileno())
    except OSError:
        # Not a file of the system, as in tests.
        yield err()
        return
    with os.fdopen(handle, "w", encoding="utf-8", buffering=1) as stream:
        yield console_on(file=stream)


def as_typed(text: str) -> str:
    """`text` with each command ``pvm …`` in it as this shell runs it: by its path where no `pvm`, or another
    one, is on PATH, and with the home where the command line named one."""
    return _COMMAND.sub(lambda _: _own_command(), text)


def _own_command() -> str:
    own = Path(sys.executable).with_name("pvm")
    found = shutil.which("pvm")
    command = "pvm"
    if own.is_file() and (found is None or not Path(found).samefile(own)):
        near = os.path.relpath(own)
        command = shlex.quote(str(own) if near.startswith("..") else near)
    return f"{command}{_home_given(sys.argv[1:])}"


def _home_given(arguments: Sequence[str]) -> str:
    """The option --home as the command line has it, with a blank before it; "" where it has none."""
    for option, value in pairwise([*arguments, ""]):
        name, equals, joined = option.partition("=")
        if name == "--home":
            return f" --home {shlex.quote(joined if equals else value)}"
        if not option.startswith("-"):
            break
    return ""


def note(text: str, to: Console | None = None, **fields: object) -> None:
    """One line, e.g. ``database started``; `fields` accompany it where logs are JSON.

    Args:
        to: default the console on stderr.
    """
    console = to or err()
    if logs_are_json():
        _log(console.file).info(text, extra=fields)
    else:
        console.print(as_typed(text), soft_wrap=True)


def show_error(error: PvmError) -> None:
    """The error on stderr: a panel on a terminal, one line elsewhere, one JSON object where logs are JSON."""
    if logs_are_json():
        _log(err().file).error(error.reason, exc_info=error)
        return
    console = err()
    if not console.is_terminal:
        console.print(f"error: {shorten(as_typed(str(error)), 2_000)}", soft_wrap=True)
        return
    from rich.panel import Panel
    from rich.text import Text

    reason, remedy = printable(error.reason), printable(as_typed(error.remedy))
    body = Text.assemble((shorten(error.subject, 400), "bold"), "\n", reason, ".\n", (f"→ {remedy}", "green"))
    title = "try again later" if error.retryable else "error"
    console.print(Panel(body, title=title, subtitle=error.code, border_style="red", title_align="left"))


def _log(stream: IO[str]) -> logging.Logger:
    from pvm_resources import logs

    logs.setup("json", stream=cast("TextIO", stream))
    return logging.getLogger("pvm.cli")


def shorten(text: str, width: int) -> str:
    """At most `width` characters on one line, the end marked where something is left out."""
    return shortened(flat(text), width)


def flat(text: str) -> str:
    """The text on one line, `printable`."""
    return " ".join(printable(text).split())
