"""Fixtures: one Dagster a module, with as many servers before it as tests ask for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
import uvicorn
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.pvm_api.dagster_ui.sites import Site, World

_LOCATION = Path(__file__).with_name("world_location.py")
_QUIET = {"telemetry": {"enabled": False}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Dagster of its own, loaded once a module."""
    folder = str(tmp_path_factory.mktemp("dagster"))
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []
    contexts: dict[bool, WorkspaceProcessContext] = {}

    def serve(app: ASGIApp) -> Site:
        answered: list[str] = []

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            answered.append(scope.get("path", ""))

        server = uvicorn.Server(uvicorn.Config(counted, port=0, log_level="error", proxy_headers=False))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return Site(server.servers[0].sockets[0].getsockname()[1], answered)

    @cache
    def dagster(prefix: str = "", read_only: bool = False) -> ASGIApp:
        if read_only not in contexts:
            contexts[read_only] = _context(instance, read_only)
        return create_app_from_workspace_process_context(contexts[read_only], prefix)

    with dg.DagsterInstance.local_temp(folder, overrides=_QUIET) as instance:
        yield World(instance, serve, dagster)
        for server, thread in servers:
            server.should_exit = True
            thread.join(timeout=10)
        for context in contexts.values():
            context.__exit__(None, None, None)


def _context(instance: dg.DagsterInstance, read_only: bool) -> WorkspaceProcessContext:
    target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(_LOCATION))
    origin = InProcessCodeLocationOrigin(loadable_target_origin=target, location_name="pvm")
    context = WorkspaceProcessContext(
        instance, InProcessWorkspaceLoadTarget(origin), "1", read_only=read_only
    )
    context.__enter__()
    return context


@pytest.fixture(scope="module")
def stock(world: World) -> Site:
    """Dagster as it comes."""
    return world.serve(world.dagster())


@pytest.fixture(scope="module")
def ours(world: World) -> Site:
    """Dagster behind the guards, with no setting changed."""
    return world.guarded()
