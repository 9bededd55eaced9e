"""The contract of every event: one JSON Schema each, found by name in one registry.

The files in ``schemas/`` are named as in founding document 2, dots as underscores, and describe a payload as
it is delivered: the event's own fields together with ``job_id``, ``event_id`` and ``occurred_at``; events of
the catalogue have no job.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pvm_core.errors import InputError
from pvm_core.wording import shortened
from pvm_jobs.events import BATCH, CATALOGUE, PER_ITEM, PER_JOB, REQUESTS, canonical

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: Every event with a contract.
NAMES: Final = (*REQUESTS, *PER_ITEM, *BATCH, *PER_JOB, *CATALOGUE)


def load(name: str) -> dict[str, Any]:
    """The schema of an event (JSON Schema draft 2020-12), as a copy.

    Args:
        name: canonical, or a founding spelling of it.

    Raises:
        InputError: ``contract.unknown``.
    """
    return deepcopy(_schema(_known(name)))


def validate(name: str, payload: Any) -> None:
    """Raises unless `payload` keeps the contract of the event `name`.

    Raises:
        InputError: ``contract.unknown``; ``contract.invalid``, naming the first field that is wrong.
    """
    known = _known(name)
    error = next(iter(sorted(_validator(known).iter_errors(payload), key=lambda e: list(e.path))), None)
    if error is None:
        return
    place = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in error.absolute_path)
    raise InputError(
        "contract.invalid", f"{known}{place}", shortened(error.message, 200), f"See pvm events schema {known}"
    )


def _known(name: str) -> str:
    found = canonical(name)
    if found not in NAMES:
        raise InputError(
            "contract.unknown", name[:200], "it is no event of this system", "See the table in docs/events.md"
        )
    return found


@cache
def _schema(name: str) -> dict[str, Any]:
    file = files(__package__) / "schemas" / f"{name.replace('.', '_')}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@cache
def _validator(name: str) -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER)
