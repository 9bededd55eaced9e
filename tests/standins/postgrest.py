"""PostgREST as far as functions go: ``POST /rest/v1/rpc/NAME`` calls a function of a real PostgreSQL.

Headers and answers: PostgREST's documentation, "Functions as RPC" and "Schemas".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.standins.serving import Answer, Request, StandIn


class PostgRest(StandIn):
    """A project over a database; refuses calls without its key or of a schema that it does not expose."""

    def __init__(self, dsn: str, schema: str, key: str = "secret") -> None:
        super().__init__()
        self.key = key
        self._dsn = dsn
        self._schema = schema

    def answer(self, request: Request) -> Answer:
        """See `StandIn`."""
        status, content = self._answer(request.path, request.headers, request.json)
        return Answer(status, json.dumps(content, default=str).encode())

    def _answer(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        if headers.get("apikey") != self.key or headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"message": "Invalid API key", "code": "401", "hint": None, "details": None}
        if headers.get("content-profile") != self._schema:
            return 406, {
                "message": f"The schema must be one of the following: {self._schema}",
                "code": "PGRST106",
            }
        name = path.removeprefix("/rest/v1/rpc/")
        values = {key: Jsonb(one) if isinstance(one, (dict, list)) else one for key, one in body.items()}
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(key), sql.Placeholder(key)) for key in values
        )
        query = sql.SQL("SELECT to_jsonb(r) FROM {}({}) r").format(
            sql.Identifier(self._schema, name), arguments
        )
        try:
            with psycopg.connect(self._dsn) as connection:
                rows = connection.execute(query, values).fetchall()
                several = connection.execute(
                    "SELECT proretset FROM pg_proc WHERE proname = %s AND pronamespace = %s::regnamespace",
                    [name, self._schema],
                ).fetchone()
        except psycopg.Error as error:
            message = str(error).splitlines()[0]
            return 400, {"message": message, "code": error.sqlstate, "hint": None, "details": None}
        found = [row[0] for row in rows]
        return 200, found if several and several[0] else found[0]
