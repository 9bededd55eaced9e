"""What is kept of eBay's answers, whatever they hold."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_resources.sources.ebay.markets import MARKETS, PHRASE_MAX, fit, languages, locale
from pvm_resources.sources.ebay.parsing import (
    PICTURES_MAX,
    errors_of,
    parse_item,
    parse_page,
)
from pvm_resources.sources.faults import CallError
from pvm_resources.sources.shop import ShopPage, ShopProduct
from tests.standins.ebay import AWAY, WARNING

_texts = st.text(max_size=12)
_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _texts)
_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_urls = st.sampled_from(
    [
        "https://i.ebayimg.com/a.jpg",
        "https://i.ebayimg.com/b.jpg",
        "http://i.ebayimg.com/c.jpg",
        "ftp://i.ebayimg.com/a.jpg",
        "//i.ebayimg.com/a.jpg",
        "https://[::1",
        "https://i.ebayimg.com:x/a.jpg",
        "https://i.ebayimg.com/a b.jpg",
        "https://i.ebayimg.com/" + "a" * 9_000,
        "javascript:alert(1)",
        "",
    ]
)


def _or_anything(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, _json)


_image = _or_anything(st.fixed_dictionaries({}, optional={"imageUrl": _or_anything(_urls), "width": _json}))
_images = _or_anything(st.lists(_image, max_size=30))
_ids = _or_anything(
    st.sampled_from(
        ["v1|1|0", "v1|1|77", "v1|2|0", "v1|2", "1", "v1|1|0\n", "v1|x|0", "v1|" + "9" * 40 + "|0"]
    )
)
_summary = _or_anything(
    st.fixed_dictionaries(
        {"itemId": _ids},
        optional={
            "legacyItemId": _or_anything(st.sampled_from(["1", "2", "x", "1 "])),
            "itemGroupHref": _or_anything(
                st.sampled_from(
                    ["https://e/item?item_group_id=9", "https://e/item?item_group_id=../x", "https://[", "x"]
                )
            ),
            "title": _json,
            "itemWebUrl": _or_anything(_urls),
            "image": _image,
            "additionalImages": _images,
        },
    )
)
_page = st.fixed_dictionaries(
    {},
    optional={"itemSummaries": _or_anything(st.lists(_summary, max_size=6)), "next": _json, "total": _json},
)
_item = st.fixed_dictionaries(
    {},
    optional={
        "title": _json,
        "brand": _json,
        "itemWebUrl": _or_anything(_urls),
        "image": _image,
        "additionalImages": _images,
        "product": _json,
        "primaryItemGroup": _or_anything(
            st.fixed_dictionaries(
                {}, optional={"itemGroupImage": _image, "itemGroupAdditionalImages": _images}
            )
        ),
    },
)


def _check(listing: ShopProduct) -> None:
    assert len(listing.pictures) == len(set(listing.pictures)) <= PICTURES_MAX
    for url in (*listing.pictures, *filter(None, [listing.url])):
        assert url.startswith(("https://", "http://"))
        assert url.isprintable()
        assert " " not in url
    # PostgreSQL's jsonb and text hold neither of these.
    for text in (listing.title, listing.brand, listing.url, *listing.pictures):
        assert "\x00" not in text
        text.encode()
    assert ShopProduct.from_json(json.loads(json.dumps(asdict(listing)))) == listing


@given(_page)
def test_any_page_becomes_listings_that_can_be_kept(answer: dict[str, Any]) -> None:
    found = parse_page(answer, "search")
    for listing in found.products:
        assert listing.item_id in ("v1|1|0", "v1|1|77", "v1|2|0")
        assert listing.external_id in ("1", "2", "9")
        assert listing.brand == ""
        _check(listing)
    assert not (found.more and not found.products)
    assert ShopPage.from_json(json.loads(json.dumps(asdict(found)))) == found


@given(_item)
def test_any_item_becomes_a_listing_that_can_be_kept(answer: dict[str, Any]) -> None:
    _check(parse_item(answer, "item"))


@given(_json)
def test_any_refusal_can_be_described(answer: Any) -> None:
    assert isinstance(errors_of(answer), list)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://www.ebay.com/itm/1?_skw=a&hash=item1:g:x&amdata=enc", "https://www.ebay.com/itm/1"),
        ("https://www.ebay.com/itm/1?var=5&mkcid=1#top", "https://www.ebay.com/itm/1?var=5"),
        ("https://www.ebay.de/itm/1", "https://www.ebay.de/itm/1"),
    ],
)
def test_a_listings_address_loses_what_only_tracks(given: str, kept: str) -> None:
    assert parse_item({"itemWebUrl": given}, "item").url == kept


@pytest.mark.parametrize(
    ("row", "listing_id"),
    [
        ({"itemId": "v1|123|0", "legacyItemId": "123"}, "123"),
        ({"itemId": "v1|123|456"}, "123"),
        (
            {"itemId": "v1|123|456", "legacyItemId": "123", "itemGroupHref": "https://e/i?item_group_id=123"},
            "123",
        ),
        ({"itemId": "v1|123|456", "itemGroupHref": "https://e/i?item_group_id=900"}, "900"),
    ],
)
def test_a_listings_id_outlives_its_variants_and_marketplaces(row: dict[str, str], listing_id: str) -> None:
    (found,) = parse_page({"itemSummaries": [row]}, "search").products
    assert found.external_id == listing_id


def test_the_variants_own_pictures_come_before_the_groups() -> None:
    def image(name: str) -> dict[str, str]:
        return {"imageUrl": f"https://e/{name}"}

    found = parse_item(
        {
            "image": image("own"),
            "additionalImages": [image("own2"), image("shared")],
            "primaryItemGroup": {
                "itemGroupImage": image("shared"),
                "itemGroupAdditionalImages": [image("other")],
            },
        },
        "item",
    )
    assert [url.rsplit("/", 1)[1] for url in found.pictures] == ["own", "own2", "shared", "other"]


@pytest.mark.parametrize(
    ("warnings", "refused"), [([], False), ([AWAY], True), ([WARNING], True), ([AWAY, WARNING], True)]
)
def test_any_warning_refuses_a_page_and_a_serious_one_an_item(
    warnings: list[dict[str, Any]], refused: bool
) -> None:
    answer = {"warnings": warnings, "itemSummaries": [{"itemId": "v1|1|0"}], "title": "x"}
    if refused:
        with pytest.raises(CallError, match="eBay warns") as caught:
            parse_page(answer, "search")
        assert caught.value.code == "ebay.warning"
        assert not caught.value.retryable
    else:
        assert parse_page(answer, "search").products
    if WARNING in warnings:
        with pytest.raises(CallError, match="12002 The conditionIds value is invalid"):
            parse_item(answer, "item")
    else:
        assert parse_item(answer, "item").title == "x"


# -- marketplaces ------------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_a_phrase_fits_and_holds_no_operator(phrase: str) -> None:
    fitted = fit(phrase)
    assert len(fitted) <= PHRASE_MAX
    assert not set(fitted) & set("*(),")
    assert fitted == fitted.strip()
    assert fit(fitted) == fitted


@given(st.lists(st.text("abcdefg", min_size=1, max_size=20), min_size=1, max_size=12))
def test_a_phrase_is_cut_between_words(words: list[str]) -> None:
    fitted = fit(" ".join(words)).split(" ")
    assert fitted == words[: len(fitted)]


@pytest.mark.parametrize("marketplace", MARKETS)
def test_a_marketplaces_locales_are_of_its_languages(marketplace: str) -> None:
    for language in languages(marketplace):
        assert locale(marketplace, language).startswith(f"{language}-")
    assert locale(marketplace, "vi") == MARKETS[marketplace][0]
