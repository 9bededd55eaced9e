"""What each service answers: messages in, the pure functions of `pvm_attention`, messages out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from pvm_attention.analysis import FaceNetworks
from pvm_attention.blinks import Blink, find_blinks
from pvm_attention.eyes import eye_openness
from pvm_attention.gaze import ZONES, Gaze, gaze_of
from pvm_attention.head_pose import HeadPose, solve_pose
from pvm_attention.rules import AttentionRules
from pvm_attention.scoring import Sample, score_track
from pvm_attention.services.messages import attention_m, blink_m, face_m, gaze_m, landmark_m, pose_m
from pvm_core.arrays import F32
from pvm_core.errors import InputError
from pvm_core.faces.landmarks import POINTS, region_of_box
from pvm_core.images import Rgb, decode_stored

#: Answers one request of a method.
Answer = Callable[[Any], Any]
#: Method name -> what answers it.
Answers = Mapping[str, Answer]


def picture_of(message: Any) -> Rgb:
    """The picture of a message, RGB uint8.

    Raises:
        MediaError: it is no picture that can be decoded.
    """
    return decode_stored(message.data)


def points_of(message: Any) -> F32:
    """Landmarks (478, 2) of a message.

    Raises:
        InputError: ``attention.landmarks``: their number or a value is wrong.
    """
    points = np.array(message.xy, np.float32)
    if points.size != 2 * POINTS or not np.isfinite(points).all() or message.width < 1 or message.height < 1:
        raise InputError(
            "attention.landmarks",
            "landmarks",
            f"they are not {POINTS} points of a picture",
            "Send what Locate gave",
        )
    return points.reshape(POINTS, 2)


def face_detection(networks: FaceNetworks) -> Answers:
    """Faces of a picture; one picture at a time, since the network holds its state."""
    lock = threading.Lock()

    def detect(request: Any) -> Any:
        rgb = picture_of(request.picture)
        with lock:
            found = networks.detector(rgb)
        faces = [
            face_m.Face(
                box=face_m.Box(left=f.box[0], top=f.box[1], width=f.box[2], height=f.box[3]),
                score=f.score,
                eyes=[] if f.eyes is None else f.eyes.ravel().tolist(),
            )
            for f in found
        ]
        return face_m.DetectReply(ts=request.picture.ts, faces=faces, detector=networks.detector.name)

    return {"Detect": detect}


def landmark_detection(networks: FaceNetworks) -> Answers:
    """Landmarks of the faces of a picture."""
    lock = threading.Lock()

    def locate(request: Any) -> Any:
        rgb = picture_of(request.picture)
        height, width = rgb.shape[:2]
        reply = landmark_m.LocateReply(ts=request.picture.ts)
        for face in request.faces:
            box = (face.box.left, face.box.top, face.box.width, face.box.height)
            eyes = np.array(face.eyes, np.float32).reshape(2, 2) if len(face.eyes) == 4 else None
            with lock:
                found = networks.landmarks(rgb, region_of_box(box, eyes))
            if found is not None:
                xy = found.points[:, :2].ravel().tolist()
                reply.landmarks.add(xy=xy, presence=found.presence, width=width, height=height)
        return reply

    return {"Locate": locate}


def head_pose() -> Answers:
    """Poses of landmarks."""

    def estimate(request: Any) -> Any:
        reply = pose_m.PoseReply(ts=request.ts)
        for face in request.landmarks:
            pose = solve_pose(points_of(face), face.width, face.height)
            if pose is None:
                reply.poses.add(known=False)
            else:
                reply.poses.add(known=True, yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll, error=pose.error)
        return reply

    return {"Estimate": estimate}


def gaze_tracking() -> Answers:
    """Gaze zones of landmarks."""

    def track(request: Any) -> Any:
        reply = gaze_m.GazeReply(ts=request.ts)
        for face in request.landmarks:
            points = points_of(face)
            pose = solve_pose(points, face.width, face.height)
            gaze = gaze_of(points, pose) if pose else None
            zone = 0 if gaze is None else ZONES.index(gaze.zone) + 1
            reply.gazes.add(zone=zone, confidence=0.0 if gaze is None else gaze.confidence)
        return reply

    return {"Track": track}


def blink_detection() -> Answers:
    """Openings of eyes of landmarks; blinks of a series of them."""

    def measure(request: Any) -> Any:
        ratios = [eye_openness(points_of(face)) for face in request.landmarks]
        return blink_m.EyesReply(ts=request.ts, ratios=ratios)

    def find(request: Any) -> Any:
        if not len(request.ts) == len(request.ratios) == len(request.known):
            raise InputError("attention.series", "the series", "its lists differ in length", "Send one each")
        found = find_blinks(request.ts, request.ratios, request.known)
        return blink_m.SeriesReply(
            blinks=[_blink(one) for one in found.blinks],
            closures=[_blink(one) for one in found.closures],
            known_s=found.known_s,
            per_minute=found.per_minute,
            perclos=found.perclos,
            perclos_window_s=found.perclos_window_s,
        )

    return {"Measure": measure, "FindBlinks": find}


def _blink(found: Blink) -> Any:
    return blink_m.Blink(start_s=found.start_s, end_s=found.end_s, depth=found.depth)


def attention_scorer(rules: AttentionRules) -> Answers:
    """The score of one moment."""

    def score(request: Any) -> Any:
        pose, gaze = request.pose, request.gaze
        sample = Sample(
            0.0,
            HeadPose(pose.yaw, pose.pitch, pose.roll, pose.error) if pose.known else None,
            Gaze(ZONES[gaze.zone - 1], gaze.confidence) if gaze.zone else None,
            request.eyes_open if request.HasField("eyes_open") else None,
        )
        return attention_m.ScoreReply(score=score_track([sample], rules).score)

    return {"Score": score}


#: Services that need no networks.
PLAIN: Final[Mapping[str, Callable[[], Answers]]] = {
    "head_pose": head_pose,
    "gaze_tracking": gaze_tracking,
    "blink_detection": blink_detection,
}
