"""Exit codes of `pvm`: the one place that says what each means."""

from __future__ import annotations

from typing import Final

from pvm_core.error_codes import Exit
from pvm_core.errors import PvmError

__all__ = ("MEANINGS", "Exit", "code_of", "help_text")

MEANINGS: Final[dict[Exit, str]] = {
    Exit.OK: "done; single items may have had problems, which are listed",
    Exit.FAILED: "the command or the job failed",
    Exit.USAGE: "an option or an input file cannot be used as given",
    Exit.NOTHING: "the job ended, but no picture or no video of it was usable",
    Exit.UNAVAILABLE: "a database, file or service was out of reach: the same command may work later",
    Exit.CANCELLED: "cancelled with Ctrl-C; pvm retry resumes",
}


def help_text() -> str:
    """The exit codes as the epilogue of ``--help`` shows them."""
    return "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."


def code_of(error: PvmError) -> Exit:
    """The exit code a command ends with when `error` stops it.

    NOTHING speaks of a job that ended: where none was started, the input is what cannot be used.
    """
    return Exit.USAGE if error.exit_code is Exit.NOTHING else error.exit_code
