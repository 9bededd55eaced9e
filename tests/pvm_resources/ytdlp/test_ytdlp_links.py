"""Lists of links: how lines are read, which sites may be asked, and what each refusal says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError, MediaError
from pvm_resources.sources.base import Collected, Query, VideoRecord, VideoSource
from pvm_resources.sources.ytdlp import LinkList, runtimes
from pvm_resources.sources.ytdlp.links import read_links
from tests.pvm_resources.ytdlp.conftest import Stand

NOW = int(time.time())


def collected(stand: Stand, tmp_path: Path, *lines: str, **settings: Any) -> Collected[VideoRecord]:
    path = tmp_path / "urls.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return LinkList(str(path), stand.context(**settings)).collect(Query("pillow", limit=1, recency_days=1))


@pytest.mark.parametrize(
    ("line", "url", "name"),
    [
        ("https://a.example/v", "https://a.example/v", ""),
        ("  https://a.example/v?x=1#t=5  ", "https://a.example/v?x=1#t=5", ""),
        ("https://a.example/v | Gối  1", "https://a.example/v", "Gối 1"),
        ("https://a.example/v|a|b", "https://a.example/v", "a|b"),
        ("https://a.example/v  # the good one", "https://a.example/v", ""),
        ("HTTPS://A.example/v |", "HTTPS://A.example/v", ""),
        ("https://a.example/v | " + "n" * 300, "https://a.example/v", "n" * 120),
    ],
)
def test_lines_hold_an_address_and_a_name(line: str, url: str, name: str) -> None:
    links, problems = read_links(line.encode(), "urls.txt")
    assert [(link.line, link.url, link.name) for link in links] == [(1, url, name)]
    assert problems == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_comments_blank_lines_and_editors_marks_are_passed_over(encoding: str, end: str) -> None:
    text = end.join(["# list", "", "https://a.example/1 | một", "   ", "  # more", "https://a.example/2", ""])
    links, problems = read_links(text.encode(encoding), "urls.txt")
    assert [(link.line, link.url, link.name) for link in links] == [
        (3, "https://a.example/1", "một"),
        (6, "https://a.example/2", ""),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("file:///etc/passwd", "links.url"),
        ("ftp://a.example/v.mp4", "links.url"),
        ("/etc/passwd", "links.url"),
        ("javascript:alert(1)", "links.url"),
        ("ytsearch5:pillow", "links.url"),
        ("a.example/v", "links.url"),
        ("https://", "links.url"),
        ("https://a.example/v w", "links.url"),
        ("https://a.example:99999/v", "links.url"),
        ("https://user:pass@a.example/v", "links.url"),
        ("https://[::1/v", "links.url"),
        ("https://a.example/" + "v" * 2_000, "links.url"),
        ("https://v.douyin.com/iRNBho5m/", "links.short"),
        ("http://xhslink.com/a/b", "links.short"),
        ("https://b23.tv/abc", "links.short"),
    ],
)
def test_what_is_no_usable_address_is_a_problem_of_its_line(line: str, code: str) -> None:
    links, problems = read_links(f"# first\n{line}\n".encode(), "urls.txt")
    assert links == []
    assert [(p.code, p.retryable) for p in problems] == [(code, False)]
    assert problems[0].item.startswith("line 2: ")
    assert "pass@" not in repr(problems)


def test_a_short_link_is_explained() -> None:
    _, (problem,) = read_links(b"https://v.douyin.com/iRNBho5m/", "urls.txt")
    assert "short link" in problem.message
    assert "Open it in a browser" in problem.message


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "links.none"), (b"# nothing\n\n", "links.none"), (b"\xff\xfa\x80", "links.encoding"),
     (b"https://a.example/1\n" * 1_001, "links.too_large"), (b"#" * 1_000_001, "links.too_large")],
)  # fmt: skip
def test_lists_that_cannot_be_used_are_refused_whole(data: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        read_links(data, "urls.txt")
    assert caught.value.code == code


@pytest.mark.parametrize(("name", "code"), [("no-such.txt", "links.missing"), (".", "links.unreadable")])
def test_files_that_cannot_be_read_are_refused(stand: Stand, tmp_path: Path, name: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        LinkList(str(tmp_path / name), stand.context()).collect(Query("x"))
    assert caught.value.code == code


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        links, problems = read_links(data, "urls.txt")
    except InputError:
        return
    assert len(links) + len(problems) > 0
    assert all(link.url.lower().startswith(("http://", "https://")) for link in links)


def test_links_become_records_in_their_order(stand: Stand, tmp_path: Path) -> None:
    stand.put({"id": "a", "title": "Gối", "timestamp": NOW - 900 * 86_400}, {"id": "b", "duration": 5_000})
    got = collected(
        stand, tmp_path, f"{stand.site.url}/watch/b | Bản dài", f"{stand.site.url}/watch/a", "# end"
    )
    assert (got.status.state, got.problems) == ("ok", ())
    long, old = got.records
    assert (long.given_name, long.duration_s) == ("Bản dài", 5_000)
    assert (old.given_name, old.platform, old.external_id, old.source) == ("Gối [a]", "standin", "a", "links")
    assert old.published_at is not None
    source = LinkList("x", stand.context())
    assert isinstance(source, VideoSource)
    assert source.fetch(long, stand.downloads).exists()
    # Particulars of the collection serve for the download.
    assert stand.site.asked("/watch") == 2


def test_one_address_is_a_list_of_one(stand: Stand) -> None:
    stand.put({"id": "a"})
    got = LinkList(f"{stand.site.url}/watch/a", stand.context()).collect(Query("x"))
    assert [r.external_id for r in got.records] == ["a"]
    assert got.status.state == "ok"


def test_names_are_made_unique(stand: Stand, tmp_path: Path) -> None:
    stand.put({"id": "a"}, {"id": "b"}, {"id": "c"})
    lines = [f"{stand.site.url}/watch/{i} | Pillow" for i in "abc"]
    got = collected(stand, tmp_path, *lines)
    assert [r.given_name for r in got.records] == ["Pillow", "Pillow [b]", "Pillow [c]"]


def test_what_fails_is_a_problem_of_its_line_and_the_rest_goes_on(stand: Stand, tmp_path: Path) -> None:
    stand.put(
        {"id": "a"},
        {"id": "gone", "watch": 410},
        {"id": "live", "live_status": "is_live"},
        {"id": "list", "entries": [f"{stand.site.url}/watch/a"] * 2},
        {"id": "private", "says": "Private video"},
    )
    watch = f"{stand.site.url}/watch"
    lines = [f"{watch}/{i}" for i in ("gone", "live", "list", "private", "a", "a")]
    got = collected(stand, tmp_path, *lines, "https://v.douyin.com/x/")
    assert [r.external_id for r in got.records] == ["a"]
    assert sorted((p.item.split(":")[0], p.code) for p in got.problems) == [
        ("line 1", "video.unavailable"),
        ("line 2", "video.live"),
        ("line 3", "video.list"),
        ("line 4", "video.private"),
        ("line 6", "links.repeated"),
        ("line 7", "links.short"),
    ]
    assert got.status.state == "partial"
    assert got.status.reason == "6 of 7 links cannot be used"


def test_a_list_of_which_nothing_can_be_used_fails(stand: Stand, tmp_path: Path) -> None:
    stand.put({"id": "a", "watch": 404})
    got = collected(stand, tmp_path, f"{stand.site.url}/watch/a")
    assert (got.status.state, got.records) == ("failed", ())
    assert "404" in got.status.reason


def test_a_list_that_is_limited_throughout_says_so(stand: Stand, tmp_path: Path) -> None:
    stand.put(*({"id": str(n), "watch": 429} for n in range(6)))
    got = collected(stand, tmp_path, *(f"{stand.site.url}/watch/{n}" for n in range(6)))
    assert got.status.state == "rate_limited"
    assert len(got.problems) == 6
    assert stand.site.asked("/watch") == 3


@pytest.mark.parametrize("extractors", ["standin.*", ".*", "vimeo"])
def test_the_generic_extractor_does_not_run_unless_named(
    stand: Stand, tmp_path: Path, extractors: str
) -> None:
    stand.put({"id": "a"})
    got = collected(stand, tmp_path, f"{stand.site.url}/media/a/18", ytdlp_extractors=extractors)
    assert [p.code for p in got.problems] == ["video.unsupported"]
    assert f"PVM_YTDLP_EXTRACTORS={extractors},generic" in got.problems[0].message, "as it is to be set"
    assert not stand.site.counts


def test_the_generic_extractor_named_asks_through_the_guard(stand: Stand, tmp_path: Path) -> None:
    stand.put({"id": "a"})
    link = f"{stand.site.url}/media/a/18"
    shut = collected(stand, tmp_path, link, ytdlp_extractors="generic", fetch_allow="")
    assert [p.code for p in shut.problems] == ["video.address"]
    assert not stand.site.counts
    got = collected(stand, tmp_path, link, ytdlp_extractors="Generic")
    assert (got.status.state, len(got.records)) == ("ok", 1)
    source = LinkList(link, stand.context(ytdlp_extractors="generic"))
    found = source.fetch(got.records[0], stand.downloads)
    assert found.read_bytes() == (stand.folder / "small.mp4").read_bytes()


def test_a_plain_file_is_fetched_without_an_extractor(stand: Stand, tmp_path: Path) -> None:
    links = [f"{stand.site.url}/file/small.mp4", f"{stand.site.url}/file/small.mp4?size=2 | Gối"]
    got = collected(stand, tmp_path, *links, ytdlp_extractors="")
    assert (got.status.state, got.problems) == ("ok", ())
    assert got.records[0].given_name.startswith("small [small-")
    assert got.records[1].given_name == "Gối"
    assert len({record.external_id for record in got.records}) == 2
    assert not stand.site.counts, "nothing is asked before it is fetched"
    source = LinkList(links[0], stand.context(ytdlp_extractors=""))
    found = source.fetch(got.records[0], stand.downloads)
    assert found.read_bytes() == (stand.folder / "small.mp4").read_bytes()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"fetch_allow": ""}, "video.address"),
        ({"ytdlp_proxy": "http://127.0.0.1:9"}, "video.settings"),
    ],
)
def test_a_plain_file_passes_the_guard_or_is_not_fetched(
    stand: Stand, tmp_path: Path, settings: dict[str, Any], code: str
) -> None:
    link = f"{stand.site.url}/file/small.mp4"
    (record,) = collected(stand, tmp_path, link, ytdlp_extractors="", **settings).records
    source = LinkList(link, stand.context(ytdlp_extractors="", **settings))
    with pytest.raises(MediaError) as refused:
        source.fetch(record, stand.downloads)
    assert refused.value.code == code
    assert not stand.site.counts


def test_what_is_no_video_behind_its_name_is_none(stand: Stand, tmp_path: Path) -> None:
    (stand.folder / "page.mp4").write_text("<html>" * 100)
    link = f"{stand.site.url}/file/page.mp4"
    (record,) = collected(stand, tmp_path, link, ytdlp_extractors="").records
    with pytest.raises(MediaError):
        LinkList(link, stand.context(ytdlp_extractors="")).fetch(record, stand.downloads)


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]",
             "169.254.169.254", "10.0.0.1", "100.64.0.1", "localhost"],
)  # fmt: skip
def test_the_generic_extractor_reaches_no_inner_address(stand: Stand, tmp_path: Path, host: str) -> None:
    got = collected(stand, tmp_path, f"http://{host}/v.mp4", ytdlp_extractors="generic")
    assert [p.code for p in got.problems] == ["video.address"]


def test_a_known_site_that_is_not_allowed_is_named(stand: Stand, tmp_path: Path) -> None:
    got = collected(stand, tmp_path, "https://www.ted.com/talks/candace_parker_how_to_break_down_barriers")
    assert [p.code for p in got.problems] == ["video.unsupported"]
    assert "PVM_YTDLP_EXTRACTORS=" in got.problems[0].message
    assert "ted" in got.problems[0].message.lower()
    assert not stand.site.counts


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=BaW_jenozKc",
        "https://youtu.be/BaW_jenozKc",
        "https://www.youtube.com/shorts/BaW_jenozKc",
        "https://www.bilibili.com/video/BV1xx411c7mD",
        "https://www.bilibili.tv/en/video/2041863208",
        "https://www.douyin.com/video/6961737553342991651",
        "https://www.xiaohongshu.com/explore/6411cf99000000001300b6d9",
        "https://www.tiktok.com/@user/video/6748451240264420610",
        "https://vm.tiktok.com/ZTR45GpSF/",
        "https://vimeo.com/56015672",
        "https://www.dailymotion.com/video/x5kesuj",
        "https://www.instagram.com/reel/CDUMkliABpa/",
    ],
)
def test_sites_that_show_products_are_allowed(stand: Stand, url: str) -> None:
    from pvm_resources.sources.ytdlp.client import Client
    from pvm_resources.sources.ytdlp.options import Extractors

    settings = stand.context(ytdlp_extractors="").settings
    with Client(settings, Extractors.linked(settings)).extracting() as session:
        assert any(one.suitable(url) for one in session._ydl._ies.values())
        assert "Generic" not in session._ydl._ies


def test_youtube_links_without_a_runtime_say_so(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "detect", lambda: runtimes.JsSupport(None, "no JavaScript runtime is here"))
    url = "https://www.youtube.com/watch?v=BaW_jenozKc"
    info = {"id": "BaW_jenozKc", "title": "t", "extractor_key": "Youtube", "formats": []}
    stand.answers.put(f"link|{url}", {"at": NOW, "info": info})
    got = LinkList(url, stand.context()).collect(Query("x"))
    assert [(r.platform, r.external_id) for r in got.records] == [("youtube", "BaW_jenozKc")]
    assert (got.status.state, got.status.remedy) == ("partial", runtimes.REMEDY)
