"""PostgREST as far as functions go: ``POST /rest/v1/rpc/NAME`` calls a function of a real PostgreSQL.

Headers and answers: PostgREST's documentation, "Functions as RPC" and "Schemas".
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb


class PostgRest:
    """A project over a database; refuses calls without its key or of a schema that it does not expose."""

    def __init__(self, dsn: str, schema: str, key: str = "secret") -> None:
        self.key = key
        self._dsn = dsn
        self._schema = schema
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                status, answer = owner._answer(self.path, self.headers, body)
                data = json.dumps(answer, default=str).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Of the project."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, headers: Any, body: dict[str, Any]) -> tuple[int, Any]:
        if headers.get("apikey") != self.key or headers.get("Authorization") != f"Bearer {self.key}":
            return 401, {"message": "Invalid API key", "code": "401", "hint": None, "details": None}
        if headers.get("Content-Profile") != self._schema:
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
