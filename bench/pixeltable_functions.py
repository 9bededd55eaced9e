"""What the plain script computes, as functions that columns of `pixeltable_case.py` call."""

import io
from typing import Any

import cv2
import numpy as np
import pixeltable as pxt

_SIFT, _MATCHER = cv2.SIFT_create(1000), cv2.BFMatcher()
#: Keypoints of each product, once they are computed: a column of a frame sees no other table's bytes.
PRODUCTS: dict[str, tuple[Any, Any]] = {}


def fitted(image: Any, side: int = 640) -> Any:
    rgb = np.asarray(image.convert("RGB"))
    scale = min(1.0, side / max(rgb.shape[:2]))
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb


@pxt.udf
def look(image: pxt.Image) -> pxt.Array[(400,), pxt.Float]:
    bgr = cv2.cvtColor(fitted(image), cv2.COLOR_RGB2BGR)
    hsv = cv2.calcHist(
        [cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)], [0, 1], None, [18, 8], [0, 180, 0, 256]
    ).ravel()
    thumb = cv2.resize(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (16, 16), interpolation=cv2.INTER_AREA).ravel()
    thumb = thumb.astype(np.float32) - thumb.mean()
    parts = [v / (np.linalg.norm(v) + 1e-6) for v in (hsv, thumb)]
    return np.concatenate(parts).astype(np.float32)


@pxt.udf
def keypoints(image: pxt.Image) -> pxt.Binary:
    grey = cv2.cvtColor(fitted(image), cv2.COLOR_RGB2GRAY)
    found, descriptors = _SIFT.detectAndCompute(grey, None)
    buffer = io.BytesIO()
    rows = np.zeros((0, 128), np.float32) if descriptors is None else descriptors
    np.savez(buffer, xy=np.float32([k.pt for k in found]).reshape(-1, 2), rows=rows)
    return buffer.getvalue()


def loaded(data: bytes) -> tuple[Any, Any]:
    with np.load(io.BytesIO(data)) as file:
        return file["xy"], file["rows"]


@pxt.udf
def scores(frame: pxt.Binary, candidates: pxt.Json) -> pxt.Json:
    xy, rows = loaded(frame)
    return {one["product"]: inliers(PRODUCTS[one["product"]], (xy, rows)) for one in candidates}


def inliers(product: tuple[Any, Any], frame: tuple[Any, Any]) -> int:
    if len(product[1]) < 2 or len(frame[1]) < 2:
        return 0
    pairs = _MATCHER.knnMatch(product[1], frame[1], k=2)
    good = [a for a, b in (p for p in pairs if len(p) == 2) if a.distance < 0.8 * b.distance]
    if len(good) < 8:
        return 0
    src = np.float32([product[0][m.queryIdx] for m in good])
    dst = np.float32([frame[0][m.trainIdx] for m in good])
    mask = cv2.findHomography(src, dst, cv2.RANSAC, 5.0)[1]
    return 0 if mask is None else int(mask.sum())
