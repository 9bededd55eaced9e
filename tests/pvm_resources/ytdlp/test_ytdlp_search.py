"""Searching: order, what is left out and why, what is asked for twice, and how each fault is told."""

from __future__ import annotations

import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_resources.sources.base import Query, VideoSource
from pvm_resources.sources.ytdlp import BilibiliVideos, YouTubeVideos, runtimes, search
from pvm_resources.sources.ytdlp.search import Hit, depth, in_turn, refusal
from pvm_resources.sources.ytdlp.sources import given_name
from tests.pvm_resources.ytdlp.conftest import Stand

NOW = int(time.time())
DAY = 86_400


def hit(hit_id: str = "x", **fields: Any) -> Hit:
    whole = {"url": "u", "title": "t", "duration_s": 60.0, "published_at": None, "live": False, **fields}
    return Hit(hit_id, **whole)


def ids(records: Any) -> list[str]:
    return [record.external_id for record in records]


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=8), max_size=5))
def test_phrases_take_turns_and_each_video_comes_once(lists: list[list[str]]) -> None:
    found = [h.id for h in in_turn([[hit(i) for i in one] for one in lists])]
    assert len(found) == len(set(found))
    assert set(found) == {i for one in lists for i in one}
    places = {i: min((one.index(i), n) for n, one in enumerate(lists) if i in one) for i in found}
    assert found == sorted(found, key=lambda i: places[i])


@pytest.mark.parametrize(
    ("wanted", "phrases", "asked"), [(20, 1, 50), (20, 3, 24), (1, 9, 12), (1000, 1, 200)]
)
def test_more_hits_are_asked_for_than_wanted(wanted: int, phrases: int, asked: int) -> None:
    assert depth(wanted, phrases) == asked


def test_what_the_list_says_decides_where_it_can() -> None:
    since = datetime(2026, 6, 1, tzinfo=UTC)
    assert refusal(hit(), since) is None
    assert refusal(hit(live=True), None) == "live or not begun"
    assert refusal(hit(duration_s=3_601.0), None) == "too long"
    assert refusal(hit(duration_s=3_600.0), None) is None
    assert refusal(hit(duration_s=None), None) is None
    assert refusal(hit(published_at=since - timedelta(days=2)), since) == "too old"
    assert refusal(hit(published_at=since - timedelta(hours=20)), since) is None
    assert refusal(hit(published_at=since - timedelta(days=2)), None) is None


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Gối công thái học", "Gối công thái học [id]"),
        ("", "id"),
        ("a/b\\c\nd\0e", "a b c d e [id]"),
        ("w" * 200, "w" * 79 + "… [id]"),
    ],
)
def test_names_are_readable_and_carry_the_id(title: str, name: str) -> None:
    assert given_name(title, "id") == name


def test_records_say_what_the_list_says(stand: Stand) -> None:
    stand.put({"id": "a", "title": "Gối  <1>", "duration": 61, "timestamp": NOW - DAY})
    source = YouTubeVideos(stand.context())
    assert isinstance(source, VideoSource)
    got = source.collect(Query("pillow"))
    assert (got.status.state, got.status.reason, got.problems) == ("ok", "", ())
    (one,) = got.records
    assert (one.source, one.platform, one.external_id) == ("youtube", "youtube", "a")
    assert (one.title, one.given_name, one.duration_s) == ("Gối <1>", "Gối <1> [a]", 61)
    assert one.url == f"{stand.site.url}/watch/a"
    assert one.path is None
    # YouTube's list says "1 day ago", which is no date.
    assert one.published_at is None
    assert stand.site.asked("/watch") == 0


def test_all_languages_are_searched_and_the_limit_holds(stand: Stand) -> None:
    stand.put(
        *({"id": f"en{n}", "words": ["pillow"]} for n in range(5)),
        *({"id": f"vi{n}", "words": ["gối"]} for n in range(5)),
        {"id": "both", "words": ["pillow", "gối"]},
    )
    terms = {"en": ("pillow",), "vi": ("gối", "pillow"), "und": ("pillow",)}
    got = YouTubeVideos(stand.context()).collect(Query("pillow", terms, limit=4))
    assert ids(got.records) == ["en0", "vi0", "en1", "vi1"]
    assert stand.site.asked("/search") == 2


def test_live_and_long_hits_are_left_out_and_counted(stand: Stand) -> None:
    stand.put(
        {"id": "live", "live_status": "is_live"},
        {"id": "soon", "live_status": "is_upcoming"},
        {"id": "was", "live_status": "was_live"},
        {"id": "long", "duration": 9_999},
        {"id": "fine"},
    )
    got = YouTubeVideos(stand.context()).collect(Query("pillow"))
    assert ids(got.records) == ["was", "fine"]
    assert got.status.state == "ok"
    assert stand.lines[-1] == "youtube: 2 videos, 2 live or not begun, 1 too long"


def test_only_young_videos_are_taken_by_their_exact_date(stand: Stand) -> None:
    stand.put(
        {"id": "old", "timestamp": NOW - 400 * DAY},
        {"id": "nearly", "listed": NOW - 364 * DAY, "timestamp": NOW - 370 * DAY},
        {"id": "young", "listed": NOW - 300 * DAY, "timestamp": NOW - 310 * DAY},
        {"id": "undated"},
        {"id": "dayonly", "upload_date": time.strftime("%Y%m%d", time.gmtime(NOW - 5 * DAY))},
        {"id": "gone", "watch": 404},
        {"id": "spare", "timestamp": NOW},
    )
    got = YouTubeVideos(stand.context()).collect(Query("pillow", recency_days=365, limit=2))
    assert ids(got.records) == ["young", "dayonly"]
    assert got.records[0].published_at == datetime.fromtimestamp(NOW - 310 * DAY, UTC)
    assert [(p.item, p.code) for p in got.problems] == [("Video undated [undated]", "video.date_unknown")]
    assert got.status.state == "partial"
    assert "Video undated" in got.status.reason
    # What the list itself shows to be too old is not looked into, nor what is beyond the limit.
    assert stand.site.counts["/watch/old"] == stand.site.counts["/watch/spare"] == 0


def test_a_video_that_fails_is_a_problem_and_the_next_takes_its_place(stand: Stand) -> None:
    stand.put({"id": "gone", "watch": 404}, {"id": "a", "timestamp": NOW}, {"id": "b", "timestamp": NOW})
    got = YouTubeVideos(stand.context()).collect(Query("pillow", recency_days=9, limit=2))
    assert ids(got.records) == ["a", "b"]
    assert [(p.stage, p.code, p.retryable) for p in got.problems] == [("videos", "video.unavailable", False)]
    assert got.status.state == "partial"


def test_a_rerun_asks_nothing_twice(stand: Stand) -> None:
    stand.put({"id": "a", "timestamp": NOW}, {"id": "b", "timestamp": NOW - DAY})
    query = Query("pillow", {"en": ("pillow", "cushion")}, recency_days=9)
    first = YouTubeVideos(stand.context()).collect(query)
    asked = dict(stand.site.counts)
    assert YouTubeVideos(stand.context()).collect(query) == first
    assert dict(stand.site.counts) == asked
    source = YouTubeVideos(stand.context())
    for record in first.records:
        source.fetch(record, stand.downloads)
    assert {p: n for p, n in stand.site.counts.items() if not p.startswith("/media")} == asked


def test_a_run_that_breaks_off_is_continued(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.put(*({"id": str(n), "timestamp": NOW} for n in range(6)))
    put = stand.answers.put

    def broken(key: str, answer: Any) -> None:
        if len(stand.answers.texts) == 4:
            raise KeyboardInterrupt
        put(key, answer)

    monkeypatch.setattr(stand.answers, "put", broken)
    with pytest.raises(KeyboardInterrupt):
        YouTubeVideos(stand.context()).collect(Query("pillow", recency_days=9))
    monkeypatch.setattr(stand.answers, "put", put)
    got = YouTubeVideos(stand.context()).collect(Query("pillow", recency_days=9))
    assert len(got.records) == 6
    # The one whose answer was not stored is the only one asked for again.
    assert sorted(stand.site.counts.values()) == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("status", "state"), [(429, "rate_limited"), (412, "rate_limited"), (500, "failed"), (404, "failed")]
)
def test_a_search_that_fails_is_the_sources_state(stand: Stand, status: int, state: str) -> None:
    stand.site.search_status = status
    got = YouTubeVideos(stand.context()).collect(Query("pillow", {"en": ("pillow", "cushion")}))
    assert (got.status.state, got.records) == (state, ())
    assert str(status) in got.status.reason
    assert got.status.remedy
    if state == "rate_limited":
        assert "PVM_YTDLP_COOKIES" in got.status.remedy
        assert stand.site.asked("/search") == 1


def test_one_phrase_that_fails_leaves_the_others(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.put({"id": "a"})
    YouTubeVideos(stand.context()).collect(Query("pillow", {"en": ("pillow",)}))
    stand.answers.texts = {key.replace("|50", "|30"): text for key, text in stand.answers.texts.items()}
    stand.site.search_status = 500
    got = YouTubeVideos(stand.context()).collect(Query("pillow", {"en": ("pillow", "cushion")}))
    assert ids(got.records) == ["a"]
    assert got.status.state == "partial"
    assert [p.item for p in got.problems] == ["search: cushion"]


def test_a_server_out_of_reach_fails_the_source(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_STANDIN_VIDEOS", "http://127.0.0.1:9")
    stand.settings["fetch_allow"] = "127.0.0.1:9"
    got = YouTubeVideos(stand.context()).collect(Query("pillow"))
    assert got.status.state == "failed"
    assert got.problems[0].code == "video.network"
    assert got.problems[0].retryable


def test_nothing_found_is_said(stand: Stand) -> None:
    stand.put({"id": "live", "live_status": "is_live"})
    got = YouTubeVideos(stand.context()).collect(Query("pillow"))
    assert got.records == ()
    assert got.status.state == "partial"
    assert got.status.reason == "nothing usable was found for 'pillow' (left out: 1 live or not begun)"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"youtube_search": "nosuchsearch"}, "PVM_YOUTUBE_SEARCH"),
        ({"youtube_search": "x:y"}, "PVM_YOUTUBE_SEARCH"),
        ({"ytdlp_extractors": ""}, "PVM_YOUTUBE_SEARCH"),
        ({"ytdlp_extractors": "("}, "PVM_YTDLP_EXTRACTORS"),
        ({"ytdlp_cookies": Path("/nonexistent/cookies.txt")}, "PVM_YTDLP_COOKIES"),
        (
            {"ytdlp_extractors": "generic,standin.*", "ytdlp_proxy": "http://127.0.0.1:9"},
            "PVM_YTDLP_EXTRACTORS",
        ),
    ],
)
def test_settings_that_do_not_work_are_named(stand: Stand, settings: dict[str, Any], names: str) -> None:
    stand.put({"id": "a"})
    got = YouTubeVideos(stand.context(**settings)).collect(Query("pillow"))
    assert got.status.state == "not_configured"
    assert names in got.status.reason + got.problems[0].item
    assert got.status.remedy
    assert not stand.site.counts


@pytest.mark.parametrize(
    "text",
    ["sid=secret\n", "", "# Netscape HTTP Cookie File\n", '[{"name": "sid", "value": "secret"}]',
     ".x.org\tTRUE\t/\tTRUE\tsoon\tsid\tsecret\n", "\xff"],
)  # fmt: skip
def test_cookies_that_are_none_are_said_and_never_shown(
    stand: Stand, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "cookies.txt").write_text(text, encoding="latin-1")
    got = YouTubeVideos(stand.context(ytdlp_cookies=tmp_path / "cookies.txt")).collect(Query("pillow"))
    assert got.status.state == "not_configured"
    assert got.problems[0].code == "video.cookies"
    assert got.status.reason.startswith("PVM_YTDLP_COOKIES: ")
    assert "secret" not in repr(got) + repr(capfd.readouterr()) + repr(stand.lines)


def test_bilibili_takes_chinese_phrases_alone(stand: Stand) -> None:
    stand.put({"id": "a", "words": ["枕头"], "timestamp": NOW}, {"id": "b", "words": ["pillow"]})
    got = BilibiliVideos(stand.context()).collect(
        Query("pillow", {"zh": ("枕头",), "en": ("pillow",), "und": ("pillow",)})
    )
    assert (ids(got.records), got.status.state) == (["a"], "ok")
    assert (got.records[0].platform, got.records[0].published_at) == (
        "bilibili",
        datetime.fromtimestamp(NOW, UTC),
    )


def test_bilibili_says_that_it_searched_as_typed(stand: Stand) -> None:
    stand.put({"id": "a"})
    got = BilibiliVideos(stand.context()).collect(Query("pillow", {"en": ("neck pillow",), "und": ("gối",)}))
    assert ids(got.records) == ["a"]
    assert got.status.state == "partial"
    assert got.status.reason == "there are no Chinese queries, so it was searched as typed: 'gối'"
    assert got.status.remedy == 'Keep some: pvm industries queries pillow --lang zh "PHRASE"'
    got = BilibiliVideos(stand.context()).collect(Query("枕头", {"und": ("枕头",)}))
    assert "Chinese" not in got.status.reason


def program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("programs", "found", "lack"),
    [
        ({}, None, "no JavaScript runtime is installed"),
        ({"deno": "deno 2.9.8 (stable, release)"}, "deno 2.9.8", ""),
        ({"deno": "deno 2.2.9"}, None, "(deno 2.2.9 is older than 2.3)"),
        ({"node": "v20.20.2"}, None, "(node 20.20.2 is older than 22)"),
        ({"node": "v22.0.0"}, "node 22.0.0", ""),
        ({"bun": "1.2.11"}, "bun 1.2.11", ""),
        ({"bun": "1.2.10"}, None, "(bun 1.2.10 is older than 1.2.11)"),
        ({"deno": "deno 1.0.0", "node": "v24.1.0"}, "node 24.1.0", ""),
        ({"deno": "who knows"}, None, "no JavaScript runtime is installed"),
    ],
)
def test_a_runtime_is_found_where_it_is_new_enough(
    tmp_path: Path, programs: dict[str, str], found: str | None, lack: str
) -> None:
    for name, says in programs.items():
        program(tmp_path, name, says)
    support = runtimes.detect(path=str(tmp_path), package="json")
    shown = f"{support.runtime.name} {support.runtime.version}" if support.runtime else None
    assert shown == found
    assert lack in support.lack
    assert bool(lack) == bool(support.lack)


def test_a_runtime_without_its_scripts_is_said(tmp_path: Path) -> None:
    program(tmp_path, "deno", "deno 2.9.8")
    support = runtimes.detect(path=str(tmp_path), package="no_such_package_here")
    assert support.runtime is not None
    assert "yt-dlp-ejs" in support.lack


def test_youtube_without_a_runtime_says_so_and_goes_on(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        runtimes, "detect", lambda: runtimes.JsSupport(None, "no JavaScript runtime is installed")
    )
    listed = {"hits": [{"id": "a", "url": "https://www.youtube.com/watch?v=a", "title": "t"}], "short": ""}
    stand.answers.put(f"search|ytsearch|pillow|{search.depth(search.DEFAULT_TOP, 1)}", listed)
    got = YouTubeVideos(stand.context(youtube_search="ytsearch")).collect(Query("pillow"))
    assert ids(got.records) == ["a"]
    assert got.status.state == "partial"
    assert "no JavaScript runtime" in got.status.reason
    assert got.status.remedy == runtimes.REMEDY
