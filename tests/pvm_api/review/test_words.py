"""The catalogues, reasons in words, figures, addresses, filters."""

from __future__ import annotations

import re
import string
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

import pvm_api.review
from pvm_api.review.filters import Filters
from pvm_api.review.i18n import LANGUAGES, clock, figure, negotiate_language, words
from pvm_api.review.links import at_second, web
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.decision import decide
from pvm_core.scoring.pair import PairScore

_FOLDER = Path(pvm_api.review.__file__).parent


def _slots(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_catalogues_say_the_same_things() -> None:
    english = words("en").table
    for code in LANGUAGES:
        table = words(code).table
        assert table.keys() == english.keys()
        for key, text in table.items():
            assert text.strip(), key
            assert _slots(text) == _slots(english[key]), key


def test_no_word_is_missing_or_idle() -> None:
    used = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in (".html", ".py")
    )
    named = set(re.findall(r"w\(\s*'([a-z_.]+)'", used)) | set(re.findall(r'w\(\s*"([a-z_.]+)"', used))
    assert {name for name in named if not name.endswith(".")} <= words("en").table.keys()
    stems = set(re.findall(r"'([a-z_]+\.)' ~", used)) | {
        "said.",
        "reason.",
        "strength.",
        "term.",
        "found",
        "js.",
    }
    for key in words("en").table:
        base = key.removesuffix(".one")
        assert base in named or f"'{base}'" in used or any(base.startswith(stem) for stem in stems), key


def test_every_reason_the_aggregation_gives_is_told_in_both_languages() -> None:
    for text in _reasons():
        for code in LANGUAGES:
            assert words(code).reason(text), (code, text)
    assert words("en").reason("something else") is None


def _reasons() -> set[str]:
    """What `decide` says over a grid of pairs."""
    rules, found = Rules(), set()
    shipped = load_calibration(None, "classic")
    bare = replace(shipped, deep=None)
    outline = (0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0)
    for calibration in (shipped, bare):
        for score in (0.2, 0.7, 0.805, 0.81, 0.9):
            for kp in (None, 0.05, 0.9):
                for deep in (None, 0.5, 0.97):
                    for rival in (False, True):
                        for shots in (1, 2, 3):
                            video, product = uuid.uuid4(), uuid.uuid4()
                            pairs = [
                                _pair(video, product, shot, score, kp, deep, outline) for shot in range(shots)
                            ]
                            other = _pair(video, uuid.uuid4(), 0, score - 0.01, kp, deep, outline)
                            other = replace(other, frame_id=pairs[0].frame_id)
                            given = [*pairs, other] if rival else pairs
                            found |= {one.reason.text() for one in decide(given, rules, calibration)}
    assert len({re.sub(r"[\d.]+", "N", text) for text in found}) >= 9
    return found


def _pair(
    video: uuid.UUID, product: uuid.UUID, shot: int, score: float, kp: float | None, deep: float | None,
    place: tuple[float, ...],
) -> PairScore:  # fmt: skip
    return PairScore(
        uuid.uuid4(), uuid.uuid4(), product, video, float(shot), shot, deep, kp, 0.5, score, place
    )


@pytest.mark.parametrize(
    ("chosen", "header", "code"),
    [
        (None, "", "en"), (None, "vi-VN,vi;q=0.9,en;q=0.8", "vi"), (None, "fr,en;q=0.5,vi;q=0.7", "vi"),
        ("en", "vi", "en"), ("xx", "vi", "vi"), (None, "vi;q=0,en;q=0.1", "en"), (None, "*", "en"),
        (None, "vi;q=abc", "vi"), (None, "," * 500, "en"),
    ],
)  # fmt: skip
def test_the_language_that_is_asked_for(chosen: str | None, header: str, code: str) -> None:
    assert negotiate_language(chosen, header) == code


def test_figures() -> None:
    assert [clock(s) for s in (0, 9.96, 61.25, 3_600)] == ["0:00.0", "0:09.9", "1:01.2", "1:00:00.0"]
    assert [figure(v) for v in (0.7996, 0.8, 1.0, 0.29)] == ["0.799", "0.800", "1.000", "0.290"]
    assert words("en").percent(0.9996) == "99.9\u00a0%"
    assert words("vi").percent(2 / 3) == "66,6\u00a0%"
    assert (words("en").number(12_345), words("vi").number(12_345)) == ("12,345", "12.345")
    assert (words("en")("overview.jobs", n=1), words("en")("overview.jobs", n=2)) == ("1 job", "2 jobs")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://www.youtube.com/watch?v=a&t=9", "https://www.youtube.com/watch?v=a&t=12"),
        ("https://youtu.be/a", "https://youtu.be/a?t=12"),
        ("https://www.bilibili.com/video/BV1?p=2", "https://www.bilibili.com/video/BV1?p=2&t=12"),
        ("https://m.bilibili.com/video/BV1", "https://m.bilibili.com/video/BV1?t=12"),
        ("https://example.com/a.mp4?x=1", "https://example.com/a.mp4?x=1"),
        ("https://notyoutube.com/watch?v=a", "https://notyoutube.com/watch?v=a"),
        ("javascript:alert(1)", None), ("//evil.example", None), ("", None), ("http://[", None),
        ("/a.mp4", None),
    ],
)  # fmt: skip
def test_addresses_of_videos(url: str, found: str | None) -> None:
    assert at_second(url, 12.9) == found


@given(st.text(max_size=60))
def test_no_text_becomes_a_script(text: str) -> None:
    found = web(text)
    assert found is None or found.startswith(("http://", "https://"))


@given(
    st.builds(
        Filters,
        sort=st.sampled_from(["best", "worst", "doubt", "video"]),
        status=st.sampled_from([(), ("accepted",), ("accepted", "rejected")]),
        said=st.sampled_from([(), ("open",), ("accept", "unsure")]),
        min=st.none() | st.floats(0, 1),
        max=st.none() | st.floats(0, 1),
        product=st.none() | st.uuids(),
        q=st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: " ".join(text.split())),
    )
)
def test_filters_survive_their_address(filters: Filters) -> None:
    assert Filters.parse(QueryParams(filters.query().removeprefix("?"))) == filters
