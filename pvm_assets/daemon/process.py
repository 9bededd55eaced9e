"""The daemon as a process: ``python -m pvm_assets.daemon.process -w WORKSPACE``.

What ``dagster-daemon run`` does (`dagster._daemon.cli`, Dagster 1.13), with loops that rest while nothing
happens. Started by Dagster's own command instead, everything works as well, and costs more.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dagster import DagsterInstance
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DagsterDaemon, SchedulerDaemon
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from pvm_assets.daemon.attention import Attention, PacedEvent
from pvm_assets.daemon.listening import RUN_EVENTS, Channel, Listener
from pvm_resources import logs
from pvm_resources.dagster_logs import form_lines
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.private import keep_private
from pvm_resources.settings import Settings, load_settings
from pvm_resources.signals import restore_handlers
from pvm_resources.store.inbox import CHANNEL

if TYPE_CHECKING:
    from threading import Event

#: The default of ``dagster-daemon``: seconds without a heartbeat after which a loop counts as hanging.
_TOLERANCE_S: Final = 1800


class PacedDaemon(DagsterDaemon[Any]):
    """One of Dagster's daemons whose loop waits in `Attention`."""

    def __init__(self, inner: DagsterDaemon[Any], attention: Attention) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._attention = attention

    def daemon_type(self) -> str:  # type: ignore[override]
        """Whose heartbeats these are."""
        return self._inner.daemon_type()

    def core_loop(self, workspace_process_context: Any, shutdown_event: Event) -> Any:
        """The loop of the daemon itself."""
        return self._inner.core_loop(workspace_process_context, PacedEvent(shutdown_event, self._attention))

    def __exit__(self, *raised: Any) -> None:
        self._inner.__exit__(*raised)  # type: ignore[no-untyped-call]


def paced(instance: DagsterInstance, attention: Attention) -> list[DagsterDaemon[Any]]:
    """The daemons that the instance needs; that of schedules, whose time comes unannounced, as it is."""
    return [
        daemon if isinstance(daemon, SchedulerDaemon) else PacedDaemon(daemon, attention)
        for daemon in create_daemons_from_instance(instance)
    ]


@contextmanager
def heard(settings: Settings, attention: Attention) -> Iterator[None]:
    """News of both databases reach `attention` within the block."""
    channels = (
        Channel(database_dsn(settings), CHANNEL, urgent=True),
        Channel(dagster_url(settings), RUN_EVENTS, urgent=False),
    )
    listeners = [Listener(channel, attention) for channel in channels]
    for listener in listeners:
        listener.start()
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        # A loop that rests would be waited for.
        attention.close()


def run(settings: Settings, workspaces: Sequence[str]) -> None:
    """Runs until SIGINT or SIGTERM. The platform must be up, and its environment exported (`bootstrap`).

    Args:
        workspaces: paths of workspace files.

    Raises:
        StoreError: the embedded server was never started.
    """
    setup_interrupt_handlers()
    attention = Attention(channels=2)
    with (
        capture_interrupts(),
        DagsterInstance.get() as instance,
        daemon_controller_from_instance(
            instance,
            WorkspaceFileTarget(paths=list(workspaces)),
            heartbeat_tolerance_seconds=_TOLERANCE_S,
            gen_daemons=lambda found: paced(found, attention),
        ) as controller,
        heard(settings, attention),
    ):
        form_lines(settings.log_format)
        try:
            controller.check_daemon_loop()
        except KeyboardInterrupt:
            return


def main(arguments: Sequence[str] | None = None) -> None:
    """The process."""
    parser = argparse.ArgumentParser(prog="pvm_assets.daemon.process")
    parser.add_argument("-w", "--workspace", required=True, action="append")
    given = parser.parse_args(arguments)
    settings = load_settings()
    logs.setup(settings.log_format, settings.log_level)
    logging.getLogger("pvm").info("the daemon starts")
    run(settings, given.workspace)


if __name__ == "__main__":
    restore_handlers()
    keep_private()
    main()
