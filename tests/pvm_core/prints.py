"""Small printed products and frames that show them, for tests that need something to match."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]


def label(seed: int, *, hue: int = 0, width: int = 240, height: int = 320) -> U8:
    """A printed front: patches, discs and lines. `hue` turns the colours and keeps the print (a sibling)."""
    import cv2

    rng = np.random.default_rng(seed)
    hsv = np.full((height, width, 3), (20, 60, 220), np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.integers(6, 40))
        colour = [int(v) for v in (rng.integers(180), rng.integers(80, 255), rng.integers(40, 255))]
        if rng.random() < 0.5:
            cv2.rectangle(hsv, (x, y), (x + size, y + int(rng.integers(4, 30))), colour, -1)
        else:
            cv2.circle(hsv, (x, y), size // 2, colour, -1)
    hsv[..., 0] = (hsv[..., 0].astype(int) + hue) % 180
    return np.ascontiguousarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def place(
    product: U8, corners: list[list[float]], seed: int = 0, size: tuple[int, int] = (540, 720)
) -> tuple[U8, F64]:
    """A frame of noise and blobs with the product at `corners`, and the true matrix product -> frame."""
    import cv2

    rng = np.random.default_rng(seed + 1_000)
    frame = cv2.resize(
        rng.integers(60, 200, (12, 16, 3)).astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC
    )
    h, w = product.shape[:2]
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, np.array(corners, np.float32))
    seen = cv2.warpPerspective(np.full((h, w), 255, np.uint8), matrix, size[::-1])
    warped = cv2.warpPerspective(product, matrix, size[::-1], flags=cv2.INTER_LINEAR)
    frame[seen > 0] = warped[seen > 0]
    noise = rng.normal(0, 4, frame.shape)
    return np.clip(frame * 0.9 + 8 + noise, 0, 255).astype(np.uint8), matrix.astype(np.float64)


#: A tilted, smaller view well inside a 720 x 540 frame.
TILTED = [[200.0, 90.0], [390.0, 120.0], [370.0, 400.0], [180.0, 360.0]]
