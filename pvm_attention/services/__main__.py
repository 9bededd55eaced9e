"""Runs services: ``python -m pvm_attention.services all`` or the name of one."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from pvm_attention.analysis import FaceNetworks
from pvm_attention.rules import AttentionRules
from pvm_attention.services.contracts import CONTRACTS
from pvm_attention.services.implementations import (
    PLAIN,
    Answers,
    attention_scorer,
    face_detection,
    landmark_detection,
)
from pvm_attention.services.orchestrator import clients_of, orchestrator
from pvm_attention.services.server import Protection, serve
from pvm_core.errors import InputError, PvmError
from pvm_resources.settings import LOOPBACK, Settings, load_settings


def main() -> int:
    """The process; SIGINT and SIGTERM end it."""
    try:
        settings = load_settings()
        given = _arguments(settings)
        guard = _protection(given, settings)
        names = tuple(CONTRACTS) if given.service == "all" else (given.service,)
        ports = {name: port_of(name, settings) for name in names}
        if given.port and len(names) == 1:
            ports[given.service] = given.port
        running = [
            serve(
                {name: _answers(name, given, settings, guard)},
                given.host,
                ports[name],
                guard,
                given.health_port if given.health_port and name == names[0] else None,
            )
            for name in names
        ]
    except PvmError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except RuntimeError as error:
        print(f"a port is taken: {error}", file=sys.stderr)
        return 1
    for one in running:
        print(f"{', '.join(one.services)} on {given.host}:{one.port}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    for one in running:
        one.stop()
    return 0


def port_of(name: str, settings: Settings) -> int:
    """Where a service listens by the settings."""
    return int(getattr(settings, f"attention_{name.removeprefix('attention_')}_port"))


def _arguments(settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pvm_attention.services", description=__doc__)
    parser.add_argument("service", choices=["all", *CONTRACTS])
    parser.add_argument("--host", default=settings.attention_host)
    parser.add_argument("--port", type=int, help="of a single service; default as the settings say")
    parser.add_argument(
        "--health-port", type=int, default=settings.attention_health_port,
        help="answers GET /health over HTTP here as well",
    )  # fmt: skip
    parser.add_argument("--detector", default="blazeface", help="blazeface, haar or yunet:PATH")
    parser.add_argument("--tls-cert", type=Path, default=settings.attention_tls_cert)
    parser.add_argument("--tls-key", type=Path, default=settings.attention_tls_key)
    parser.add_argument(
        "--at", action="append", default=[], metavar="NAME=HOST:PORT", help="where a service is"
    )
    return parser.parse_args()


def _protection(given: argparse.Namespace, settings: Settings) -> Protection:
    """The token of the settings; both files of TLS or none.

    Raises:
        InputError: ``attention.tls``, ``attention.token``: others could reach it without a token.
    """
    token = settings.attention_token.get_secret_value() if settings.attention_token else ""
    if (given.tls_cert is None) != (given.tls_key is None):
        raise InputError("attention.tls", "TLS", "a certificate needs its key", "Give both files")
    if given.host not in LOOPBACK and not token:
        raise InputError(
            "attention.token",
            given.host,
            "others could reach the services there without a token",
            "Set PVM_ATTENTION_TOKEN, or listen on 127.0.0.1",
        )
    if given.tls_cert is None:
        return Protection(token)
    return Protection(token, given.tls_cert.read_bytes(), given.tls_key.read_bytes())


def _answers(name: str, given: argparse.Namespace, settings: Settings, guard: Protection) -> Answers:
    if name in PLAIN:
        return PLAIN[name]()
    if name == "attention_scorer":
        return attention_scorer(AttentionRules())
    if name == "orchestrator":
        addresses = {other: f"127.0.0.1:{port_of(other, settings)}" for other in CONTRACTS}
        addresses.update(_places([*settings.attention_services_at.split(","), *given.at]))
        return orchestrator(clients_of(addresses, _channel(guard), guard.token))
    networks = FaceNetworks.load(given.detector, settings.models)
    return face_detection(networks) if name == "face_detection" else landmark_detection(networks)


def _places(given: Sequence[str]) -> dict[str, str]:
    """Addresses by service.

    Raises:
        InputError: ``attention.services``: it is no ``NAME=HOST:PORT`` of a service.
    """
    found = {}
    for pair in filter(None, map(str.strip, given)):
        name, equals, address = pair.partition("=")
        if name not in CONTRACTS or not equals or ":" not in address:
            known = ", ".join(CONTRACTS)
            raise InputError("attention.services", pair, "it names no service", f"NAME=HOST:PORT, of {known}")
        found[name] = address
    return found


def _channel(guard: Protection) -> Callable[[str], grpc.Channel]:
    if not guard.certificate:
        return lambda address: grpc.insecure_channel(address)
    credentials = grpc.ssl_channel_credentials(guard.certificate)
    return lambda address: grpc.secure_channel(address, credentials)


if __name__ == "__main__":
    sys.exit(main())
