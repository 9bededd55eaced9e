"""The orchestrator: one picture through all services, with a deadline and a circuit breaker for each.

A service that is down, slow or answers nonsense costs its own part of the answer, which then is unknown
and named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import grpc
import pybreaker

from pvm_attention.services.contracts import CONTRACTS
from pvm_attention.services.implementations import Answers
from pvm_attention.services.messages import attention_m, blink_m, face_m, gaze_m, landmark_m, pose_m
from pvm_core.errors import StoreError

#: Seconds a service may take for one picture; ten times what the slowest takes on a busy core.
DEADLINE_S: Final = 2.0
#: Failures in a row after which a service is left alone, and seconds until it is tried again.
FAILURES: Final = 3
RESET_S: Final = 10.0
_BIG: Final = 1e6


class NonsenseError(Exception):
    """A service answered what cannot be."""


class ServiceClient:
    """Calls of one service, counted by its circuit breaker.

    Args:
        name: of the service.
        channel: to it.
        token: sent with each call; "" for none.
        deadline_s: seconds a call may take.
    """

    def __init__(
        self, name: str, channel: grpc.Channel, token: str = "", deadline_s: float = DEADLINE_S
    ) -> None:
        self.name = name
        self._deadline_s = deadline_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._breaker = pybreaker.CircuitBreaker(fail_max=FAILURES, reset_timeout=RESET_S, name=name)
        self._calls = {
            method.name: channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.reply.FromString,
            )
            for method in CONTRACTS[name].methods.values()
            if not method.streams
        }

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return str(self._breaker.current_state)

    def ask(self, method: str, request: Any, makes_sense: Callable[[Any], bool]) -> Any | None:
        """The answer; None where the service is down, too slow, left alone or talks nonsense."""

        def call() -> Any:
            reply = self._calls[method](request, timeout=self._deadline_s, metadata=self._metadata)
            if not makes_sense(reply):
                raise NonsenseError(self.name)
            return reply

        try:
            return self._breaker.call(call)
        except (grpc.RpcError, NonsenseError, pybreaker.CircuitBreakerError):
            return None


def orchestrator(clients: Mapping[str, ServiceClient]) -> Answers:
    """What the orchestrator answers.

    Args:
        clients: of the six other services, by name.
    """
    pool = ThreadPoolExecutor(max_workers=12, thread_name_prefix="services")

    def analyse(request: Any) -> Any:
        picture, missing = request.picture, list[str]()
        found = clients["face_detection"].ask("Detect", face_m.DetectRequest(picture=picture), _faces_sane)
        if found is None:
            return attention_m.AnalyseReply(ts=picture.ts, missing=["face_detection"])
        located = _located(clients, picture, found.faces)
        if located is None:
            return attention_m.AnalyseReply(ts=picture.ts, missing=["landmark_detection"])
        parts = _in_parallel(pool, clients, picture.ts, located.landmarks)
        missing = [name for name, reply in parts.items() if reply is None]
        reply = attention_m.AnalyseReply(ts=picture.ts)
        for n, landmarks in enumerate(located.landmarks):
            reply.faces.append(_face(clients["attention_scorer"], n, landmarks, parts, missing))
        reply.missing.extend(dict.fromkeys(missing))
        return reply

    return {"Analyse": analyse}


def _located(clients: Mapping[str, ServiceClient], picture: Any, faces: Sequence[Any]) -> Any | None:
    request = landmark_m.LocateRequest(picture=picture, faces=faces)
    sane = lambda reply: len(reply.landmarks) <= len(faces) and all(map(_points_sane, reply.landmarks))  # noqa: E731
    return clients["landmark_detection"].ask("Locate", request, sane)


def _in_parallel(
    pool: ThreadPoolExecutor, clients: Mapping[str, ServiceClient], ts: float, landmarks: Sequence[Any]
) -> dict[str, Any]:
    """Pose, gaze and eyes of the same landmarks, asked at once."""
    count = len(landmarks)
    asked: dict[str, Future[Any]] = {
        "head_pose": pool.submit(
            clients["head_pose"].ask,
            "Estimate",
            pose_m.PoseRequest(ts=ts, landmarks=landmarks),
            lambda reply: len(reply.poses) == count and all(map(_pose_sane, reply.poses)),
        ),
        "gaze_tracking": pool.submit(
            clients["gaze_tracking"].ask,
            "Track",
            gaze_m.GazeRequest(ts=ts, landmarks=landmarks),
            lambda reply: len(reply.gazes) == count and all(map(_gaze_sane, reply.gazes)),
        ),
        "blink_detection": pool.submit(
            clients["blink_detection"].ask,
            "Measure",
            blink_m.EyesRequest(ts=ts, landmarks=landmarks),
            lambda reply: len(reply.ratios) == count and all(0 <= ratio < 10 for ratio in reply.ratios),
        ),
    }
    return {name: future.result() for name, future in asked.items()}


def _face(scorer: ServiceClient, n: int, landmarks: Any, parts: Mapping[str, Any], missing: list[str]) -> Any:
    poses, gazes, eyes = (parts[name] for name in ("head_pose", "gaze_tracking", "blink_detection"))
    xs, ys = landmarks.xy[0::2], landmarks.xy[1::2]
    box = face_m.Box(left=min(xs), top=min(ys), width=max(xs) - min(xs), height=max(ys) - min(ys))
    pose = poses.poses[n] if poses else pose_m.Pose(known=False)
    gaze = gazes.gazes[n] if gazes else gaze_m.Gaze()
    # One picture does not know the person's own open eyes: the eyes are told, and do not count.
    asked = scorer.ask("Score", attention_m.ScoreRequest(pose=pose, gaze=gaze), _score_sane)
    if asked is None:
        missing.append(scorer.name)
    score = asked.score if asked is not None and asked.HasField("score") else None
    ratio = eyes.ratios[n] if eyes else None
    return attention_m.AnalysedFace(box=box, pose=pose, gaze=gaze, eye_ratio=ratio, score=score)


def _faces_sane(reply: Any) -> bool:
    return all(
        0 <= face.score <= 1
        and face.box.width > 0
        and face.box.height > 0
        and all(map(_small, (face.box.left, face.box.top, face.box.width, face.box.height, *face.eyes)))
        for face in reply.faces
    )


def _points_sane(landmarks: Any) -> bool:
    return bool(len(landmarks.xy) == 956 and all(map(_small, landmarks.xy)) and landmarks.width > 0)


def _pose_sane(pose: Any) -> bool:
    return bool(not pose.known or all(abs(v) <= 180 for v in (pose.yaw, pose.pitch, pose.roll)))


def _gaze_sane(gaze: Any) -> bool:
    return bool(0 <= gaze.zone <= 6 and 0 <= gaze.confidence <= 1)


def _score_sane(reply: Any) -> bool:
    return bool(not reply.HasField("score") or 0 <= reply.score <= 1)


def _small(value: float) -> bool:
    return math.isfinite(value) and abs(value) < _BIG


def clients_of(
    addresses: Mapping[str, str], channel_of: Callable[[str], grpc.Channel], token: str = ""
) -> dict[str, ServiceClient]:
    """Clients of the services the orchestrator asks.

    Args:
        addresses: service -> ``host:port``.
        channel_of: opens a channel to an address.

    Raises:
        StoreError: ``attention.services``: an address is missing.
    """
    wanted = [name for name in CONTRACTS if name != "orchestrator"]
    missing = [name for name in wanted if name not in addresses]
    if missing:
        raise StoreError(
            "attention.services",
            ", ".join(missing),
            "the orchestrator has no address of it",
            "Give --at NAME=HOST:PORT",
        )
    return {name: ServiceClient(name, channel_of(addresses[name]), token) for name in wanted}
