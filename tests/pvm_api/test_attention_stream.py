"""Attention as it is found: server-sent events and websocket of a real server, over a real database."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from pvm_api.live import Places, batches
from pvm_api.problems import ApiError
from pvm_jobs.events import Event
from pvm_jobs.payloads import Outgoing
from pvm_resources.events.live import LiveEvents
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import FaceSet, VideoAttention
from tests.databases import Databases
from tests.pvm_api.served import Served
from tests.pvm_resources import world
from tests.pvm_resources.world import World

T = TypeVar("T")
PATH = "/v1/jobs/job-1/attention"


def found(repos: Store, video: uuid.UUID, score: float, job: str = "job-1") -> None:
    """The attention of a video is stored, with its event."""
    repos.attention.write_set(FaceSet(video, "f1", "blazeface", 25.0, 10, 9, 1.0), [])
    told = {"video_id": str(video), "score": score, "coverage": 1.0, "confidence": 0.5}
    repos.attention.write_attention(
        VideoAttention(video, "f1", "a1", score, 1.0, 0.5, 0, []),
        [Event(job, "video.attention.ready", str(uuid.uuid4()), told)],
    )


@dataclass
class Api:
    """A running API and a key that may read."""

    served: Served
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.token}

    def socket(self, query: str = "", path: str = PATH, **options: Any) -> ClientConnection:
        address = f"ws://127.0.0.1:{self.served.port}{path}/socket{query}"
        return connect(address, **{"additional_headers": self.headers, **options})


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Database]:
    """One database for the module."""
    with databases.one() as url, Database(url) as made:
        yield made


@pytest.fixture(scope="module")
def done(database: Database) -> World:
    """A finished job."""
    repos = Store.over(database)
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    return made


@pytest.fixture
def repos(database: Database) -> Store:
    """The tables; nothing of attention yet."""
    made = Store.over(database)
    database.commit(lambda cursor: cursor.execute("DELETE FROM outbox").rowcount)
    return made


@pytest.fixture(scope="module")
def api(done: World, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API as a process."""
    token = Keys(database).create("reader", ["read"])[1]
    with Served(database.dsn, tmp_path_factory.mktemp("api")) as served:
        yield Api(served, token)


def _events(answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    """The next events of a stream, each as a websocket has it."""
    out: list[dict[str, Any]] = []
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            out.append(
                {"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
            )
            fields = {}
            if len(out) == count:
                break
    return out


def test_both_ways_send_the_same_as_it_is_committed_and_go_on_where_they_were(
    api: Api, done: World, repos: Store
) -> None:
    first, second = (video.video_id for video in done.videos)
    stream = httpx.Client(base_url=api.served.url, headers=api.headers, timeout=60)
    with api.socket() as opened:
        with stream.stream("GET", f"{PATH}/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            found(repos, first, 0.8)
            (one,) = _events(answer, 1)
        assert json.loads(opened.recv(60)) == one
        assert (one["event"], one["data"]["score"]) == ("video.attention.ready", 0.8)
        assert one["data"]["job_id"] == "job-1"
        found(repos, second, 0.3)
        other = json.loads(opened.recv(60))
    assert other["data"]["video_id"] == str(second)
    assert other["id"] > one["id"]
    again = {"Last-Event-ID": str(one["id"])}
    with stream.stream("GET", f"{PATH}/stream", params={"after": 0}, headers=again) as answer:
        assert _events(answer, 1) == [other], "the header wins"
    with api.socket(f"?after={one['id']}") as opened:
        assert json.loads(opened.recv(60)) == other
    with stream.stream("GET", f"{PATH}/stream") as answer:
        assert _events(answer, 2) == [one, other], "from the first one where none is named"


def test_who_may_not_read_gets_no_stream_and_no_websocket(api: Api, database: Database) -> None:
    refusals = [
        (PATH, "", {}, 401, "auth.missing"),
        (PATH, "", {"X-API-Key": "pvm_wrong"}, 401, "auth.invalid"),
        ("/v1/jobs/none/attention", "", api.headers, 404, "job.unknown"),
        (PATH, "?after=-1", api.headers, 422, "request.invalid"),
        (PATH, "?after=9223372036854775808", api.headers, 422, "request.invalid"),
    ]
    for path, query, headers, status, code in refusals:
        answer = httpx.get(f"{api.served.url}{path}/stream{query}", headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        with pytest.raises(InvalidStatus) as refused, api.socket(query, path, additional_headers=headers):
            pass
        denied = refused.value.response
        assert (denied.status_code, json.loads(denied.body or b"")["code"]) == (status, code)
        assert denied.headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_of_another_site_opens_no_websocket(api: Api) -> None:
    with pytest.raises(InvalidStatus) as refused, api.socket(origin="https://evil.example"):
        pass
    assert json.loads(refused.value.response.body or b"")["code"] == "auth.origin"
    with api.socket(origin=f"http://127.0.0.1:{api.served.port}"):
        pass


def test_without_keys_a_websocket_is_of_this_machine_alone(
    done: World, database: Database, tmp_path: Path
) -> None:
    with Served(database.dsn, tmp_path / "api", {"PVM_API_AUTH": "false"}) as served:
        open_ = Api(served, "none")
        with open_.socket(additional_headers={}):
            pass
        with pytest.raises(InvalidStatus) as refused, open_.socket(origin="https://evil.example"):
            pass
        assert json.loads(refused.value.response.body or b"")["code"] == "auth.origin"
        here = socket.create_connection(("127.0.0.1", served.port))
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://evil.example{PATH}/socket", sock=here):
            pass
        assert json.loads(refused.value.response.body or b"")["code"] == "auth.host"


def test_no_other_address_is_a_websocket(api: Api) -> None:
    for path in ("/v1/jobs", "/nothing"):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{api.served.port}{path}"):
            pass
        assert refused.value.response.status_code == 403


def test_a_large_message_ends_its_websocket_alone(api: Api) -> None:
    with api.socket() as opened, api.socket() as other:
        opened.send("x" * 100)
        with suppress(ConnectionClosed):
            opened.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as closed:
            # What the job has so far comes first.
            list(opened)
        # What of the message the server did not read may reset the connection before its reason is read.
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        assert other.ping().wait(60)


def test_a_server_that_stops_ends_its_streams(api: Api, repos: Store) -> None:
    """The last one: nobody answers afterwards."""
    process = api.served._process
    assert process is not None
    with (
        api.socket() as opened,
        httpx.stream("GET", f"{api.served.url}{PATH}/stream", headers=api.headers, timeout=60) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == ":"
        process.send_signal(signal.SIGTERM)
        # A stream that is cut would raise.
        assert not [line for line in lines if line]
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in (1001, 1012)
    assert process.wait(60) == -signal.SIGTERM, "as any server of uvicorn that stops in order"


def _in_own_loop(run: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """A browser of other tests keeps a loop running in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


# -- what both stand on --------------------------------------------------------------------------------


class Counted:
    """Looks into the outbox, counted."""

    def __init__(self, repos: Store) -> None:
        self._repos = repos
        self.looks = 0

    def __call__(self, after: Mapping[str, int]) -> list[Outgoing]:
        self.looks += 1
        return self._repos.attention.updates(after)


def test_one_look_serves_everybody(done: World, repos: Store, database: Database) -> None:
    read = Counted(repos)

    async def follow(live: LiveEvents, ready: asyncio.Semaphore) -> int:
        async with live.follow("job-1", 0) as follower:
            ready.release()
            events = await follower.take(60)
            return len(events)

    async def run() -> tuple[list[int], int]:
        live, ready = LiveEvents(database.dsn, read), asyncio.Semaphore(0)
        tasks = [asyncio.create_task(follow(live, ready)) for _ in range(40)]
        for _ in tasks:
            await ready.acquire()
        await asyncio.sleep(1)
        before = read.looks
        await asyncio.to_thread(found, repos, done.videos[0].video_id, 0.5)
        got = await asyncio.gather(*tasks)
        assert live.following == 0
        return got, read.looks - before

    got, looks = _in_own_loop(run)
    assert got == [1] * 40
    assert looks <= 3


def test_followers_outlive_the_connection_to_the_database(
    done: World, repos: Store, database: Database
) -> None:
    async def run() -> list[Outgoing]:
        live = LiveEvents(database.dsn, repos.attention.updates)
        async with live.follow("job-1", 0) as follower:
            assert not await follower.take(1)
            ended = await asyncio.to_thread(
                database.tuples,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' "
                "AND datname = current_database()",
            )
            assert ended == [(True,)]
            await asyncio.to_thread(found, repos, done.videos[0].video_id, 0.5)
            return await follower.take(60)

    assert [event.payload["score"] for event in _in_own_loop(run)] == [0.5]


def test_a_slow_follower_misses_nothing_and_others_do_not_wait(
    done: World, repos: Store, database: Database
) -> None:
    async def run() -> tuple[int, int]:
        live = LiveEvents(database.dsn, repos.attention.updates)
        async with live.follow("job-1", 0) as slow, live.follow("job-1", 0) as fast:
            await asyncio.to_thread(found, repos, done.videos[0].video_id, 0.1)
            got = len(await fast.take(60))
            await asyncio.to_thread(found, repos, done.videos[1].video_id, 0.2)
            got += len(await fast.take(60))
            late = await slow.take(60)
            while late[-1].payload["score"] < 0.2:
                late += await slow.take(60)
            return got, len(late)

    assert _in_own_loop(run) == (2, 2)


def test_a_caller_whose_key_is_revoked_is_left(done: World, repos: Store, database: Database) -> None:
    async def run() -> int:
        live = LiveEvents(database.dsn, repos.attention.updates)
        answers = iter([True, False])
        return len([b async for b in batches(live, "job-1", 0, lambda: next(answers), 0.05)])

    assert _in_own_loop(run) == 1


def test_streams_are_bounded() -> None:
    places = Places(total=3, per_caller=2)
    with places.take("a"), places.take("a"):
        with pytest.raises(ApiError, match="as many streams"), places.take("a"):
            pass
        with places.take("b"), pytest.raises(ApiError, match="as many streams"), places.take("c"):
            pass
    with places.take("a"):
        pass
