"""Attention as it is found: a job's events of it over server-sent events and over a websocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.status import WS_1001_GOING_AWAY
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from pvm_api.auth import check_scope, token_of
from pvm_api.deps import JobId, Reader, ServicesDep
from pvm_api.live import as_server_sent, batches
from pvm_api.origin import is_foreign_socket
from pvm_api.problems import ApiError, refuse
from pvm_api.services import Services
from pvm_core.errors import PvmError
from pvm_jobs.payloads import live_message

router: Final = APIRouter(tags=["results"])
SOCKET: Final = "/v1/jobs/{job_id}/attention/socket"
#: Places in the outbox are 64-bit integers.
_PLACE_MAX: Final = 2**63 - 1
_Place = Annotated[
    int,
    Query(ge=0, le=_PLACE_MAX, description="Events after the one of this id; 0: from the first one."),
]
_LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID", ge=0, le=_PLACE_MAX,
        description="Id of the last event that came, sent by browsers that connect again; wins over `after`.",
    ),
]  # fmt: skip
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events that go on until the caller leaves: `video.attention.ready` and "
        "`attention.analysis.completed`, each with its id and the data of docs/events.md. The websocket "
        "`/v1/jobs/{job_id}/attention/socket?after=ID` sends the same as JSON texts `{id, event, data}`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class EventStream(StreamingResponse):
    """Server-sent events.

    Args:
        frames: of the stream.
        held: closed when the answer ends, however it does.
    """

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncIterator[bytes], held: ExitStack) -> None:
        # Proxies that buffer answers would hold events back.
        super().__init__(frames, headers={"X-Accel-Buffering": "no"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer."""
        with self._held:
            await super().__call__(scope, receive, send)


@router.get(
    "/v1/jobs/{job_id}/attention/stream",
    operation_id="streamAttention",
    summary="Attention as it is found",
    response_class=EventStream,
    status_code=200,
    responses=_STREAM,
)
async def stream(
    job_id: JobId,
    request: Request,
    services: ServicesDep,
    caller: Reader,
    after: _Place = 0,
    last_event_id: _LastEventId = None,
) -> EventStream:
    """The job's events of attention as they are committed."""
    await run_in_threadpool(services.store.match_queries.job, job_id)
    place = after if last_event_id is None else last_event_id
    still = partial(services.gate.still, request, token_of(request), "read")
    held = ExitStack()
    held.enter_context(services.live_places.take(caller.caller))

    async def frames() -> AsyncIterator[bytes]:
        # At once, so that the caller knows that it is connected.
        yield as_server_sent([])
        async for events in batches(services.live, job_id, place, still):
            yield as_server_sent(events)

    return EventStream(frames(), held)


async def socket(websocket: WebSocket) -> None:
    """The same over a websocket; what the caller sends is not read."""
    services: Services = websocket.app.state.services
    job_id, held = str(websocket.path_params["job_id"]), ExitStack()
    with held:
        try:
            place = await run_in_threadpool(_admitted, websocket, services, job_id, held)
        except PvmError as error:
            await refuse(websocket, error)(websocket.scope, websocket.receive, websocket.send)
            return
        await websocket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, websocket, tasks.cancel_scope)
            with suppress(WebSocketDisconnect):
                await _send_all(websocket, services, job_id, place)
            tasks.cancel_scope.cancel()


async def _send_all(websocket: WebSocket, services: Services, job_id: str, place: int) -> None:
    still = partial(services.gate.still, websocket, token_of(websocket), "read")
    async for events in batches(services.live, job_id, place, still):
        for event in events:
            await websocket.send_text(live_message(event))
    await websocket.close(WS_1001_GOING_AWAY)


def _admitted(websocket: WebSocket, services: Services, job_id: str, held: ExitStack) -> int:
    """The place after which events are sent.

    Raises:
        PvmError: what a request of the stream would be refused with; ``auth.origin``.
    """
    if is_foreign_socket(websocket.headers, services.origins):
        remedy = "Name its origin in PVM_API_CORS if it is yours"
        raise ApiError("auth.origin", "a page of another site opens the websocket", remedy)
    caller = check_scope(services.gate.admit(websocket, token_of(websocket)), "read")
    services.store.match_queries.job(job_id)
    given = websocket.query_params.get("after", "0")
    place = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else -1
    if not 0 <= place <= _PLACE_MAX:
        reason = "query.after: it is no id of an event"
        raise ApiError("request.invalid", reason, "Send the id of the last event")
    held.enter_context(services.live_places.take(caller.caller))
    return place


async def _until_gone(websocket: WebSocket, scope: anyio.CancelScope) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
