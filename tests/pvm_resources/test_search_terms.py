"""Search phrases: whose come first, what stands where nobody gave any, and translators as plug-ins."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_jobs.request import JobRequest
from pvm_resources.settings import Settings, load_settings
from pvm_resources.sources import search_terms as queries
from pvm_resources.sources.search_terms import (
    StoredQueries,
    load_translator,
    may_be_in,
    query_for,
    terms,
    terms_for,
)
from pvm_resources.store.records import Industry

NAME = "gối công thái học"


def industry(kept: Any = None, name: str = NAME) -> Industry:
    now = datetime.now(UTC)
    return Industry("goi", name, kept if kept is not None else {}, {}, "default", {}, now, now)


def asked(**phrases: tuple[str, ...]) -> JobRequest:
    return JobRequest(queries=phrases)


def settings(translator: str = "stored") -> Settings:
    return load_settings(Path("absent.env"), translator=translator)


def test_without_any_phrase_the_industry_as_typed_is_searched() -> None:
    found = terms(industry(), JobRequest(), StoredQueries())

    assert dict(found.phrases) == {"und": (NAME,)}
    assert found.missing == ("vi", "zh", "en")


def test_synonyms_stand_behind_the_industry_as_typed() -> None:
    found = terms(industry({"und": ["neck pillow", NAME]}), JobRequest(), StoredQueries())

    assert found.phrases["und"] == (NAME, "neck pillow")


def test_the_jobs_own_phrases_come_before_those_kept_and_none_twice() -> None:
    kept = {"en": ["ergonomic pillow", "memory  foam pillow"], "zh": ["人体工学枕头"]}
    found = terms(industry(kept), asked(en=("memory foam pillow", "cervical pillow")), StoredQueries())

    assert found.phrases["en"] == ("memory foam pillow", "cervical pillow", "ergonomic pillow")
    assert found.phrases["zh"] == ("人体工学枕头",)
    assert found.missing == ("vi",)
    assert "vi" not in found.phrases, "nothing is put in the place of a language's own phrases"


def test_a_language_that_only_the_job_or_the_industry_names_counts_too() -> None:
    found = terms_for(industry({"de": ["Nackenkissen"]}), asked(ja=("枕",)), settings())

    assert (found.phrases["de"], found.phrases["ja"]) == (("Nackenkissen",), ("枕",))


def test_phrases_kept_as_a_plain_list_are_of_no_stated_language() -> None:
    assert terms(industry(["pillow"]), JobRequest(), StoredQueries()).phrases["und"] == (NAME, "pillow")


def test_what_is_stored_wrongly_is_named() -> None:
    with pytest.raises(InputError, match=r"request\.queries"):
        terms_for(industry({"en": 7}), JobRequest(), settings())


def test_the_query_carries_the_limits_of_its_source() -> None:
    request = JobRequest(top=20, tops={"ebay": 50}, recency_days=365)

    ebay = query_for(industry(), request, settings(), "ebay")
    amazon = query_for(industry(), request, settings(), "amazon")

    assert (ebay.limit, ebay.recency_days, ebay.industry) == (50, 365, NAME)
    assert amazon.limit == 20


#: What a request may hold: a zero byte or half of a character is refused by its field.
PHRASES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=4)


@given(
    kept=st.dictionaries(st.sampled_from(["vi", "en", "und"]), PHRASES),
    own=st.dictionaries(st.sampled_from(["zh", "en", "und"]), PHRASES),
)
def test_there_is_always_something_to_search_for(
    kept: dict[str, list[str]], own: dict[str, list[str]]
) -> None:
    request = JobRequest.parse({"queries": own})
    found = terms(industry(kept), request, StoredQueries())

    assert NAME in found.phrases["und"]
    assert all(
        phrases and all(phrase and phrase == " ".join(phrase.split()) for phrase in phrases)
        and len(set(phrases)) == len(phrases)
        for phrases in found.phrases.values()
    )  # fmt: skip
    assert not set(found.missing) & set(found.phrases)


class Glossary:
    """A translator as a package would bring it."""

    def phrases(self, industry: Industry, language: str) -> tuple[str, ...]:
        return (f"{industry.name} [{language}]",) if language == "zh" else ()


class NoTranslator:
    """Lacks the method."""


def _registered(monkeypatch: pytest.MonkeyPatch, **objects: str) -> None:
    found = [EntryPoint(name, value, queries.GROUP) for name, value in objects.items()]
    monkeypatch.setattr(queries, "entry_points", lambda group: EntryPoints(found).select(group=group))


def test_a_translator_of_an_installed_package_is_used_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _registered(monkeypatch, glossary=f"{__name__}:Glossary")

    found = terms_for(industry(), asked(zh=("枕头",)), settings("glossary"))

    assert found.phrases["zh"] == ("枕头", f"{NAME} [zh]")
    assert found.phrases["und"] == (NAME,), "the industry as typed is there whoever translates"
    assert terms_for(industry(), JobRequest(), settings()).missing == ("vi", "zh", "en"), "only where named"


def test_an_unknown_translator_is_named_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    _registered(monkeypatch, glossary="x:y")

    with pytest.raises(InputError, match=r"known are stored, glossary.*translator\.unknown"):
        load_translator("deepl")


@pytest.mark.parametrize(
    "value", ["no_such_module:Glossary", f"{__name__}:Absent", f"{__name__}:NoTranslator", f"{__name__}:NAME"]
)
def test_a_broken_translator_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    _registered(monkeypatch, broken=value)

    with pytest.raises(InputError, match=r"PVM_TRANSLATOR=broken.*translator\.broken"):
        load_translator("broken")


@pytest.mark.parametrize(
    ("phrase", "language", "may"),
    [
        ("人体工学枕", "zh", True), ("gối công thái học", "zh", False), ("ergonomic pillow", "zh", False),
        ("ergonomic pillow", "en", True), ("gối công thái học", "en", False), ("coussin", "fr", True),
    ],
)  # fmt: skip
def test_the_script_of_a_phrase_tells_what_it_is_not(phrase: str, language: str, may: bool) -> None:
    assert may_be_in(phrase, language) is may
