"""Small pictures."""

from __future__ import annotations

import cv2
import numpy as np


def jpeg(seed: int, width: int = 120, height: int = 90) -> bytes:
    """A small picture that depends on `seed` alone."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(coarse, (width, height)))
    assert done
    return data.tobytes()
