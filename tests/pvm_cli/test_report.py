"""`pvm report`: one file that can be sent; tests/pvm_api/review/test_report_page.py opens it in a browser."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pvm_cli.main import app as cli
from pvm_core.images import Rgb, decode_stored
from pvm_core.report.model import Precision, Report, ReportMatch
from pvm_core.report.page import render_report
from pvm_core.report.words import VIETNAMESE
from pvm_jobs.source_policy import parse_policies
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from tests.pvm_api.drawn import jpeg
from tests.pvm_api.review.shelf import Shelf, fill

MATCH = ReportMatch(
    match_id="m1", product="P1", title="Gối cao su non", brand="Liên Á", price="1299000", currency="VND",
    product_url="https://shop.example/p/1", source="file", video="Top 5 gối",
    video_url="https://youtu.be/a?t=75", platform="youtube", channel="Nhà Đẹp",
    published_at=datetime(2026, 3, 1, tzinfo=UTC), ts=75.5, score=0.93, status="accepted",
    scored_status="accepted", verdict=None, reason="Best pair 0.93, shots that show it: 2.",
    thumbnail=jpeg(1), evidence=jpeg(2, 900, 500),
)  # fmt: skip
REPORT = Report(
    industry="Gối công thái học", job_id="job-1", finished_at=None, made_at=datetime(2026, 3, 2, tzinfo=UTC),
    products=12, videos=3, matches=(MATCH,), precision=Precision(538, 550, 0.965, "measured"), accept=0.8,
    calibration="classic-1", embed_model="classic",
)  # fmt: skip


class _Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _loads(text: str) -> list[str]:
    """What a browser would fetch, and links it would follow: every address that is no picture in the file."""
    named = ("src", "href", "srcset", "action", "data", "poster", "background")
    return [
        str(value)
        for tag, attributes in _Tags(text).found
        for name, value in attributes.items()
        if name in named and not str(value).startswith("data:image/jpeg;base64,") and tag != "a"
    ]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_report_fetches_nothing_and_says_everything(language: str) -> None:
    text = render_report(REPORT, language)
    assert _loads(text) == []
    assert "url(" not in text
    assert "@import" not in text
    for said in ("Gối cao su non", "Liên Á", "1,299,000 VND", "0.930", "1:15.5", "Nhà Đẹp", "2026-03-01"):
        assert said in text
    links = {a["href"] for tag, a in _Tags(text).found if tag == "a"}
    assert links == {"https://shop.example/p/1", "https://youtu.be/a?t=75"}
    assert "97.8 %" in text
    assert "96.5 %" in text
    assert ("Độ chính xác" in text) == (language == "vi")


def test_every_text_of_the_report_is_translated() -> None:
    template = (Path("pvm_core/report/assets/report.html")).read_text(encoding="utf-8")
    used = set(re.findall(r"_\('((?:[^'\\]|\\.)+)'", template))
    assert len(used) > 20
    assert used <= VIETNAMESE.keys()
    for english, vietnamese in VIETNAMESE.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", vietnamese)), english


_EVIL = st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style>", "</script><svg onload=x>",
     "javascript:alert(1)", "{{ 7*7 }}", "{share}", "' onmouseover='x", "\u202e", "\x00"]
)  # fmt: skip


@given(text=_EVIL | st.text(max_size=40))
def test_no_text_of_others_becomes_markup(text: str) -> None:
    plain = _Tags(render_report(REPORT)).found
    evil = replace(
        MATCH, product=text, title=text, brand=text, video=text, channel=text, platform=text, reason=text,
        match_id=text, attributions=(text,), currency="VND",
    )  # fmt: skip
    shown = _Tags(render_report(replace(REPORT, industry=text, job_id=text, matches=(evil,)))).found
    assert [tag for tag, _ in shown if tag != "p"] == [tag for tag, _ in plain if tag != "p"]
    names = {name for _, attributes in shown for name in attributes}
    assert not any(name.startswith("on") for name in names)


def test_only_addresses_of_the_web_become_links() -> None:
    # The model promises http(s) or None; `web` decides that where it is made.
    none = replace(MATCH, product_url=None, video_url=None)
    assert [a for tag, a in _Tags(render_report(replace(REPORT, matches=(none,)))).found if tag == "a"] == []


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (Precision(9, 10, 0.606, "labels"), "people judged here are right (9 of 10)"),
        (None, "this calibration was not measured"),
    ],
)
def test_the_precision_says_on_what_it_rests(precision: Precision | None, said: str) -> None:
    assert said in render_report(replace(REPORT, precision=precision))


def test_an_empty_report_says_so() -> None:
    text = render_report(replace(REPORT, matches=()))
    assert "There is no match to show." in text
    assert "<form" not in text


# -- of a job -----------------------------------------------------------------------------------------


@pytest.fixture
def home(database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A home with the shelf's job."""
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    return fill(database, MediaStore(str(tmp_path / "home" / "media")), tmp_path / "clips")


def _report(*options: str) -> str:
    done = CliRunner().invoke(cli, ["report", "-i", "Gối công thái học", "-o", "out.html", *options])
    assert done.exit_code == 0, done.output
    return Path("out.html").read_text(encoding="utf-8")


def _matches(text: str) -> list[dict[str, str | None]]:
    return [a for tag, a in _Tags(text).found if tag == "article"]


def test_the_report_of_a_job_holds_its_accepted_matches(home: Shelf, database: Database) -> None:
    text = _report()
    assert [one["id"] for one in _matches(text)] == [f"m-{match}" for match in home.matches[:4]]
    assert _loads(text) == []
    pictures = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    sizes = [decode_stored(base64.b64decode(one)).shape for one in pictures]
    assert sorted({size[1] for size in sizes}) == [560, 1200], "a thumbnail and the evidence of each"
    assert len(pictures) == 8
    assert "youtube.com/watch?v=abc123&amp;t=1" in text
    assert "bilibili.com/video/BV1xx?p=2&amp;t=1" in text
    assert "file://" not in text, "no path of this machine is passed on"
    assert str(Path.cwd()) not in text


def test_what_people_judged_wrong_is_left_out_and_counts(home: Shelf, database: Database) -> None:
    labels = Store.over(database).labels(parse_policies(""))
    for match, verdict in zip(
        home.matches[:5], ("reject", "accept", "accept", "unsure", "accept"), strict=True
    ):
        labels.give(match, verdict, "Lan")  # type: ignore[arg-type]
    text = _report()
    shown = [home.matches[n] for n in (1, 2, 3, 4)]
    assert [one["id"] for one in _matches(text)] == [f"m-{match}" for match in shown]
    assert "(2 of 3)" in text
    assert "66.6 %" in text
    everything = _report("--status", "accepted", "--status", "rejected", "--lang", "vi")
    assert len(_matches(everything)) == 7
    assert "theo điểm: Chấp nhận" in everything


def test_pictures_of_sources_that_limit_their_keeping_are_not_passed_on(
    home: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_SOURCE_POLICIES", '{"file": {"max_age_h": 6, "attribution": "From the file"}}')
    text = _report()
    assert "data:image" not in text.replace("img-src data:", "")
    assert text.count("do not let these pictures be passed on") == 4
    assert "From the file" in text


def test_a_small_file_keeps_the_best(home: Shelf) -> None:
    text = _report("--max-mb", "0.2")
    assert len(text) < 330_000
    pictures = text.count('src="data:image')
    assert 0 < pictures < 8
    assert "Left out to keep this file small." in text


def test_a_limit_says_what_is_left_out(home: Shelf) -> None:
    text = _report("--limit", "3")
    assert len(_matches(text)) == 3
    assert "1 further matches are not listed." in text


def test_a_file_that_cannot_be_written_is_named(home: Shelf, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["report", "-i", "Gối công thái học", "-o", "none/out.html"])
    assert done.exit_code == 1
    assert "none/out.html" in done.output


def test_no_report_is_written_where_faces_are_to_be_blurred_and_cannot_be(
    home: Shelf, database: Database
) -> None:
    Store.over(database).industries.set_rules(home.industry, "default", {"blur_faces": True})
    done = CliRunner().invoke(cli, ["report", "-i", "Gối công thái học", "-o", "out.html"])
    assert done.exit_code == 2
    assert "make attention" in done.output
    assert not Path("out.html").exists()


@pytest.mark.attention
def test_a_report_is_drawn_with_blurred_faces_though_the_stored_pictures_are_not(
    home: Shelf, database: Database, face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_MODELS_DIR", str(face_models))
    before = _report()
    Store.over(database).industries.set_rules(home.industry, "default", {"blur_faces": True})
    asked: list[tuple[int, ...]] = []
    from pvm_core.faces import blurring

    class _Told(blurring.FaceBlur):
        def __call__(self, rgb: Rgb) -> Rgb:
            asked.append(rgb.shape)
            return super().__call__(rgb)

    monkeypatch.setattr(blurring, "FaceBlur", _Told)
    after = _report()
    assert len(_matches(after)) == len(_matches(before)) == 4
    # Product and frame of each.
    assert len(asked) >= 8
