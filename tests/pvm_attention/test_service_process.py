"""A service as a process under settings: its port, TLS, a token, health over HTTP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from pvm_attention.services.__main__ import port_of
from pvm_attention.services.contracts import CONTRACTS
from pvm_attention.services.messages import pose_m
from pvm_resources.settings import load_settings
from tests.pvm_api.served import free_port

_WAIT_S = 120
TOKEN = "a token of the test"


@dataclass(frozen=True)
class Running:
    """Where the service listens, where it tells its health, and its certificate."""

    port: int
    health_port: int
    certificate: bytes

    def ask(self, channel: grpc.Channel, token: str) -> object:
        """A pose of nothing."""
        method = CONTRACTS["head_pose"].methods["Estimate"]
        call = channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.reply.FromString,
        )
        return call(pose_m.PoseRequest(), timeout=_WAIT_S, metadata=(("authorization", f"Bearer {token}"),))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service of head poses under settings."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = _self_signed(folder)
    port, health = free_port(), free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PVM_")}
    given = {
        "PVM_HOME": str(folder), "PVM_ATTENTION_HEAD_POSE_PORT": str(port),
        "PVM_ATTENTION_HEALTH_PORT": str(health), "PVM_ATTENTION_TOKEN": TOKEN,
        "PVM_ATTENTION_TLS_CERT": str(certificate), "PVM_ATTENTION_TLS_KEY": str(key),
    }  # fmt: skip
    command = [sys.executable, "-m", "pvm_attention.services", "head_pose"]
    process = subprocess.Popen(command, env={**clean, **given}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"head_pose on 127.0.0.1:{port}\n"
    yield Running(port, health, certificate.read_bytes())
    process.terminate()
    assert process.wait(_WAIT_S) == 0


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine, which makes the certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_it_answers_over_tls_to_who_has_the_token(running: Running) -> None:
    credentials = grpc.ssl_channel_credentials(running.certificate)
    with grpc.secure_channel(f"127.0.0.1:{running.port}", credentials) as channel:
        assert running.ask(channel, TOKEN) == pose_m.PoseReply()
        with pytest.raises(grpc.RpcError, match=r"attention\.token"):
            running.ask(channel, "another")


def test_it_answers_neither_without_tls_nor_to_who_does_not_know_its_certificate(running: Running) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel, pytest.raises(grpc.RpcError) as plain:
        running.ask(channel, TOKEN)
    assert plain.value.code() == grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    trusting = grpc.ssl_channel_credentials()
    with grpc.secure_channel(f"127.0.0.1:{running.port}", trusting) as channel:
        with pytest.raises(grpc.RpcError) as unknown:
            running.ask(channel, TOKEN)
        assert unknown.value.code() == grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_its_health_is_told_over_http(running: Running) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.health_port}/health", timeout=_WAIT_S) as answer:
        assert b"head_pose" in answer.read()


def test_ports_are_settings_whose_defaults_are_the_contracts(tmp_path: Path) -> None:
    plain = load_settings(tmp_path / "none.env")
    assert {name: port_of(name, plain) for name in CONTRACTS} == {
        name: one.port for name, one in CONTRACTS.items()
    }
    moved = load_settings(tmp_path / "none.env", attention_scorer_port=6_000)
    assert port_of("attention_scorer", moved) == 6_000


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("PVM_ATTENTION_SERVICES_AT", "nobody=127.0.0.1:1", "attention.services"),
        ("PVM_ATTENTION_HOST", "0.0.0.0", "attention.token"),
        ("PVM_ATTENTION_TLS_KEY", "key.pem", "attention.tls"),
    ],
)
def test_settings_that_make_no_sense_end_it_with_their_code(
    name: str, value: str, code: str, tmp_path: Path
) -> None:
    clean = {key: given for key, given in os.environ.items() if not key.startswith("PVM_")}
    command = [sys.executable, "-m", "pvm_attention.services", "orchestrator", "--port", str(free_port())]
    done = subprocess.run(
        command, env={**clean, "PVM_HOME": str(tmp_path), name: value}, capture_output=True, text=True,
        timeout=_WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert code in done.stderr
