"""The gRPC services: contracts as the proto files have them, streams, health, tokens, every way to fail."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pvm_attention.analysis import FaceNetworks
from pvm_attention.canonical_face import POSE_LANDMARKS
from pvm_attention.rules import AttentionRules
from pvm_attention.services.contracts import CONTRACTS, STREAM, Contract
from pvm_attention.services.implementations import (
    PLAIN,
    Answers,
    attention_scorer,
    face_detection,
    landmark_detection,
)
from pvm_attention.services.messages import attention_m, blink_m, face_m, gaze_m, landmark_m, pose_m
from pvm_attention.services.orchestrator import FAILURES, clients_of, orchestrator
from pvm_attention.services.server import Protection, RunningServer, serve
from pvm_core.faces.detection import Face
from pvm_core.faces.landmarks import Landmarks
from tests.pvm_attention.heads import other_head, projected

MODULES = {
    "attention": attention_m,
    "blink_detection": blink_m,
    "face_detection": face_m,
    "gaze_tracking": gaze_m,
    "head_pose": pose_m,
    "landmark_detection": landmark_m,
}
PROTO = Path(__file__).resolve().parents[2] / "proto"
PICTURE = cv2.imencode(".png", np.full((360, 640, 3), 120, np.uint8))[1].tobytes()


def _landmarks(yaw: float = 0.0) -> Landmarks:
    rng = np.random.default_rng(4)
    points, _, _ = projected(other_head(rng), (yaw, 0.0, 0.0), 1.0, rng, noise=0.0)
    rest = np.setdiff1d(np.arange(478), POSE_LANDMARKS)
    points[rest, :2] = points[POSE_LANDMARKS, :2].mean(axis=0) + rng.uniform(-20, 20, (rest.size, 2))
    return Landmarks(points.astype(np.float32), 0.99)


class Standin:
    """Networks that see one face in every picture."""

    name = "standin"

    def __call__(self, rgb: Any, region: Any = None) -> Any:
        return [Face(_landmarks().box, 0.9)] if region is None else _landmarks(20.0)


NETWORKS = FaceNetworks(Standin(), Standin())  # type: ignore[arg-type]


def _answers(name: str) -> Answers:
    if name in PLAIN:
        return PLAIN[name]()
    if name == "attention_scorer":
        return attention_scorer(AttentionRules())
    return face_detection(NETWORKS) if name == "face_detection" else landmark_detection(NETWORKS)


@pytest.fixture
def start() -> Iterator[Callable[..., RunningServer]]:
    running: list[RunningServer] = []

    def started(answers: dict[str, Answers], **options: Any) -> RunningServer:
        running.append(serve(answers, "127.0.0.1", 0, **options))
        return running[-1]

    yield started
    for one in running:
        one.stop()


def _ask(channel: grpc.Channel, contract: Contract, method: str, request: Any, token: str = "") -> Any:
    wire = contract.methods[method]
    call = channel.unary_unary(
        wire.path,
        request_serializer=wire.request.SerializeToString,
        response_deserializer=wire.reply.FromString,
    )
    return call(request, timeout=10, metadata=(("authorization", f"Bearer {token}"),) if token else ())


# -- contracts -------------------------------------------------------------------------------------


def _declared() -> dict[str, set[tuple[str, str, str, bool]]]:
    """Service -> (method, request, reply, streams), as the proto files say."""
    found: dict[str, set[tuple[str, str, str, bool]]] = {}
    for path in PROTO.glob("*.proto"):
        for service, body in re.findall(r"service (\w+) \{(.*?)\n\}", path.read_text(), re.S):
            rpcs = re.findall(r"rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\)", body)
            found[service] = {(name, asked, answer, bool(s and t)) for name, s, asked, t, answer in rpcs}
    return found


def test_six_proto_files_declare_the_seven_services() -> None:
    assert {p.stem for p in PROTO.glob("*.proto")} == {
        "face_detection", "landmark_detection", "head_pose", "gaze_tracking", "blink_detection", "attention",
    }  # fmt: skip
    served = {
        contract.service.rpartition(".")[2]: {
            (m.name, m.request.DESCRIPTOR.name, m.reply.DESCRIPTOR.name, m.streams)
            for m in contract.methods.values()
        }
        for contract in CONTRACTS.values()
    }
    assert served == _declared()
    assert [one.port for one in CONTRACTS.values()] == list(range(50051, 50058))


def test_messages_have_the_fields_of_the_proto_files() -> None:
    for path in PROTO.glob("*.proto"):
        module = MODULES[path.stem]
        for message, body in re.findall(r"message (\w+) \{(.*?)\n\}", path.read_text(), re.S):
            fields = {(n, int(k)) for n, k in re.findall(r"(\w+) = (\d+);", body)}
            known = module.DESCRIPTOR.message_types_by_name[message].fields
            assert {(f.name, f.number) for f in known} == fields, message


@pytest.mark.parametrize("name", [n for n in CONTRACTS if n != "orchestrator"])
def test_every_method_answers_one_and_a_stream(name: str, start: Callable[..., RunningServer]) -> None:
    contract, server = CONTRACTS[name], start({name: _answers(name)})
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        for method in contract.methods.values():
            request = _request(method.request)
            if not method.streams:
                assert isinstance(_ask(channel, contract, method.name, request), method.reply)
                continue
            call = channel.stream_stream(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.reply.FromString,
            )
            single = _ask(channel, contract, method.name.removesuffix(STREAM), request)
            assert list(call(iter([request] * 3), timeout=30)) == [single] * 3


def _request(kind: Any) -> Any:
    found = kind()
    names = {field.name for field in kind.DESCRIPTOR.fields}
    if "picture" in names:
        found.picture.CopyFrom(face_m.Picture(data=PICTURE, ts=1.5))
    if "faces" in names:
        found.faces.add(box=face_m.Box(left=10, top=10, width=50, height=50))
    if "landmarks" in names:
        one = _landmarks()
        found.landmarks.add(xy=one.points[:, :2].ravel().tolist(), width=640, height=360)
    return found


def test_what_is_no_picture_or_no_face_is_refused_with_its_code(start: Callable[..., RunningServer]) -> None:
    server = start({"face_detection": _answers("face_detection"), "head_pose": _answers("head_pose")})
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        nothing = face_m.DetectRequest(picture=face_m.Picture(data=b"no picture"))
        with pytest.raises(grpc.RpcError, match="picture") as caught:
            _ask(channel, CONTRACTS["face_detection"], "Detect", nothing)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        few = pose_m.PoseRequest(landmarks=[landmark_m.Landmarks(xy=[1.0], width=1, height=1)])
        with pytest.raises(grpc.RpcError, match=r"attention\.landmarks"):
            _ask(channel, CONTRACTS["head_pose"], "Estimate", few)


# -- health, token, TLS ------------------------------------------------------------------------------


def test_health_is_told_on_the_port_and_over_http(start: Callable[..., RunningServer]) -> None:
    server = start({"head_pose": _answers("head_pose")}, http_port=0)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        ask = health_pb2_grpc.HealthStub(channel).Check
        for service in ("", CONTRACTS["head_pose"].service):
            found = ask(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert found.status == health_pb2.HealthCheckResponse.SERVING
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/health", timeout=10) as answer:
        assert b"SERVING" in answer.read()


def test_a_call_without_the_token_is_refused_and_health_is_open(start: Callable[..., RunningServer]) -> None:
    server = start({"head_pose": _answers("head_pose")}, protection=Protection("secret"))
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        for token in ("", "wrong"):
            with pytest.raises(grpc.RpcError, match=r"attention\.token") as caught:
                _ask(channel, CONTRACTS["head_pose"], "Estimate", pose_m.PoseRequest(), token)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        assert not _ask(channel, CONTRACTS["head_pose"], "Estimate", pose_m.PoseRequest(), "secret").poses
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)


# -- the orchestrator --------------------------------------------------------------------------------


class Parts:
    """All services behind one orchestrator; each can be spoilt."""

    def __init__(self, start: Callable[..., RunningServer], spoilt: str = "", fault: str = "") -> None:
        self.running = {}
        for name in CONTRACTS:
            if name == "orchestrator":
                continue
            answers = _answers(name)
            if name == spoilt and fault in ("hung", "nonsense"):
                answers = {method: _spoilt(fault, CONTRACTS[name], method) for method in answers}
            self.running[name] = start({name: answers})
        if fault == "killed":
            self.running[spoilt].stop()
        places = {name: f"127.0.0.1:{one.port}" for name, one in self.running.items()}
        self.clients = clients_of(places, lambda address: grpc.insecure_channel(address))
        self.analyse = orchestrator(self.clients)["Analyse"]

    def ask(self) -> Any:
        return self.analyse(attention_m.AnalyseRequest(picture=face_m.Picture(data=PICTURE, ts=2.0)))


NONSENSE: dict[str, dict[str, Any]] = {
    "faces": {"score": 7},
    "landmarks": {"xy": [1.0]},
    "poses": {"known": True, "yaw": 999},
    "gazes": {"confidence": -3},
}


def _spoilt(fault: str, contract: Contract, method: str) -> Callable[[Any], Any]:
    def answer(_: Any) -> Any:
        if fault == "hung":
            time.sleep(6)
        reply = contract.methods[method].reply()
        for name, bad in NONSENSE.items():
            if hasattr(reply, name):
                getattr(reply, name).add(**bad)
        if hasattr(reply, "ratios"):
            reply.ratios.extend([float("nan")] * 3)
        if hasattr(reply, "score"):
            reply.score = 40.0
        return reply

    return answer


def test_a_picture_goes_through_all_services(start: Callable[..., RunningServer]) -> None:
    found = Parts(start).ask()
    assert (list(found.missing), found.ts) == ([], 2.0)
    (face,) = found.faces
    assert face.pose.known
    assert 10 < face.pose.yaw < 30
    assert 0 <= face.score <= 1
    assert face.HasField("eye_ratio")


@pytest.mark.parametrize("fault", ["killed", "hung", "nonsense"])
@pytest.mark.parametrize("name", [n for n in CONTRACTS if n != "orchestrator"])
def test_a_service_that_fails_costs_its_own_part_alone(
    name: str, fault: str, start: Callable[..., RunningServer]
) -> None:
    parts = Parts(start, name, fault)
    found = parts.ask()
    assert list(found.missing) == [name]
    if name in ("face_detection", "landmark_detection"):
        assert not found.faces
        return
    (face,) = found.faces
    assert face.pose.known is (name != "head_pose")
    assert face.HasField("eye_ratio") is (name != "blink_detection")
    # Without a pose nothing is known of the moment, and that is not 0.
    assert face.HasField("score") is (name not in ("attention_scorer", "head_pose"))


def test_a_service_that_keeps_failing_is_left_alone(start: Callable[..., RunningServer]) -> None:
    parts = Parts(start, "gaze_tracking", "killed")
    for _ in range(FAILURES):
        parts.ask()
    assert parts.clients["gaze_tracking"].state == "open"
    assert parts.clients["head_pose"].state == "closed"
    assert list(parts.ask().missing) == ["gaze_tracking"]


def test_the_orchestrator_is_a_service_like_the_others(start: Callable[..., RunningServer]) -> None:
    parts = Parts(start)
    server = start({"orchestrator": {"Analyse": parts.analyse}})
    request = attention_m.AnalyseRequest(picture=face_m.Picture(data=PICTURE))
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        assert len(_ask(channel, CONTRACTS["orchestrator"], "Analyse", request).faces) == 1


def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RuntimeError):
            serve({"head_pose": _answers("head_pose")}, "127.0.0.1", taken.getsockname()[1])
