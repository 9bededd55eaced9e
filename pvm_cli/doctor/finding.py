"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``ok``; ``note``: something optional is missing; ``warning``: it works and should not stay so; ``failed``.
State = Literal["ok", "note", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        section: what it belongs to, e.g. ``home``.
        name: what was looked at.
        value: what was found. Never a secret: the report is pasted into bug reports.
        state: how that is.
        remedy: what to do; "" only where the state is ``ok``.
    """

    section: str
    name: str
    value: str
    state: State = "ok"
    remedy: str = ""
