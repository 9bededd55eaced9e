"""The inner layer: orders come as JSON by POST, which no other site's page can send unasked; read-only mode.

A browser asks the server before it sends JSON to another site, and Dagster allows none. GET, plain text and
forms are sent unasked, and Dagster's own server executes the query that stands in their address.
"""

from __future__ import annotations

import json
from typing import Any, Final

from anyio.to_thread import run_sync
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pvm_api.origin import SAFE
from pvm_core.errors import InputError

#: Bytes of a GraphQL request. The UI's own are below 20 kB; a run's configuration travels in one.
_BODY_MAX: Final = 10_000_000
#: Tokens of a document that is parsed here, which takes a second at most. The UI's longest has some 3,000.
_TOKENS_MAX: Final = 50_000
_JSON: Final = "application/json"


class GraphqlRules:
    """Lets GraphQL in as JSON by POST alone, and nothing that changes something in read-only mode.

    Args:
        app: Dagster's application.
        prefix: its path prefix, "" or ``/dagster``.
        read_only: refuses mutations and every other order.
    """

    def __init__(self, app: ASGIApp, prefix: str, read_only: bool) -> None:
        self._app = app
        self._path = f"{prefix}/graphql"
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or websocket. Over websockets Dagster executes subscriptions alone.

        Raises:
            InputError: ``ui.method``, ``ui.type``, ``ui.large``, ``ui.request``, ``ui.read_only``.
        """
        if scope["type"] == "http" and scope["path"] == self._path:
            # Dagster falls back to it where it finds no query elsewhere.
            scope = {**scope, "query_string": b""}
            receive = await self._graphql(scope, receive)
        elif scope["type"] == "http" and scope["method"] not in SAFE:
            _check_type(Headers(scope=scope), needed=False)
            if self._read_only:
                raise _read_only()
        await self._app(scope, receive, send)

    async def _graphql(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        if scope["method"] in SAFE:
            # The page of GraphiQL; Dagster tells it by this header.
            if "text/html" not in headers.get("accept", ""):
                raise InputError("ui.method", scope["method"], "GraphQL is not answered by it", "Send POST")
            return receive
        _check_type(headers, needed=True)
        body = await _read(receive)
        query = _query(body)
        if self._read_only and await run_sync(_may_change, query):
            raise _read_only()
        return _again(body, receive)


def _check_type(headers: Headers, *, needed: bool) -> None:
    given = headers.get("content-type")
    if given is None and not needed:
        return
    if (given or "").partition(";")[0].strip().lower() != _JSON:
        raise InputError(
            "ui.type", "Content-Type", f"it is {given[:100] if given else 'missing'}", f"Send {_JSON}"
        )


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise InputError("ui.request", "request", "the connection ended within it", "Send it again")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > _BODY_MAX:
            raise InputError("ui.large", "request", f"it is larger than {_BODY_MAX:,} bytes", "Send less")
    return b"".join(parts)


def _query(body: bytes) -> str:
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("ui.request", "body", "it is no JSON", "Send a GraphQL request") from None
    # A list of requests is no form that Dagster knows.
    query = given.get("query") if isinstance(given, dict) else None
    if not isinstance(query, str):
        raise InputError("ui.request", "body", "it has no text `query`", "Send one GraphQL request")
    return query


def _may_change(query: str) -> bool:
    """Whether any operation of the document is a mutation, whichever of them is asked for.

    Raises:
        InputError: ``ui.request``: it cannot be read.
    """
    try:
        document = parse(query, no_location=True, max_tokens=_TOKENS_MAX)
    except (GraphQLError, RecursionError) as error:
        said = error.message if isinstance(error, GraphQLError) else "it is nested too deeply"
        raise InputError("ui.request", "query", said[:500], "Correct it") from None
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    return any(one.operation is OperationType.MUTATION for one in operations)


def _read_only() -> InputError:
    return InputError("ui.read_only", "request", "the Dagster UI is read-only", "Unset PVM_UI_READ_ONLY")


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body which was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
