"""Still pictures one after another: each that is on screen for a second is seen, whatever the encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest
from make_video import drawing, seconds, write_clip

from pvm_core.images import Rgb
from pvm_core.keyframes import Keyframe, iter_keyframes
from pvm_core.video.activity import PacketFacts, activity_of
from pvm_core.video.plan import SamplingPlan

WIDTH, HEIGHT = 180, 320
COUNT = 5


def filling(number: int) -> Rgb:
    return drawing(number + 20, WIDTH, HEIGHT)


def on_white(number: int) -> Rgb:
    slide = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    slide[80:240, 30:150] = drawing(number + 40, 120, 160)
    return slide


def small_on_white(number: int) -> Rgb:
    slide = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    slide[120:190, 60:120] = drawing(number + 60, 60, 70)
    return slide


def mixed(number: int) -> Rgb:
    """A picture full of detail, then one of hardly any: its bytes are few beside the first's."""
    return small_on_white(number) if number % 2 else filling(number)


#: How each encoder is asked for: container, codec, options. None of them is told of the cuts.
ENCODERS: Final = {
    "x264": ("mp4", "libx264", {}),
    "x264_coarse": ("mp4", "libx264", {"crf": "38"}),
    "x264_rate": ("mkv", "libx264", {"b": "150k"}),
    "x264_refresh": ("mp4", "libx264", {"intra-refresh": "1"}),
    "x265": ("mp4", "libx265", {"x265-params": "log-level=none:scenecut=0:keyint=250"}),
    "vp8": ("webm", "libvpx", {"cpu-used": "8", "deadline": "realtime", "b": "200k"}),
    "vp9": ("webm", "libvpx-vp9", {"b": "0", "crf": "34", "cpu-used": "6", "deadline": "good"}),
    "vp9_live": ("webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime", "b": "200k"}),
    "av1": ("mp4", "libsvtav1", {"preset": "11", "svtav1-params": "scd=0"}),
    "mpeg4": ("avi", "mpeg4", {"b": "500k"}),
    "flv1": ("flv", "flv", {"b": "500k"}),
}


def write_slides(path: Path, encoder: str, slide: object, hold_s: float, fps: int) -> Path:
    suffix, codec, options = ENCODERS[encoder]
    assert callable(slide)
    frames = [frame for number in range(COUNT) for frame in seconds(slide(number), hold_s, fps)]
    return write_clip(path.with_suffix(f".{suffix}"), frames, fps=fps, codec=codec, options=dict(options))


def shown(path: Path, slide: object, hold_s: float) -> list[int]:
    """Numbers of the slides that a keyframe of their time shows."""
    assert callable(slide)
    found = []
    for frame in iter_keyframes(path):
        if not isinstance(frame, Keyframe):
            continue
        number = min(COUNT - 1, int((frame.ts + 0.02) / hold_s))
        if np.abs(frame.rgb.astype(int) - slide(number)).mean() < 12:
            found.append(number)
    return sorted(set(found))


@pytest.mark.parametrize("slide", [filling, on_white, small_on_white, mixed], ids=lambda f: str(f.__name__))
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_slide_of_a_second_is_seen_whatever_the_encoder(
    tmp_path: Path, encoder: str, slide: object
) -> None:
    clip = write_slides(tmp_path / "c", encoder, slide, 1.0, 10)
    assert shown(clip, slide, 1.0) == list(range(COUNT))


@pytest.mark.parametrize("encoder", ["x264", "x265", "vp9", "av1"])
@pytest.mark.parametrize("fps", [1, 2])
def test_a_slide_that_is_one_frame_is_seen(tmp_path: Path, encoder: str, fps: int) -> None:
    clip = write_slides(tmp_path / "c", encoder, filling, 1.0, fps)
    assert shown(clip, filling, 1.0) == list(range(COUNT))


@pytest.mark.parametrize("hold_s", [1.0, 1.5, 1.9])
def test_slides_on_one_white_background_are_shots_of_their_own(tmp_path: Path, hold_s: float) -> None:
    clip = write_slides(tmp_path / "c", "x264", on_white, hold_s, 10)
    kept = [f for f in iter_keyframes(clip) if isinstance(f, Keyframe)]
    assert len({f.shot for f in kept}) == COUNT


def test_an_end_card_is_seen(tmp_path: Path) -> None:
    frames = seconds(filling(0), 2.5) + seconds(on_white(1), 1.5)
    clip = write_clip(tmp_path / "c.mp4", frames)
    assert any(
        f.ts >= 2.5 and np.abs(f.rgb.astype(int) - on_white(1)).mean() < 12
        for f in iter_keyframes(clip)
        if isinstance(f, Keyframe)
    )


def test_the_first_moment_after_a_cut_is_sampled_however_quiet_it_is() -> None:
    plan = SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=60.0)
    quiet = activity_of([PacketFacts(1.0, 50_000, True), *still(1.1, 3.0)], 50_000, 1.0, 3.0)
    assert not quiet.busy
    assert quiet.next_moment(0.9, plan) == pytest.approx(1.14)
    assert quiet.next_moment(1.14, plan) is None


def still(begin: float, end: float) -> list[PacketFacts]:
    return [PacketFacts(float(ts), 60, False) for ts in np.arange(begin, end, 0.1)]
