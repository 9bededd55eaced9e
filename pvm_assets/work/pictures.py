"""One product picture: read, decoded, made uniform, stored."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from pvm_core import ids
from pvm_core.images import decode_picture, encode_jpeg, normalise
from pvm_resources.media.store import MediaStore
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.picture_reader import Pictures


@dataclass(frozen=True)
class PictureTask:
    """A picture of a product that is not stored yet; `data` holds its bytes where it was downloaded."""

    product_id: uuid.UUID
    picture: PictureRef
    position: int
    fingerprint: str | None
    data: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.picture.ref


@dataclass(frozen=True)
class StoredPicture:
    """A stored picture.

    Attributes:
        sha256: of the bytes given; with the product it is the picture's identity.
        key: of the stored JPEG in the media store.
        width, height: of the stored picture, pixels.
        phash: `pictures.phash64`, unsigned 64 bits.
    """

    img_id: uuid.UUID
    product_id: uuid.UUID
    ref: str
    position: int
    fingerprint: str | None
    sha256: str
    key: str
    width: int
    height: int
    phash: int


@dataclass(frozen=True)
class PictureWorkerState:
    """What a worker needs to store pictures."""

    media: MediaStore
    reader: Pictures


def store_picture(desk: PictureWorkerState, task: PictureTask) -> StoredPicture:
    """Reads and stores one picture.

    Raises:
        MediaError: the picture cannot be used.
        StoreError: the media store refused it.
    """
    data = task.data if task.data is not None else desk.reader.read(task.picture)
    picture = decode_picture(data, task.picture.ref)
    rgb = normalise(picture.rgb)
    img_id = ids.image_id(task.product_id, picture.sha256)
    key = f"products/{task.product_id}/{img_id}.jpg"
    desk.media.put(key, encode_jpeg(rgb))
    return StoredPicture(
        img_id,
        task.product_id,
        task.picture.ref,
        task.position,
        task.fingerprint,
        picture.sha256,
        key,
        rgb.shape[1],
        rgb.shape[0],
        picture.phash,
    )
