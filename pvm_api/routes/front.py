"""What a browser is shown that is pointed at the API: a page of links, and the description as a page.

Everything comes from this machine: Swagger UI is in the wheel of fastapi-offline.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from pvm_api.deps import Base

router: Final = APIRouter(include_in_schema=False)

#: Swagger UI sets styles of single elements, and its pictures are in its style sheet.
_GUARDS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Vary": "Accept",
}
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "png": "image/png"}
_OURS: Final = ("front.css", "docs.js")
_SWAGGER: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon.png")
#: A day: the names do not change with a newer version.
_KEEP: Final = "public, max-age=86400"


@router.get("/")
async def index(request: Request, base: Base) -> Response:
    """Links: as a page where a browser asks, else as JSON."""
    if "text/html" in request.headers.get("accept", ""):
        text = _page("index.html").replace("{version}", version("product-video-matching"))
        return HTMLResponse(text, headers=_GUARDS)
    links = {name: f"{base}{path}" for name, path in _LINKS.items()}
    return JSONResponse(links, headers={"Vary": "Accept"})


@router.get("/docs")
async def docs() -> Response:
    """The description as a page on which every endpoint can be tried."""
    return HTMLResponse(_page("docs.html"), headers=_GUARDS)


@router.get("/docs/files/{name}")
async def file(name: str) -> Response:
    """A file of these pages."""
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    return Response(found, media_type=_TYPES[name.rpartition(".")[2]], headers={"Cache-Control": _KEEP})


_LINKS: Final = {
    "review": "/review", "docs": "/docs", "openapi": "/openapi.json", "jobs": "/v1/jobs",
    "results": "/v1/results", "health": "/healthz", "ready": "/readyz",
}  # fmt: skip


@cache
def _page(name: str) -> str:
    return (files("pvm_api") / "front" / name).read_text(encoding="utf-8")


@cache
def _files() -> Mapping[str, bytes]:
    ours, swagger = files("pvm_api") / "front", files("fastapi_offline") / "static"
    return {name: (ours / name).read_bytes() for name in _OURS} | {
        name: (swagger / name).read_bytes() for name in _SWAGGER
    }
