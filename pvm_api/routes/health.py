"""Liveness, readiness and metrics of the service."""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import APIRouter, Request, Response

from pvm_api import models
from pvm_api.deps import Reader, ServicesDep
from pvm_api.metrics import CONTENT_TYPE, Metrics
from pvm_api.services import Services
from pvm_core.errors import PvmError
from pvm_resources.postgres import migrate

router: Final = APIRouter(tags=["service"])


@router.get("/healthz", operation_id="isAlive", summary="The process answers")
async def healthz() -> models.Alive:
    """Queries nothing, and waits for no thread."""
    return models.Alive()


@router.get(
    "/readyz",
    operation_id="isReady",
    responses={503: {"model": models.Ready, "description": "A part is missing."}},
    summary="Database, schema and media are there",
)
async def readyz(response: Response, services: ServicesDep) -> models.Ready:
    """200 where jobs can be accepted and results read, else 503 with the part that is missing. What was found
    is the answer for a second."""
    found = await services.readiness.get(partial(_look, services))
    response.status_code = 200 if found.status == "ok" else 503
    return found


def _look(services: Services) -> models.Ready:
    checks: dict[str, str] = {}
    for name, check in (("database", _database), ("schema", _schema), ("media", _media)):
        try:
            checks[name] = check(services)
        except PvmError as error:
            checks[name] = error.code
    return models.Ready(status="ok" if set(checks.values()) == {"ok"} else "unavailable", checks=checks)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
    summary="Metrics for Prometheus",
)
def metrics(request: Request, caller: Reader) -> Response:
    """Jobs, events, queues, stages, runs of Dagster, quality and connections, read from the databases at each
    request; requests of this process."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=CONTENT_TYPE)


def _database(services: Services) -> str:
    services.store.database.ping()
    return "ok"


def _schema(services: Services) -> str:
    return "ok" if migrate.current(services.store.database.dsn) == migrate.head() else "store.schema"


def _media(services: Services) -> str:
    services.media.exists("ready")
    return "ok"
