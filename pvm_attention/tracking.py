"""Faces followed from frame to frame. A track is one face without a gap; nobody is recognised again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pvm_core.faces.detection import Face
from pvm_core.faces.landmarks import Landmarks, region_of_box
from pvm_core.faces.regions import Region
from pvm_core.images import Rgb

#: Faces followed at once: the largest ones.
MAX_FACES: Final = 4
#: Seconds between two searches for further faces while one is followed.
SEARCH_S: Final = 1.0
#: A face that comes back at its place within this time is the same track, seconds.
_RETURN_S: Final = 0.5
_SAME_PLACE: Final = 0.3

#: Landmarks of the face in a region of a picture; None where there is none.
Locator = Callable[[Rgb, Region], Landmarks | None]
Detector = Callable[[Rgb], Sequence[Face]]


@dataclass
class _Track:
    number: int
    seen_s: float
    last: Landmarks


@dataclass(frozen=True)
class TrackedFace:
    """A face at one moment: the number of its track, from 0 in order of appearance, and its landmarks."""

    track: int
    landmarks: Landmarks


@dataclass
class Tracker:
    """Follows faces by their landmarks, and searches for new ones now and then.

    Args:
        detect, locate: the networks.
    """

    detect: Detector
    locate: Locator
    _live: list[_Track] = field(default_factory=list, init=False)
    _lost: list[_Track] = field(default_factory=list, init=False)
    _next: int = field(default=0, init=False)
    _searched_s: float = field(default=float("-inf"), init=False)

    @property
    def following(self) -> bool:
        """Whether a face was seen in the last frame."""
        return bool(self._live)

    def step(self, ts: float, rgb: Rgb) -> list[TrackedFace]:
        """The faces of the frame at `ts` seconds, which increase from call to call."""
        kept: list[_Track] = []
        for track in self._live:
            found = self.locate(rgb, track.last.region)
            if found is None or _beside(found, kept):
                self._lost.append(track)
                continue
            track.last, track.seen_s = found, ts
            kept.append(track)
        searched = len(kept) < len(self._live) or not kept or ts - self._searched_s >= SEARCH_S
        self._live = kept
        self._lost = [track for track in self._lost if ts - track.seen_s <= _RETURN_S]
        if searched:
            self._search(ts, rgb)
        return [TrackedFace(track.number, track.last) for track in self._live]

    def _search(self, ts: float, rgb: Rgb) -> None:
        self._searched_s = ts
        for face in self.detect(rgb):
            if len(self._live) >= MAX_FACES:
                return
            if any(overlap(face.box, track.last.box) > _SAME_PLACE for track in self._live):
                continue
            found = self.locate(rgb, region_of_box(face.box, face.eyes))
            if found is None or _beside(found, self._live):
                continue
            self._live.append(self._returned(found) or self._new(found))
            self._live[-1].last, self._live[-1].seen_s = found, ts

    def _returned(self, found: Landmarks) -> _Track | None:
        for track in self._lost:
            if overlap(found.box, track.last.box) > _SAME_PLACE:
                self._lost.remove(track)
                return track
        return None

    def _new(self, found: Landmarks) -> _Track:
        self._next += 1
        return _Track(self._next - 1, 0.0, found)


def _beside(found: Landmarks, tracks: Sequence[_Track]) -> bool:
    """Whether a face lies where another is followed already."""
    return any(overlap(found.box, track.last.box) > _SAME_PLACE for track in tracks)


def overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = width * height
    return inner / max(one[2] * one[3] + other[2] * other[3] - inner, 1e-9)
