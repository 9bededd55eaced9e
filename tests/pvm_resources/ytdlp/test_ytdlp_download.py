"""Fetching videos with yt-dlp's own code from a site on this machine, whatever the site does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import MediaError
from pvm_core.video import probe
from pvm_resources.sources.base import Query, VideoRecord
from pvm_resources.sources.ytdlp import LinkList, YouTubeVideos, options
from pvm_resources.sources.ytdlp import fetching as fetching_module
from pvm_resources.sources.ytdlp.places import Place, safe_name
from tests.pvm_core.make_video import drawing, panned, write_clip, write_sound
from tests.pvm_resources.ytdlp.conftest import STANDINS, Stand


def record(stand: Stand, video_id: str, **fields: Any) -> VideoRecord:
    return VideoRecord(
        "youtube",
        "youtube",
        video_id,
        f"Video [{video_id}]",
        url=f"{stand.site.url}/watch/{video_id}",
        **fields,
    )


def place(stand: Stand, video_id: str) -> Place:
    return Place(stand.downloads, "youtube", video_id)


def refused(stand: Stand, video_id: str, **settings: Any) -> MediaError:
    """The error of a fetch, after which nothing lies there under a video's name."""
    with pytest.raises(MediaError) as caught:
        YouTubeVideos(stand.context(**settings)).fetch(record(stand, video_id), stand.downloads)
    assert not list(stand.downloads.rglob("video.*"))
    assert not list(stand.downloads.rglob("done.json"))
    return caught.value


def test_a_video_is_fetched_once_and_found_again_without_a_request(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4"})
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (stand.folder / "large.mp4").read_bytes()
    assert path.suffix == ".mp4"
    assert path.is_relative_to(stand.downloads / "youtube")
    assert probe(path).codec == "h264"
    asked = dict(stand.site.counts)
    assert asked == {"/watch/a": 1, "/media/a/18": 1}
    stand.answers.texts.clear()
    assert YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads) == path
    assert dict(stand.site.counts) == asked
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "done.json", "video.mp4"]


def test_a_small_video_only_format_is_taken(stand: Stand) -> None:
    formats = [
        {"format_id": "audio", "file": "small.mp4", "vcodec": "none", "acodec": "mp4a"},
        {"format_id": "480vp9", "file": "small.mp4", "vcodec": "vp9", "acodec": "none", "height": 480},
        {"format_id": "360avc", "file": "small.mp4", "vcodec": "avc1", "acodec": "none", "height": 360},
        {"format_id": "whole", "file": "small.mp4", "vcodec": "avc1", "acodec": "mp4a", "height": 480},
        {"format_id": "1080avc", "file": "small.mp4", "vcodec": "avc1", "acodec": "none", "height": 1080},
    ]
    stand.put({"id": "a", "formats": formats})
    YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert stand.site.counts["/media/a/360avc"] == 1
    assert stand.site.asked("/media") == 1


def test_a_format_of_unknown_height_will_do(stand: Stand) -> None:
    stand.put({"id": "a", "formats": [{"format_id": "only", "file": "small.mp4"}]})
    assert YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads).exists()


def in_pieces(stand: Stand, count: int) -> list[dict[str, Any]]:
    """A video as Vimeo and Dailymotion give them: a playlist (HLS) of pieces of two seconds."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXT-X-VERSION:3"]
    for number in range(count):
        times = [2_000 * number + 100 * n for n in range(20)]
        frames = panned(drawing(number, 240, 320), 2.0)
        write_clip(stand.folder / f"piece{number}.ts", frames, times_ms=times, container={"muxpreload": "0"})
        lines += ["#EXTINF:2.0,", f"piece{number}.ts"]
    (stand.folder / "list.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]), encoding="utf-8")
    return [{"file": "list.m3u8", "format_id": "hls", "ext": "mp4", "protocol": "m3u8_native", "height": 320}]


def test_a_video_in_pieces_is_put_together_without_ffmpeg(stand: Stand) -> None:
    stand.put({"id": "a", "formats": in_pieces(stand, 4), "duration": 8})
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert probe(path).duration_s == pytest.approx(8, abs=0.5)
    assert path.stat().st_size == sum(p.stat().st_size for p in stand.folder.glob("piece*.ts"))


def test_a_video_whose_pieces_are_not_all_there_is_no_video(stand: Stand) -> None:
    stand.put({"id": "a", "formats": in_pieces(stand, 4), "duration": 8})
    third = stand.folder / "piece2.ts"
    data = third.read_bytes()
    third.unlink()
    error = refused(stand, "a")
    assert error.code in ("video.unavailable", "video.network")
    third.write_bytes(data)
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert probe(path).duration_s == pytest.approx(8, abs=0.5)
    # The pieces that had come were not asked for again.
    assert stand.site.counts["/file/piece0.ts"] == 1


def test_a_cut_connection_is_continued_where_it_broke(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "cut": [300_000, 200_000]})
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (stand.folder / "large.mp4").read_bytes()
    begins = [int(r.removeprefix("bytes=").rstrip("-")) for r in stand.site.ranges]
    assert len(begins) == 2
    assert 0 < begins[0] <= 300_000 < begins[1] <= 500_000


def test_a_connection_cut_for_ever_leaves_a_part_to_continue(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "cut": [200_000, *[0] * 10]})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == ("video.network", True)
    assert place(stand, "a").has_part()
    stand.put({"id": "a", "file": "large.mp4"})
    stand.site.ranges.clear()
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (stand.folder / "large.mp4").read_bytes()
    assert len(stand.site.ranges) == 1


_CHILD = """
import json, sys
from pathlib import Path
from tests.pvm_resources.ytdlp.conftest import Kept, Stand
from tests.pvm_resources.ytdlp.test_ytdlp_download import record
from pvm_resources.sources.ytdlp import YouTubeVideos
class Site: url = sys.argv[1]
stand = Stand(Site, None, Path(sys.argv[2]), Kept(), [], json.loads(sys.argv[3]))
print(YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads), flush=True)
"""


def child(stand: Stand) -> subprocess.Popen[str]:
    given = [stand.site.url, str(stand.downloads), json.dumps(stand.settings)]
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, *given],
        cwd=STANDINS.parents[1],
        env={**os.environ, "PYTHONPATH": str(STANDINS)},
        stdout=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def part_size(stand: Stand) -> int:
    return sum(p.stat().st_size for p in stand.downloads.rglob("*.part"))


def test_a_killed_download_is_continued_by_the_next_run(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "rate": 400_000})
    process = child(stand)
    until(lambda: part_size(stand) > 100_000)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert not list(stand.downloads.rglob("video.*"))
    had = part_size(stand)
    assert had > 100_000
    stand.put({"id": "a", "file": "large.mp4"})
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (stand.folder / "large.mp4").read_bytes()
    assert stand.site.ranges == [f"bytes={had}-"]


def test_two_processes_fetch_one_video_once(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "rate": 1_000_000})
    processes = [child(stand), child(stand)]
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert len(set(answers)) == 1
    assert stand.site.asked("/media") == 1
    assert Path(answers[0]).read_bytes() == (stand.folder / "large.mp4").read_bytes()


def test_the_one_that_waits_takes_over_from_one_that_is_killed(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "rate": 300_000})
    first = child(stand)
    until(lambda: part_size(stand) > 50_000)
    second = child(stand)
    time.sleep(1.5)
    first.kill()
    first.wait(10)
    stand.put({"id": "a", "file": "large.mp4"})
    answer = second.communicate(timeout=60)[0].strip()
    assert Path(answer).read_bytes() == (stand.folder / "large.mp4").read_bytes()
    assert len(stand.site.ranges) == 1


def test_threads_that_want_the_same_video_share_it(stand: Stand) -> None:
    stand.put({"id": "a", "file": "large.mp4", "rate": 2_000_000})
    source = YouTubeVideos(stand.context())
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(source.fetch(record(stand, "a"), stand.downloads)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1
    assert stand.site.asked("/media") == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<!DOCTYPE html><html><body>Please enable JavaScript</body></html>", "video.type"),
        (b'{"error": "expired"}', "video.type"),
        (b"\0" * 5_000, "video.type"),
        ("small.mp4", "video.truncated"),
        ("front.mp4", "video.truncated"),
        ("sound", "video.no_stream"),
    ],
    ids=["html", "json", "zeros", "no index", "index in front", "sound"],
)
def test_what_is_no_whole_video_is_never_taken_for_one(
    stand: Stand, clips: Path, content: bytes | str, code: str
) -> None:
    broken = stand.folder / "broken.mp4"
    if content == "sound":
        write_sound(broken)
    elif isinstance(content, str):
        data = (clips / content).read_bytes()
        broken.write_bytes(data[: len(data) * 6 // 10])
    else:
        broken.write_bytes(content)
    stand.put({"id": "a", "file": "broken.mp4"})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == (code, False)
    assert error.subject == "Video [a]"
    assert not place(stand, "a").has_part()


def test_an_empty_answer_is_no_video(stand: Stand) -> None:
    (stand.folder / "empty.mp4").write_bytes(b"")
    stand.put({"id": "a", "file": "empty.mp4"})
    assert refused(stand, "a").code in ("video.network", "video.extractor")


def test_a_server_that_states_no_length_and_breaks_off_is_found_out(stand: Stand, clips: Path) -> None:
    half = (clips / "front.mp4").stat().st_size * 6 // 10
    stand.put({"id": "a", "file": "front.mp4", "lies": True, "cut": [half] * 20})
    assert refused(stand, "a").code == "video.truncated"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (401, "video.login", False),
        (403, "video.refused", False),
        (404, "video.unavailable", False),
        (410, "video.unavailable", False),
        (412, "video.rate_limited", True),
        (429, "video.rate_limited", True),
        (503, "video.network", True),
    ],
)
@pytest.mark.parametrize("where", ["watch", "media"])
def test_an_answer_without_a_video_says_what_it_is(
    stand: Stand, where: str, status: int, code: str, retryable: bool
) -> None:
    stand.put({"id": "a", where: status})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == (code, retryable)
    assert str(status) in error.reason
    assert error.remedy


@pytest.mark.parametrize(
    ("says", "code", "retryable"),
    [
        ("geo", "video.geo", False),
        ("login", "video.login", False),
        ("broken", "video.extractor", False),
        ("Private video. Sign in if you've been granted access to this video", "video.private", False),
        ("Sign in to confirm you’re not a bot", "video.rate_limited", True),
        ("Sign in to confirm your age", "video.login", False),
        ("Join this channel to get access to members-only content", "video.login", False),
        ("This live event will begin in 3 hours", "video.live", True),
        ("Video unavailable. This video has been removed by the uploader", "video.unavailable", False),
        (
            "This video is no longer available because its YouTube account has been terminated",
            "video.unavailable",
            False,
        ),
        (
            "This content isn't available. Your session has been rate-limited by YouTube",
            "video.rate_limited",
            True,
        ),
        ("Requested format is not available", "video.no_format", False),
        ("This video is available to this channel's members on level: Gold", "video.login", False),
        ("The page needs to be reloaded", "video.refused", False),
        ("This video is DRM protected", "video.unsupported", False),
        ("Fresh cookies (not necessarily logged in) are needed", "video.login", False),
    ],
)
def test_what_a_site_says_is_understood(stand: Stand, says: str, code: str, retryable: bool) -> None:
    stand.put({"id": "a", "says": says})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == (code, retryable)
    assert "--cookies" not in str(error)
    assert "report this issue" not in str(error)


@pytest.mark.parametrize("lies", [False, True])
def test_too_large_a_video_is_refused_while_it_comes(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, lies: bool
) -> None:
    monkeypatch.setattr(options, "MAX_BYTES", 100_000)
    stand.put({"id": "a", "file": "large.mp4", "lies": lies})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == ("video.too_large", False)
    assert part_size(stand) <= 200_000


def test_a_video_of_a_stated_size_too_large_is_not_asked_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "MAX_BYTES", 100_000)
    stand.put({"id": "a", "formats": [{"file": "small.mp4", "filesize": 100_001}]})
    assert refused(stand, "a").code == "video.too_large"
    assert stand.site.asked("/media") == 0


def test_too_slow_a_transfer_ends_and_keeps_what_has_come(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "MAX_TRANSFER_S", 0.3)
    stand.put({"id": "a", "file": "large.mp4", "rate": 200_000})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == ("video.network", True)
    assert part_size(stand) > 0


@pytest.mark.parametrize("state", ["is_live", "is_upcoming", "post_live"])
def test_what_is_live_is_refused(stand: Stand, state: str) -> None:
    stand.put({"id": "a", "live_status": state})
    error = refused(stand, "a")
    assert (error.code, error.retryable) == ("video.live", True)
    assert stand.site.asked("/media") == 0


def test_a_video_whose_page_says_it_is_too_long_is_not_fetched(stand: Stand) -> None:
    stand.put({"id": "a", "duration": 4_000})
    assert refused(stand, "a").code == "video.too_long"
    assert stand.site.asked("/media") == 0


def test_addresses_that_ran_out_are_asked_for_anew(stand: Stand) -> None:
    stand.put({"id": "a", "timestamp": int(time.time())})
    source = YouTubeVideos(stand.context())
    source.collect(Query("pillow", recency_days=3))
    key = "video|youtube|a"
    stand.answers.texts[key] = stand.answers.texts[key].replace("/media/a/18", "/media/gone/18")
    assert source.fetch(record(stand, "a"), stand.downloads).exists()
    assert stand.site.counts["/watch/a"] == 2


@pytest.mark.parametrize(("age_s", "pages"), [(60, 1), (7_200, 2)])
def test_particulars_serve_for_an_hour(stand: Stand, age_s: int, pages: int) -> None:
    stand.put({"id": "a", "timestamp": int(time.time())})
    source = YouTubeVideos(stand.context())
    source.collect(Query("pillow", recency_days=3))
    answer = stand.answers.get("video|youtube|a")
    assert answer is not None
    stand.answers.put("video|youtube|a", {**answer, "at": answer["at"] - age_s})
    source.fetch(record(stand, "a"), stand.downloads)
    assert stand.site.counts["/watch/a"] == pages


@pytest.mark.parametrize("noted", ["length of another", "nothing", "same length"])
def test_a_part_of_another_file_is_not_kept(stand: Stand, clips: Path, noted: str) -> None:
    stand.put({"id": "a", "file": "large.mp4"})
    work = place(stand, "a").work
    work.mkdir(parents=True)
    other = (clips / "other.mp4").read_bytes()
    size = (clips / "large.mp4").stat().st_size
    if noted == "same length":
        (work / "18.mp4.part").write_bytes(other[: len(other) // 2])
        (work / "18.mp4.part.total").write_text(str(size), encoding="ascii")
    else:
        (work / "18.mp4.part").write_bytes(other)
    if noted == "length of another":
        (work / "18.mp4.part.total").write_text(str(len(other)), encoding="ascii")
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (clips / "large.mp4").read_bytes()


@pytest.mark.parametrize("harm", ["removed", "cut", "note lost", "note is nonsense", "overwritten"])
def test_a_finished_file_that_came_to_harm_is_made_good(stand: Stand, clips: Path, harm: str) -> None:
    stand.put({"id": "a", "file": "front.mp4"})
    source = YouTubeVideos(stand.context())
    path = source.fetch(record(stand, "a"), stand.downloads)
    note, data = path.parent / "done.json", path.read_bytes()
    if harm == "removed":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) * 6 // 10])
    elif harm == "overwritten":
        path.write_bytes(b"\0" * len(data))
    elif harm == "note lost":
        note.unlink()
    else:
        note.write_text("{", encoding="utf-8")
    assert source.fetch(record(stand, "a"), stand.downloads).read_bytes() == data
    assert stand.site.asked("/media") == (1 if harm.startswith("note") else 2)


def test_a_fetch_told_to_stop_ends_and_can_be_continued(
    stand: Stand, later: Callable[[Callable[[], object]], None]
) -> None:
    stand.put({"id": "a", "file": "large.mp4", "rate": 300_000})
    source = YouTubeVideos(stand.context())
    caught: list[MediaError] = []

    def fetch() -> None:
        try:
            source.fetch(record(stand, "a"), stand.downloads)
        except MediaError as error:
            caught.append(error)

    later(fetch)
    later(fetch)
    until(lambda: part_size(stand) > 50_000)
    source.cancel()
    until(lambda: len(caught) == 2)
    assert {(e.code, e.retryable) for e in caught} == {("video.cancelled", True)}
    stand.put({"id": "a", "file": "large.mp4"})
    path = YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert path.read_bytes() == (stand.folder / "large.mp4").read_bytes()
    assert stand.site.ranges


def test_an_interrupt_passes_through_and_leaves_the_part(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(list[str]):
        def append(self, line: str) -> None:
            raise KeyboardInterrupt

    stand.put({"id": "a", "file": "large.mp4", "rate": 400_000})
    monkeypatch.setattr("pvm_resources.sources.ytdlp.client._REPORT_S", 0.1)
    stand.lines = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    assert part_size(stand) > 0
    stand.lines = []
    stand.put({"id": "a", "file": "large.mp4"})
    assert YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads).exists()


def test_progress_says_bytes_and_rate(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvm_resources.sources.ytdlp.client._REPORT_S", 0.1)
    stand.put({"id": "a", "file": "large.mp4", "rate": 2_000_000})
    YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads)
    size = (stand.folder / "large.mp4").stat().st_size / 1e6
    assert len(stand.lines) >= 2
    assert stand.lines[-1].startswith(f"Video [a]: {size:.1f} of {size:.1f} MB, ")
    assert stand.lines[-1].endswith(" MB/s")


def test_a_site_that_limits_is_left_alone_after_a_while(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.put(*({"id": str(n), "watch": 429} for n in range(5)))
    source = YouTubeVideos(stand.context())
    for n in range(5):
        with pytest.raises(MediaError) as caught:
            source.fetch(record(stand, str(n)), stand.downloads)
        assert caught.value.code == "video.rate_limited"
    assert stand.site.asked("/watch") == 3
    now = time.monotonic()
    monkeypatch.setattr(fetching_module.time, "monotonic", lambda: now + 301)
    stand.put({"id": "ok"})
    assert source.fetch(record(stand, "ok"), stand.downloads).exists()


def test_a_closed_address_is_never_asked(stand: Stand) -> None:
    stand.put({"id": "a"})
    error = refused(stand, "a", fetch_allow="")
    assert (error.code, error.retryable) == ("video.address", False)
    assert "PVM_FETCH_ALLOW" in error.remedy
    assert not stand.site.counts


def test_a_redirect_to_a_closed_address_is_not_followed(stand: Stand) -> None:
    secret = "http://127.0.0.2:1/latest/meta-data"
    one = VideoRecord("links", "x", "r", "r", url=f"{stand.site.url}/goto?to={secret}")
    started = time.monotonic()
    with pytest.raises(MediaError) as caught:
        LinkList("x", stand.context()).fetch(one, stand.downloads)
    assert caught.value.code == "video.address"
    assert "127.0.0.2" in caught.value.reason
    assert time.monotonic() - started < 5


def test_proxies_of_the_environment_are_not_used(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    stand.put({"id": "a"})
    assert YouTubeVideos(stand.context()).fetch(record(stand, "a"), stand.downloads).exists()


def test_a_proxy_that_is_set_makes_the_connections(stand: Stand) -> None:
    stand.put({"id": "a"})
    one = VideoRecord("youtube", "youtube", "a", "a", url="http://10.0.0.9:80/watch/a")
    with pytest.raises(MediaError) as caught:
        YouTubeVideos(stand.context()).fetch(one, stand.downloads)
    assert caught.value.code == "video.address"
    source = YouTubeVideos(stand.context(ytdlp_proxy=stand.site.url))
    assert source.fetch(one, stand.downloads).exists()


def test_the_users_cookies_are_sent_and_their_file_stays_as_it_is(stand: Stand, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\tsecret\n", "utf-8")
    before = cookies.read_bytes()
    stand.put({"id": "a", "timestamp": int(time.time())})
    source = YouTubeVideos(stand.context(ytdlp_cookies=cookies))
    source.collect(Query("pillow", recency_days=3))
    assert source.fetch(record(stand, "a"), stand.downloads).exists()
    assert cookies.read_bytes() == before
    assert "sid=secret" in stand.site.cookies
    assert "secret" not in "".join(stand.answers.texts.values())


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_id_makes_a_name_of_its_own_inside_the_folder(one: str, other: str) -> None:
    root = Path("/downloads")
    folder = Place(root, one, one).folder
    assert folder.parent.parent == root
    assert ".." not in folder.parts
    assert len(safe_name(one)) <= 64
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_imports_wait_for_the_first_request() -> None:
    code = "import sys, pvm_resources.sources.ytdlp; sys.exit('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=STANDINS.parents[1], check=False).returncode == 0
