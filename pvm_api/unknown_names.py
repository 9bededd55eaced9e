"""Names that a request may not hold: refused, with the name that was probably meant.

One dependency of the whole application judges query parameters; models forbid further fields of bodies.
Both errors get their near names here, from the API's own description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from pvm_core.wording import near_names

#: pydantic's type of the same error in a body.
EXTRA: Final = "extra_forbidden"
#: Names of one message: the longest list of parameters is that of results.
_LISTED: Final = 20
_NAME_MAX: Final = 100
_REF: Final = "#/components/schemas/"


async def refuse_unknown_parameters(request: Request) -> None:
    """The dependency of every described route: its query holds no parameter that it does not take.

    Pages for people are left alone: mail programs and chats add parameters to the links they carry.

    Raises:
        RequestValidationError: naming each unknown one.
    """
    if not request.query_params:
        return
    # Described once, in a third of a second, which nobody else shall wait for.
    described = await run_in_threadpool(request.app.openapi)
    operation = _operation(request, described)
    if operation is None:
        return
    known = _parameters(operation)
    if unknown := [name for name in dict.fromkeys(request.query_params) if name not in known]:
        raise RequestValidationError([{"loc": ("query", name), "msg": "", "type": EXTRA} for name in unknown])


def explained(request: Request, error: Mapping[str, Any]) -> str:
    """What is wrong, of an error of the type `EXTRA`: the near name, else all names there are."""
    place = [str(part) for part in error["loc"]]
    name, kind = place[-1][:_NAME_MAX], "parameter" if place[0] == "query" else "field"
    known = _known(request, place)
    if near := near_names(name, known, most=1):
        return f"there is no {kind} {name}; did you mean {near[0]}?"
    if not known:
        return f"there is no {kind} {name}: none is taken here"
    more = ", ..." if len(known) > _LISTED else ""
    return f"there is no {kind} {name}; there are {', '.join(sorted(known)[:_LISTED])}{more}"


def _known(request: Request, place: Sequence[str]) -> list[str]:
    described = request.app.openapi()
    operation = _operation(request, described) or {}
    if place[0] == "query":
        return _parameters(operation)
    schemas = [one["schema"] for one in operation.get("requestBody", {}).get("content", {}).values()]
    shapes = described["components"]["schemas"]
    for part in place[1:-1]:
        schemas = [found for one in schemas for found in _inside(one, part, shapes)]
    names = (name for one in schemas for full in _objects(one, shapes) for name in full["properties"])
    return list(dict.fromkeys(names))


def _operation(request: Request, described: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The operation of the description that answers `request`; None for pages, which it leaves out."""
    path = getattr(request.scope.get("route"), "path", None)
    found: Mapping[str, Any] | None = described["paths"].get(path, {}).get(request.method.lower())
    return found


def _parameters(operation: Mapping[str, Any]) -> list[str]:
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]


def _objects(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas of objects with named fields that `schema` refers to, or is."""
    if "$ref" in schema:
        schema = shapes[schema["$ref"].removeprefix(_REF)]
    if "properties" in schema:
        yield schema
    for one in schema.get("anyOf", ()):
        yield from _objects(one, shapes)


def _inside(schema: Mapping[str, Any], part: str, shapes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [full["properties"][part] for full in _objects(schema, shapes) if part in full["properties"]]
