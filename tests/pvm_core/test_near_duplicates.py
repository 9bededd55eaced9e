"""Near-copies in a gallery: properties of the rule, and the measured bound on real pictures."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.images import Rgb, decode_picture, encode_jpeg, hamming, normalise, phash64
from pvm_core.near_duplicates import MAX_BITS, GalleryItem, near_duplicates

#: Hashes that lie close together, so that copies, chains and strangers all occur.
HASHES = st.sets(st.integers(0, 11), max_size=8).map(lambda bits: sum(1 << 5 * b for b in bits))
GALLERIES = st.lists(st.tuples(HASHES, st.integers(1, 5)), max_size=14).map(
    lambda rows: [GalleryItem(n, n, phash, pixels) for n, (phash, pixels) in enumerate(rows)]
)


@given(GALLERIES)
def test_every_copy_is_close_to_a_larger_or_earlier_picture_that_is_kept(
    gallery: list[GalleryItem[int]],
) -> None:
    copies = near_duplicates(gallery)
    by_id = {item.img_id: item for item in gallery}
    for copy, kept in copies.items():
        assert kept not in copies
        assert hamming(by_id[copy].phash, by_id[kept].phash) <= MAX_BITS
        assert (-by_id[kept].pixels, kept) < (-by_id[copy].pixels, copy)


@given(GALLERIES)
def test_what_is_kept_lies_apart(gallery: list[GalleryItem[int]]) -> None:
    copies = near_duplicates(gallery)
    kept = [item for item in gallery if item.img_id not in copies]
    assert bool(kept) == bool(gallery)
    for n, one in enumerate(kept):
        assert all(hamming(one.phash, other.phash) > MAX_BITS for other in kept[n + 1 :])


@given(GALLERIES, st.randoms())
def test_the_order_given_does_not_matter(gallery: list[GalleryItem[int]], rng: random.Random) -> None:
    shuffled = list(gallery)
    rng.shuffle(shuffled)
    assert near_duplicates(shuffled) == near_duplicates(gallery)


@given(GALLERIES)
def test_signed_and_unsigned_hashes_are_the_same(gallery: list[GalleryItem[int]]) -> None:
    signed = [GalleryItem(i.img_id, i.position, i.phash - (1 << 64), i.pixels) for i in gallery]
    assert near_duplicates(signed) == near_duplicates(gallery)


def test_a_chain_of_small_steps_does_not_swallow_a_gallery() -> None:
    chain = [GalleryItem(n, n, (1 << 4 * n) - 1, 1) for n in range(4)]
    assert near_duplicates(chain) == {1: 0, 3: 2}


def test_the_bound_on_real_pictures(shared: Path) -> None:
    pictures = [
        normalise(decode_picture(path.read_bytes(), path.name).rgb)
        for path in sorted((shared / "photos").glob("*/reference/*.jpg"))[::2]
    ]
    if not pictures:
        pytest.skip("no reference pictures")
    hashes = [phash64(p) for p in pictures]
    for own, picture in zip(hashes, pictures, strict=True):
        assert hamming(own, phash64(_small_and_coarse(picture))) <= MAX_BITS
    strangers = [hamming(a, b) for n, a in enumerate(hashes) for b in hashes[n + 1 :]]
    assert min(strangers) > 2 * MAX_BITS


def _small_and_coarse(rgb: Rgb) -> Rgb:
    side = max(rgb.shape[:2])
    small = cv2.resize(rgb, None, fx=300 / side, fy=300 / side, interpolation=cv2.INTER_AREA)
    return decode_picture(encode_jpeg(np.ascontiguousarray(small, dtype=np.uint8), 50), "copy").rgb
