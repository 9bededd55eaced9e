"""Masks: the product on its plain background, the sharp picture inside its fill, and honest refusals."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.errors import ModelError
from pvm_core.masks import MaskResult, Segmenter, load_segmenter

Drawn = tuple[np.ndarray, np.ndarray]
SIDE = 400


def print_on(seed: int, h: int = SIDE, w: int = SIDE) -> np.ndarray:
    """A colourful printed surface, far from white."""
    rng = np.random.default_rng(seed)
    rgb = np.full((h, w, 3), rng.integers(20, 140, 3), np.uint8)
    for _ in range(40):
        x, y, r = rng.integers(0, w), rng.integers(0, h), rng.integers(4, 30)
        cv2.circle(rgb, (int(x), int(y)), int(r), [int(v) for v in rng.integers(0, 190, 3)], -1)
    return rgb


def on_ground(truth: np.ndarray, ground: np.ndarray, seed: int = 1) -> np.ndarray:
    soft = cv2.GaussianBlur(truth, (0, 0), 0.7)[..., None] / 255.0
    rgb = print_on(seed) * soft + ground * (1 - soft)
    noise = np.random.default_rng(seed).normal(0, 1.5, rgb.shape)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


def shape(*parts: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    truth = np.zeros((SIDE, SIDE), np.uint8)
    for corner, opposite in parts:
        cv2.rectangle(truth, corner, opposite, 255, -1)
    return truth


def flat(*colour: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.float64)


def on_white() -> Drawn:
    truth = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(truth, (200, 190), (90, 130), 20, 0, 360, 255, -1)
    return on_ground(truth, flat(255, 255, 255)), truth


def with_soft_shadow() -> Drawn:
    truth = shape(((130, 80), (270, 300)))
    shadow = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(shadow, (220, 305), (130, 30), 0, 0, 360, 255, -1)
    dark = cv2.GaussianBlur(shadow, (0, 0), 14)[..., None] / 255.0
    return on_ground(truth, flat(255, 255, 255) * (1 - 0.35 * dark)), truth


def on_colour() -> Drawn:
    truth = shape(((100, 120), (300, 280)))
    return on_ground(truth, flat(120, 190, 235)), truth


def on_backdrop() -> Drawn:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = (215 - 45 * (x * x + y * y) + 12 * y)[..., None] * np.ones(3)
    truth = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(truth, (200, 210), 100, 255, -1)
    return on_ground(truth, light), truth


def touching_the_border() -> Drawn:
    truth = shape(((90, 0), (310, SIDE)))
    return on_ground(truth, flat(252, 252, 252)), truth


def in_parts() -> Drawn:
    truth = shape(((40, 90), (150, 310)), ((190, 120), (260, 300)), ((300, 150), (360, 290)))
    return on_ground(truth, flat(255, 255, 255)), truth


def with_white_panel() -> Drawn:
    truth = shape(((120, 60), (280, 340)))
    rgb = on_ground(truth, flat(255, 255, 255))
    rgb[150:250, 200:281] = 253  # a panel that runs out into the white of the background
    return rgb, truth


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(((mask > 0) & (truth > 0)).sum() / ((mask > 0) | (truth > 0)).sum())


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("classic", None)


@pytest.mark.parametrize(
    "draw",
    [
        on_white,
        with_soft_shadow,
        on_colour,
        on_backdrop,
        touching_the_border,
        in_parts,
        with_white_panel,
    ],
    ids=lambda f: f.__name__,
)
def test_finds_the_product_on_a_plain_background(segmenter: Segmenter, draw: Callable[[], Drawn]) -> None:
    rgb, truth = draw()
    result = segmenter.segment(rgb, "product")
    assert result.mask is not None, result.reason
    assert overlap(result.mask, truth) > 0.85
    # Nothing of the product may be lost; a thin margin around it may be kept.
    assert (result.mask[truth > 0] > 0).mean() > 0.98


def grass() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def white_on_white() -> np.ndarray:
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8)
    cv2.rectangle(rgb, (100, 100), (300, 300), (254, 254, 253), -1)
    return rgb


def speck() -> np.ndarray:
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8)
    cv2.circle(rgb, (200, 200), 12, (200, 10, 10), -1)
    return rgb


@pytest.mark.parametrize(
    ("rgb", "reason"),
    [(grass(), "textured-background"), (white_on_white(), "low-contrast"), (speck(), "too-small")],
)
def test_refuses_what_it_cannot_trust(segmenter: Segmenter, rgb: np.ndarray, reason: str) -> None:
    result = segmenter.segment(rgb, "product")
    assert not result.has_mask
    assert result.mask is None
    assert (result.reason, result.coverage) == (reason, 1.0)


def clip_frame(fill: str, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A vertical frame, 540 x 960, with a landscape picture across its middle, and where that is."""
    inner = cv2.resize(print_on(5, 300, 540), (540, 360))
    grain = np.random.default_rng(2).integers(-25, 26, inner.shape)
    inner = (inner.astype(int) + grain).clip(0, 255).astype(np.uint8)
    if fill == "blurred":
        frame = cv2.GaussianBlur(cv2.resize(inner, (540, 960)), (0, 0), 25)
    else:
        frame = np.zeros((960, 540, 3), np.uint8)
    placed = np.zeros_like(frame)
    placed[300:660] = inner
    where = np.zeros((960, 540), np.uint8)
    where[300:660] = 255
    spin = cv2.getRotationMatrix2D((270, 480), turn, 1.1)
    placed, where = cv2.warpAffine(placed, spin, (540, 960)), cv2.warpAffine(where, spin, (540, 960))
    return np.where(where[..., None] > 127, placed, frame), where


@pytest.mark.parametrize(
    ("fill", "reason"), [("blurred", "blurred-fill"), ("black", "bars")], ids=["blurred", "black"]
)
@pytest.mark.parametrize("turn", [0.0, 6.0])
def test_keeps_the_sharp_picture_of_a_frame(
    segmenter: Segmenter, fill: str, reason: str, turn: float
) -> None:
    frame, where = clip_frame(fill, turn)
    result = segmenter.segment(frame, "frame")
    assert result.mask is not None, result.reason
    assert result.reason == reason
    assert overlap(result.mask, where) > 0.93


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(grass(), "no-fill"), (np.full((300, 200, 3), 90, np.uint8), "no-detail")],
    ids=["sharp all over", "flat"],
)
def test_a_frame_without_fill_stays_whole(segmenter: Segmenter, frame: np.ndarray, reason: str) -> None:
    assert segmenter.segment(frame, "frame") == MaskResult.none(reason)


@settings(max_examples=40, deadline=None)
@given(
    h=st.integers(8, 300),
    w=st.integers(8, 300),
    seed=st.integers(0, 2**16),
    kind=st.sampled_from(["product", "frame"]),
    style=st.sampled_from(["noise", "flat", "print", "black"]),
)
def test_any_picture_gives_a_valid_answer(h: int, w: int, seed: int, kind: str, style: str) -> None:
    rng = np.random.default_rng(seed)
    rgb = {
        "noise": lambda: rng.integers(0, 256, (h, w, 3)).astype(np.uint8),
        "flat": lambda: np.full((h, w, 3), rng.integers(0, 256, 3), np.uint8),
        "print": lambda: print_on(seed, h, w),
        "black": lambda: np.zeros((h, w, 3), np.uint8),
    }[style]()
    before = rgb.copy()
    result = load_segmenter("classic", None).segment(rgb, kind)  # type: ignore[arg-type]
    assert (rgb == before).all()
    assert result.reason
    if result.mask is None:
        assert result.coverage == 1.0
    else:
        assert result.mask.shape == (h, w)
        assert result.mask.dtype == np.uint8
        assert set(np.unique(result.mask)) <= {0, 255}
        assert 0 < result.coverage == np.count_nonzero(result.mask) / result.mask.size


def test_a_key_is_stable_and_names_the_parameters() -> None:
    from pvm_core.masks.classic import ClassicSegmenter, PlainParams

    assert ClassicSegmenter().key == ClassicSegmenter().key
    assert ClassicSegmenter(plain=PlainParams(margin=0.01)).key != ClassicSegmenter().key


@pytest.mark.parametrize(
    ("name", "code"),
    [("nonsense", "model.unknown"), ("clip-vit-b32", "model.kind"), ("u2netp", "model.missing")],
)
def test_a_segmenter_that_cannot_be_had_says_why(name: str, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_segmenter(name, None)
    assert caught.value.code in (code, "model.library")
