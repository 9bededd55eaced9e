"""One product picture: read, decoded, made uniform, stored; and the views it is put together from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from pvm_core import ids
from pvm_core.arrays import U8
from pvm_core.images import (
    Picture,
    PictureLimits,
    check_elongation,
    decode_picture,
    encode_jpeg,
    normalise,
    phash64,
)
from pvm_core.panels import Box, panels
from pvm_resources.media.store import MediaStore
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.picture_reader import Pictures
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.records import Image

#: Between a picture's reference and the part of it that a view is: a media fragment, in pixels of the picture
#: as given (W3C, "Media Fragments URI 1.0", 4.2.2).
VIEW_MARK: Final = "#xywh="
#: A strip may be as long as 24,000 pixels at the width of 750 that shops ask for: it is cut, not scaled down.
_STRIP: Final = PictureLimits(max_elongation=32.0)


def store_picture(media: MediaStore, task: GalleryPicture) -> Image:
    """Reads and stores one picture as it is.

    Raises:
        MediaError: the picture cannot be used.
        StoreError: the media store refused it.
    """
    return _store_whole(media, task, _read(task, PictureLimits()))


def store_picture_and_views(media: MediaStore, task: GalleryPicture) -> tuple[Image, ...]:
    """Reads and stores one picture, and after it the views that it is put together from
    (`pvm_core.panels`), each as a picture of the product.

    Raises:
        MediaError: the picture cannot be used.
        StoreError: the media store refused it.
    """
    picture = _read(task, _STRIP)
    views = panels(picture.rgb)
    if not views:
        height, width = picture.rgb.shape[:2]
        check_elongation((width, height), str(task))
    whole = _store_whole(media, task, picture)
    return (whole, *(_store_view(media, whole, picture.rgb, box) for box in views))


def _read(task: GalleryPicture, limits: PictureLimits) -> Picture:
    data = task.data if task.data is not None else Pictures().read(ref_of(task))
    return decode_picture(data, str(task), limits)


def _store_whole(media: MediaStore, task: GalleryPicture, picture: Picture) -> Image:
    image = Image(
        ids.image_id(task.product_id, picture.sha256), task.product_id, picture.sha256, "", task.source_ref,
        0, 0, picture.phash, task.position,
    )  # fmt: skip
    return _stored(media, image, picture.rgb)


def _store_view(media: MediaStore, whole: Image, rgb: U8, box: Box) -> Image:
    place = f"{box.left},{box.top},{box.width},{box.height}"
    sha256 = hashlib.sha256(f"{whole.sha256}{VIEW_MARK}{place}".encode()).hexdigest()
    view = replace(
        whole,
        img_id=ids.image_id(whole.product_id, sha256),
        sha256=sha256,
        source_ref=f"{whole.source_ref}{VIEW_MARK}{place}",
        phash=phash64(box.of(rgb)),
    )
    return _stored(media, view, box.of(rgb))


def _stored(media: MediaStore, image: Image, pixels: U8) -> Image:
    """The row of a picture whose pixels are stored."""
    rgb = normalise(pixels)
    path = f"products/{image.product_id}/{image.img_id}.jpg"
    media.put(path, encode_jpeg(rgb))
    height, width = rgb.shape[:2]
    return replace(image, local_path=path, width=width, height=height)


def ref_of(picture: GalleryPicture) -> PictureRef:
    """The reference as picture readers take it."""
    return PictureRef(picture.source_ref, Path(picture.file) if picture.file else None)
