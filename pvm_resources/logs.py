"""Log lines: plain for people, or JSON with stable error codes for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from pvm_core.errors import PvmError, error_to_dict
from pvm_core.printable import printable, printable_json

_OWN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, every `extra` field, and for a `PvmError`
    its code, subject, reason, remedy and whether it is retryable."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = error_to_dict(record.exc_info[1])
            if not isinstance(record.exc_info[1], PvmError):
                line["trace"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(line, ensure_ascii=False, default=str))


class PlainFormatter(logging.Formatter):
    """``12:30:01 WARNING message key=value``, one line; what is no `PvmError` has its trace below. All of it
    `printable`."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        extra = "".join(f" {k}={v}" for k, v in record.__dict__.items() if k not in _OWN)
        error = record.exc_info[1] if record.exc_info else None
        said = f"{record.getMessage()}{extra}" + (f": {error}" if isinstance(error, PvmError) else "")
        # A line of foreign text must not look like one of ours.
        line = f"{stamp} {record.levelname:<7} {' '.join(printable(said).splitlines())}"
        if record.exc_info and error and not isinstance(error, PvmError):
            return f"{line}\n{printable(self.formatException(record.exc_info))}"
        return line


def setup(
    form: Literal["plain", "json"] = "plain", level: str = "info", stream: TextIO | None = None
) -> logging.Handler:
    """Sends the project's log lines (loggers ``pvm...``) to `stream`, default stderr.

    Calling it again replaces the former handler.
    """
    root = logging.getLogger("pvm")
    for old in [h for h in root.handlers if getattr(h, "pvm", False)]:
        root.removeHandler(old)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter())
    handler.pvm = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
    return handler
