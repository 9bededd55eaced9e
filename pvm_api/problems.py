"""Errors as RFC 9457 problems, with stable codes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import JSONResponse

from pvm_api.unknown_names import EXTRA, explained
from pvm_core.errors import PvmError, public_dict

MEDIA_TYPE: Final = "application/problem+json"
#: A code is an identifier, not a page.
_TYPE: Final = "urn:pvm:problem:"
_RETRY_S: Final = 5
#: Findings of one answer, and characters of them: names and values are the caller's, of any length.
_ERRORS_MAX: Final = 50
_LOC_MAX: Final = 200
_DETAIL_MAX: Final = 500
_log: Final = logging.getLogger("pvm.api")

#: On every answer.
SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class FieldError(BaseModel):
    """What is wrong with one part of a request."""

    loc: str = Field(description="Where: body, query, path or header, then the field.")
    detail: str
    code: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="urn:pvm:problem: and a stable code.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="Path of the request.")
    code: str
    remedy: str | None = None
    retryable: bool = False
    errors: list[FieldError] = Field(default_factory=list)
    request_id: str

    model_config = {
        "json_schema_extra": {
            "example": {
                "type": "urn:pvm:problem:job.unknown",
                "title": "Not Found",
                "status": 404,
                "detail": "01kaq2x8r3n6m4tz: no such job",
                "instance": "/v1/jobs/01kaq2x8r3n6m4tz",
                "code": "job.unknown",
                "remedy": "See the list of jobs",
                "retryable": False,
                "errors": [],
                "request_id": "5f0c3a2e9b7d4c11",
            }
        }
    }


class ApiError(PvmError):
    """A refusal of the API itself, with the headers of its answer."""

    def __init__(self, code: str, reason: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, "request", reason, remedy)
        self.headers = dict(headers or {})


class BodyError(HTTPException):
    """A refusal while a body is read: there the framework passes on its own exceptions alone."""

    def __init__(self, refusal: ApiError) -> None:
        super().__init__(refusal.http_status, refusal.reason, refusal.headers)
        self.refusal = refusal


def install(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""
    app.add_exception_handler(PvmError, refuse)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(ClientDisconnect, _ended)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected)


def answer(
    request: HTTPConnection,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """A problem as a response; `more` are further fields of `Problem`."""
    problem = Problem(
        type=f"{_TYPE}{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        request_id=request_id(request),
        **more,
    )
    return _ProblemResponse(problem.model_dump(), status, headers)


def request_id(request: HTTPConnection) -> str:
    """The id under which this request is logged."""
    return str(getattr(request.state, "request_id", ""))


def public_texts(error: PvmError) -> tuple[str, str | None]:
    """Detail and remedy as a caller may read them, see `public_dict`."""
    shown = public_dict(error.to_dict())
    subject = "" if isinstance(error, ApiError) else shown["subject"][:_DETAIL_MAX]
    return f"{subject}: {shown['reason']}" if subject else shown["reason"], shown["remedy"] or None


class _ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        # ASCII: a lone surrogate that came in with the request has no UTF-8.
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def refuse(request: HTTPConnection, error: PvmError) -> JSONResponse:
    """An error of ours as a response."""
    status = error.http_status
    headers = dict(getattr(error, "headers", {}))
    if status == 503:
        headers.setdefault("Retry-After", str(_RETRY_S))
    if status >= 500:
        _log.error("%s %s: %s", request.scope.get("method", "websocket"), request.url.path, error)
    detail, remedy = public_texts(error)
    retryable = error.retryable
    return answer(request, status, error.code, detail, headers, remedy=remedy, retryable=retryable)


def _http(request: Request, error: HTTPException) -> JSONResponse:
    if isinstance(error, BodyError):
        return refuse(request, error.refusal)
    code = f"http.{HTTPStatus(error.status_code).name.lower()}"
    return answer(request, error.status_code, code, str(error.detail), error.headers)


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    # A mistyped name first: the field that is missing for it is its consequence.
    found = sorted(error.errors(), key=lambda one: one["type"] != EXTRA)
    errors = [
        FieldError(
            loc=".".join(str(part) for part in one["loc"])[:_LOC_MAX],
            detail=(explained(request, one) if one["type"] == EXTRA else one["msg"])[:_DETAIL_MAX],
            code=one["type"],
        )
        for one in islice(found, _ERRORS_MAX)
    ]
    detail = f"{errors[0].loc}: {errors[0].detail}" if errors else "the request is not valid"
    return answer(request, 422, "request.invalid", detail, errors=errors)


def _ended(request: Request, error: ClientDisconnect) -> JSONResponse:
    # Nobody reads it; without it the log would hold a fault of ours.
    return answer(request, 400, "http.bad_request", "the connection ended before the body did")


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "the request failed on the server; the log has the reason under request_id"
    # `RequestMiddleware`, which sets the headers of other answers, does not see this one.
    headers = {**SECURITY, "X-Request-ID": request_id(request), "Cache-Control": "no-store"}
    return answer(request, 500, "internal", detail, headers)
