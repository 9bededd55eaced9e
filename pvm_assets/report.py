"""What an asset declares and reports. No Dagster here: worker processes import it with the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pvm_jobs.events import Event


@dataclass(frozen=True)
class Column:
    """A column for the UI."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True)
class Report:
    """What an asset reports when it is done.

    Attributes:
        rows: rows the job has of it.
        version: content of those rows in short (`pvm_core.ids.content_key`); the asset's data version.
        metadata: for the UI.
        state: JSON-able, kept with the asset's state for the assets downstream.
        events: written in the transaction that finishes the asset.
    """

    rows: int
    version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()
