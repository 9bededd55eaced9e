"""Video files: what they are, and what is said of those that are none."""

from __future__ import annotations

import os
import struct
import tracemalloc
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from make_video import drawing, panned, seconds, write_clip, write_sound

from pvm_core.errors import MediaError
from pvm_core.video import SamplingPlan, iter_sampled_frames, probe

PLAN = SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=1_800)


def times(path: Path, plan: SamplingPlan = PLAN) -> list[float]:
    return [look.ts for look in iter_sampled_frames(path, plan)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "avi"])
def test_probe(tmp_path: Path, suffix: str) -> None:
    info = probe(write_clip(tmp_path / f"c.{suffix}", seconds(drawing(1), 3)))
    assert (info.width, info.height, info.rotation, info.codec) == (160, 240, 0, "h264")
    assert info.duration_s == pytest.approx(3.0, abs=0.25)


def test_probe_of_a_turned_and_stretched_video(tmp_path: Path) -> None:
    turned = probe(write_clip(tmp_path / "t.mp4", seconds(drawing(1), 1), rotation=90))
    assert (turned.width, turned.height, turned.rotation) == (240, 160, 90)
    wide = probe(write_clip(tmp_path / "w.mkv", seconds(drawing(1), 1), aspect=Fraction(2, 1)))
    assert (wide.width, wide.height) == (320, 240)


def test_length_is_found_where_the_file_does_not_say(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "live.mkv", seconds(drawing(1), 4), container={"live": "1"})
    with av.open(str(clip)) as file:
        assert not file.duration, "the test needs a file without a length"
    assert probe(clip).duration_s == pytest.approx(4.0, abs=0.25)


def test_a_fragmented_file_as_streaming_sites_send(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "f.mp4",
        panned(drawing(1, 400, 500), 6),
        gop=10,
        container={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    )
    assert probe(clip).duration_s == pytest.approx(6.0, abs=0.25)
    assert times(clip)[-1] > 5


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.avi", [drawing(1, 8_208, 64)] * 2, codec="mjpeg", pix_fmt="yuvj420p")
    with pytest.raises(MediaError, match=r"video\.bomb"):
        probe(clip)


def test_a_picture_of_too_many_pixels_is_refused_too(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "c.avi", [np.zeros((6_000, 6_000, 3), np.uint8)], codec="mjpeg", pix_fmt="yuvj420p"
    )
    with pytest.raises(MediaError, match=r"6,000 x 6,000 pixels, over 35\.7 million"):
        probe(clip)


def test_key_frames_alone_are_decoded_where_they_suffice(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panned(drawing(1, 400, 500), 6), gop=10)
    found = times(clip, SamplingPlan(step_s=1.0, max_gap_s=2.0, max_s=60))
    assert found == pytest.approx([0, 1, 2, 3, 4, 5], abs=0.01)


def test_frames_are_those_of_a_full_decode(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "c.mp4",
        panned(drawing(1, 400, 500), 4),
        gop=20,
        options={"bf": "3", "refs": "5", "preset": "slow"},
    )
    with av.open(str(clip)) as file:
        whole = {
            round(float(f.time), 3): np.asarray(f.to_ndarray(format="gray")) for f in file.decode(video=0)
        }
    looks = list(iter_sampled_frames(clip, PLAN))
    assert len(looks) >= 8
    for look in looks:
        assert np.array_equal(np.asarray(look.frame.to_ndarray(format="gray")), whole[round(look.ts, 3)])


def test_colours_of_the_file_s_own_matrix(tmp_path: Path) -> None:
    red = np.zeros((96, 96, 3), np.uint8)
    red[:] = (200, 30, 30)
    clip = write_clip(tmp_path / "c.mp4", seconds(red, 1))
    rgb = next(iter_sampled_frames(clip, PLAN)).to_rgb(960)
    assert np.abs(rgb.astype(int) - red).max() <= 6


def test_late_times_count_from_the_start(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "c.mkv", seconds(drawing(1), 1), times_ms=[5_000 + 100 * i for i in range(10)]
    )
    found = times(clip)
    assert found[0] == 0
    assert found[-1] < 1


@pytest.mark.parametrize("gap_s", [10**8, 2 * 10**8, 10**9])
def test_frames_years_apart_cost_no_plan_for_the_years(tmp_path: Path, gap_s: int) -> None:
    gap = gap_s * 1_000
    clip = write_clip(tmp_path / "c.mkv", [drawing(i) for i in range(3)], times_ms=[0, gap, 2 * gap])
    tracemalloc.start()
    try:
        endless = SamplingPlan(step_s=0.05, max_gap_s=2.0, max_s=float("inf"))
        assert times(clip, endless) == pytest.approx([0.0, 0.1, 0.2], abs=0.05)
        assert probe(clip).duration_s < 1
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_nothing_beyond_the_longest_length_is_sampled(tmp_path: Path) -> None:
    slow = write_clip(tmp_path / "c.mkv", [drawing(i) for i in range(3)], times_ms=[0, 50_000, 100_000])
    assert times(slow, SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=60)) == [0.0, 50.0]
    whole = times(slow, SamplingPlan(step_s=0.3, max_gap_s=2.0, max_s=1_800))
    assert whole == [0.0, 50.0, 100.0]


def element(data: bytes, element_id: bytes, body: bytes) -> bytes:
    """A Matroska file with the first element of that id given another body of the same length."""
    at = data.index(element_id) + len(element_id)
    assert data[at] & 0x7F == len(body)
    return data[: at + 1] + body + data[at + 1 + len(body) :]


@pytest.mark.parametrize(
    "length", [float("nan"), float("inf"), float("-inf"), -5e9, 1e300, 0.0, 4_000.0 * 10**9]
)
def test_a_length_that_cannot_be_is_measured(tmp_path: Path, length: float) -> None:
    clip = write_clip(tmp_path / "c.mkv", panned(drawing(1, 400, 500), 4), gop=10)
    clip.write_bytes(element(clip.read_bytes(), b"\x44\x89", struct.pack(">d", length)))
    assert probe(clip).duration_s == pytest.approx(4.0, abs=0.25)
    found = times(clip)
    assert found == sorted(set(found))
    assert found[-1] == pytest.approx(3.8, abs=0.3)


@pytest.mark.parametrize("scale", [0, 1, 2**24 - 1])
def test_any_unit_of_time_gives_frames_in_order(tmp_path: Path, scale: int) -> None:
    clip = write_clip(tmp_path / "c.mkv", panned(drawing(1, 400, 500), 4), gop=10)
    clip.write_bytes(element(clip.read_bytes(), b"\x2a\xd7\xb1", scale.to_bytes(3, "big")))
    found: list[float] = []
    with suppress(MediaError):
        found.extend(look.ts for look in iter_sampled_frames(clip, PLAN))
    assert found
    assert found == sorted(set(found))


def test_times_that_wrap_around_run_on(tmp_path: Path) -> None:
    wraps_after_s = 2**33 / 90_000
    clip = write_clip(
        tmp_path / "c.ts",
        panned(drawing(1, 400, 500), 4),
        gop=10,
        container={"output_ts_offset": f"{wraps_after_s - 3.4}"},
    )
    found = times(clip)
    assert found == sorted(set(found))
    assert found[-1] == pytest.approx(3.8, abs=0.3)
    assert probe(clip).duration_s == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize("seed", range(8))
def test_times_in_any_order_give_frames_in_order(tmp_path: Path, seed: int) -> None:
    clip = write_clip(tmp_path / "c.mkv", panned(drawing(1, 400, 500), 4), gop=10)
    data, random = bytearray(clip.read_bytes()), np.random.default_rng(seed)
    at = -1
    # The time of each cluster: an id, a size and a number of one or two bytes.
    while (at := data.find(b"\xe7", at + 1)) > 0:
        if data[at + 1] in (0x81, 0x82):
            for digit in range(data[at + 1] & 0x7F):
                data[at + 2 + digit] = int(random.integers(0, 256))
    clip.write_bytes(bytes(data))
    found: list[float] = []
    with suppress(MediaError):
        found.extend(look.ts for look in iter_sampled_frames(clip, PLAN))
    assert found == sorted(set(found))
    assert len(found) >= 3


def test_a_still_file_of_one_frame(tmp_path: Path) -> None:
    assert times(write_clip(tmp_path / "one.mp4", [drawing(1)])) == [0.0]


def cut(path: Path, share: float, **options: str) -> Path:
    whole = write_clip(path.with_stem("whole"), panned(drawing(1, 400, 500), 8), gop=20, container=options)
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {"movflags": "faststart"}), ("a.mov", {"movflags": "faststart"}), ("a.mkv", {})],
)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_truncated_video_is_read_as_far_as_it_goes(
    tmp_path: Path, name: str, options: dict[str, str], share: float
) -> None:
    found: list[float] = []
    with pytest.raises(MediaError) as caught:
        found.extend(look.ts for look in iter_sampled_frames(cut(tmp_path / name, share, **options), PLAN))
    assert caught.value.code == "video.truncated"
    assert len(found) >= 3


def test_a_whole_video_with_longer_sound_is_not_truncated(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w") as file:
        video, sound = file.add_stream("libx264", rate=10), file.add_stream("aac", rate=16_000)
        video.width, video.height, video.pix_fmt = 160, 240, "yuv420p"
        for picture in seconds(drawing(1), 2):
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
        silence = np.zeros((1, 16_000 * 9), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    assert times(path)[-1] < 2


def test_damage_in_the_middle_costs_little(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panned(drawing(1, 400, 500), 8), gop=10)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = b"\x00" * 60
    clip.write_bytes(bytes(data))
    assert len(times(clip)) >= 15


def html(path: Path) -> None:
    path.write_bytes(b"<!doctype html><html><body>Sign in</body></html>")


def playlist(path: Path) -> None:
    write_clip(path.parent / "real.mp4", seconds(drawing(1), 1))
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path.parent}/real.mp4\n#EXT-X-ENDLIST\n"
    )


def script(path: Path) -> None:
    write_clip(path.parent / "real.mp4", seconds(drawing(1), 1))
    path.write_text(f"ffconcat version 1.0\nfile '{path.parent}/real.mp4'\n")


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda p: None, "video.missing", "no such file"),
        (lambda p: p.mkdir(), "video.type", "a folder"),
        (lambda p: p.write_bytes(b""), "video.empty", "0 bytes"),
        (html, "video.type", "an HTML page"),
        (playlist, "video.type", "a playlist"),
        (script, "video.type", "plain text"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 99), "video.type", "a PNG picture"),
        (lambda p: p.write_bytes(b"GIF89a" + b"x" * 99), "video.type", "a GIF picture"),
        (lambda p: p.write_bytes(b"\x00" * 5_000), "video.type", "zeros"),
        (lambda p: p.write_bytes(bytes(range(256)) * 20), "video.type", "unknown kind"),
        (lambda p: p.write_bytes(b'{"error": 403}'), "video.type", "JSON text"),
        (lambda p: cut(p, 0.6), "video.truncated", "without its index"),
        (lambda p: cut(p, 0.002), "video.truncated", "without its index"),
        (write_sound, "video.no_stream", "sound but no picture"),
    ],
)
def test_files_that_are_no_video(tmp_path: Path, make: object, code: str, says: str) -> None:
    path = tmp_path / "c.mp4"
    make(path)  # type: ignore[operator]
    for use in (probe, times):
        with pytest.raises(MediaError) as caught:
            use(path)
        assert caught.value.code == code
        assert says in caught.value.reason
        assert caught.value.subject == str(path)
        assert caught.value.remedy


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    with pytest.raises(MediaError, match=r"video\.no_stream"):
        probe(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", seconds(drawing(1), 1))
    path.chmod(0)
    with pytest.raises(MediaError, match=r"video\.unreadable"):
        probe(path)


@pytest.mark.parametrize(
    "name", ["concat:a.mp4", "http: x.mp4", "gối 枕 🛏.mp4", "a%03d.mp4", "-i.mp4", "a|b.mp4"]
)
def test_names_mean_nothing_but_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.mp4"
    write_clip(path, seconds(drawing(1), 1)).rename(tmp_path / name)
    assert probe(tmp_path / name).width == 160


@pytest.mark.parametrize("seed", range(8))
def test_noise_anywhere_gives_frames_or_a_stated_error(tmp_path: Path, seed: int) -> None:
    clip = write_clip(tmp_path / "c.mp4", panned(drawing(1, 300, 400), 3), gop=10)
    data = bytearray(clip.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(0, len(data), 40):
        data[at] = int(random.integers(0, 256))
    clip.write_bytes(bytes(data))
    with suppress(MediaError):
        assert times(clip)
