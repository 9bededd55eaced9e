"""Keypoints and descriptors of one picture: SIFT (compared as RootSIFT) or AKAZE, inside its mask, spread."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from pvm_core.arrays import F32, U8, Ints
from pvm_core.errors import InputError, StoreError
from pvm_core.ids import content_key

if TYPE_CHECKING:
    from pvm_core.rules import Rules

Detector = Literal["sift", "akaze"]

#: Raise where `detect` returns other values for the same picture and parameters: it is part of the key.
VERSION: Final = "1"
#: SIFT's own default is 0.04; printed packs under shop light lose half their true matches with it.
SIFT_CONTRAST: Final = 0.02
#: A quarter of AKAZE's default 0.001, for the same reason.
AKAZE_THRESHOLD: Final = 0.00025
#: Cells a side of the grid over which keypoints are spread.
SPREAD_CELLS: Final = 8
#: A cell keeps at most this many times its even share before the strongest of the rest fill up.
SPREAD_SURPLUS: Final = 3.0
#: SIFT describes the strongest only, this many times what is kept: a descriptor takes 18 us, a picture has
#: 1,460 keypoints of which 800 are kept, and of 189 pictures 3 need more than this to fill their cells.
DESCRIBED: Final = 1.5
#: Pixels (of the working picture) a mask is widened by: an outline's corners lie on both of its sides.
MASK_MARGIN: Final = 4
_WIDTHS: Final = {"sift": 128, "akaze": 61}


@dataclass(frozen=True)
class KeypointParams:
    """How keypoints are found.

    Attributes:
        detector: `sift` or `akaze`.
        max_keypoints: kept at most, spread over the picture, >= 1.
        max_side: longest side in pixels of the working picture; larger pictures are reduced.
        min_side: smaller pictures are enlarged towards it, to double at most.
    """

    detector: Detector = "sift"
    max_keypoints: int = 800
    max_side: int = 640
    min_side: int = 400

    def __post_init__(self) -> None:
        if self.detector not in _WIDTHS:
            raise InputError(
                "rules.detector", "detector", f"{self.detector!r} is unknown", "Choose sift or akaze"
            )

    def working_scale(self, width: int, height: int) -> float:
        """Working pixels per picture pixel: `max_side` at most, small ones up to double."""
        longest = max(width, height)
        return min(self.max_side / longest, max(1.0, min(2.0, self.min_side / longest)))

    @property
    def key(self) -> str:
        """Names the method, its parameters and its version (16 hex)."""
        return content_key(
            "keypoints",
            VERSION,
            self.detector,
            str(self.max_keypoints),
            str(self.max_side),
            str(self.min_side),
        )

    @classmethod
    def from_rules(cls, rules: Rules) -> KeypointParams:
        """The parameters that `rules` ask for."""
        return cls(detector=cast(Detector, rules.detector), max_keypoints=rules.max_keypoints)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of one picture, strongest spread set.

    Attributes:
        xy: (N, 2) float32, pixels of the picture given (not of the working picture).
        scale: (N,) float32, diameter of the neighbourhood in pixels of the picture given.
        angle: (N,) float32, degrees [0, 360).
        response: (N,) float32, the detector's strength.
        descriptors: (N, D) uint8; SIFT's 128 plain values, or AKAZE's 61 bytes of bits.
        width, height: of the picture given, pixels.
        detector: `sift` or `akaze`.
    """

    xy: F32
    scale: F32
    angle: F32
    response: F32
    descriptors: U8
    width: int
    height: int
    detector: str

    def __len__(self) -> int:
        return int(self.xy.shape[0])

    @cached_property
    def root(self) -> F32:
        """(N, 128) float32 unit rows: RootSIFT (Arandjelovic & Zisserman 2012); a dot product compares them.

        For AKAZE (N, 488): bits as -1/+1 over their norm; the dot product falls with Hamming distance.
        """
        if self.detector == "akaze":
            bits = np.unpackbits(self.descriptors, axis=1).astype(np.float32)
            return (bits * 2 - 1) / np.float32(np.sqrt(max(1, bits.shape[1])))
        plain = self.descriptors.astype(np.float32)
        return cast(F32, np.sqrt(plain / np.maximum(plain.sum(axis=1, keepdims=True), 1.0)))


def detect(rgb: U8, mask: U8 | None, params: KeypointParams) -> Keypoints:
    """Keypoints of a picture.

    Args:
        rgb: (H, W, 3) uint8.
        mask: (H, W) uint8, 255 = product; None takes the whole picture.
        params: detector, number and working size.
    Returns:
        At most `params.max_keypoints`; possibly none (a flat picture).
    """
    import cv2

    height, width = rgb.shape[:2]
    # The working size is spent on the product alone: a vertical clip's blurred fill would take half of it.
    x, y, w, h = (0, 0, width, height) if mask is None else _box(mask)
    factor = params.working_scale(w, h)
    size = (max(1, round(w * factor)), max(1, round(h * factor)))
    grey: Any = cv2.cvtColor(np.ascontiguousarray(rgb[y : y + h, x : x + w]), cv2.COLOR_RGB2GRAY)
    if factor != 1.0:
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC)
    allowed = None if mask is None else _widened(mask[y : y + h, x : x + w], size)
    points, descriptors = _strongest(grey, allowed, params)
    ratio = np.array([w / size[0], h / size[1]], np.float32)
    return Keypoints(
        xy=points.xy * ratio + np.array([x, y], np.float32),
        scale=points.size * np.float32(ratio.mean()),
        angle=points.angle % np.float32(360),
        response=points.response,
        descriptors=np.ascontiguousarray(descriptors, np.uint8).reshape(-1, _WIDTHS[params.detector]),
        width=width,
        height=height,
        detector=params.detector,
    )


@dataclass(frozen=True, eq=False)
class _Points:
    """`cv2.KeyPoint`s as arrays: xy (N, 2), size, angle and response (N,), float32."""

    xy: F32
    size: F32
    angle: F32
    response: F32

    @classmethod
    def of(cls, found: Sequence[Any]) -> _Points:
        import cv2

        library: Any = cv2  # the stubs of cv2 lack the overload that reads all
        xy = library.KeyPoint_convert(found) if found else np.zeros((0, 2))
        size, angle, response = (
            [k.size for k in found],
            [k.angle for k in found],
            [k.response for k in found],
        )
        return cls(*(np.asarray(values, np.float32) for values in (xy, size, angle, response)))

    def __getitem__(self, chosen: Ints) -> _Points:
        return _Points(self.xy[chosen], self.size[chosen], self.angle[chosen], self.response[chosen])


def _strongest(grey: U8, allowed: U8 | None, params: KeypointParams) -> tuple[_Points, Any]:
    """The spread keypoints of a working picture and their descriptors, (N, D)."""
    size, limit = (grey.shape[1], grey.shape[0]), params.max_keypoints
    if params.detector == "sift":
        most = round(DESCRIBED * limit)
        points, every = _described(_detector(params, most), grey, None)
        inside = _inside(points, allowed)
        first, rest = _ranked(points[inside], size, limit)
        # Those left out are weaker than all of these: they could only follow.
        if len(every) < most or len(first) >= limit:
            chosen = inside[np.concatenate([first, rest])[:limit]]
            return points[chosen], every[chosen]
    points, every = _described(_detector(params), grey, allowed)
    chosen = np.concatenate(_ranked(points, size, limit))[:limit]
    return points[chosen], every[chosen]


def _described(detector: Any, grey: U8, allowed: U8 | None) -> tuple[_Points, Any]:
    found, every = detector.detectAndCompute(grey, allowed)
    return _Points.of(found), np.zeros((0, 0), np.uint8) if every is None else every


def _inside(points: _Points, allowed: U8 | None) -> Ints:
    """Indices of the keypoints that lie on a mask, as OpenCV counts it."""
    if allowed is None:
        return np.arange(len(points.xy))
    x, y = (points.xy + np.float32(0.5)).astype(np.intp).T
    return np.flatnonzero(allowed[y, x])


def spread(found: Sequence[Any], size: tuple[int, int], limit: int) -> list[int]:
    """Indices of at most `limit` keypoints: strongest first, a grid cell's surplus last.

    Args:
        found: `cv2.KeyPoint`s in pixels of a picture of `size` (width, height).
    """
    return [int(i) for i in np.concatenate(_ranked(_Points.of(found), size, limit))[:limit]]


def _ranked(points: _Points, size: tuple[int, int], limit: int) -> tuple[Ints, Ints]:
    """Indices of keypoints, strongest first: those within their grid cell's share, and the surplus."""
    x, y = points.xy.astype(np.float64).T
    order = np.lexsort((points.angle, y, x, -points.response))
    cell = (x * SPREAD_CELLS / size[0]).astype(np.intp) * SPREAD_CELLS
    cell = (cell + (y * SPREAD_CELLS / size[1]).astype(np.intp))[order]
    by_cell = np.argsort(cell, kind="stable")
    begins = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    before = np.empty(len(order), np.intp)
    before[by_cell] = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    within = before < max(1, int(SPREAD_SURPLUS * limit / SPREAD_CELLS**2))
    return order[within], order[~within]


def to_npz(kp: Keypoints) -> bytes:
    """The keypoints as an npz: `from_npz` gives the same values back.

    Stored as they are: compression takes 5 ms a picture to save half of 120 kB.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        xy=kp.xy,
        scale=kp.scale,
        angle=kp.angle,
        response=kp.response,
        descriptors=kp.descriptors,
        size=np.array([kp.width, kp.height], np.int32),
        detector=np.array(kp.detector),
    )
    return buffer.getvalue()


def from_npz(data: bytes) -> Keypoints:
    """Keypoints written by `to_npz`.

    Raises:
        StoreError: code `keypoints.corrupt`: not such a file, or its arrays do not fit each other.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as z:
            width, height = (int(v) for v in z["size"])
            kp = Keypoints(
                z["xy"],
                z["scale"],
                z["angle"],
                z["response"],
                z["descriptors"],
                width,
                height,
                str(z["detector"]),
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _corrupt(str(error)) from error
    n = len(kp)
    shapes = (kp.scale.shape, kp.angle.shape, kp.response.shape)
    if kp.xy.shape != (n, 2) or any(s != (n,) for s in shapes):
        raise _corrupt("arrays of different length")
    if kp.descriptors.shape != (n, _WIDTHS.get(kp.detector, -1)) or kp.descriptors.dtype != np.uint8:
        raise _corrupt("descriptors of the wrong shape or type")
    return kp


def _corrupt(reason: str) -> StoreError:
    return StoreError(
        "keypoints.corrupt", "keypoint file", f"cannot be read ({reason})", "Delete it and run the job again"
    )


def _detector(params: KeypointParams, most: int = 0) -> Any:
    """The detector; SIFT's describes the `most` strongest and all that tie with the last of them (0: all)."""
    import cv2

    library: Any = cv2  # the stubs of cv2 lack the detectors
    if params.detector == "akaze":
        return library.AKAZE_create(threshold=AKAZE_THRESHOLD)
    return library.SIFT_create(nfeatures=most, contrastThreshold=SIFT_CONTRAST)


def _box(mask: U8) -> tuple[int, int, int, int]:
    """x, y, width, height of a mask with its margin; of the whole picture where it is empty."""
    import cv2

    height, width = mask.shape
    x, y, w, h = cv2.boundingRect(mask)
    if w < 2 or h < 2:
        return 0, 0, width, height
    x0, y0 = max(0, x - 2 * MASK_MARGIN), max(0, y - 2 * MASK_MARGIN)
    return x0, y0, min(width, x + w + 2 * MASK_MARGIN) - x0, min(height, y + h + 2 * MASK_MARGIN) - y0


def _widened(mask: U8, size: tuple[int, int]) -> U8:
    import cv2

    small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    side = 2 * MASK_MARGIN + 1
    return cast(U8, cv2.dilate(small, np.ones((side, side), np.uint8)))
