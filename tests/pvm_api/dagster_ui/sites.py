"""Dagster's real application, once as Dagster serves it and behind our guards, by real HTTP on loopback."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
from starlette.types import ASGIApp

from pvm_api.dagster_ui.app import guarded
from pvm_api.dagster_ui.options import Options
from pvm_resources.settings import load_settings
from pvm_resources.store.api_keys import Keys

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Site:
    """A server on a port of this machine.

    Attributes:
        answered: paths of the requests it has answered.
    """

    port: int
    answered: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """What a browser sends as Host."""
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of its own pages."""
        return f"http://{self.host}"

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Answer:
        """One request, with these headers and no others than Host and Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"Host": self.host, **(headers or {})}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value)
        data = body.encode() if body is not None else b""
        if method == "POST":
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data or None)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)

    def ask(self, query: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        """GraphQL as programs send it."""
        body = json.dumps({"query": query, **more})
        return self.send("POST", "/graphql", {**JSON, **(headers or {})}, body)


@dataclass(frozen=True)
class World:
    """One Dagster behind several servers."""

    instance: dg.DagsterInstance
    serve: Callable[[ASGIApp], Site]
    dagster: Callable[..., ASGIApp]

    def guarded(self, keys: Keys | None = None, **settings: Any) -> Site:
        """A server of ours with these settings."""
        given = load_settings(Path("none.env"), **settings)
        options = Options.of(given, "127.0.0.1", 3000)
        application = self.dagster(options.prefix, options.read_only)
        return self.serve(guarded(application, options, keys))

    def partitions(self) -> set[str]:
        """The partitions there are."""
        return set(self.instance.get_dynamic_partitions("pvm_job"))


def adding(partition: str) -> str:
    """A mutation that adds a partition."""
    selector = '{repositoryName: "__repository__", repositoryLocationName: "pvm"}'
    return (
        f'mutation Add {{addDynamicPartition(partitionsDefName: "pvm_job", partitionKey: "{partition}", '
        f"repositorySelector: {selector}) {{__typename}}}}"
    )


def in_address(query: str) -> str:
    """The address of a GET with that query."""
    return f"/graphql?query={quote(query)}"
