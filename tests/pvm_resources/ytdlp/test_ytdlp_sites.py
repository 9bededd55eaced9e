"""yt-dlp's real extractors of YouTube's search, Bilibili's search and Bilibili's pages, on canned answers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from yt_dlp.extractor.bilibili import BiliBiliIE
from yt_dlp.extractor.youtube import YoutubeSearchIE
from yt_dlp.utils import ExtractorError

from pvm_resources.sources.base import Query, VideoRecord
from pvm_resources.sources.ytdlp import BilibiliVideos, LinkList, YouTubeVideos
from pvm_resources.sources.ytdlp.bilibili import BiliBiliSearchIE, plain, seconds
from tests.pvm_resources.ytdlp.conftest import Stand

NOW = int(time.time())


def listed(number: int, **fields: Any) -> dict[str, Any]:
    """A video as Bilibili's search describes it."""
    return {
        "type": "video",
        "aid": 1000 + number,
        "bvid": f"BV1xx411c7m{number}",
        "arcurl": f"http://www.bilibili.com/video/av{1000 + number}",
        "title": f'<em class="keyword">枕头</em>测评 &amp; {number}',
        "duration": "3:07",
        "pubdate": NOW - 86_400 * number,
        "author": "某人",
        "play": 12_345,
        **fields,
    }


def bilibili(stand: Stand, monkeypatch: pytest.MonkeyPatch, *pages: Any) -> tuple[BilibiliVideos, list[int]]:
    """The source over these pages: an answer each, or what is raised."""
    asked: list[int] = []

    def canned(self: Any, url: str, video_id: str, *_: Any, query: dict[str, Any], **__: Any) -> Any:
        assert url == "https://api.bilibili.com/x/web-interface/search/type"
        assert query["keyword"] == video_id == "枕头"
        asked.append(query["page"])
        page = pages[query["page"] - 1] if query["page"] <= len(pages) else {"code": 0, "data": {}}
        if isinstance(page, Exception):
            raise page
        return page

    monkeypatch.setattr(BiliBiliSearchIE, "_download_json", canned)
    return BilibiliVideos(stand.context(bilibili_search="bilisearch")), asked


def page(*videos: dict[str, Any]) -> dict[str, Any]:
    return {"code": 0, "message": "0", "data": {"numResults": 99, "result": list(videos)}}


def test_bilibilis_list_gives_title_length_and_date_without_a_request_each(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, nameless = listed(3, type="ketang"), listed(4, bvid="", aid=0)
    old = listed(2, pubdate=NOW - 90 * 86_400)
    source, asked = bilibili(
        stand, monkeypatch, page(listed(1), old, course, nameless), page(listed(5, bvid=None))
    )
    got = source.collect(Query("pillow", {"zh": ("枕头",)}, recency_days=30))
    assert got.status.state == "ok"
    first, second = got.records
    assert (first.external_id, first.title, first.duration_s) == ("BV1xx411c7m1", "枕头测评 & 1", 187)
    assert first.url == "https://www.bilibili.com/video/BV1xx411c7m1"
    assert first.published_at == datetime.fromtimestamp(NOW - 86_400, UTC)
    assert second.external_id == "av1005"
    assert asked == [1, 2, 3]


@pytest.mark.parametrize(
    ("fault", "state", "says"),
    [
        ({"code": -412, "message": "request was banned"}, "rate_limited", "-412"),
        ({"code": -352, "message": "风控校验失败", "data": None}, "rate_limited", "-352"),
        ({"code": 0, "data": {"v_voucher": "voucher_1"}}, "rate_limited", "captcha"),
        ({"code": -1200, "message": "被降级过滤的请求"}, "failed", "-1200"),
        (ExtractorError("Unable to download JSON metadata", expected=True), "failed", "JSON"),
    ],
)
def test_bilibili_turning_away_is_told_from_failing(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, fault: Any, state: str, says: str
) -> None:
    source, asked = bilibili(stand, monkeypatch, fault)
    got = source.collect(Query("pillow", {"zh": ("枕头",)}))
    assert (got.status.state, got.records) == (state, ())
    assert says in got.status.reason
    assert asked == [1]


def test_pages_before_a_refusal_are_kept_and_the_rest_is_said(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, asked = bilibili(stand, monkeypatch, page(listed(1)), {"code": -412})
    got = source.collect(Query("pillow", {"zh": ("枕头",)}))
    assert [r.external_id for r in got.records] == ["BV1xx411c7m1"]
    assert got.status.state == "partial"
    assert "the search broke off at page 2" in got.status.reason
    assert asked == [1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3:07", 187), ("75:00", 4_500), ("1:02:03", 3_723), ("42", 42), ("", None), (None, None), ("a:b", None),
     ("1:2:3:4", None), ("0:00", None)],
)  # fmt: skip
def test_lengths_are_read_as_bilibili_writes_them(text: str | None, expected: float | None) -> None:
    assert seconds(text) == expected


def test_titles_lose_their_marks() -> None:
    assert plain('a <em class="keyword">b</em> &lt;c&gt; &#39;') == "a b <c> '"


def test_bilibilis_page_is_read_and_its_small_picture_track_fetched(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.put({"id": "a"})
    media = f"{stand.site.url}/media/a/18"
    tracks = [
        {"id": quality, "baseUrl": url, "mimeType": "video/mp4", "codecs": codec, "width": 1,
         "height": height, "bandwidth": height, "frameRate": "30"}
        for quality, url, codec, height in (
            (80, f"{media}-no", "avc1.640032", 1080),
            (32, f"{media}-no", "hev1.1.6", 480),
            (32, media, "avc1.64001F", 480),
        )
    ]  # fmt: skip
    sound = {"id": 30280, "baseUrl": f"{media}-no", "mimeType": "audio/mp4", "codecs": "mp4a.40.2"}
    state = {
        "videoData": {"bvid": "BV1xx411c7m1", "aid": 1, "cid": 2, "title": "枕头", "pubdate": NOW,
                      "duration": 4, "stat": {"view": 1}, "rights": {}},
        "upData": {"name": "某人"},
    }  # fmt: skip
    play = {
        "code": 0,
        "data": {"timelength": 4_000, "dash": {"video": tracks, "audio": [sound]}, "support_formats": []},
    }
    html = (
        f"<script>window.__playinfo__={json.dumps(play)}</script>"
        f"<script>window.__INITIAL_STATE__={json.dumps(state)};</script>"
    )

    def canned(self: Any, url: str, *_: Any, **__: Any) -> Any:
        return html, SimpleNamespace(url=url)

    monkeypatch.setattr(BiliBiliIE, "_download_webpage_handle", canned)
    monkeypatch.setattr(BiliBiliIE, "_download_json", lambda *_, **__: {"code": 0, "data": {}})
    monkeypatch.setattr(BiliBiliIE, "_download_playinfo", lambda *_, **__: None)
    url = "https://www.bilibili.com/video/BV1xx411c7m1"
    record = VideoRecord("bilibili", "bilibili", "BV1xx411c7m1", "枕头 [BV1xx411c7m1]", url=url)
    source = BilibiliVideos(stand.context())
    assert source.fetch(record, stand.downloads).read_bytes() == (stand.folder / "small.mp4").read_bytes()
    known = source.details(record)
    assert (known.published_at, known.title) == (datetime.fromtimestamp(NOW, UTC), "枕头")
    answer = stand.answers.get("video|bilibili|BV1xx411c7m1")
    assert answer is not None
    (chosen,) = answer["info"]["formats"]
    assert chosen["http_headers"]["Referer"] == url
    got = LinkList(url, stand.context()).collect(Query("x"))
    assert [(r.platform, r.external_id) for r in got.records] == [("bilibili", "BV1xx411c7m1")]


def tile(video_id: str, age: str, length: str | None = "4:05", **fields: Any) -> dict[str, Any]:
    """A video as YouTube's search describes it."""
    shown: dict[str, Any] = {
        "videoId": video_id,
        "title": {"runs": [{"text": f"Pillow {video_id}"}]},
        "publishedTimeText": {"simpleText": age},
        "ownerText": {"runs": [{"text": "Someone"}]},
        "viewCountText": {"simpleText": "1,234 views"},
        **fields,
    }
    if length:
        shown["lengthText"] = {"simpleText": length}
    return {"videoRenderer": shown}


def test_youtubes_list_is_read_with_lengths_live_marks_and_ages(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = {"thumbnailOverlays": [{"thumbnailOverlayTimeStatusRenderer": {"style": "LIVE"}}]}
    tiles = [
        tile("aaaaaaaaaaa", "2 weeks ago"),
        tile("bbbbbbbbbbb", "2 years ago"),
        tile("ccccccccccc", "3 days ago", "2:00:01"),
        tile("ddddddddddd", "", None, **live),
        tile("eeeeeeeeeee", "", None, upcomingEventData={"startTime": str(NOW + 3_600)}),
    ]
    answer = {
        "contents": {"twoColumnSearchResultsRenderer": {"primaryContents": {"sectionListRenderer": {
            "contents": [{"itemSectionRenderer": {"contents": tiles}}]}}}}
    }  # fmt: skip
    monkeypatch.setattr(YoutubeSearchIE, "_extract_response", lambda *_, **__: answer)
    monkeypatch.setattr(YoutubeSearchIE, "_download_ytcfg", lambda *_, **__: {})
    source = YouTubeVideos(stand.context(youtube_search="ytsearch"))
    got = source.collect(Query("pillow"))
    assert [r.external_id for r in got.records] == ["aaaaaaaaaaa", "bbbbbbbbbbb"]
    first = got.records[0]
    assert (first.title, first.duration_s) == ("Pillow aaaaaaaaaaa", 245)
    assert first.url == "https://www.youtube.com/watch?v=aaaaaaaaaaa"
    assert stand.lines[-1] == "youtube: 2 videos, 2 live or not begun, 1 too long"
    kept = stand.answers.get("search|ytsearch|pillow|50")
    assert kept is not None
    shown = datetime.fromtimestamp(kept["hits"][0]["timestamp"], UTC)
    assert abs(datetime.now(UTC) - timedelta(days=14) - shown) < timedelta(days=1)


def test_youtube_hits_too_old_by_their_list_are_not_looked_into(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = {
        "id": "b",
        "url": "https://www.youtube.com/watch?v=b",
        "title": "t",
        "timestamp": NOW - 800 * 86_400,
    }
    stand.answers.put("search|ytsearch|pillow|50", {"hits": [hit], "short": ""})
    got = YouTubeVideos(stand.context(youtube_search="ytsearch")).collect(Query("pillow", recency_days=365))
    assert got.records == ()
    assert "1 too old" in got.status.reason
