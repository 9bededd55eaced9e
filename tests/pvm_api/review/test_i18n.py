"""The catalogues, plurals, reasons as texts, figures, addresses, filters."""

from __future__ import annotations

import re
import string
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

import pvm_api.review
from pvm_api.review.filters import STATUSES, Filters
from pvm_api.review.i18n import (
    LABELS,
    LANGUAGES,
    clock,
    figure,
    language,
    negotiate_language,
)
from pvm_api.review.links import at_second, web
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.decision import decide
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.reason import ALIKE, REASONS, Reason, Value
from pvm_resources.store.records import JobStatus
from pvm_resources.store.review_queries import SAID, SORTS

_FOLDER = Path(pvm_api.review.__file__).parent
_EXTRACTED = [("templates/**.html", "jinja2.ext:babel_extract"), ("**.py", "python")]
_KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
#: Messages of the scoring, which are translated but not written here.
_REASONS = {text for code, text in REASONS.items() if code != "legacy"} | {ALIKE}


def _catalogue(code: str) -> Catalog:
    with (_FOLDER / "locale" / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, code)


def _slots(text: str, braces: bool) -> set[str]:
    """Names of the values that a text takes: ``{name}`` in reasons, ``%(name)s`` elsewhere."""
    if braces:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return set(re.findall(r"%\((\w+)\)s", text))


def test_the_catalogues_translate_what_is_written_and_nothing_else() -> None:
    written = {
        message if isinstance(message, str) else message[0]
        for _, _, message, _, _ in extract_from_dir(
            _FOLDER, method_map=_EXTRACTED, keywords=_KEYWORDS, options_map={}
        )
        if message
    }
    assert len(written) > 100
    for code in set(LANGUAGES) - {"en"}:
        found = {m.id if isinstance(m.id, str) else m.id[0] for m in _catalogue(code) if m.id}
        assert found == written | _REASONS, code


def test_a_translation_takes_the_values_of_its_message() -> None:
    for code in set(LANGUAGES) - {"en"}:
        for message in (one for one in _catalogue(code) if one.id):
            ids = [message.id] if isinstance(message.id, str) else list(message.id)
            texts = [message.string] if isinstance(message.string, str) else list(message.string)
            assert not message.fuzzy, ids
            for text in texts:
                assert text.strip(), ids
                assert _slots(text, ids[0] in _REASONS) == _slots(ids[-1], ids[0] in _REASONS), ids


def test_every_value_has_its_text() -> None:
    assert set(LABELS["status"]) == set(STATUSES)
    assert set(LABELS["act"]) == set(SAID)
    assert set(LABELS["sort"]) == set(SORTS)
    assert set(LABELS["job"]) == set(get_args(JobStatus))
    assert set(LABELS["said"]) == {"accept", "reject", "unsure", "undo"}
    assert set(LABELS["verdict"]) == {"accept", "reject", "unsure", "none"}


def test_every_reason_is_told_in_both_languages() -> None:
    values: dict[str, Value] = {
        "rival_score": 0.9, "best": 0.81, "margin": 0.05, "model": "classic", "least": 0.3, "value": 0.2,
        "shots": 1, "needed": 2, "points": 20, "distance": 9.5, "other": "vanilla", "word": "mint",
    }  # fmt: skip
    for code in REASONS.keys() - {"legacy"}:
        for alike in (None, 0.93):
            reason = Reason(code, values, alike)
            english, vietnamese = (language(one).reason(reason) for one in ("en", "vi"))
            assert english == f"{reason.text()[0].upper()}{reason.text()[1:]}."
            assert vietnamese
            assert vietnamese != english
            assert "{" not in vietnamese


def test_every_reason_the_aggregation_gives_is_told_in_both_languages() -> None:
    for reason in _reasons():
        for code in LANGUAGES:
            assert language(code).reason(reason), (code, reason)
    assert language("en").reason(Reason("legacy", {"text": "something else"})) is None


def _reasons() -> list[Reason]:
    """What `decide` says over a grid of pairs."""
    rules, found = Rules(), list[Reason]()
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
                            found += [one.reason for one in decide(given, rules, calibration)]
    assert len({(one.code, one.alike is None) for one in found}) >= 9
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
    assert language("en").percent(0.9996) == "99.9\u00a0%"
    assert language("vi").percent(2 / 3) == "66,6\u00a0%"
    assert (language("en").number(12_345), language("vi").number(12_345)) == ("12,345", "12.345")
    at = datetime(2026, 11, 6, 2, 5, tzinfo=UTC)
    assert (language("en").day(at), language("vi").day(at)) == ("6 Nov 2026, 02:05", "6 thg 11 2026, 02:05")


def test_counts_have_the_plural_of_their_language() -> None:
    def jobs(code: str, n: int) -> str:
        return language(code).ngettext("%(num)s job", "%(num)s jobs", n, num=n)

    assert [jobs("en", n) for n in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert [jobs("vi", n) for n in (0, 1, 2)] == ["0 công việc", "1 công việc", "2 công việc"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://www.youtube.com/watch?v=a&t=9", "https://www.youtube.com/watch?v=a&t=12"),
        ("https://youtu.be/a", "https://youtu.be/a?t=12"),
        ("https://www.bilibili.com/video/BV1?p=2", "https://www.bilibili.com/video/BV1?p=2&t=12"),
        ("https://m.bilibili.com/video/BV1", "https://m.bilibili.com/video/BV1?t=12"),
        ("https://example.com/a.mp4?x=1", "https://example.com/a.mp4?x=1#t=12.9"),
        ("https://example.com/A.WEBM#old", "https://example.com/A.WEBM#t=12.9"),
        ("https://example.com/watch?file=a.mp4", "https://example.com/watch?file=a.mp4"),
        ("https://www.youtube.com/shorts/abc", "https://www.youtube.com/watch?v=abc&t=12"),
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


# Drawing filters says nothing about their speed: on a busy machine it is slow.
@settings(suppress_health_check=[HealthCheck.too_slow])
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
