"""Mirrored clips: which frames are looked at a second time, left for right, and what is then found.

Who re-uploads a video mirrors it to dodge copy detection; a shop may have mirrored its picture. Mirroring is
a property of the clip, so a few frames of it say whether the rest is worth the trouble, and a clip whose
print reads as the catalogue has it is not looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import numpy as np

from pvm_core.keypoints import KeypointParams, Keypoints, detect
from pvm_core.verification.types import LateView, PairEvidence, View

if TYPE_CHECKING:
    from pvm_core.arrays import F64, U8

#: From so many agreeing points on, with print that agrees once laid over, a frame reads plainly. The first is
#: that from which print decides (`calibration.LOOK_INLIERS`); true pairs of photos have 0.5 to 0.9 of the
#: second, mirrored ones under 0.3.
PLAIN_INLIERS: Final = 20
PLAIN_PRINT: Final = 0.5
#: Frames of a clip in doubt that are tried, the most alike of different shots.
FRAMES_TRIED: Final = 3
#: Agreeing points of a tried frame from which a pair is seen mirrored and all of its clip is looked at so.
#: True pairs without print have 5 to 8 by chance.
FOUND_INLIERS: Final = 12
#: How often a clip is gone through: for the frames that are tried, then for the rest.
MIRROR_ROUNDS: Final = 2
#: A mirrored view replaces the plain one where it explains this many times as many points.
CLEARLY_MORE: Final = 1.5

K = TypeVar("K")


@dataclass(frozen=True)
class FrameDoubt(Generic[K]):
    """What is known of one frame before it is looked at mirrored.

    Attributes:
        frame: whatever names it; shot: the number of its shot.
        similarity: the greatest cosine of its candidates, [-1, 1].
        plain: whether one of its pairs reads plainly (`reads_plainly`).
        tried: whether it was looked at mirrored before; found: whether a pair was found so.
    """

    frame: K
    shot: int
    similarity: float
    plain: bool
    tried: bool = False
    found: bool = False


def reads_plainly(inliers: int, print_mid: float | None, *, mirrored: bool = False) -> bool:
    """Whether a pair shows that its clip is not mirrored; `print_mid` None: print was not compared."""
    enough = print_mid is None or print_mid >= PLAIN_PRINT
    return not mirrored and inliers >= PLAIN_INLIERS and enough


def frame_doubt(frame: K, shot: int, similarity: float, pairs: Iterable[PairEvidence]) -> FrameDoubt[K]:
    """What the measurements of a frame's pairs say of it; the store's `mirror_doubts` says it in SQL."""
    known = list(pairs)
    return FrameDoubt(
        frame,
        shot,
        similarity,
        any(reads_plainly(e.inliers, e.print_mid, mirrored=bool(e.mirrored)) for e in known),
        any(e.mirrored is not None for e in known),
        any(e.mirrored and e.inliers >= FOUND_INLIERS for e in known),
    )


def frames_to_try(frames: Sequence[FrameDoubt[K]]) -> list[K]:
    """The frames of one clip to look at mirrored now: none where one reads plainly or none is left; at first
    the most alike frames of up to `FRAMES_TRIED` shots; all the others once one of those was found so."""
    if any(one.plain for one in frames):
        return []
    if any(one.found for one in frames):
        return [one.frame for one in frames if not one.tried]
    ordered = sorted(frames, key=lambda one: -one.similarity)
    shots: set[int] = set()
    first: list[FrameDoubt[K]] = []
    rest: list[FrameDoubt[K]] = []
    for one in ordered:
        (rest if one.shot in shots else first).append(one)
        shots.add(one.shot)
    return [one.frame for one in [*first, *rest][:FRAMES_TRIED] if not one.tried]


def mirrored_view(view: View) -> View:
    """The picture left for right, with the keypoints that such a picture has."""

    def flipped() -> tuple[U8, U8 | None]:
        mask = None if view.mask is None else np.ascontiguousarray(view.mask[:, ::-1])
        return np.ascontiguousarray(view.rgb[:, ::-1]), mask

    kp = view.keypoints
    if kp.detector == "sift":
        return LateView(_mirrored_keypoints(kp), flipped)
    # AKAZE compares cells of a fixed grid: its bits cannot be put in another order.
    rgb, mask = flipped()
    return View(detect(rgb, mask, KeypointParams("akaze", max_keypoints=max(1, len(kp)))), rgb, mask)


def _mirrored_keypoints(kp: Keypoints) -> Keypoints:
    # A SIFT descriptor is 4 rows x 4 columns of 8 directions, turned to the keypoint's own: a mirrored patch
    # has its rows in reverse and its directions counted the other way (measured: cosine 0.9999999).
    cells = kp.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., (-np.arange(8)) % 8]
    return replace(
        kp,
        xy=np.stack([kp.width - kp.xy[:, 0], kp.xy[:, 1]], axis=1).astype(np.float32),
        angle=(np.float32(180) - kp.angle) % np.float32(360),
        descriptors=np.ascontiguousarray(cells.reshape(-1, 128)),
    )


def unmirrored(found: PairEvidence, width: int) -> PairEvidence:
    """Evidence of a mirrored frame in the pixels of the frame as it is.

    Args:
        found: measured on `mirrored_view` of a frame of `width` pixels.
    """
    if found.transform is None:
        return replace(found, mirrored=False)
    flip = np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    matrix: F64 = flip @ np.reshape(found.transform, (3, 3))
    return replace(
        found,
        mirrored=True,
        transform=tuple(float(v) for v in (matrix / matrix[2, 2]).ravel()),
        quad=_flipped(found.quad, width),
        footprint=_flipped(found.footprint, width),
        points_frame=tuple((round(width - x, 1), y) for x, y in found.points_frame),
    )


def _flipped(outline: tuple[float, ...] | None, width: int) -> tuple[float, ...] | None:
    if outline is None:
        return None
    return tuple(round(width - v, 1) if i % 2 == 0 else v for i, v in enumerate(outline))


def clearer(plain: PairEvidence, mirrored: PairEvidence) -> PairEvidence:
    """The mirrored view where it explains clearly more and by more points than chance gives, else the plain
    one, marked as tried."""
    more = mirrored.inliers >= FOUND_INLIERS and mirrored.inliers > CLEARLY_MORE * plain.inliers
    return mirrored if more and mirrored.transform is not None else replace(plain, mirrored=False)
