"""One product picture: read, decoded, made uniform, stored."""

from __future__ import annotations

from pathlib import Path

from pvm_core import ids
from pvm_core.images import decode_picture, encode_jpeg, normalise
from pvm_resources.media.store import MediaStore
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.picture_reader import Pictures
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.records import Image


def store_picture(media: MediaStore, task: GalleryPicture) -> Image:
    """Reads and stores one picture.

    Raises:
        MediaError: the picture cannot be used.
        StoreError: the media store refused it.
    """
    data = task.data if task.data is not None else Pictures().read(ref_of(task))
    picture = decode_picture(data, str(task))
    rgb = normalise(picture.rgb)
    img_id = ids.image_id(task.product_id, picture.sha256)
    path = f"products/{task.product_id}/{img_id}.jpg"
    media.put(path, encode_jpeg(rgb))
    height, width = rgb.shape[:2]
    return Image(
        img_id,
        task.product_id,
        picture.sha256,
        path,
        task.source_ref,
        width,
        height,
        picture.phash,
        task.position,
    )


def ref_of(picture: GalleryPicture) -> PictureRef:
    """The reference as picture readers take it."""
    return PictureRef(picture.source_ref, Path(picture.file) if picture.file else None)
