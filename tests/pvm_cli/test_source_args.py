"""What a command line asks for: sources told apart, wrong ones named before a job exists."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pvm_cli.source_args import check_usable, named, phrases, request_of, sources_of, split
from pvm_core.errors import InputError
from pvm_resources.settings import load_settings
from pvm_resources.store.records import Industry

PRODUCTS = named("products")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue, a clip, a list of links, names with commas; the current folder."""
    (tmp_path / "catalogue.csv").write_text("product_id,image\n1,a.jpg\n")
    (tmp_path / "gối, xám, 40x60.csv").write_text("product_id,image\n1,a.jpg\n")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"x")
    (tmp_path / "links.txt").write_text("https://www.youtube.com/watch?v=aaaaaaaaaaa\n")
    (tmp_path / "amazon").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("ebay", ["ebay"]),
        ("ebay,amazon", ["ebay", "amazon"]),
        (" ebay , amazon ,", ["ebay", "amazon"]),
        ("catalogue.csv,ebay", ["catalogue.csv", "ebay"]),
        ("gối, xám, 40x60.csv", ["gối, xám, 40x60.csv"]),
        ("ebay,gối, xám, 40x60.csv,amazon", ["ebay", "gối, xám, 40x60.csv", "amazon"]),
        ("no, such.csv", ["no", "such.csv"]),
        ("https://s.example/feed.xml", ["https://s.example/feed.xml"]),
        ("https://s.example/f?ids=1,2,3", ["https://s.example/f?ids=1,2,3"]),
        ("https://s.example/f?ids=1,2,ebay", ["https://s.example/f?ids=1,2", "ebay"]),
        ("https://a.example/f,HTTPS://b.example/f", ["https://a.example/f", "HTTPS://b.example/f"]),
        ("https://a.example/f,catalogue.csv", ["https://a.example/f", "catalogue.csv"]),
        ("", []),
        (",,", []),
        ("\x00,ebay", ["\x00", "ebay"]),
        ("x" * 5_000, ["x" * 5_000]),
    ],
)
def test_one_option_may_name_several_sources(folder: Path, given: str, parts: list[str]) -> None:
    assert split(given, PRODUCTS) == parts


def test_sources_of_which_none_is_set_up_are_refused_before_a_job_exists(tmp_path: Path) -> None:
    bare = load_settings(tmp_path / "none.env", home=tmp_path)
    with pytest.raises(InputError, match="EBAY_CLIENT_ID") as refused:
        check_usable({"products": ["ebay", "amazon"], "videos": ["youtube"]}, bare)
    assert refused.value.code == "request.not_configured"
    check_usable({"products": ["ebay", str(tmp_path / "a.csv")], "videos": ["youtube"]}, bare)
    check_usable({}, bare)


def test_names_stay_paths_become_absolute_and_addresses_are_left_alone(folder: Path) -> None:
    found = sources_of(
        ["ebay,catalogue.csv", "https://s.example/feed.xml", "ebay"], ["youtube", "clips", "links.txt"]
    )

    assert found == {
        "products": ["ebay", str(folder / "catalogue.csv"), "https://s.example/feed.xml"],
        "videos": ["youtube", str(folder / "clips"), str(folder / "links.txt")],
    }


def test_a_name_is_the_source_and_a_path_with_that_name_is_written_as_a_path(folder: Path) -> None:
    (folder / "youtube").mkdir()
    (folder / "youtube" / "a.mp4").write_bytes(b"x")

    assert sources_of(None, ["youtube"]) == {"videos": ["youtube"]}
    assert sources_of(None, ["./youtube"]) == {"videos": [str(folder / "youtube")]}


def test_nothing_given_is_nothing(folder: Path) -> None:
    assert sources_of(None, None) == {}


@pytest.mark.parametrize(
    ("products", "videos", "code", "says"),
    [
        (["ebey"], None, "source.unknown", "did you mean ebay?"),
        (["amazn"], None, "source.unknown", "did you mean amazon?"),
        (["shopee"], None, "source.unknown", "ebay, amazon"),
        (None, ["youtub"], "source.unknown", "did you mean youtube?"),
        (["youtube"], None, "source.unknown", "no source's name"),
        (["ebay,no.csv"], None, "source.missing", "No such file"),
        (["sub/catalogue"], None, "source.missing", "No such file"),
        (["x" * 5_000], None, "source.missing", "too long"),
        (["clips"], None, "source.folder", "it is a folder"),
        (None, ["gone.txt"], "source.missing", "No such file"),
        (["links.txt"], None, "table.columns", "no column"),
        (None, ["none"], "videos.none", "no video"),
        (None, ["empty.txt"], "links.none", "no address"),
        (None, ["short.txt"], "links.short", "short link"),
        (None, ["blob.txt"], "links.encoding", "UTF-8"),
    ],
)
def test_what_cannot_be_used_is_told_before_a_job_exists(
    folder: Path, products: list[str] | None, videos: list[str] | None, code: str, says: str
) -> None:
    (folder / "none").mkdir()
    (folder / "empty.txt").write_text("# nothing yet\n")
    (folder / "short.txt").write_text("https://v.douyin.com/abc/\n")
    (folder / "blob.txt").write_bytes(b"\x80\x81\x82")

    with pytest.raises(InputError) as caught:
        sources_of(products, videos)

    assert caught.value.code == code
    assert says in str(caught.value)


def industry(**sources: Any) -> Industry:
    now = datetime.now(UTC)
    return Industry("goi", "Gối", {}, sources, "default", {}, now, now)


def test_a_request_holds_all_that_was_asked_for() -> None:
    asked = request_of(
        industry(),
        {"products": ["ebay", "amazon"], "videos": ["youtube"]},
        top=["20", "ebay=50"],
        recency_days=365,
        queries=["en=ergonomic pillow", "en=memory foam", "zh = 枕头", "gối = gối"],
        embed_model="classic",
    )

    assert asked.to_json() == {
        "products": ["ebay", "amazon"],
        "videos": ["youtube"],
        "top": 20,
        "tops": {"ebay": 50},
        "recency_days": 365,
        "queries": {"en": ["ergonomic pillow", "memory foam"], "zh": ["枕头"], "und": ["gối = gối"]},
        "embed_model": "classic",
    }
    assert (asked.top_of("ebay"), asked.top_of("amazon")) == (50, 20)


def test_standing_sources_stand_in_one_by_one_whether_a_path_or_a_list() -> None:
    standing = industry(products="/a/catalogue.csv", videos=["youtube", "/a/clips"])

    assert request_of(standing, {}).to_json() == {
        "products": ["/a/catalogue.csv"],
        "videos": ["youtube", "/a/clips"],
    }
    assert request_of(standing, {"products": ["ebay"]}).products == ("ebay",)


def test_a_kind_of_source_named_nowhere_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"--videos.*run\.source"):
        request_of(industry(), {"products": ["ebay"]})


@pytest.mark.parametrize(
    "top", [["many"], ["0"], ["ebay="], ["ebay=x"], ["-3"], ["1001"], ["ebay=99999"], ["²"]]
)
def test_a_number_that_is_none_is_named(top: list[str]) -> None:
    with pytest.raises(InputError, match=r"request\.top"):
        request_of(industry(), {"products": ["ebay"], "videos": ["youtube"]}, top=top)


@pytest.mark.parametrize("days", [0, -1, 99_999])
def test_a_time_that_is_none_is_named(days: int) -> None:
    with pytest.raises(InputError, match=r"request\.recency"):
        request_of(industry(), {"products": ["ebay"], "videos": ["youtube"]}, recency_days=days)


def test_a_phrase_with_an_equals_sign_is_a_phrase() -> None:
    assert phrases(["a+b=c", "en=a=b", "EN = x"]) == {"und": ["a+b=c"], "en": ["a=b", " x"]}
