"""Pages from templates: language, colours, assets, and security headers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from pvm_api.review.access import sessions_of, visitor_of
from pvm_api.review.i18n import LANGUAGES, Language, clock, figure, language, negotiate_language

LANGUAGE: Final = "pvm_lang"
THEME: Final = "pvm_theme"
THEMES: Final = ("light", "auto", "dark")
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_GUARDS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Under no-referrer a browser would send our own forms with ``Origin: null``.
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, Accept-Language",
}


@cache
def assets() -> Mapping[str, tuple[bytes, str]]:
    """Static files by name: content and media type."""
    folder = files("pvm_api.review") / "static"
    return {
        one.name: (one.read_bytes(), _TYPES[one.name.rpartition(".")[2]])
        for one in folder.iterdir()
        if one.name.rpartition(".")[2] in _TYPES
    }


@cache
def version() -> str:
    """Changes with any static file, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for name, (data, _) in sorted(assets().items()):
        digest.update(f"{name}\n".encode() + data)
    return digest.hexdigest()[:12]


def static(name: str) -> str:
    """Address of a static file."""
    return f"/review/static/{version()}/{name}"


@cache
def _environment(code: str) -> Environment:
    made = Environment(
        loader=PackageLoader("pvm_api.review"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.i18n"],
    )  # fmt: skip
    spoken = language(code)
    made.install_gettext_translations(spoken.catalogue, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {
        "static": static, "clock": clock, "figure": figure, "languages": LANGUAGES, "language": spoken,
        "label": spoken.label,
    }  # fmt: skip
    return made


def language_of(request: Request) -> Language:
    """The language that the request is answered in."""
    header = request.headers.get("accept-language", "")
    return language(negotiate_language(request.cookies.get(LANGUAGE), header))


def here_of(request: Request) -> str:
    """Path and query of the page, to come back to."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page."""
    visitor = getattr(request.state, "visitor", None) or visitor_of(request)
    theme = request.cookies.get(THEME, "auto")
    given = {
        "theme": theme if theme in THEMES else "auto",
        "here": here_of(request),
        "visitor": visitor,
        "auth": sessions_of(request).auth,
        **context,
    }
    text = _environment(language_of(request).code).get_template(template).render(given)
    return HTMLResponse(text, status, _GUARDS)


def fragment(request: Request, macro: str, *values: Any) -> str:
    """What a macro makes of `values`, as a page has it."""
    module = _environment(language_of(request).code).get_template("macros.html").make_module()
    return str(getattr(module, macro)(*values))
