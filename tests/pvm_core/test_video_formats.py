"""Kinds of video that shops and phones write: containers, animations, HDR, fields."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from make_video import drawing, panned, seconds, write_clip
from PIL import Image

from pvm_core.errors import MediaError
from pvm_core.images import Rgb
from pvm_core.keyframes import Keyframe, iter_keyframes
from pvm_core.video import SamplingPlan, is_animation, iter_sampled_frames, probe

PLAN = SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=1_800)


def far(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("c.avi", "mpeg4", {"b": "900k"}),
        ("c.m4v", "mpeg4", {"b": "900k"}),
        ("c.3gp", "mpeg4", {"b": "900k"}),
        ("c.ts", "libx264", {}),
        ("c.mts", "libx264", {}),
        ("c.m2ts", "libx264", {}),
        ("c.mpg", "mpeg2video", {"b": "2000k"}),
        ("c.wmv", "wmv2", {"b": "900k"}),
        ("c.asf", "wmv1", {"b": "900k"}),
        ("c.flv", "flv", {"b": "900k"}),
        ("c.mov", "mjpeg", {"q": "3"}),
        ("c.webm", "libvpx", {"b": "900k"}),
    ],
)
def test_every_usual_kind_is_read_to_its_end(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    pictures = [drawing(1, 160, 240), drawing(2, 160, 240)]
    clip = write_clip(
        tmp_path / name,
        [f for p in pictures for f in seconds(p, 1.2, 25)],
        fps=25,
        codec=codec,
        options=options,
        ticks=25,
        gop=50,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        container={"mpegts_m2ts_mode": "1"} if name.endswith("m2ts") else None,
    )
    assert probe(clip).duration_s == pytest.approx(2.4, abs=0.4)
    kept = [f for f in iter_keyframes(clip) if isinstance(f, Keyframe)]
    assert far(kept[0].rgb, pictures[0]) < 16
    assert far(kept[-1].rgb, pictures[1]) < 16


def animation(path: Path, pages: list[Rgb], held_ms: int = 1_000) -> Path:
    first, *rest = (Image.fromarray(page) for page in pages)
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=rest, duration=held_ms, loop=0, **lossless)
    return path


@pytest.mark.parametrize("suffix", ["gif", "webp"])
@pytest.mark.parametrize("held_ms", [100, 1_000])
def test_an_animation_is_a_clip(tmp_path: Path, suffix: str, held_ms: int) -> None:
    pages = [drawing(seed) for seed in range(4) for _ in range(1_000 // held_ms)]
    # Two equal pages in a row become one that lasts longer.
    clip = animation(tmp_path / f"c.{suffix}", pages, held_ms)
    assert is_animation(clip)
    info = probe(clip)
    assert (info.width, info.height, info.codec) == (160, 240, suffix)
    assert info.duration_s == pytest.approx(4.0, abs=0.2)
    kept = [f for f in iter_keyframes(clip) if isinstance(f, Keyframe)]
    assert [min(range(4), key=lambda n: far(f.rgb, drawing(n))) for f in kept] == [0, 1, 2, 3]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_still_picture_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"c.{suffix}"
    Image.fromarray(drawing(1)).save(path)
    assert not is_animation(path)
    with pytest.raises(MediaError, match=r"video\.type"):
        probe(path)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_animation_ends_in_a_stated_error(tmp_path: Path, suffix: str, share: float) -> None:
    whole = animation(tmp_path / f"w.{suffix}", [drawing(seed) for seed in range(6)]).read_bytes()
    clip = tmp_path / f"c.{suffix}"
    clip.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(MediaError) as caught:
        list(iter_sampled_frames(clip, PLAN))
    assert caught.value.code in ("video.truncated", "video.type", "video.corrupt")


def hdr(path: Path, picture: Rgb, transfer: int) -> Path:
    """The picture as a PQ (16) or HLG (18) video of BT.2020, page white at 203 cd/m2."""
    light = (picture / 255.0) ** 2.2 @ np.linalg.inv(TO_709).T
    if transfer == 16:
        y = (light.clip(0) * 203 / 10_000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    else:
        shown = light.clip(0) * 0.203
        luminance = shown @ np.array([0.2627, 0.6780, 0.0593])
        scene = shown * np.maximum(luminance, 1e-6)[..., None] ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    deep = np.ascontiguousarray((signal.clip(0, 1) * 65_535).astype(np.uint16))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx265", rate=10)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p10le"
        stream.options = {"crf": "12", "x265-params": "log-level=none"}
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, 9
        context.colorspace, context.color_range = 9, 1
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(deep, format="rgb48le").reformat(
                format="yuv420p10le", dst_colorspace=9, dst_color_range=1
            )
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


@pytest.mark.parametrize("transfer", [16, 18], ids=["pq", "hlg"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hdr_is_tone_mapped_before_anything_is_computed(tmp_path: Path, transfer: int, seed: int) -> None:
    picture = drawing(seed, 192, 256)
    clip = hdr(tmp_path / "c.mp4", picture, transfer)
    sample = next(iter_sampled_frames(clip, PLAN))
    shown = sample.to_rgb(960)
    with av.open(str(clip)) as file:
        plain = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert far(shown, picture) < 0.5 * far(plain, picture)
    assert np.abs(shown.mean((0, 1)) - picture.mean((0, 1))).max() < 14


def woven(pictures: list[Rgb]) -> list[Rgb]:
    """Frames of two fields each, taken at two moments, top first."""
    frames = []
    for top, bottom in zip(pictures[::2], pictures[1::2], strict=True):
        frame = bottom.copy()
        frame[::2] = top[::2]
        frames.append(frame)
    return frames


def combing(rgb: Rgb) -> float:
    """How much lines differ from their neighbours more than from the lines after those."""
    grey = rgb.astype(float).mean(2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_fields_are_woven_where_frames_say_so(tmp_path: Path, codec: str, marked: bool) -> None:
    wide = drawing(1, 700, 288)
    moving = panned(wide, 3, fps=50, width=352, height=288)
    clip = tmp_path / "c.ts"
    with av.open(str(clip), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
        stream.options = {"b": "6000k"}
        if marked:
            stream.options |= {"flags": "+ildct+ilme"}
            stream.options |= {"x264-params": "tff=1"} if codec == "libx264" else {}
        for number, picture in enumerate(woven(moving)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    samples = list(iter_sampled_frames(clip, PLAN))
    times = [sample.ts for sample in samples]
    assert times == sorted(set(times))
    assert times[-1] > 2.4
    measured = np.mean([combing(sample.to_rgb(960)) for sample in samples[2:-1]])
    plain = np.mean([combing(frame) for frame in woven(moving)])
    assert bool(measured < 0.7 * plain) == marked
