"""Signal handlers at the start of a process."""

from __future__ import annotations

import signal
import threading


def restore_handlers() -> None:
    """Gives SIGINT and SIGTERM their default handlers where the process inherited that they are ignored.

    A shell starts a script's background command with SIGINT ignored. Dagster copies SIGINT's handler onto
    SIGTERM, and what is ignored stays so in every child: a process tree that only SIGKILL ends. Each entry
    point calls this before Dagster runs. Does nothing outside the main thread, which alone may set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
