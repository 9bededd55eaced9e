"""The n8n workflows of deploy/n8n as data: nodes by name, connections, the expressions in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "n8n"
#: Those that run a job, and all.
NAMES = ("pvm-callback", "pvm-polling")
ALL = (*NAMES, "pvm-product")

_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_CLOSING = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Workflow:
    """One workflow file."""

    content: Mapping[str, Any]

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """Nodes by name, without the notes."""
        return {n["name"]: n for n in self.content["nodes"] if not n["type"].endswith(".stickyNote")}

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Nodes of a type, e.g. ``httpRequest``."""
        return [n for n in self.nodes.values() if n["type"] == f"n8n-nodes-base.{kind}"]

    def targets(self, name: str) -> list[list[str]]:
        """Names of the nodes behind each output of a node."""
        outputs = self.content["connections"].get(name, {}).get("main", [])
        return [[link["node"] for link in output] for output in outputs]

    def before(self, name: str) -> set[str]:
        """Names of all nodes from which that node is reached."""
        found: set[str] = set()
        wanted = {name}
        while wanted:
            wanted = {n for n in self.nodes for out in self.targets(n) if wanted & set(out)} - found
            found |= wanted
        return found


def load(name: str) -> Workflow:
    """The workflow of that file name."""
    return Workflow(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of every text in a node's parameters."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from texts(one, f"{place}.{key}")
    elif isinstance(value, list):
        for n, one in enumerate(value):
            yield from texts(one, f"{place}[{n}]")


def expressions(node: Mapping[str, Any]) -> list[str]:
    """The JavaScript between ``{{`` and ``}}`` of a node's parameters."""
    return [
        found
        for _, text in texts(node["parameters"])
        if text.startswith("=")
        for found in _EXPRESSION.findall(text)
    ]


def unbalanced(text: str) -> str:
    """What is wrong with the brackets and quotes of an expression; "" where nothing is."""
    open_: list[str] = []
    quote = ""
    escaped = False
    for character in text:
        if quote:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
        elif character in "'\"`":
            quote = character
        elif character in "([{":
            open_.append(character)
        elif character in _CLOSING and (not open_ or open_.pop() != _CLOSING[character]):
            return f"a {character} too many"
    return f"{quote} is not closed" if quote else f"{open_[-1]} is not closed" if open_ else ""
