"""Keyframes: every shot and every product shown is kept, sharp, once, at its time."""

from __future__ import annotations

import csv
import dataclasses
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from make_video import blurred, drawing, panned, seconds, write_clip

from pvm_core.errors import MediaError
from pvm_core.keyframes import Keyframe, KeyframeParams, RejectedFrame, iter_keyframes
from pvm_core.rules import Rules
from pvm_core.video import SamplingPlan, iter_sampled_frames


def kept(path: Path, params: KeyframeParams | None = None) -> list[Keyframe]:
    return [f for f in iter_keyframes(path, params) if isinstance(f, Keyframe)]


def rejected(path: Path, params: KeyframeParams | None = None) -> list[RejectedFrame]:
    return [f for f in iter_keyframes(path, params) if isinstance(f, RejectedFrame)]


def shows(frame: Keyframe, picture: np.ndarray) -> float:
    """Mean difference, 0..255, between a frame and the picture it should show."""
    size = picture.shape[1], picture.shape[0]
    return float(np.abs(cv2.resize(frame.rgb, size).astype(int) - picture).mean())


def test_each_shot_gives_a_frame_even_inside_one_group_of_pictures(tmp_path: Path) -> None:
    pictures = [drawing(seed) for seed in range(4)]
    clip = write_clip(tmp_path / "cuts.mp4", [f for p in pictures for f in seconds(p, 1.5)])
    frames = kept(clip)
    assert [f.shot for f in frames] == [0, 1, 2, 3]
    for number, frame in enumerate(frames):
        assert number * 1.5 <= frame.ts < (number + 1) * 1.5
        assert frame.pts_ms == round(frame.ts * 1000)
        assert shows(frame, pictures[number]) < 12


def test_a_product_shown_for_one_second_in_a_still_shot_is_kept(tmp_path: Path) -> None:
    room, product = drawing(1), drawing(1)
    product[60:180, 40:120] = drawing(7, 80, 120)
    clip = write_clip(tmp_path / "c.mp4", seconds(room, 6) + seconds(product, 1) + seconds(room, 6))
    frames = kept(clip)
    inside = [f for f in frames if 6 <= f.ts < 7]
    assert len(inside) == 1
    assert shows(inside[0], product) < 12
    assert {f.shot for f in frames} == {0}
    assert len(frames) == 2, "the room is kept once"
    assert "duplicate" in {f.reason for f in rejected(clip)}


@pytest.mark.parametrize("side", [40, 60])
def test_a_small_product_that_comes_later_into_the_same_shot_is_kept(tmp_path: Path, side: int) -> None:
    room = drawing(3, base=(150, 150, 150))
    product = room.copy()
    product[30 : 30 + side, 20 : 20 + side] = drawing(9, side, side, base=(30, 60, 160))
    frames = kept(write_clip(tmp_path / "c.mp4", seconds(room, 4) + seconds(product, 3)))
    assert any(f.ts >= 4 and shows(f, product) < 12 for f in frames)


def test_a_full_budget_does_not_lose_a_product_that_enters_a_steady_shot(tmp_path: Path) -> None:
    wide = drawing(5, 260, 400)
    moving = panned(wide, 6)
    room = moving[-1]
    product = room.copy()
    product[60:180, 40:120] = drawing(7, 80, 120)
    clip = write_clip(tmp_path / "c.mp4", moving + seconds(room, 1) + seconds(product, 1) + seconds(room, 1))
    tight = KeyframeParams(per_minute=1, minimum=1, maximum=50)
    assert any(7 <= f.ts < 8 for f in kept(clip, tight))


def test_the_sharp_middle_is_chosen_where_shots_begin_and_end_out_of_focus(tmp_path: Path) -> None:
    frames = []
    for seed in (11, 12):
        picture = drawing(seed)
        soft = seconds(blurred(picture), 0.3)
        frames += soft + seconds(picture, 1.0) + soft
    # Key frames exactly where each shot begins, as an encoder's scene cut detection puts them.
    clip = write_clip(tmp_path / "soft.mp4", frames, gop=16)
    found = kept(clip)
    assert {f.shot for f in found} == {0, 1}
    for frame in found:
        assert 0.25 <= frame.ts % 1.6 <= 1.3


def test_a_small_sharp_picture_in_a_blurred_fill_is_kept_at_its_sharpest(tmp_path: Path) -> None:
    def filled(picture: np.ndarray) -> np.ndarray:
        canvas = blurred(cv2.resize(picture, (160, 284)), 12)
        canvas[92:192] = cv2.resize(picture, (160, 100), interpolation=cv2.INTER_AREA)
        return canvas

    sharp = drawing(21, 320, 200)
    soft = blurred(sharp, 7)
    clip = write_clip(
        tmp_path / "fill.mp4",
        seconds(filled(soft), 0.5) + seconds(filled(sharp), 0.6) + seconds(filled(soft), 0.4),
    )
    frames = kept(clip)
    assert len(frames) == 1
    assert 0.45 <= frames[0].ts <= 1.1


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((240, 160, 3), np.uint8), "black"),
        (np.full((240, 160, 3), (10, 12, 11), np.uint8), "black"),
        (np.full((240, 160, 3), 255, np.uint8), "flat"),
        (np.full((240, 160, 3), (180, 40, 40), np.uint8), "flat"),
        (blurred(drawing(2), 14), "blurred"),
    ],
)
def test_useless_frames_are_rejected_once_with_their_reason(
    tmp_path: Path, picture: np.ndarray, reason: str
) -> None:
    good = drawing(4)
    clip = write_clip(tmp_path / "c.mp4", seconds(good, 1) + seconds(picture, 1) + seconds(good, 1))
    found = [f for f in rejected(clip) if f.reason == reason]
    assert len(found) == 1
    assert 1 <= found[0].ts < 2
    assert found[0].detail
    assert all(f.ts < 1 or f.ts >= 2 for f in kept(clip))


def test_a_dissolve_is_not_a_shot(tmp_path: Path) -> None:
    one, two = drawing(31), drawing(32)
    mixed = cv2.addWeighted(one, 0.5, two, 0.5, 0)
    clip = write_clip(
        tmp_path / "c.mp4", seconds(one, 1.2) + seconds(mixed, 0.3) + seconds(two, 1.2), fps=10, gop=1
    )
    frames = kept(clip)
    assert all(min(shows(f, one), shows(f, two)) < 12 for f in frames)


def test_a_slow_pan_is_one_shot(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "pan.mp4", panned(drawing(41, 240, 360), 6))
    assert {f.shot for f in kept(clip)} == {0}


def test_a_lamp_switched_on_is_no_cut(tmp_path: Path) -> None:
    bright = drawing(42)
    dim = (bright * 0.45).astype(np.uint8)
    clip = write_clip(tmp_path / "lamp.mp4", seconds(dim, 2) + seconds(bright, 2))
    assert {f.shot for f in kept(clip)} == {0}


def test_a_still_video_gives_one_frame(tmp_path: Path) -> None:
    assert len(kept(write_clip(tmp_path / "still.mp4", seconds(drawing(1), 12)))) == 1


def test_times_come_from_the_file_where_the_rate_varies(tmp_path: Path) -> None:
    times = [0, 40, 90, 900, 950, 2_400, 2_410, 2_500, 5_005, 5_050]
    pictures = [drawing(50 + t // 2_000) for t in times]
    clip = write_clip(tmp_path / "vfr.mp4", pictures, times_ms=times, fps=25)
    frames = kept(clip)
    assert frames
    assert {f.pts_ms for f in frames} <= set(times)
    for frame in frames:
        assert shows(frame, drawing(50 + frame.pts_ms // 2_000)) < 12


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mov", "avi"])
def test_time_starts_with_the_video(tmp_path: Path, suffix: str) -> None:
    # A transport stream's first time is 1.4 s by convention.
    clip = write_clip(tmp_path / f"c.{suffix}", seconds(drawing(1), 1) + seconds(drawing(2), 1))
    frames = kept(clip)
    assert [f.shot for f in frames] == [0, 1]
    assert frames[0].ts < 1 <= frames[1].ts < 2


@pytest.mark.parametrize(("turn", "size"), [(90, (160, 240)), (270, (160, 240)), (180, (240, 160))])
def test_a_rotated_recording_is_shown_upright(tmp_path: Path, turn: int, size: tuple[int, int]) -> None:
    upright = drawing(61, 240, 160)
    coded = np.ascontiguousarray(np.rot90(upright, -turn // 90))
    coded = np.ascontiguousarray(coded)
    angle = turn if turn <= 180 else turn - 360
    frames = kept(write_clip(tmp_path / "turned.mp4", seconds(coded, 1), rotation=angle))
    assert frames[0].rgb.shape[:2] == upright.shape[:2]
    assert shows(frames[0], upright) < 12


def test_pixels_that_are_not_square_are_shown_square(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "wide.mkv", seconds(drawing(1, 160, 240), 1), aspect=Fraction(2, 1))
    assert kept(clip)[0].rgb.shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mov", "mjpeg", "yuvj422p"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.mp4", "mpeg4", "yuv420p"),
    ],
)
def test_other_codecs_and_pixel_formats(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    pictures = [drawing(1), drawing(2)]
    options = {"deadline": "realtime", "cpu-used": "8"} if "vp9" in codec else {}
    clip = write_clip(
        tmp_path / name,
        [f for p in pictures for f in seconds(p, 1)],
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
    )
    frames = kept(clip)
    assert [f.shot for f in frames] == [0, 1]
    assert all(shows(f, p) < 14 for f, p in zip(frames, pictures, strict=True))
    assert all(f.rgb.flags.c_contiguous and f.rgb.dtype == np.uint8 for f in frames)


def test_frames_are_scaled_down_to_the_side_asked_for(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", seconds(drawing(1, 320, 480), 1))
    assert kept(clip, KeyframeParams(max_side=240))[0].rgb.shape == (240, 160, 3)
    assert kept(clip, KeyframeParams(max_side=960))[0].rgb.shape == (480, 320, 3)


def test_only_the_seconds_asked_for_are_looked_at(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", [f for s in range(6) for f in seconds(drawing(s), 1)], gop=10)
    assert max(f.ts for f in kept(clip, KeyframeParams(max_s=2.5))) <= 2.5


def test_the_budget_bounds_a_restless_video_and_says_so(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", [f for s in range(20) for f in seconds(drawing(s), 0.5)])
    free = kept(clip)
    assert len(free) >= 18, "every shot has its frame while the maximum allows"
    frames = kept(clip, KeyframeParams(maximum=5))
    assert len(frames) == 5
    assert frames[-1].ts > 6, "the few are spread over the video"
    assert "budget" in {f.reason for f in rejected(clip, KeyframeParams(maximum=5))}


def test_further_frames_of_a_shot_follow_the_rate(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "pan.mp4", panned(drawing(71, 600, 900), 12))
    few = kept(clip, KeyframeParams(minimum=1, per_minute=10))
    many = kept(clip, KeyframeParams(minimum=1, per_minute=40))
    assert len(few) <= 3
    assert len(few) < len(many) <= 9


@pytest.mark.parametrize("gop", [1, 5, 12, 30, 250])
def test_no_stretch_goes_without_a_look(tmp_path: Path, gop: int) -> None:
    clip = write_clip(tmp_path / "c.mp4", panned(drawing(81, 400, 500), 9), gop=gop)
    plan = SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=60)
    times = [0.0, *(look.ts for look in iter_sampled_frames(clip, plan)), 9.0]
    assert max(b - a for a, b in pairwise(times)) <= 0.3 * 2 + 0.15
    assert all(b > a for a, b in pairwise(times[1:-1]))


def test_a_still_stretch_is_looked_at_sparsely_but_never_beyond_the_gap(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", seconds(drawing(1), 20), gop=50)
    times = [look.ts for look in iter_sampled_frames(clip, SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=60))]
    assert max(b - a for a, b in pairwise([*times, 20.0])) <= 2.0 + 0.15
    assert len(times) <= 20


def test_a_group_of_pictures_longer_than_memory_allows_is_worked_through_in_parts(tmp_path: Path) -> None:
    pictures = [drawing(s, 64, 96) for s in range(8)]
    clip = write_clip(
        tmp_path / "c.mp4", [f for p in pictures for f in seconds(p, 2, fps=40)], fps=40, gop=9_999
    )
    assert [f.shot for f in kept(clip)] == list(range(8))


def test_the_same_file_gives_the_same_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panned(drawing(5, 300, 400), 3))
    first, second = kept(clip), kept(clip)
    assert [(f.pts_ms, f.phash, f.rgb.tobytes()) for f in first] == [
        (f.pts_ms, f.phash, f.rgb.tobytes()) for f in second
    ]


def test_a_truncated_file_gives_what_decodes_and_then_says_so(tmp_path: Path) -> None:
    pictures = [drawing(seed) for seed in range(4)]
    whole = write_clip(
        tmp_path / "whole.mp4",
        [f for p in pictures for f in seconds(p, 2)],
        gop=20,
        container={"movflags": "faststart"},
    )
    data = whole.read_bytes()
    part = tmp_path / "part.mp4"
    part.write_bytes(data[: len(data) * 6 // 10])
    frames: list[Keyframe | RejectedFrame] = []
    with pytest.raises(MediaError) as caught:
        frames.extend(iter_keyframes(part))
    assert caught.value.code == "video.truncated"
    assert "breaks off" in caught.value.reason
    assert [f.shot for f in frames if isinstance(f, Keyframe)][:2] == [0, 1]


def test_every_parameter_changes_the_key() -> None:
    plain = KeyframeParams()
    for field in dataclasses.fields(plain):
        other = dataclasses.replace(plain, **{field.name: getattr(plain, field.name) + 1})
        assert other.key != plain.key
    assert KeyframeParams().key == plain.key
    assert len(plain.key) == 16


def test_rules_set_the_parameters() -> None:
    params = KeyframeParams.from_rules(
        Rules(
            keyframe_max_gap_s=0.2, keyframes_per_minute=7, keyframes_min=2, keyframes_max=9, video_max_s=50
        )
    )
    assert params == KeyframeParams(
        look_s=0.2, max_gap_s=0.2, per_minute=7, minimum=2, maximum=9, max_s=50, max_side=960
    )


@pytest.mark.slow
def test_every_appearance_in_the_measuring_case_has_a_keyframe(shared: Path) -> None:
    case = shared / "cases" / "dev"
    with (case / "truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    total = 0
    for clip in sorted((case / "videos").iterdir()):
        times = [f.ts for f in kept(clip)]
        total += len(times)
        for row in truth:
            if row["video_id"] == clip.stem:
                assert any(float(row["start_s"]) <= t <= float(row["end_s"]) for t in times), row
    assert total <= 8 * 40
