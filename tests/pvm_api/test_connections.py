"""Connections that are opened and not used: times, rates and numbers, over a server that answers anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pvm_api.connections import ConnectionLimits, limits_here, server_options
from pvm_resources.settings import load_settings
from tests.pvm_api.served import free_port, received, send

_LIMITS = ConnectionLimits(head_s=1.0, body_s=1.0, body_bytes=1_000, write_s=1.0, per_address=20, total=30)
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#: A busy machine answers late.
_LATE_S = 15.0


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and says how long it was; ``/large`` answers a hundred megabytes."""
    if scope["type"] == "http":
        request = Request(scope, receive)
        size = len(await request.body())
        answer: Response = PlainTextResponse(str(size))
        if request.url.path == "/large":
            answer = Response(b"x" * 100_000_000)
        await answer(scope, receive, send)


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """None: it runs in a thread."""


Connect = Callable[..., socket.socket]


def _serving(limits: ConnectionLimits, proxies: str = "") -> Iterator[tuple[_Server, Connect]]:
    port = free_port()
    config = uvicorn.Config(
        _app, port=port, log_level="warning", lifespan="off", timeout_keep_alive=3,
        **server_options(limits, proxies),
    )  # fmt: skip
    server = _Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    opened: list[socket.socket] = []

    def connect(source: str = "127.0.0.1") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", port), timeout=_LATE_S, source_address=(source, 0))
        opened.append(made)
        return made

    yield server, connect
    for one in opened:
        one.close()
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[_Server, Connect]]:
    """A server with short limits, which trusts the proxy 127.0.0.9."""
    yield from _serving(_LIMITS, "127.0.0.9")


@pytest.fixture
def connect(served: tuple[_Server, Connect]) -> Connect:
    """Opens a connection to it; nobody else has one."""
    server, connect = served
    deadline = time.monotonic() + _LATE_S
    while server.server_state.connections and time.monotonic() < deadline:
        time.sleep(0.02)
    return connect


def _closed(one: socket.socket) -> float:
    """Waits until the other side closes; seconds from now."""
    start = time.monotonic()
    while received(one):
        pass
    return time.monotonic() - start


def test_headers_must_come_in_time(connect: Connect) -> None:
    for sent in (b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        one = connect()
        send(one, sent)
        assert 0.5 < _closed(one) < _LATE_S


def test_a_line_now_and_then_gains_no_time(connect: Connect) -> None:
    one = connect()
    send(one, b"GET / HTTP/1.1\r\n")
    one.settimeout(0.1)
    start = time.monotonic()
    while time.monotonic() - start < _LATE_S:
        send(one, b"X: y\r\n")
        try:
            if not received(one):
                break
        except TimeoutError:
            continue
    assert 0.5 < time.monotonic() - start < _LATE_S


def test_second_headers_must_come_in_time_as_well(connect: Connect) -> None:
    one = connect()
    send(one, _GET)
    assert received(one).startswith(b"HTTP/1.1 200")
    time.sleep(1.5)
    # Nothing was begun: the keep-alive time counts, which is longer.
    send(one, _GET + _GET + b"GET / HTTP/1.1\r\n")
    time.sleep(0.3)
    assert received(one).count(b"HTTP/1.1 200") == 2
    assert _closed(one) < _LATE_S


def test_a_body_must_come_at_a_rate(connect: Connect) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n"
    slow = connect()
    send(slow, head + b"x")
    assert 0.5 < _closed(slow) < _LATE_S
    steady = connect()
    send(steady, head)
    for _ in range(10):
        # Longer in all than one span; always more than the least.
        send(steady, b"x" * 300)
        time.sleep(0.2)
    assert received(steady).endswith(b"3000")


def test_an_answer_that_nobody_reads_ends(served: tuple[_Server, Connect], connect: Connect) -> None:
    one = connect()
    send(one, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    deadline = time.monotonic() + _LATE_S
    time.sleep(0.3)
    assert served[0].server_state.connections
    while served[0].server_state.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not served[0].server_state.connections


def test_one_address_has_so_many_connections(connect: Connect) -> None:
    many = [connect("127.0.0.2") for _ in range(25)]
    for one in many:
        send(one, _GET)
    answers = [received(one) for one in many]
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 20
    assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) == 5
    other = connect("127.0.0.3")
    send(other, _GET)
    assert received(other).startswith(b"HTTP/1.1 200")
    for one in many:
        one.close()
    time.sleep(0.3)
    again = connect("127.0.0.2")
    send(again, _GET)
    assert received(again).startswith(b"HTTP/1.1 200")


def test_a_trusted_proxy_has_all_there_are(connect: Connect) -> None:
    many = [connect("127.0.0.9") for _ in range(35)]
    for one in many:
        send(one, _GET)
    answers = [received(one) for one in many]
    assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 30


def test_the_limits_fit_the_open_files() -> None:
    found = limits_here()
    assert replace(found, total=0) == ConnectionLimits(total=0)
    assert 0 < found.total <= 800


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", ""), (" 127.0.0.1 , ::1", "127.0.0.1/32,::1/128"), ("10.1.2.3/8", "10.0.0.0/8")],
)
def test_proxies_are_addresses_and_networks(given: str, kept: str) -> None:
    found = load_settings(trusted_proxies=given).trusted_proxies
    assert found == kept
    options = server_options(_LIMITS, found)
    assert (options["proxy_headers"], options["forwarded_allow_ips"]) == (bool(kept), kept)


@pytest.mark.parametrize("given", ["*", "proxy.example.org", "10.1.0.0/33", "127.0.0.1;::1"])
def test_proxies_that_are_neither_are_refused(given: str) -> None:
    with pytest.raises(Exception, match="PVM_TRUSTED_PROXIES"):
        load_settings(trusted_proxies=given)
