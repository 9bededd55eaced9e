"""A product's facts as a job's stored answers hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pvm_core.product_facts import Facts, parse_moment
from pvm_resources.store.base import clean


def facts_json(facts: Facts) -> dict[str, Any]:
    """The facts as JSON that a database holds."""
    moment = facts.updated_at.isoformat() if facts.updated_at else ""
    texts = {name: clean(getattr(facts, name)) for name in ("description", "category")}
    attributes = {clean(name): clean(value) for name, value in facts.attributes.items()}
    return {**asdict(facts), **texts, "attributes": attributes, "updated_at": moment}


def facts_of(stored: Mapping[str, Any]) -> Facts:
    """The facts of `facts_json`; what an answer of an older release lacks is unknown."""
    return Facts(
        stored.get("description", ""),
        stored.get("category", ""),
        stored.get("availability", ""),
        dict(stored.get("attributes") or {}),
        parse_moment(stored.get("updated_at") or ""),
    )
