"""Checks requests and answers against an OpenAPI 3.0 document, stricter than the document asks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

_NAME: Final = "openapi/ebay_buy_browse_v1.20.4.json"


def find_spec() -> Path | None:
    """eBay's specification in the folder of measuring material; None where that is absent."""
    default = Path(__file__).resolve().parents[3] / "shared"
    found = Path(os.environ.get("PVM_SHARED", default)) / _NAME
    return found if found.is_file() else None


class Contract:
    """An OpenAPI document.

    Objects are taken as closed: a field that the document does not name is a fault. An answer made up by hand
    could otherwise hold fields that the real server has never heard of.
    """

    def __init__(self, spec: Path) -> None:
        self._spec = _closed(json.loads(spec.read_text()))
        self._validators: dict[str, Draft202012Validator] = {}

    def route(self, method: str, path: str) -> str | None:
        """The document's path that `path` (without the base path) matches; a fixed one wins."""
        routes = sorted(self._spec["paths"], key=lambda one: "{" in one)
        for route in routes:
            pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(route))
            if method.lower() in self._spec["paths"][route] and re.fullmatch(pattern, path):
                return str(route)
        return None

    def request_faults(
        self, method: str, route: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> list[str]:
        """What is wrong with a request's parameters; `headers` by lower-case name."""
        known = self._spec["paths"][route][method.lower()]["parameters"]
        names = {one["name"] for one in known if one["in"] == "query"}
        faults = [f"unknown query parameter {name}" for name in query if name not in names]
        for one in known:
            given = (query if one["in"] == "query" else headers).get(
                one["name"] if one["in"] == "query" else one["name"].lower()
            )
            if given is None:
                if one.get("required") and one["in"] != "path":
                    faults.append(f"{one['name']} is missing")
                continue
            faults += [
                f"{one['name']}: {error.message}" for error in self._at(one["schema"]).iter_errors(given)
            ]
        ours = {one["name"].lower() for one in known if one["in"] == "header"}
        faults += [
            f"unknown header {name}" for name in headers if name.startswith("x-ebay") and name not in ours
        ]
        return faults

    def answer_faults(self, method: str, route: str, status: int, content: Any) -> list[str]:
        """What is wrong with an answer's body."""
        answers = self._spec["paths"][route][method.lower()]["responses"]
        if str(status) not in answers:
            return [f"status {status} is not in the document"]
        schema = answers[str(status)].get("content", {}).get("application/json", {}).get("schema")
        return self.schema_faults(schema, content) if schema is not None else []

    def schema_faults(self, schema: Mapping[str, Any] | str, content: Any) -> list[str]:
        """What is wrong with `content` under a schema, or under the component of that name."""
        if isinstance(schema, str):
            schema = {"$ref": f"#/components/schemas/{schema}"}
        return [f"{error.json_path}: {error.message}" for error in self._at(schema).iter_errors(content)]

    def _at(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self._spec["components"]}
            self._validators[key] = Draft202012Validator(whole)
        return self._validators[key]


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {name: _closed(value) for name, value in node.items()}
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    return found
