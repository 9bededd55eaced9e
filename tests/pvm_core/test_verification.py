from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pvm_core.errors import StoreError
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.scoring.pair_score import RECOLOURED, REPRINTED
from pvm_core.verification import (
    LateView,
    PairEvidence,
    VerifyParams,
    View,
    evidence_from_row,
    evidence_to_row,
    verify_frame,
    verify_mirrored,
)
from pvm_core.verification.geometry import corners_of, is_plausible, project
from pvm_core.verification.mirror import FrameDoubt, frames_to_try, mirrored_view, reads_plainly
from tests.pvm_core.prints import TILTED, label, place

PARAMS = VerifyParams()


def verify(frame: View, product: View, params: VerifyParams) -> PairEvidence:
    return verify_frame(frame, [product], params)[0]


def view(rgb: np.ndarray, mask: np.ndarray | None = None, detector: str = "sift") -> View:
    return View(detect(rgb, mask, KeypointParams(detector)), rgb, mask)  # type: ignore[arg-type]


@pytest.mark.parametrize("detector", ["sift", "akaze"])
def test_true_pair_is_placed_to_the_pixel(detector: str) -> None:
    product = label(1)
    frame, matrix = place(product, TILTED)
    found = verify(view(frame, detector=detector), view(product, detector=detector), PARAMS)
    assert found.model == "homography"
    assert found.inliers > 30
    quad = np.reshape(found.quad, (4, 2))
    assert np.abs(quad - project(matrix, corners_of(240, 320))).max() < 4
    assert found.print_mid is not None
    assert found.print_mid > 0.7
    assert found.colour_corr is not None
    assert found.colour_corr > 0.8
    assert len(found.points_product) == len(found.points_frame) == min(60, found.inliers)


def test_pixels_are_read_once_and_where_a_pair_comes_to_them() -> None:
    reads: list[str] = []

    def late(name: str, rgb: np.ndarray) -> View:
        def load() -> tuple[np.ndarray, None]:
            reads.append(name)
            return rgb, None

        return LateView(view(rgb).keypoints, load)

    shown, _ = place(label(1), TILTED)
    frame, true, stranger = late("frame", shown), late("true", label(1)), late("stranger", label(99))
    verify(frame, stranger, replace(PARAMS, gate=30))
    assert reads == []
    found = verify_frame(frame, [true, stranger], replace(PARAMS, gate=30))
    assert sorted(reads) == ["frame", "true"]
    eager = verify_frame(view(shown), [view(label(1)), view(label(99))], replace(PARAMS, gate=30))
    assert found == eager


def test_stranger_is_rejected() -> None:
    frame, _ = place(label(1), TILTED)
    found = verify(view(frame), view(label(99)), PARAMS)
    assert found.inliers < 8
    assert (found.print_mid or 0.0) < 0.4


def test_sibling_of_another_colour_agrees_in_print_and_not_in_colour() -> None:
    frame, _ = place(label(1), TILTED)
    found = verify(view(frame), view(label(1, hue=60)), PARAMS)
    true = verify(view(frame), view(label(1)), PARAMS)
    assert found.colour_corr is not None
    assert true.colour_corr is not None
    assert found.colour_corr < true.colour_corr - 0.5
    assert (found.colour_gap or 0) > 2 * (true.colour_gap or 0)


@pytest.mark.parametrize("detector", ["sift", "akaze"])
@pytest.mark.parametrize("side", ["clip", "picture"])
def test_mirrored_product_is_the_same_seen_in_a_mirrored_clip(side: str, detector: str) -> None:
    product, (frame, matrix) = label(1), place(label(1), TILTED)
    width, (high, wide) = frame.shape[1], product.shape[:2]
    if side == "clip":
        frame = np.ascontiguousarray(frame[:, ::-1])
        truth = np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]]) @ matrix
    else:
        product = np.ascontiguousarray(product[:, ::-1])
        truth = matrix @ np.array([[-1.0, 0, wide], [0, 1, 0], [0, 0, 1]])
    shown, sold = view(frame, detector=detector), view(product, detector=detector)
    plain = verify(shown, sold, PARAMS)
    assert (plain.print_mid or 0.0) < 0.4
    assert plain.mirrored is None
    (found,) = verify_mirrored(shown, [sold], [plain], PARAMS)
    assert found.mirrored
    assert found.inliers > 30
    assert (found.print_mid or 0.0) > 0.7
    # Places are those of the frame as it is.
    quad = np.reshape(found.quad, (4, 2))
    assert np.abs(quad - project(truth, corners_of(wide, high))).max() < 5
    placed = project(np.reshape(found.transform, (3, 3)), np.array(found.points_product))
    assert np.median(np.abs(placed - np.array(found.points_frame))) < 2
    assert np.reshape(found.footprint, (-1, 2))[:, 0].max() <= width


def test_a_plain_product_stays_plain_and_a_stranger_stays_one() -> None:
    frame, _ = place(label(1), TILTED)
    pair = [view(label(1)), view(label(99))]
    plain = verify_frame(view(frame), pair, PARAMS)
    same, stranger = verify_mirrored(view(frame), pair, plain, PARAMS)
    assert same == replace(plain[0], mirrored=False)
    assert stranger.inliers < 8


def test_mirrored_keypoints_are_those_of_the_mirrored_picture() -> None:
    picture = label(3)
    made, found = mirrored_view(view(picture)), view(np.ascontiguousarray(picture[:, ::-1]))
    away = np.hypot(*(made.keypoints.xy[:, None] - found.keypoints.xy[None]).transpose(2, 0, 1))
    turned = np.abs((made.keypoints.angle[:, None] - found.keypoints.angle[None] + 180) % 360 - 180)
    rows, columns = np.nonzero((away < 1.5) & (turned < 10))
    assert len(np.unique(rows)) > 0.7 * len(made.keypoints)
    alike = (made.keypoints.root[rows] * found.keypoints.root[columns]).sum(axis=1)
    assert np.median(alike) > 0.98


def doubt(frame: int, shot: int, alike: float, **said: bool) -> FrameDoubt[int]:
    return FrameDoubt(frame, shot, alike, said.pop("plain", False), **said)


def test_a_clip_that_reads_plainly_is_not_looked_at_again() -> None:
    clip = [doubt(1, 0, 0.9), doubt(2, 1, 0.8, plain=True)]
    assert frames_to_try(clip) == []


def test_the_most_alike_frames_of_different_shots_are_tried_first_and_once() -> None:
    clip = [doubt(n, n // 3, 0.1 * n) for n in range(12)]
    first = frames_to_try(clip)
    assert first == [11, 8, 5]
    tried = [replace(one, tried=one.frame in first) for one in clip]
    assert frames_to_try(tried) == []
    found = [replace(one, found=one.frame == 8) for one in tried]
    assert sorted(frames_to_try(found)) == [n for n in range(12) if n not in first]


@pytest.mark.parametrize(
    ("inliers", "print_mid", "mirrored", "plain"),
    [(20, 0.6, False, True), (19, 0.9, False, False), (40, 0.3, False, False), (40, 0.9, True, False),
     (25, None, False, True)],
)  # fmt: skip
def test_only_print_that_agrees_shows_that_a_clip_is_plain(
    inliers: int, print_mid: float | None, mirrored: bool, plain: bool
) -> None:
    assert reads_plainly(inliers, print_mid, mirrored=mirrored) is plain


def banner(rgb: np.ndarray, share: float) -> np.ndarray:
    high, wide = rgb.shape[:2]
    made, top = rgb.copy(), int(high * (1 - share))
    cv2.rectangle(made, (0, top), (wide, high), (214, 20, 32), -1)
    cv2.putText(made, "SALE -50%", (12, top + 44), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 240, 30), 3)
    return made


def sticker(rgb: np.ndarray) -> np.ndarray:
    made, (high, wide) = rgb.copy(), rgb.shape[:2]
    corners = np.array([(0.42, 0.35), (0.66, 0.4), (0.63, 0.62), (0.4, 0.56)]) * (wide, high)
    cv2.fillConvexPoly(made, corners.astype(np.int32), (255, 0, 0))
    return made


@pytest.mark.parametrize("over", ["picture", "frame"])
def test_a_banner_or_a_sticker_is_no_difference_of_the_product(over: str) -> None:
    product = label(1)
    frame, _ = place(product, TILTED)
    plain = verify(view(frame), view(product), PARAMS)
    assert plain.overlay is None
    if over == "picture":
        product = banner(product, 0.24)
    else:
        frame = sticker(frame)
    found = verify(view(frame), view(product), PARAMS)
    assert found.overlay is not None
    assert 0.05 < found.overlay < 0.45
    assert (found.print_mid or 0) > 0.6
    assert (found.colour_worst or 99) < 2 * (plain.colour_worst or 0) + 10


def test_a_band_of_another_colour_stays_a_difference_of_the_product() -> None:
    def banded(colour: tuple[int, int, int]) -> np.ndarray:
        made = label(1).copy()
        cv2.rectangle(made, (0, 120), (240, 190), colour, -1)
        return made

    frame, _ = place(banded((30, 150, 60)), TILTED)
    found = verify(view(frame), view(banded((200, 40, 160))), PARAMS)
    assert found.overlay is None
    assert (found.colour_worst or 0) > 40


def test_warm_light_and_shade_do_not_hide_a_product() -> None:
    product = label(4)
    frame, _ = place(product, TILTED)
    shade = np.linspace(0.5, 1.0, frame.shape[1])[None, :, None] * np.array([1.0, 0.9, 0.75])
    found = verify(view((frame * shade).astype(np.uint8)), view(product), PARAMS)
    assert found.inliers > 20
    assert (found.print_mid or 0) > 0.6
    assert (found.colour_corr or 0) > 0.6


def test_several_instances_in_one_frame_still_match() -> None:
    product = label(6)
    h, w = product.shape[:2]
    frame = np.full((400, 720, 3), 120, np.uint8)
    for x in (0, w, 2 * w):
        frame[40 : 40 + h, x : x + w] = product
    found = verify(view(frame), view(product), PARAMS)
    assert found.inliers > 30
    assert (found.print_mid or 0) > 0.8


@pytest.mark.parametrize("shape", [(64, 64, 3), (40, 300, 3), (500, 20, 3)])
def test_flat_and_odd_pictures_give_no_evidence(shape: tuple[int, int, int]) -> None:
    frame, _ = place(label(1), TILTED)
    flat = np.full(shape, 200, np.uint8)
    for found in (verify(view(frame), view(flat), PARAMS), verify(view(flat), view(label(1)), PARAMS)):
        assert found.inliers == 0
        assert found.transform is None
        assert found.print_mid is None


def test_a_pair_does_not_depend_on_the_other_candidates_or_the_thread() -> None:
    frames = [place(label(s), TILTED, s)[0] for s in (1, 2)]
    products = [label(s) for s in (1, 2, 3, 4)]
    alone = [[verify(view(f), view(p), PARAMS) for p in products] for f in frames]
    together = [verify_frame(view(f), [view(p) for p in products], PARAMS) for f in frames]
    assert alone == together
    with ThreadPoolExecutor(4) as pool:
        again = list(
            pool.map(lambda f: verify_frame(view(f), [view(p) for p in products], PARAMS), frames * 4)
        )
    assert again == together * 4


def test_appearance_can_be_switched_off() -> None:
    product = label(1)
    frame, _ = place(product, TILTED)
    found = verify(view(frame), view(product), replace(PARAMS, appearance=False))
    assert found.inliers > 30
    assert found.print_mid is None


def test_row_goes_through_json_unchanged() -> None:
    product = label(1)
    frame, _ = place(product, TILTED)
    for found in (verify(view(frame), view(product), PARAMS), PairEvidence(3, 0)):
        assert evidence_from_row(json.loads(json.dumps(evidence_to_row(found)))) == found


@pytest.mark.parametrize("row", [{}, {"tentative": 1}, {"tentative": 1, "inliers": 0, "unknown": 2}])
def test_unreadable_row_is_named(row: dict[str, object]) -> None:
    with pytest.raises(StoreError) as caught:
        evidence_from_row(row)
    assert caught.value.code == "evidence.corrupt"


@pytest.mark.parametrize(
    ("matrix", "sane"),
    [
        (np.eye(3), True),
        (np.diag([-1.0, 1.0, 1.0]), False),
        (np.diag([6.0, 1.0, 1.0]), False),
        (np.array([[1, 0, 0], [0, 1, 0], [0.02, 0, 1.0]]), False),
        (np.array([[1, 0, 0], [0, 1, 0], [-0.02, 0, 1.0]]), False),
        (np.full((3, 3), np.nan), False),
        (np.zeros((3, 3)), False),
        (np.array([[0.7, -0.7, 100], [0.7, 0.7, 50], [0, 0, 1.0]]), True),
    ],
)
def test_unbelievable_transforms_are_told_apart(matrix: np.ndarray, sane: bool) -> None:
    assert is_plausible(matrix, 200, 300) is sane


def pack(band: tuple[int, int, int], *, seed: int = 1) -> np.ndarray:
    """A printed front with a narrow band of a colour and a word on it."""
    made = label(seed).copy()
    cv2.rectangle(made, (40, 140), (200, 166), band, -1)
    cv2.rectangle(made, (40, 140), (200, 166), (250, 250, 250), 2)
    cv2.putText(made, "MINT", (84, 161), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (250, 250, 250), 2)
    return made


def test_a_band_of_another_colour_is_found_however_small_and_the_right_pack_has_none() -> None:
    frame, _ = place(pack((30, 140, 70)), TILTED)
    shade = np.linspace(0.55, 1.0, frame.shape[1])[None, :, None] * np.array([1.0, 0.93, 0.85])
    shown = view((frame * shade).astype(np.uint8))
    true, sibling = verify_frame(shown, [view(pack((30, 140, 70))), view(pack((200, 40, 150)))], PARAMS)
    assert true.recolour is not None
    assert sibling.recolour is not None
    assert true.recolour < RECOLOURED < sibling.recolour
    box = np.reshape(sibling.recolour_at, (4, 2))
    assert 20 < box[:, 0].min() < box[:, 0].max() < 220
    assert 120 < box[:, 1].min() < 153 < box[:, 1].max() < 186


def line(colour: tuple[int, int, int]) -> np.ndarray:
    """A printed front with a line of a colour and no word on it."""
    made = label(1).copy()
    cv2.rectangle(made, (40, 140), (200, 152), colour, -1)
    return made


def test_a_thin_line_of_another_colour_is_found_in_dim_light() -> None:
    frame, _ = place(line((40, 120, 60)), TILTED)
    shown = view((frame * np.array([0.5, 0.45, 0.4])).astype(np.uint8))
    true, sibling = verify_frame(shown, [view(line((40, 120, 60))), view(line((60, 70, 150)))], PARAMS)
    assert true.recolour is not None
    assert sibling.recolour is not None
    assert true.recolour < RECOLOURED < sibling.recolour


@pytest.mark.parametrize("skin", [(214, 150, 116), (120, 74, 50)])
def test_a_hand_that_reaches_in_is_not_another_colour(skin: tuple[int, int, int]) -> None:
    frame, matrix = place(pack((30, 140, 70), seed=3), TILTED)
    for y in (120, 142, 164):
        tip, root = project(matrix, np.array([[70.0, y], [-60.0, y + 5]])).astype(int)
        cv2.line(frame, tip.tolist(), root.tolist(), skin, 20)
    found = verify(view(frame), view(pack((30, 140, 70), seed=3)), PARAMS)
    assert found.inliers > 30
    assert (found.recolour or 0.0) < RECOLOURED


def test_a_sticker_over_the_band_is_not_another_colour_of_it() -> None:
    frame, _ = place(pack((30, 140, 70)), TILTED)
    found = verify(view(sticker(frame)), view(pack((30, 140, 70))), PARAMS)
    assert (found.recolour or 0.0) < RECOLOURED


def test_another_product_before_the_one_shown_is_not_another_colour_of_it() -> None:
    frame, matrix = place(pack((30, 140, 70), seed=3), TILTED)
    before = cv2.resize(label(9), None, fx=0.4, fy=0.4) * np.array([0.3, 0.3, 1.0]) + [0, 0, 60]
    x, y = project(matrix, np.array([[72.0, 198.0]]))[0].astype(int)
    frame[y : y + before.shape[0], x : x + before.shape[1]] = np.clip(before, 0, 255)
    found = verify(view(frame), view(pack((30, 140, 70), seed=3)), PARAMS)
    assert found.inliers > 30
    assert found.recolour is not None
    assert found.recolour < RECOLOURED


def worded(word: str) -> np.ndarray:
    """A printed front twice as large, with a word on a band of one colour in its middle."""
    made = cv2.resize(label(1), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(made, (90, 280), (390, 332), (30, 120, 70), -1)
    cv2.putText(made, word, (110, 320), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (250, 250, 250), 4)
    return made


def test_another_word_on_an_equal_pack_is_found_and_a_hand_or_a_shadow_is_none() -> None:
    frame, matrix = place(worded("GINGER"), TILTED)
    shade = np.linspace(0.6, 1.0, frame.shape[1])[None, :, None]
    shown = (frame * shade).astype(np.uint8)
    tip, root = project(matrix, np.array([[130.0, 430.0], [-90.0, 440.0]])).astype(int)
    cv2.line(shown, tip.tolist(), root.tolist(), (214, 150, 116), 34)
    true, sibling = verify_frame(view(shown), [view(worded("GINGER")), view(worded("CHAMOMILE"))], PARAMS)
    assert true.reprint is not None
    assert sibling.reprint is not None
    assert true.reprint < REPRINTED <= sibling.reprint
    box = np.reshape(sibling.reprint_at, (4, 2))
    assert 80 < box[:, 0].min() < box[:, 0].max() < 440
    assert 260 < box[:, 1].min() < 306 < box[:, 1].max() < 352


def grained(seed: int) -> np.ndarray:
    """A printed front twice as large, with a dark panel in its middle of a grain for each seed."""
    made = cv2.resize(label(1), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(seed).normal(0.0, 30.0, (70, 110)).astype(np.float32)
    panel = 40 + cv2.GaussianBlur(cv2.resize(grain, None, fx=2, fy=2), (0, 0), 2.0)
    made[240:380, 130:350] = np.clip(panel, 0, 255).astype(np.uint8)[..., None]
    return made


def test_the_grain_of_a_dark_ground_is_no_other_word() -> None:
    frame, _ = place(grained(1), TILTED)
    found = verify(view(frame), view(grained(2)), PARAMS)
    assert found.inliers > 30
    assert found.reprint is not None
    assert found.reprint < REPRINTED
