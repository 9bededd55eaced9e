"""Where in the frame the product lies: clustered poses, a robust transform, its plausibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from pvm_core.arrays import F32, F64, Bools, Ints
from pvm_core.keypoints import Keypoints
from pvm_core.verification.matching import Tentative
from pvm_core.verification.types import Model

#: Two matches agree on a pose within these bounds (Lowe 2004 bins poses by 30 degrees, a factor of 2 and a
#: quarter of the picture; pairwise agreement instead of bins has no borders to fall across).
ANGLE_TOL: Final = 30.0
SCALE_TOL: Final = float(np.log(1.6))
PLACE_TOL: Final = 0.25
#: Tentative matches that are clustered, those of the lowest ratio first: it bounds the pairwise table.
MAX_CLUSTERED: Final = 400
#: Reprojection tolerance as a share of the product's side in the frame, and its bounds in frame pixels.
FIT_TOL: Final = 0.02
FIT_TOL_PX: Final = (3.0, 12.0)
#: Bounds of a believable view of a product: stretch between axes, change of scale over the picture, and
#: product area in the frame relative to what the keypoints' own scales say.
MAX_STRETCH: Final = 3.5
MAX_FORESHORTENING: Final = 3.0
MAX_SCALE_CONFLICT: Final = 2.5
#: Smallest believable side of a product in the frame, pixels: below, a handful of blobs fits anything.
MIN_SIDE: Final = 24.0
#: Cells a side, over the keypoints' own extent, in which the spread of inliers is counted.
CELLS: Final = 6
#: How far `guided_matching` looks around a predicted place (share of the product's side), the turn it allows
#: (degrees), and the RootSIFT similarity from which a keypoint counts as the same.
CONFIRM_REACH: Final = 0.03
CONFIRM_ANGLE: Final = 30.0
CONFIRM_ALIKE: Final = 0.80
_ITERATIONS: Final = 1_000
_CONFIDENCE: Final = 0.999


@dataclass(frozen=True, eq=False)
class Pose:
    """The largest set of matches that agree on one pose.

    Attributes:
        members: indices of the tentative matches.
        votes: distinct product keypoints among them.
        log_scale: natural logarithm of frame pixels per product pixel.
        angle: rotation from product to frame, degrees.
    """

    members: Ints
    votes: int
    log_scale: float
    angle: float


@dataclass(frozen=True, eq=False)
class Fit:
    """A transform of product pixels to frame pixels.

    Attributes:
        model: what kind it is.
        matrix: (3, 3) float64; for `epipolar` the similarity that places the product.
        members: indices of the tentative matches it explains, one per product keypoint.
        rms: of those, root mean square reprojection error in frame pixels.
        coverage: share of the product's cells with keypoints that hold one of them, [0, 1].
    """

    model: Model
    matrix: F64
    members: Ints
    rms: float
    coverage: float


def cluster_poses(product: Keypoints, frame: Keypoints, t: Tentative) -> Pose | None:
    """The pose on which most matches agree; each implies a scale, a rotation and a product centre.

    The agreement is loose enough for objects that are not flat, and cheap enough to be every pair's gate.
    """
    if len(t) < 3:
        return None
    chosen = np.argsort(t.ratio, kind="stable")[:MAX_CLUSTERED]
    p, f = t.product[chosen], t.frame[chosen]
    log_scale = np.log(frame.scale[f] / product.scale[p])
    angle = frame.angle[f] - product.angle[p]
    centre = _implied_centre(product, frame, p, f, log_scale, angle)
    reach = PLACE_TOL * max(product.width, product.height) * np.exp(log_scale)
    turn = np.abs((angle[:, None] - angle[None, :] + 180) % 360 - 180)
    agree = (
        (turn < ANGLE_TOL)
        & (np.abs(log_scale[:, None] - log_scale[None, :]) < SCALE_TOL)
        & (np.hypot(*(centre[:, None, :] - centre[None, :, :]).transpose(2, 0, 1)) < reach[:, None])
    )
    seed = int((agree.astype(np.float32) @ (1.0 - t.ratio[chosen])).argmax())
    members = np.flatnonzero(agree[seed])
    return Pose(
        np.sort(chosen[members]),
        len(np.unique(p[members])),
        float(np.median(log_scale[members])),
        float(angle[seed] % 360),
    )


def _implied_centre(
    product: Keypoints, frame: Keypoints, p: Ints, f: Ints, log_scale: F32, angle: F32
) -> F32:
    arm = np.array([product.width / 2, product.height / 2], np.float32) - product.xy[p]
    turn, scale = np.deg2rad(angle), np.exp(log_scale)
    x = frame.xy[f, 0] + scale * (np.cos(turn) * arm[:, 0] - np.sin(turn) * arm[:, 1])
    y = frame.xy[f, 1] + scale * (np.sin(turn) * arm[:, 0] + np.cos(turn) * arm[:, 1])
    return np.stack([x, y], axis=1)


def fit(product: Keypoints, frame: Keypoints, t: Tentative, pose: Pose, minimum: int) -> Fit | None:
    """The transform that explains a pose's members: a homography where it is plausible, else a similarity.

    Where an epipolar geometry explains clearly more (an object that is not flat), its inliers count and the
    similarity places the product.

    Args:
        minimum: matches, one per product keypoint, that a fit must explain.
    """
    src, dst = product.xy[t.product[pose.members]], frame.xy[t.frame[pose.members]]
    side = max(product.width, product.height) * np.exp(pose.log_scale)
    if side < MIN_SIDE:
        return None
    tol = float(np.clip(FIT_TOL * side, *FIT_TOL_PX))
    flat = _homography(src, dst, tol)
    best: Fit | None = None
    if flat is not None and is_plausible(flat[0], product.width, product.height, pose.log_scale):
        best = _fit_of("homography", flat[0], flat[1], product, t, pose, src, dst)
    if best is None or len(best.members) < 0.6 * pose.votes:
        best = _better(best, _loose(product, t, pose, src, dst, tol))
    return best if best is not None and len(best.members) >= minimum else None


def _better(first: Fit | None, second: Fit | None) -> Fit | None:
    if first is None or second is None:
        return first or second
    return second if len(second.members) > 1.3 * len(first.members) else first


def _homography(src: F32, dst: F32, tol: float) -> tuple[F64, Bools] | None:
    import cv2

    if len(src) < 4:
        return None
    # USAC draws from its own generator with a fixed seed: the same matches give the same matrix.
    found: Any = cv2.findHomography(
        src, dst, cv2.USAC_MAGSAC, tol, maxIters=_ITERATIONS, confidence=_CONFIDENCE
    )
    matrix, kept = found
    if matrix is None or kept is None:
        return None
    return cast(F64, matrix), kept.ravel().astype(bool)


def _loose(product: Keypoints, t: Tentative, pose: Pose, src: F32, dst: F32, tol: float) -> Fit | None:
    """A similarity with twice the tolerance; where eight or more remain, what an epipolar geometry keeps."""
    import cv2

    found: Any = cv2.estimateAffinePartial2D(
        src, dst, method=cv2.RANSAC, ransacReprojThreshold=2 * tol, maxIters=500
    )
    matrix, kept = found
    if matrix is None:
        return None
    placed = np.vstack([matrix, [0.0, 0.0, 1.0]])
    ok = kept.ravel().astype(bool)
    model: Model = "affine"
    if len(src) >= 8:
        rays: Any = cv2.findFundamentalMat(src, dst, cv2.FM_RANSAC, tol / 2, 0.99, 500)[1]
        # An epipolar line constrains one coordinate only, so its matches must also be near the similarity.
        near = _residual(placed, src, dst) < 5 * tol
        if rays is not None and (rays.ravel().astype(bool) & near).sum() > ok.sum():
            ok, model = rays.ravel().astype(bool) & near, "epipolar"
    return _fit_of(model, placed, ok, product, t, pose, src, dst)


def _fit_of(
    model: Model, matrix: F64, kept: Bools, product: Keypoints, t: Tentative, pose: Pose, src: F32, dst: F32
) -> Fit | None:
    if not kept.any():
        return None
    error = _residual(matrix, src, dst)
    order = np.flatnonzero(kept)[np.argsort(error[kept], kind="stable")]
    _, first = np.unique(t.product[pose.members[order]], return_index=True)
    unique = order[first]
    return Fit(
        model,
        matrix / matrix[2, 2],
        pose.members[unique],
        float(np.sqrt(np.mean(error[unique] ** 2))),
        spread(product.xy, t.product[pose.members[unique]]),
    )


def spread(xy: F32, chosen: Ints) -> float:
    """Of the cells of a picture that hold keypoints, the share that holds a chosen one."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    cells = np.minimum((xy - low) * (CELLS / np.maximum(high - low, 1.0)), CELLS - 1).astype(int)
    index = cells[:, 0] * CELLS + cells[:, 1]
    return len(np.unique(index[chosen])) / len(np.unique(index))


def outline(points: F32) -> tuple[float, ...]:
    """Convex hull of points, x0 y0 x1 y1 .., rounded to a tenth of a pixel."""
    import cv2

    hull = cv2.convexHull(points.astype(np.float32)).reshape(-1)
    return tuple(round(float(v), 1) for v in hull)


def project(matrix: F64, points: npt.NDArray[np.floating]) -> F64:
    """(N, 2) points through a 3x3 matrix."""
    homogeneous = np.c_[points, np.ones(len(points))] @ matrix.T
    return cast(F64, homogeneous[:, :2] / homogeneous[:, 2:])


def _residual(matrix: F64, src: F32, dst: F32) -> F64:
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.hypot(*(project(matrix, src) - dst).T)
    return cast(F64, np.nan_to_num(error, nan=1e6, posinf=1e6))


def corners_of(width: float, height: float) -> F64:
    """(4, 2) corners of a picture, clockwise from top left."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)


def is_plausible(matrix: F64, width: int, height: int, log_scale: float | None = None) -> bool:
    """Whether a matrix is a believable view of a picture of that size.

    No mirror image (det > 0 everywhere), a convex outline, bounded stretch and foreshortening, a size that
    agrees with the keypoints' own scales (`log_scale`, None = not compared).
    """
    if not np.isfinite(matrix).all() or abs(matrix[2, 2]) < 1e-12:
        return False
    corners = corners_of(width, height)
    depth = np.c_[corners, np.ones(4)] @ (matrix / matrix[2, 2])[2]
    if depth.min() <= 0:
        return False
    centre = np.array([[width / 2, height / 2]])
    spots = np.concatenate([0.8 * corners + 0.2 * centre, centre])
    areas, stretch = zip(*(_local(matrix, spot) for spot in spots), strict=True)
    if min(areas) <= 0 or max(stretch) > MAX_STRETCH:
        return False
    if np.sqrt(max(areas) / min(areas)) > MAX_FORESHORTENING:
        return False
    return log_scale is None or abs(0.5 * np.log(areas[4]) - log_scale) < np.log(MAX_SCALE_CONFLICT)


def _local(matrix: F64, spot: F64) -> tuple[float, float]:
    """Signed area factor and stretch (ratio of singular values) of a matrix at one point."""
    d = matrix[2] @ (spot[0], spot[1], 1.0)
    x, y = project(matrix, spot[None])[0]
    jac = (
        np.array(
            [
                [matrix[0, 0] - x * matrix[2, 0], matrix[0, 1] - x * matrix[2, 1]],
                [matrix[1, 0] - y * matrix[2, 0], matrix[1, 1] - y * matrix[2, 1]],
            ]
        )
        / d
    )
    singular = np.linalg.svd(jac, compute_uv=False)
    return float(np.linalg.det(jac)), float(singular[0] / max(singular[1], 1e-9))


def guided_matching(product: Keypoints, frame: Keypoints, matrix: F64) -> tuple[int, float, float]:
    """Looks for each product keypoint where the transform says it should be.

    With the place known no ratio test is needed, so print that repeats, or is faint, confirms the pair too;
    and a keypoint met at its place with another descriptor (a sibling's other flavour) counts against it.

    Returns:
        confirmed keypoints; their share of those that meet any frame keypoint of fitting scale and angle,
        [0, 1]; the share of the product's cells with keypoints that hold one, [0, 1].
    """
    spots = project(matrix, product.xy).astype(np.float32)
    area, _ = _local(matrix, np.array([product.width / 2, product.height / 2]))
    growth = 0.5 * float(np.log(max(area, 1e-9)))
    reach = CONFIRM_REACH * max(product.width, product.height) * float(np.exp(growth))
    turn = float(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))
    low, high = spots.min(axis=0) - reach, spots.max(axis=0) + reach
    around = np.flatnonzero(((frame.xy >= low) & (frame.xy <= high)).all(axis=1))
    across, along = (spots[:, None, i] - frame.xy[None, around, i] for i in (0, 1))
    rows, columns = np.nonzero(across * across + along * along < reach * reach)
    columns = around[columns]
    off = (frame.angle[columns] - product.angle[rows] - turn + 180) % 360 - 180
    grown = np.log(frame.scale[columns] / product.scale[rows]) - growth
    fitting = (np.abs(off) < CONFIRM_ANGLE) & (np.abs(grown) < SCALE_TOL)
    rows, columns = rows[fitting], columns[fitting]
    alike = np.einsum("ij,ij->i", product.root[rows], frame.root[columns])
    sure = np.unique(rows[alike >= CONFIRM_ALIKE])
    if not len(sure):
        return 0, 0.0, 0.0
    return len(sure), len(sure) / len(np.unique(rows)), spread(product.xy, sure)
