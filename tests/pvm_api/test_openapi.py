"""The description is true: committed as it is, and every answer to generated requests conforms to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from pvm_api.problems import MEDIA_TYPE
from pvm_cli.api import described

if TYPE_CHECKING:
    # A second and a half of imports, which every worker would pay when it collects.
    import schemathesis
    from schemathesis.schemas import BaseSchema

_COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def _operations() -> list[str]:
    paths = json.loads(described())["paths"]
    return [f"{method.upper()} {path}" for path, listed in paths.items() for method in listed]


@pytest.fixture(scope="module")
def api_schema(shared_client: TestClient) -> BaseSchema:
    """The schema of an application over a database of its own."""
    import schemathesis

    return schemathesis.openapi.from_asgi("/openapi.json", shared_client.app)


@pytest.mark.parametrize("operation", _operations())
def test_every_answer_conforms(api_schema: BaseSchema, shared_client: TestClient, operation: str) -> None:
    from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

    # Keys have a table of their own (test_auth); that a source is nowhere no schema can say.
    told_elsewhere = [ignored_auth, positive_data_acceptance]
    method, _, path = operation.partition(" ")
    headers = {"X-API-Key": shared_client.headers["X-API-Key"]}

    @given(case=api_schema[path][method].as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def conforms(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=told_elsewhere)

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
