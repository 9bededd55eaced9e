"""Which picture of a file is shown, and which way up."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from make_video import TICKS, drawing, panned, seconds, write_clip
from PIL import Image, ImageOps

from pvm_core.images import Rgb
from pvm_core.video import SamplingPlan, iter_sampled_frames, probe

PLAN = SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=1_800)
ONE = 65_536
#: EXIF orientation -> the display matrix (a, b, c, d) that shows the picture as it asks; the same tests as
#: Pillow's own `exif_transpose`.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def matrix(orientation: int) -> list[int]:
    a, b, c, d = (ONE * value for value in MATRICES[orientation])
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


def first(path: Path) -> Rgb:
    return next(iter_sampled_frames(path, PLAN)).to_rgb(960)


def far(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("orientation", MATRICES)
def test_a_display_matrix_is_followed_mirrors_included(tmp_path: Path, orientation: int, suffix: str) -> None:
    picture = drawing(3, 192, 96)
    clip = write_clip(tmp_path / f"c.{suffix}", seconds(picture, 1), matrix=matrix(orientation))
    tagged = Image.fromarray(picture)
    tagged.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(tagged))
    assert far(first(clip), upright) < 12
    info = probe(clip)
    assert (info.height, info.width) == upright.shape[:2]


@pytest.mark.parametrize("values", [[0] * 9, [0, 0, 0, ONE, ONE, 0, 0, 0, 1 << 30], [2**31 - 1] * 9])
def test_a_matrix_that_cannot_be_says_nothing(tmp_path: Path, values: list[int]) -> None:
    picture = drawing(3, 192, 96)
    clip = write_clip(tmp_path / "c.mp4", seconds(picture, 1), matrix=values)
    assert far(first(clip), picture) < 12


def write_tracks(path: Path, tracks: list[tuple[Rgb, bool]]) -> Path:
    """A file of several picture tracks: each a still picture and whether it is the default."""
    with av.open(str(path), "w") as file:
        streams = []
        for picture, default in tracks:
            stream = file.add_stream("libx264", rate=10)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, TICKS)
            stream.disposition = Disposition.default if default else Disposition(0)
            streams.append(stream)
        for index in range(20):
            for stream, (picture, _) in zip(streams, tracks, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index * 100, Fraction(1, TICKS)
                file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["c.mkv", "c.mov", "c.mp4"])
@pytest.mark.parametrize("chosen", [0, 1])
def test_the_default_track_is_the_one_shown(tmp_path: Path, name: str, chosen: int) -> None:
    pictures = [drawing(seed) for seed in (1, 2)]
    clip = write_tracks(tmp_path / name, [(p, i == chosen) for i, p in enumerate(pictures)])
    assert far(first(clip), pictures[chosen]) < 12


@pytest.mark.parametrize("name", ["c.mkv", "c.mov", "c.ts"])
@pytest.mark.parametrize("marked", [False, True], ids=["unmarked", "marked"])
def test_a_preview_is_not_taken_for_the_picture(tmp_path: Path, name: str, marked: bool) -> None:
    large = drawing(1, 480, 640)
    small = np.asarray(cv2.resize(drawing(2), (96, 128)), np.uint8)
    clip = write_tracks(tmp_path / name, [(small, marked), (large, False)])
    assert far(first(clip), large) < 12
    assert (probe(clip).width, probe(clip).height) == (480, 640)


def test_a_stream_whose_times_restart_is_read_to_its_end(tmp_path: Path) -> None:
    parts = []
    for number in range(3):
        part = write_clip(tmp_path / f"{number}.ts", panned(drawing(number, 300, 400), 4), gop=20)
        parts.append(part.read_bytes())
    clip = tmp_path / "c.ts"
    clip.write_bytes(b"".join(parts))
    found = [frame.ts for frame in iter_sampled_frames(clip, PLAN)]
    assert found == sorted(set(found))
    assert found[-1] > 11
    assert probe(clip).duration_s == pytest.approx(12, abs=0.7)


@pytest.mark.parametrize("suffix", ["ts", "mpg", "flv"])
def test_a_stream_whose_size_changes_is_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    codec, options = {"mpg": ("mpeg2video", {"b": "2000k"}), "flv": ("flv", {"b": "900k"})}.get(
        suffix, ("libx264", {})
    )
    data, pictures = b"", [drawing(1, 160, 240), drawing(2, 320, 480)]
    for picture in pictures:
        part = write_clip(
            tmp_path / f"p.{suffix}", seconds(picture, 3, 25), fps=25, codec=codec, options=options, ticks=25
        )
        data += part.read_bytes() if suffix != "flv" or not data else part.read_bytes()[13:]
    clip = tmp_path / f"c.{suffix}"
    clip.write_bytes(data)
    frames = [(frame.ts, frame.to_rgb(960)) for frame in iter_sampled_frames(clip, PLAN)]
    assert frames[-1][0] > 3.2
    assert far(frames[0][1], pictures[0]) < 12
    assert far(frames[-1][1], pictures[1]) < 12
