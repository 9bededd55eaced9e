"""One stored picture: its mask, its vectors, its keypoints. Always from the stored file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pvm_core.embedders import Embedder, EmbedInput, embed_views, load_embedder
from pvm_core.images import decode_mask, decode_stored, encode_mask
from pvm_core.keypoints import KeypointParams, detect, to_npz
from pvm_core.masks import Segmenter, load_segmenter
from pvm_resources.media.store import MediaStore

Kind = Literal["product", "frame"]


@dataclass(frozen=True)
class Stored:
    """A stored picture: product picture or keyframe.

    Attributes:
        item_id: img_id or frame_id.
        key: of the JPEG; mask_key: of the mask PNG, None where the picture goes on unmasked.
        name: how the user knows it.
    """

    item_id: uuid.UUID
    kind: Kind
    key: str
    name: str
    mask_key: str | None = None

    def __str__(self) -> str:
        return self.name

    def rgb(self, media: MediaStore) -> NDArray[np.uint8]:
        """uint8 (H, W, 3)."""
        return decode_stored(media.get(self.key))

    def mask(self, media: MediaStore) -> NDArray[np.uint8] | None:
        """uint8 (H, W), 255 = product; None without a mask."""
        return None if self.mask_key is None else decode_mask(media.get(self.mask_key))


@dataclass(frozen=True)
class MaskDone:
    """A segmented picture; `key` is None where there is no mask, for `reason`."""

    item_id: uuid.UUID
    kind: Kind
    key: str | None
    coverage: float
    reason: str


@dataclass(frozen=True)
class MaskWorkerState:
    """What a worker needs to segment."""

    media: MediaStore
    segmenter: Segmenter


def mask_worker_state(media: MediaStore, segmenter: str, models_dir: Path) -> MaskWorkerState:
    """A desk in a worker process."""
    return MaskWorkerState(media, load_segmenter(segmenter, models_dir))


def mask_picture(desk: MaskWorkerState, item: Stored) -> MaskDone:
    """Segments one picture and stores its mask, where it has one."""
    found = desk.segmenter.segment(item.rgb(desk.media), item.kind)
    if found.mask is None:
        return MaskDone(item.item_id, item.kind, None, found.coverage, found.reason)
    key = f"masks/{item.kind}s/{desk.segmenter.key}/{item.item_id}.png"
    desk.media.put(key, encode_mask(found.mask))
    return MaskDone(item.item_id, item.kind, key, found.coverage, found.reason)


@dataclass(frozen=True)
class EmbedTask:
    """A few pictures of one kind, embedded at once."""

    items: tuple[Stored, ...]

    def __str__(self) -> str:
        return (
            f"{self.items[0].name} and {len(self.items) - 1} more" if self.items[1:] else self.items[0].name
        )


@dataclass(frozen=True, eq=False)
class EmbedDone:
    """Vectors of one picture: float32 (views, dim), unit rows; `gray` None where not asked for."""

    item_id: uuid.UUID
    kind: Kind
    rgb: NDArray[np.float32]
    gray: NDArray[np.float32] | None


@dataclass(frozen=True)
class EmbedWorkerState:
    """What a worker needs to embed."""

    media: MediaStore
    embedder: Embedder
    gray: bool


def embed_worker_state(media: MediaStore, embedder: str, models_dir: Path, gray: bool) -> EmbedWorkerState:
    """A desk in a worker process, on the CPU."""
    return EmbedWorkerState(media, load_embedder(embedder, models_dir, "cpu"), gray)


def embed_pictures(desk: EmbedWorkerState, task: EmbedTask) -> list[EmbedDone]:
    """Vectors of the task's pictures, in their order."""
    inputs = [EmbedInput(item.rgb(desk.media), item.mask(desk.media)) for item in task.items]
    return embed_loaded(desk, task.items, inputs)


def embed_loaded(
    desk: EmbedWorkerState, items: Sequence[Stored], inputs: Sequence[EmbedInput]
) -> list[EmbedDone]:
    """Vectors of pictures that are decoded already; all of one kind."""
    views = embed_views(desk.embedder, inputs, items[0].kind, desk.gray)
    return [EmbedDone(i.item_id, i.kind, v.rgb, v.gray) for i, v in zip(items, views, strict=True)]


@dataclass(frozen=True)
class KeypointsDone:
    """Keypoints of one picture; `key` (of the npz) is None where it is excused for `reason`."""

    item_id: uuid.UUID
    kind: Kind
    count: int
    key: str | None
    reason: str


@dataclass(frozen=True)
class KeypointWorkerState:
    """What a worker needs to find keypoints; `method_key` names detector, parameters and masks."""

    media: MediaStore
    params: KeypointParams
    method_key: str


def keypoint_worker_state(media: MediaStore, params: KeypointParams, method_key: str) -> KeypointWorkerState:
    """A desk in a worker process."""
    return KeypointWorkerState(media, params, method_key)


def keypoint_picture(desk: KeypointWorkerState, item: Stored) -> KeypointsDone:
    """Finds and stores the keypoints of one picture; a picture without any is excused."""
    found = detect(item.rgb(desk.media), item.mask(desk.media), desk.params)
    if len(found) == 0:
        return KeypointsDone(item.item_id, item.kind, 0, None, "no keypoint: the picture is flat")
    key = f"kp/{desk.method_key}/{item.item_id}.npz"
    desk.media.put(key, to_npz(found))
    return KeypointsDone(item.item_id, item.kind, len(found), key, "")
