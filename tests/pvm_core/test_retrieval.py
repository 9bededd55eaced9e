"""Exact retrieval against the obvious way of doing it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.retrieval import Gallery, first_rows, search


def _unit(rng: np.random.Generator, rows: int) -> np.ndarray:
    found = rng.standard_normal((rows, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    pictures=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    frames=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    k=st.integers(1, 10),
    gray=st.booleans(),
)
def test_the_best_views_of_both_kinds_decide(
    seed: int, pictures: list[int], frames: list[int], k: int, gray: bool
) -> None:
    rng = np.random.default_rng(seed)
    owners = [n for n, views in enumerate(pictures) for _ in range(views)]
    asked = [n for n, views in enumerate(frames) for _ in range(views)]
    p_rgb, p_gray = _unit(rng, len(owners)), _unit(rng, len(owners))
    f_rgb, f_gray = _unit(rng, len(asked)), _unit(rng, len(asked))
    gallery = Gallery(first_rows(owners), p_rgb, p_gray if gray else None)
    found = search(gallery, first_rows(asked), f_rgb, f_gray if gray else None, k)

    wanted = np.full((len(frames), len(pictures)), -2.0)
    for f, frame in enumerate(asked):
        for p, picture in enumerate(owners):
            best = float(f_rgb[f] @ p_rgb[p])
            if gray:
                best = max(best, float(f_gray[f] @ p_gray[p]))
            wanted[frame, picture] = max(wanted[frame, picture], best)
    assert found.index.shape == (len(frames), min(k, len(pictures)))
    top = -np.sort(-wanted, axis=1)[:, : found.index.shape[1]]
    assert np.allclose(found.similarity, top, atol=1e-5)
    assert np.allclose(np.take_along_axis(wanted, found.index, 1), found.similarity, atol=1e-5)


def test_equal_pictures_keep_the_gallerys_order() -> None:
    row = np.array([[1.0, 0.0]], np.float32)
    gallery = Gallery(np.arange(6), np.repeat(row, 6, axis=0), None)
    assert search(gallery, np.array([0]), row, None, 3).index.tolist() == [[0, 1, 2]]


def test_a_cosine_never_exceeds_one() -> None:
    row = np.full((1, 3), 1.0000001 / np.sqrt(3), np.float32)
    gallery = Gallery(np.array([0]), row, None)
    assert search(gallery, np.array([0]), row, None, 1).similarity.max() <= 1.0
