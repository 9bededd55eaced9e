"""The services of proto/*.proto: names, ports, methods and messages, from the compiled contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message_factory import GetMessageClass

from pvm_attention.services.messages import attention_m, blink_m, face_m, gaze_m, landmark_m, pose_m

PACKAGE: Final = "pvm.attention.v1"
#: A method that answers each message of a stream as its namesake without the suffix answers one.
STREAM: Final = "Stream"


@dataclass(frozen=True)
class Method:
    """One method: its path on the wire, its messages, and whether both sides stream."""

    name: str
    path: str
    request: Any
    reply: Any
    streams: bool


@dataclass(frozen=True)
class Contract:
    """One service.

    Attributes:
        name: as the command line and the settings have it.
        service: its full name on the wire.
        port: where it listens by default; founding document 5.
    """

    name: str
    service: str
    port: int
    methods: Mapping[str, Method]


def _contract(name: str, module: Any, service: str, port: int) -> Contract:
    described = module.DESCRIPTOR.services_by_name[service]
    methods = {
        one.name: Method(
            one.name,
            f"/{described.full_name}/{one.name}",
            GetMessageClass(one.input_type),
            GetMessageClass(one.output_type),
            one.client_streaming and one.server_streaming,
        )
        for one in described.methods
    }
    return Contract(name, described.full_name, port, MappingProxyType(methods))


CONTRACTS: Final[Mapping[str, Contract]] = MappingProxyType(
    {
        one.name: one
        for one in (
            _contract("orchestrator", attention_m, "PipelineOrchestrator", 50051),
            _contract("face_detection", face_m, "FaceDetection", 50052),
            _contract("landmark_detection", landmark_m, "LandmarkDetection", 50053),
            _contract("head_pose", pose_m, "HeadPoseEstimation", 50054),
            _contract("gaze_tracking", gaze_m, "GazeTracking", 50055),
            _contract("blink_detection", blink_m, "BlinkDetection", 50056),
            _contract("attention_scorer", attention_m, "AttentionScorer", 50057),
        )
    }
)
