"""gRPC servers of the analysis: health, token and TLS by setting, one process each or all in one."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pvm_attention.services.contracts import CONTRACTS, STREAM, Contract, Method
from pvm_attention.services.implementations import Answer, Answers
from pvm_core.errors import PvmError

#: Bytes of a message: a picture of 24 million pixels as JPEG.
_MAX_BYTES: Final = 16 << 20
_WORKERS: Final = 8


@dataclass(frozen=True)
class Protection:
    """What guards a server.

    Attributes:
        token: callers must send ``authorization: Bearer TOKEN``; "": nobody must.
        certificate, key: PEM; empty: no TLS.
    """

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


class _TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the token; health is open, as orchestrators of containers ask it."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}".encode()
        refuse = lambda _request, context: context.abort(  # noqa: E731
            grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong [attention.token]"
        )
        self._refused = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The handler of the call, or the one that refuses it."""
        given = dict(details.invocation_metadata).get("authorization", "")
        allowed = details.method.startswith("/grpc.health.v1.") or hmac.compare_digest(
            str(given).encode(), self._wanted
        )
        return continuation(details) if allowed else self._refused


@dataclass
class RunningServer:
    """A server that answers; `port` is where."""

    server: grpc.Server
    port: int
    health: health.HealthServicer
    services: tuple[str, ...]
    http: ThreadingHTTPServer | None = None

    @property
    def http_port(self) -> int | None:
        """Where ``/health`` is answered over HTTP; None where it is not."""
        return self.http.server_address[1] if self.http else None

    def stop(self) -> None:
        """Ends it at once."""
        self.server.stop(0).wait()
        if self.http is not None:
            self.http.shutdown()
            self.http.server_close()


def serve(
    answers: Mapping[str, Answers],
    host: str,
    port: int,
    protection: Protection | None = None,
    http_port: int | None = None,
) -> RunningServer:
    """Starts a server of one or several services.

    Args:
        answers: service -> what answers its methods.
        host, port: where; port 0 takes a free one.
        http_port: where ``/health`` is answered over HTTP as well; None: nowhere.

    Raises:
        RuntimeError: the port is taken.
    """
    guard = protection or Protection()
    interceptors = [_TokenInterceptor(guard.token)] if guard.token else []
    server = grpc.server(
        ThreadPoolExecutor(max_workers=_WORKERS),
        interceptors=interceptors,
        options=[("grpc.max_receive_message_length", _MAX_BYTES)],
    )
    standing = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(standing, server)
    for name, mine in answers.items():
        server.add_generic_rpc_handlers((_handlers(CONTRACTS[name], mine),))
        standing.set(CONTRACTS[name].service, health_pb2.HealthCheckResponse.SERVING)
    standing.set("", health_pb2.HealthCheckResponse.SERVING)
    address = f"{host}:{port}"
    if guard.certificate:
        taken = server.add_secure_port(address, grpc.ssl_server_credentials([(guard.key, guard.certificate)]))
    else:
        taken = server.add_insecure_port(address)
    server.start()
    http = _http_health(host, http_port, tuple(answers)) if http_port is not None else None
    return RunningServer(server, taken, standing, tuple(answers), http)


def _handlers(contract: Contract, answers: Answers) -> Any:
    handlers = {}
    for method in contract.methods.values():
        answer = answers[method.name.removesuffix(STREAM) if method.streams else method.name]
        handlers[method.name] = _streaming(method, answer) if method.streams else _single(method, answer)
    return grpc.method_handlers_generic_handler(contract.service, handlers)


def _single(method: Method, answer: Answer) -> Any:
    def handle(request: Any, context: grpc.ServicerContext) -> Any:
        with _told(context):
            return answer(request)

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=method.request.FromString,
        response_serializer=method.reply.SerializeToString,
    )


def _streaming(method: Method, answer: Answer) -> Any:
    def handle(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for request in requests:
            with _told(context):
                yield answer(request)

    return grpc.stream_stream_rpc_method_handler(
        handle,
        request_deserializer=method.request.FromString,
        response_serializer=method.reply.SerializeToString,
    )


class _told:  # noqa: N801  # reads as a word of the with statement
    """What cannot be answered ends the call with its code and remedy."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, PvmError):
            self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


def _http_health(host: str, port: int, services: tuple[str, ...]) -> ThreadingHTTPServer:
    body = json.dumps({"status": "SERVING", "services": services}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/health"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body if known else b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            return None

    made = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=made.serve_forever, daemon=True, name="health").start()
    return made
