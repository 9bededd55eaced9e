"""A video's faces, frame by frame: what to look at, who is there, where their landmarks are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pvm_attention.rules import AttentionRules
from pvm_attention.sampling import FrameChooser
from pvm_attention.tracking import Detector, Locator, Tracker
from pvm_core.faces.landmarks import Landmarks
from pvm_core.video import SampledFrame

#: Longest side of the pictures that the networks see, pixels: a face of a tenth of it still fills the 64
#: pixels of the iris network's eye by a factor of 3.
MAX_SIDE = 640


@dataclass(frozen=True)
class FaceSample:
    """A face at one moment.

    Attributes:
        ts: seconds.
        track: number of its track in the video.
        landmarks: in pixels of a picture of `width` x `height`.
    """

    ts: float
    track: int
    landmarks: Landmarks
    width: int
    height: int


@dataclass(frozen=True)
class LookedAt:
    """A frame that was looked at and what was found in it."""

    ts: float
    faces: tuple[FaceSample, ...]


def follow_faces(
    frames: Iterable[SampledFrame], fps: float, detect: Detector, locate: Locator, rules: AttentionRules
) -> Iterator[LookedAt]:
    """The faces of every frame that is looked at, in order of time; one frame is held at a time.

    Args:
        frames: all frames of the video, or enough of them.
        fps: frames a second; 0 where not known.
        detect, locate: the networks.
        rules: how often to look.
    """
    chooser, tracker = FrameChooser(rules, fps), Tracker(detect, locate)
    for frame in frames:
        if not chooser.wants(frame.ts, tracker.following):
            continue
        rgb = frame.to_rgb(MAX_SIDE)
        height, width = rgb.shape[:2]
        found = tracker.step(frame.ts, rgb)
        yield LookedAt(
            frame.ts, tuple(FaceSample(frame.ts, f.track, f.landmarks, width, height) for f in found)
        )
