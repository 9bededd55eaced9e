"""Generated products, scenes, clips: the same for the same seed, and the truth is true."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.proportions import lower_bound
from pvm_demo import Family, make_pairs, make_products, render_scene, siblings
from pvm_demo.clips import Case, CaseSpec, Showing, inner_size, iter_frames, make_case
from pvm_demo.names import KINDS
from pvm_demo.products import SyntheticProduct
from pvm_demo.scoring import ResultRow, score_rows
from pvm_demo.solids import view

SPEC = CaseSpec(
    seed=3,
    family="test",
    n_products=6,
    n_clips=5,
    n_outsiders=2,
    sibling_share=0.5,
    size=(320, 180),
    fps=6,
    shots=(2, 3),
    shot_s=(0.5, 1.0),
)


@pytest.fixture(scope="module")
def products() -> list[SyntheticProduct]:
    return make_products(5, len(KINDS), sibling_share=0.0, gallery=(1, 1))


def test_products_are_the_same_for_the_same_seed() -> None:
    first, again = make_products(2, 3), make_products(2, 3)
    for one, other in zip(first, again, strict=True):
        assert (one.product_id, one.title, one.sibling_of) == (
            other.product_id,
            other.title,
            other.sibling_of,
        )
        assert all(np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True))


def test_families_and_seeds_never_share_a_picture() -> None:
    families: tuple[Family, ...] = ("test", "fit", "demo")
    worlds = {
        (family, seed): make_products(seed, 2, family=family, gallery=(1, 1))
        for family in families
        for seed in (2, 3)
    }
    prints = [p.images[0].tobytes() for world in worlds.values() for p in world]
    assert len(set(prints)) == len(prints)
    brands = {f: {p.brand for s in (2, 3) for p in worlds[f, s]} for f in families}
    assert not brands["fit"] & brands["demo"] | brands["fit"] & brands["test"]


def test_a_catalogue_holds_vietnamese_titles_and_every_kind(products: list[SyntheticProduct]) -> None:
    assert {p.kind.shape for p in products} == {k.shape for k in KINDS}
    assert any(any(ord(c) > 0x1E00 for c in p.title) for p in products)
    assert len({p.product_id for p in products}) == len(products)


def test_catalogue_pictures_are_on_a_light_ground(products: list[SyntheticProduct]) -> None:
    for product in products:
        picture = product.images[0]
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert 400 < max(picture.shape[:2]) <= 1024
        assert np.median(picture[:8]) > 230, product.title


def test_siblings_share_a_design_and_differ_in_colour() -> None:
    made = make_products(11, 8, sibling_share=1.0, gallery=(1, 1))
    groups = siblings(made)
    for product in (p for p in made if p.sibling_of):
        of = next(p for p in made if p.product_id == product.sibling_of)
        assert groups[product.product_id] == of.product_id
        assert product.design.shape == of.design.shape
        assert product.style.seed == of.style.seed
        assert product.style.flavour != of.style.flavour
        difference = np.abs(product.design.front.astype(int) - of.design.front.astype(int)).max(axis=2)
        assert np.mean(difference > 20) > 0.005, product.title
    flavours = [(groups[p.product_id], p.style.flavour) for p in made]
    assert len(set(flavours)) == len(flavours)


@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.6])
@pytest.mark.parametrize("pitch", [0.0, 0.4])
def test_every_body_is_seen_from_every_side(
    products: list[SyntheticProduct], yaw: float, pitch: float
) -> None:
    for product in products:
        sprite = view(product.design, yaw, pitch, 160)
        high, wide = sprite.rgba.shape[:2]
        assert max(high, wide) <= 170
        covered = np.mean(sprite.rgba[..., 3] > 127)
        assert covered > 0.2, product.kind.shape
        # Premultiplied: no colour where there is no cover.
        assert sprite.rgba[..., :3].max(axis=2)[sprite.rgba[..., 3] == 0].max(initial=0) == 0
        assert (sprite.quad >= -wide * 0.2).all()
        assert (sprite.quad <= max(high, wide) * 1.2).all()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), difficulty=st.floats(0, 1))
def test_a_scene_shows_its_product_where_it_says(
    products: list[SyntheticProduct], seed: int, difficulty: float
) -> None:
    product = products[seed % len(products)]
    scene = render_scene(product, np.random.default_rng(seed), difficulty, size=(360, 240))
    assert scene.rgb.shape == (360, 240, 3)
    assert scene.rgb.dtype == np.uint8
    assert scene.quad is not None
    assert 0.45 <= scene.visible <= 1
    centre = scene.quad.mean(axis=0)
    assert 0 <= centre[0] <= 240
    assert 0 <= centre[1] <= 360
    bare = render_scene(None, np.random.default_rng(seed), difficulty, size=(360, 240))
    assert bare.quad is None
    assert bare.visible == 0


def test_an_easy_scene_really_shows_the_artwork(products: list[SyntheticProduct]) -> None:
    import cv2

    # Lighter or darker than the catalogue, but the same print: correlation after taking the quad out.
    found = []
    for product in (p for p in products if p.kind.shape in ("box", "cover")):
        scene = render_scene(product, np.random.default_rng(1), 0.0)
        assert scene.quad is not None
        art = cv2.resize(product.design.front, (120, 160), interpolation=cv2.INTER_AREA)
        target = np.array([[0, 0], [120, 0], [120, 160], [0, 160]], np.float32)
        seen = cv2.warpPerspective(scene.rgb, cv2.getPerspectiveTransform(scene.quad, target), (120, 160))
        found.append(np.corrcoef(art.ravel(), seen.ravel())[0, 1])
    assert np.median(found) > 0.75


def test_pairs_are_a_third_true_and_the_false_ones_mostly_siblings() -> None:
    pairs = list(make_pairs(1, 20, size=(240, 136), generation_size=5))
    again = list(make_pairs(1, 2, size=(240, 136), generation_size=5))
    assert len(pairs) == 20
    assert all(np.array_equal(a.frame_rgb, b.frame_rgb) for a, b in zip(pairs, again, strict=False))
    true = [p for p in pairs if p.label]
    assert 5 <= len(true) <= 12
    assert not any(p.sibling for p in true)
    assert sum(p.sibling for p in pairs) >= 0.4 * (len(pairs) - len(true))
    assert all(p.product_id.startswith("fit1-") for p in pairs)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(SPEC)


def test_a_case_keeps_its_promises(case: Case) -> None:
    catalogue = {p.product_id for p in case.products}
    assert len(case.products) == SPEC.n_products
    assert len(case.clips) == SPEC.n_clips
    assert not catalogue & {p.product_id for p in case.outsiders}
    assert {t.product_id for t in case.truth} <= catalogue
    assert not set(case.background) & {(t.product_id, t.video_id) for t in case.truth}
    shown = {t.video_id for t in case.truth}
    assert shown
    assert any(c.video_id not in shown for c in case.clips), "a clip without any product"
    assert any(s.shown in case.outsiders for c in case.clips for s in c.shots), "a product of no catalogue"
    for showing in case.truth:
        clip = next(c for c in case.clips if c.video_id == showing.video_id)
        assert 0 <= showing.start_s < showing.end_s <= clip.duration_s + 1e-3
    assert make_case(replace(SPEC, n_clips=1)).truth == tuple(
        t for t in case.truth if t.video_id == "clip000"
    )


def test_frames_come_as_planned_and_cuts_cut(case: Case) -> None:
    for clip in case.clips[:2]:
        frames = list(iter_frames(clip))
        assert len(frames) == clip.frames
        assert {f.shape for f in frames} == {(*clip.size, 3)}
        steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
        cuts = {s.first - 1 for s in clip.shots[1:]}
        within = [s for i, s in enumerate(steps) if i not in cuts]
        assert min(steps[i] for i in cuts) > np.median(within)
        assert min(within) > 0.2, "a hand-held camera never stands still"


def test_reused_places_still_give_different_shots() -> None:
    spec = replace(SPEC, n_products=2, n_outsiders=1, n_clips=1, shots=(6, 6), stages_per_clip=2)
    clip = make_case(spec).clips[0]
    assert {s.stage for s in clip.shots} == {0, 1}
    assert len({(s.stage, s.shown.product_id if s.shown else None) for s in clip.shots}) == 2
    frames = list(iter_frames(clip))
    firsts = [frames[s.first] for s in clip.shots if s.stage == 0]
    assert np.abs(firsts[0].astype(int) - firsts[1]).mean() > 4


@pytest.mark.parametrize(
    ("framing", "size"), [("full", (960, 540)), ("inset 4:3", (404, 540)), ("inset 16:9", (304, 540))]
)
def test_inner_size(framing: str, size: tuple[int, int]) -> None:
    assert inner_size((960, 540), framing) == size  # type: ignore[arg-type]


TRUTH = [Showing("a", "v1", 1.0, 2.0), Showing("a", "v1", 5.0, 6.0), Showing("b", "v2", 0.0, 3.0)]


def test_scores_count_as_the_case_tool_counts() -> None:
    rows = [
        ResultRow("a", "v1", 0.9, 5.2),
        ResultRow("b", "v2", 0.7, 1.0),
        ResultRow("c", "v2", 0.85, 1.0),
        ResultRow("d", "v1", 0.99, 1.0),
    ]
    score = score_rows(TRUTH, [("d", "v1")], rows)
    assert (score.accepted, score.right, score.true) == (2, 1, 2)
    assert score.precision == 0.5
    assert score.recall == 0.5
    assert score.seconds_right == 1
    assert score.wrong == (("c", "v2"),)
    assert score.missed == (("b", "v2"),)
    with pytest.raises(ValueError, match="more than one row"):
        score_rows(TRUTH, [], [rows[0], rows[0]])


@pytest.mark.parametrize(("ts", "right"), [(0.4, 0), (0.6, 1), (2.4, 1), (3.5, 0), (None, 0)])
def test_a_second_is_right_inside_a_showing(ts: float | None, right: int) -> None:
    assert score_rows(TRUTH, [], [ResultRow("a", "v1", 0.9, ts)]).seconds_right == right


def test_nothing_accepted_is_no_precision() -> None:
    score = score_rows(TRUTH, [], [])
    assert (score.precision, score.recall, score.bound) == (0, 0, 0)


# One-sided Clopper-Pearson: 59 of 59 is the first to give 0.95, 93 needed with one wrong.
@pytest.mark.parametrize(
    ("right", "n", "above"), [(58, 58, False), (59, 59, True), (91, 92, False), (92, 93, True)]
)
def test_lower_bound(right: int, n: int, above: bool) -> None:
    assert (lower_bound(right, n) >= 0.95) is above
