"""The application: routes, limits, problems, its own description."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware

from pvm_api import models, problems
from pvm_api.auth import Authenticator, Gate, LocalOnly
from pvm_api.limits import BodyLimits, RequestMiddleware
from pvm_api.metrics import Metrics
from pvm_api.metrics.requests import CountingMiddleware
from pvm_api.request_spans import SpanMiddleware
from pvm_api.review import calibration, pages, product
from pvm_api.review.access import Sessions
from pvm_api.routes import (
    attention,
    attention_stream,
    front,
    health,
    industries,
    jobs,
    labels,
    media,
    products,
    recommendations,
    results,
    similar,
    uploads,
)
from pvm_api.services import Services
from pvm_api.unknown_names import refuse_unknown_parameters
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, check_api_host
from pvm_resources.store.assembly import Store
from pvm_resources.tracing import Tracing

#: Paths that need no key; they show nothing about jobs.
OPEN: Final = frozenset({"/healthz", "/readyz"})
#: Paths whose body is a file.
_FILES: Final = frozenset({"/v1/uploads"})
#: Besides the file a form has fields and boundaries.
_FORM_BYTES: Final = 1_000_000
_ROUTERS: Final = (
    jobs.router,
    uploads.router,
    products.router,
    recommendations.router,
    results.router,
    attention.router,
    attention_stream.router,
    labels.router,
    media.router,
    industries.router,
    health.router,
    front.router,
)
_ABOUT: Final = """Finds which products of a catalogue appear in which videos, and proves each match.

Start a job with `POST /v1/jobs`, follow its `status_url` or name a `callback_url`, read `/v1/results`.
Lists come as `{items, next}`; `next` is the absolute address of the next page, or null. Errors are problems
as RFC 9457 has them, each with a stable `code`."""


def create_app(
    settings: Settings,
    database: Database,
    media: MediaStore,
    *,
    authenticators: Sequence[Authenticator] = (),
) -> FastAPI:
    """The API over these stores. Nothing is connected to before the first request.

    Args:
        authenticators: other ways than a key in a header, e.g. a cookie.

    Raises:
        InputError: ``api.host``: keys are off and the host is not this machine alone; ``settings.invalid``.
    """
    check_api_host(settings)
    store = Store.over(database)
    sessions = Sessions(store, settings.api_auth)
    gate = Gate(store.keys if settings.api_auth else None, settings.api_rate, (sessions, *authenticators))
    tracing = Tracing.of(settings, "pvm-api")
    services = Services(settings, database, media, gate, tracing)
    metrics = Metrics(settings, store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.live.end()
        services.uploads.close()
        services.text_follower.close()
        metrics.close()
        tracing.close()
        database.close()

    app = FastAPI(
        title="Product and video matching",
        version=version("product-video-matching"),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown_parameters)],
        # A redirect to the same path with a slash would repeat a POST without its body's limits.
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.services = services
    app.state.sessions = sessions
    app.state.metrics = metrics
    problems.install(app)
    # Before results: /v1/products/similar is no product.
    for router in (similar.router, *_ROUTERS, product.router, calibration.router, pages.router):
        app.include_router(router)
    app.router.add_websocket_route(attention_stream.SOCKET, attention_stream.socket)
    origins = sorted(services.origins)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"],
            expose_headers=["Location", "ETag", "X-Request-ID", "Retry-After"],
        )  # fmt: skip
    if not settings.api_auth:
        app.add_middleware(LocalOnly, origins=origins)
    file_max = settings.api_upload_mb * 1_000_000
    upload_max = max(file_max, settings.api_upload_video_mb * 1_000_000)
    app.add_middleware(
        RequestMiddleware, bodies=BodyLimits(_FILES, _forms(), upload_max, file_max + _FORM_BYTES)
    )
    app.add_middleware(SpanMiddleware, tracing=tracing)
    app.add_middleware(CountingMiddleware, metrics=metrics.requests)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _forms() -> frozenset[str]:
    """Paths that are described as taking a form with a file."""
    routes = (route for router in (similar.router, *_ROUTERS) for route in router.routes)
    return frozenset(
        route.path
        for route in routes
        if isinstance(route, APIRoute)
        and "multipart/form-data" in (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    )


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI with every error as a problem."""
    if app.openapi_schema:
        return app.openapi_schema
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    shapes = found["components"]["schemas"]
    # No route names them in its signature.
    for shape in (problems.Problem, problems.FieldError, models.JobBody):
        described = shape.model_json_schema(ref_template="#/components/schemas/{model}")
        described.pop("$defs", None)
        shapes[shape.__name__] = described
    for name in ("HTTPValidationError", "ValidationError"):
        shapes.pop(name, None)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _declare(path, operation)
    app.openapi_schema = found
    return found


def _declare(path: str, operation: dict[str, Any]) -> None:
    """The problems that an operation can answer with."""
    statuses = {"422": "The request is not valid.", "500": "Our own fault.", "503": "Out of reach."}
    statuses["429"] = "Too many requests."
    if path not in OPEN:
        statuses |= {"401": "No valid key.", "403": "The key has not the scope."}
    # The body of a product may name an industry.
    product = path.endswith("/products") and "requestBody" in operation
    known = "image_id" in str(operation.get("parameters")) or "industry" in str(operation)
    if "{" in path or known or product:
        statuses["404"] = "There is none."
    if "requestBody" in operation:
        statuses |= {
            "400": "The body cannot be read.",
            "413": "The body is too large.",
            "415": "Of no such type.",
        }
    if (
        path.endswith(("/cancel", "/retry", "/archive", "/label", "similar"))
        or "delete" in operation["operationId"]
    ):
        statuses["409"] = "Not in this state."
    ranged = "416" in operation["responses"]
    for status, description in sorted(statuses.items() | ({("416", "Outside.")} if ranged else set())):
        if path == "/readyz" and status == "503":
            continue
        operation["responses"][status] = {
            "description": description,
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
