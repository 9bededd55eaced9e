"""The command group that turns errors into one clear message and an exit code that means something."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from pvm_cli.console import note, show_error
from pvm_cli.exits import Exit, code_of
from pvm_core.errors import PvmError


class PvmGroup(TyperGroup):
    """Shows a `PvmError` as thing, reason, remedy and code; with PVM_DEBUG set its traceback instead."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; raises `typer.Exit` with the code of the error that stopped it."""
        try:
            return super().invoke(ctx)
        except PvmError as error:
            if os.environ.get("PVM_DEBUG"):
                raise
            show_error(error)
            raise typer.Exit(code_of(error).value) from error
        except KeyboardInterrupt as error:
            note("cancelled")
            raise typer.Exit(Exit.CANCELLED.value) from error


def command_group(help_text: str, **options: Any) -> typer.Typer:
    """A group of commands with that help; without a command it prints the help, unless `options` (of
    `typer.Typer`) say otherwise."""
    return typer.Typer(
        **{"cls": PvmGroup, "no_args_is_help": True, "rich_markup_mode": "rich", "help": help_text, **options}
    )
