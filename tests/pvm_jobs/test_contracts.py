"""Contracts: every event has a schema that takes what is right and refuses what is not."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pvm_core.errors import InputError
from pvm_jobs import contracts
from pvm_jobs.events import ALIASES, BATCH, CATALOGUE, PER_ITEM, PER_JOB, REQUESTS

_WRONG: tuple[Any, ...] = ({"of": "another kind"}, 7.5, True, [], "", -1)


def _payload(name: str) -> dict[str, Any]:
    return dict(contracts.load(name)["examples"][0])


def test_every_event_of_the_table_has_one_schema_and_no_schema_is_left_over() -> None:
    listed = {f"{name.replace('.', '_')}.json" for name in contracts.NAMES}
    stored = {entry.name for entry in (files("pvm_jobs.contracts") / "schemas").iterdir()}
    assert stored == listed
    assert set(contracts.NAMES) == {*REQUESTS, *PER_ITEM, *BATCH, *PER_JOB, *CATALOGUE}


@pytest.mark.parametrize("name", contracts.NAMES)
def test_a_schema_is_valid_and_its_example_keeps_it(name: str) -> None:
    from jsonschema import Draft202012Validator

    schema = contracts.load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:pvm:event:{name}"
    for example in schema["examples"]:
        contracts.validate(name, example)


@pytest.mark.parametrize("name", contracts.NAMES)
def test_each_required_field_is_missed(name: str) -> None:
    for place, field in _required(contracts.load(name)):
        payload = copy.deepcopy(_payload(name))
        _at(payload, place).pop(field)
        with pytest.raises(InputError) as caught:
            contracts.validate(name, payload)
        assert caught.value.code == "contract.invalid"
        assert field in caught.value.reason


@pytest.mark.parametrize("name", contracts.NAMES)
def test_a_value_of_another_type_is_refused(name: str) -> None:
    schema = contracts.load(name)
    for field, about in schema["properties"].items():
        wrong = [value for value in _WRONG if not _fits(about, value)]
        assert wrong, f"{name}.{field} accepts everything"
        for value in wrong:
            with pytest.raises(InputError, match=r"contract\.invalid"):
                contracts.validate(name, _payload(name) | {field: value})


@pytest.mark.parametrize("name", contracts.NAMES)
@pytest.mark.parametrize("payload", [None, [], "x", 3])
def test_what_is_no_object_is_refused(name: str, payload: Any) -> None:
    with pytest.raises(InputError, match=r"contract\.invalid"):
        contracts.validate(name, payload)


@pytest.mark.parametrize("name", [n for n in contracts.NAMES if n not in REQUESTS])
def test_what_the_platform_writes_names_its_job_and_its_event(name: str) -> None:
    schema = contracts.load(name)
    assert ("job_id" in schema["required"]) is (name not in CATALOGUE), "what is of the catalogue has no job"
    assert "event_id" in schema["required"]


def test_a_founding_spelling_is_the_same_contract() -> None:
    for alias, name in ALIASES.items():
        assert contracts.load(alias) == contracts.load(name)
        contracts.validate(alias, _payload(name))


@pytest.mark.parametrize("name", ["", "products.unknown.ready", "features." + "ready", "../events"])
def test_an_event_without_a_contract_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"contract\.unknown"):
        contracts.load(name)


def test_a_loaded_schema_is_a_copy() -> None:
    contracts.load("match.result")["required"].clear()
    assert contracts.load("match.result")["required"]


def test_the_founding_shape_of_a_phase_event_is_enough() -> None:
    event = {"job_id": "job-1", "event_id": "0b0f7c1e-2c53-4f52-9a7b-8f1f1c1f6b10"}
    for name in PER_JOB:
        if name != "job.failed":
            contracts.validate(name, event)


def _required(schema: dict[str, Any], place: tuple[str | int, ...] = ()) -> list[tuple[Any, str]]:
    found = [(place, field) for field in schema.get("required", ())]
    for field, about in schema.get("properties", {}).items():
        if about.get("type") == "object":
            found += _required(about, (*place, field))
        if about.get("type") == "array" and "properties" in about.get("items", {}):
            found += _required(about["items"], (*place, field, 0))
    return found


def _at(payload: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        payload = payload[part]
    return payload


def _fits(about: dict[str, Any], value: Any) -> bool:
    """Whether a value is of a type that the field's schema names; structure is told by other tests."""
    kinds = about.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "oneOf" in about:
        return any(_fits(one, value) for one in about["oneOf"])
    if "enum" in about:
        return value in about["enum"]
    by_kind = {
        "string": isinstance(value, str)
        and len(value) >= about.get("minLength", 0)
        and "pattern" not in about,
        "array": isinstance(value, list) and len(value) >= about.get("minItems", 0),
        "object": isinstance(value, dict) and "required" not in about,
        "boolean": isinstance(value, bool),
        "null": value is None,
        "integer": isinstance(value, int)
        and not isinstance(value, bool)
        and value >= about.get("minimum", value),
        "number": isinstance(value, int | float)
        and not isinstance(value, bool)
        and about.get("minimum", value) <= value <= about.get("maximum", value),
    }
    return any(by_kind[kind] for kind in kinds)


def test_schemas_are_written_the_same_way() -> None:
    for entry in (files("pvm_jobs.contracts") / "schemas").iterdir():
        text = entry.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", entry.name


def test_the_page_about_events_names_each_and_its_fields() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    envelope = {"job_id", "event_id", "occurred_at"}
    for name in contracts.NAMES:
        assert f"`{name}`" in page
        schema = contracts.load(name)
        if name not in REQUESTS:
            for field in set(schema["properties"]) - envelope:
                assert f"`{field}`" in page, f"{name}.{field}"
