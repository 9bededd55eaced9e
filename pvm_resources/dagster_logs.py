"""Log lines of Dagster's runs in the project's JSON form, where `PVM_LOG_FORMAT` is ``json``.

dagster.yaml names `RunLogHandler` under ``python_logs``; Dagster gives it to every run of the instance,
whoever launched it. In the plain form Dagster's own coloured lines stay as they are.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

from pvm_resources.logs import JsonFormatter
from pvm_resources.settings import load_settings

#: Tag of a run that a terminal started in its own process and locked beforehand. Its value is the run's id,
#: so that a re-execution, which inherits the tags, does not count as one.
FOREGROUND_TAG: Final = "pvm/foreground"
#: The part ``loggers`` of a run's configuration that turns Dagster's own lines off.
QUIET: Final[Mapping[str, Any]] = {"console": {"config": {"log_level": "CRITICAL"}}}
#: Attributes of a line of a run: its facts, its event, and the batch of that (`dagster._core.log_manager`).
_META, _EVENT, _BATCH = "dagster_meta", "dagster_event", "dagster_event_batch_metadata"
#: Above every level.
_NOTHING: Final = logging.CRITICAL + 1


class RunLogFormatter(JsonFormatter):
    """Like `JsonFormatter`; what Dagster keeps of a line becomes ``run_id``, ``job_name``, ``step`` and, for
    its own events, ``event``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        meta: Mapping[str, Any] = getattr(record, _META, {})
        event = meta.get("dagster_event")
        plain = {key: value for key, value in record.__dict__.items() if key not in (_META, _EVENT, _BATCH)}
        found = {
            "run_id": meta.get("run_id"),
            "job_name": meta.get("job_name"),
            "step": meta.get("step_key"),
            "event": event.event_type.name if event else None,
        }
        # Dagster writes run and step into the message as well.
        plain["msg"] = meta.get("orig_message", plain["msg"])
        line = {**plain, **{key: value for key, value in found.items() if value}}
        return super().format(logging.makeLogRecord(line))


class RunLogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """To stderr; silent in the plain form. Dagster makes it without arguments."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        settings = load_settings()
        self._least = logging.getLevelNamesMapping()[settings.log_level.upper()]
        self.setLevel(logging.NOTSET if settings.log_format == "json" else _NOTHING)
        self.setFormatter(RunLogFormatter())

    def filter(self, record: logging.LogRecord) -> bool:
        """Events of a run whatever their level, as Dagster's own lines have them; what code says by its
        level. A run at a terminal shows its progress there instead."""
        meta: Mapping[str, Any] = getattr(record, _META, {})
        if FOREGROUND_TAG in meta.get("job_tags", {}):
            return False
        return record.levelno >= self._least or meta.get("dagster_event") is not None


def quiet_console(log_format: Literal["plain", "json"]) -> dict[str, Any]:
    """A run's configuration: where lines are JSON, Dagster's own are off."""
    return {"loggers": dict(QUIET)} if log_format == "json" else {}


def form_lines(log_format: Literal["plain", "json"]) -> None:
    """Has what Dagster's own processes say, which is configured by then, in our form where lines are JSON."""
    if log_format == "json":
        for name in ("dagster", "dagster-webserver"):
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(JsonFormatter())
