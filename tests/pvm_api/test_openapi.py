"""The description is true: committed as it is, and every answer to generated requests conforms to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from pvm_api.problems import MEDIA_TYPE
from pvm_cli.api import described

#: Keys have a table of their own (test_auth); a source that is nowhere is refused, which no schema can say.
_TOLD_ELSEWHERE = [ignored_auth, positive_data_acceptance]
_COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def _operations() -> list[str]:
    paths = json.loads(described())["paths"]
    return [f"{method.upper()} {path}" for path, listed in paths.items() for method in listed]


@pytest.fixture(scope="module")
def api_schema(shared_client: TestClient) -> BaseSchema:
    """The schema of an application over a database of its own."""
    return schemathesis.openapi.from_asgi("/openapi.json", shared_client.app)


@pytest.mark.parametrize("operation", _operations())
def test_every_answer_conforms(api_schema: BaseSchema, shared_client: TestClient, operation: str) -> None:
    method, _, path = operation.partition(" ")
    headers = {"X-API-Key": shared_client.headers["X-API-Key"]}

    @given(case=api_schema[path][method].as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def conforms(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=_TOLD_ELSEWHERE)

    conforms()


def test_the_committed_description_is_this_one() -> None:
    assert _COMMITTED.read_text(encoding="utf-8") == described(), "pvm api openapi --write docs/openapi.json"


def test_every_operation_has_its_own_id_a_summary_and_problems(app: FastAPI) -> None:
    found = app.openapi()
    operations = [one for path in found["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["summary"]
        assert MEDIA_TYPE in one["responses"]["500"]["content"], one["operationId"]
    assert found["components"]["schemas"]["JobBody"]["examples"]
    assert set(found["components"]["securitySchemes"]) == {"bearer", "apiKey"}


def test_the_founding_addresses_are_described(app: FastAPI) -> None:
    paths = set(app.openapi()["paths"])
    assert paths >= {
        "/orchestrator/start-job", "/start-job", "/status/{job_id}", "/results", "/products/{product_id}",
        "/videos/{video_id}", "/matches/{match_id}",
    }  # fmt: skip
