"""Identities: primary keys are uuid5 of (namespace, external id), so a rerun meets its own rows."""

from __future__ import annotations

import hashlib
import uuid

#: Root of every identity of the project; a random constant that must never change.
ROOT = uuid.UUID("6f0a5bb2-53a5-4f7f-9c3e-0d1c3a2f7c11")


def _uuid5(kind: str, *parts: str) -> uuid.UUID:
    # Length prefixes keep ("a", "bc") and ("ab", "c") apart.
    return uuid.uuid5(ROOT, kind + "".join(f"|{len(p)}:{p}" for p in parts))


def product_id(namespace: str, external_id: str) -> uuid.UUID:
    """Identity of a product: its source namespace (a file's is its industry's slug) and its id as given."""
    return _uuid5("product", namespace, external_id)


def image_id(product: uuid.UUID, sha256: str) -> uuid.UUID:
    """Identity of a product picture: the product and the SHA-256 (hex) of the stored picture."""
    return _uuid5("image", str(product), sha256)


def video_id(sha256: str) -> uuid.UUID:
    """Identity of a video: the SHA-256 (hex) of its file; its names belong to jobs."""
    return _uuid5("video", sha256)


def frame_id(video: uuid.UUID, params_key: str, pts_ms: int) -> uuid.UUID:
    """Identity of a keyframe: its video, the parameters that chose it and its time in milliseconds."""
    return _uuid5("frame", str(video), params_key, str(pts_ms))


def match_id(job: str, product: uuid.UUID, video: uuid.UUID) -> uuid.UUID:
    """Identity of a match: one product and one video within one job."""
    return _uuid5("match", job, str(product), str(video))


def content_key(*parts: str) -> str:
    """A short stable key (16 hex digits) for a set of parameters or versions."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
