"""The table of what each source's terms allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pvm_core.errors import InputError
from pvm_jobs.source_policy import SHIPPED, Policies, SourcePolicy, parse_policies
from pvm_resources.settings import load_policies, load_settings

_NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "store_media", "max_age_h", "may_train", "attribution"),
    [
        ("file", True, None, True, False),
        ("folder", True, None, True, False),
        ("ebay", True, 6.0, False, True),
        ("amazon", False, 24.0, False, True),
        ("youtube", True, None, False, True),
        ("bilibili", True, None, False, True),
        ("links", True, None, False, True),
    ],
)
def test_the_shipped_table(
    source: str, store_media: bool, max_age_h: float | None, may_train: bool, attribution: bool
) -> None:
    policies = Policies()
    policy = policies[source]
    assert (policy.store_media, policy.max_age_h) == (store_media, max_age_h)
    assert policies.may_train(source) is may_train
    assert bool(policy.attribution) is attribution
    assert policies.restricted(source) is (source in ("ebay", "amazon"))
    assert set(policies) == set(SHIPPED)


def test_a_site_that_stands_nowhere_has_the_terms_of_links() -> None:
    policies = parse_policies('{"links": {"max_age_h": 12}}')
    assert policies["tiktok"] == policies.of_platform("douyin") == policies["links"]
    assert "tiktok" not in policies
    assert not policies.may_train("tiktok")
    assert policies.of_platform("youtube") == SHIPPED["youtube"]


def test_a_folders_videos_are_not_a_catalogues_pictures() -> None:
    policies = parse_policies('{"file": {"max_age_h": 1}, "folder": {"max_age_h": 2}}')
    assert (policies["file"].max_age_h, policies.of_platform("file").max_age_h) == (1, 2)


@pytest.mark.parametrize(
    ("source", "hours", "expired"),
    [
        ("ebay", 5.99, False),
        ("ebay", 6, True),
        ("amazon", 23, False),
        ("amazon", 25, True),
        ("file", 9e4, False),
    ],
)
def test_what_is_too_old(source: str, hours: float, expired: bool) -> None:
    assert Policies().expired(source, _NOW - timedelta(hours=hours), _NOW) is expired


def test_a_machine_sets_single_fields(tmp_path: Path) -> None:
    text = '{"ebay": {"max_age_h": 3, "may_train": true}, "amazon": {"max_age_h": null}}'
    settings = load_settings(tmp_path / "none.env", source_policies=text)
    policies = load_policies(settings)
    assert policies["ebay"] == SourcePolicy(
        True, 3.0, SHIPPED["ebay"].attribution, True, SHIPPED["ebay"].terms_url
    )
    assert policies.ages_h == {"ebay": 3.0}
    assert policies["amazon"].restricted
    assert dict(load_policies(load_settings(tmp_path / "none.env"))) == dict(SHIPPED)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ebay: 3", "it is no JSON"),
        ("[1]", "no object of names and values"),
        ('{"ebay": 3}', "PVM_SOURCE_POLICIES: ebay: it is no object"),
        ('{"etsy": {}}', "etsy: no such source; known are file"),
        ('{"ebay": {"ttl": 3}}', "ebay.ttl: no such field; known are store_media, max_age_h"),
        ('{"ebay": {"store_media": 1}}', "ebay.store_media: it is neither true nor false"),
        ('{"ebay": {"may_train": "no"}}', "ebay.may_train: it is neither true nor false"),
        ('{"ebay": {"max_age_h": 0}}', "ebay.max_age_h: it is neither null nor a number of hours above 0"),
        ('{"ebay": {"max_age_h": -1}}', "above 0"),
        ('{"ebay": {"max_age_h": true}}', "above 0"),
        ('{"ebay": {"max_age_h": "6"}}', "above 0"),
        ('{"ebay": {"max_age_h": 1e999}}', "above 0"),
        ('{"ebay": {"max_age_h": NaN}}', "above 0"),
        ('{"ebay": {"attribution": null}}', "ebay.attribution: it is no text"),
        ('{"ebay": {"terms_url": "javascript:x"}}', "ebay.terms_url: it is no http(s) URL"),
        ('{"ebay": {}, "ebay": {"max_age_h": 9}}', "a name stands twice"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_policies(text)
    assert caught.value.code == "settings.invalid"
    assert "PVM_SOURCE_POLICIES" in str(caught.value)
    assert words in str(caught.value)
