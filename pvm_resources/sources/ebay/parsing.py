"""What is kept of eBay's answers: ids, texts and picture addresses of listings, nothing of sellers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from pvm_core.money import Price, parse_price
from pvm_core.product_facts import Facts, clean_attributes, parse_availability, plain_text
from pvm_resources.sources.faults import CallError
from pvm_resources.sources.shop import ShopPage, ShopProduct
from pvm_resources.sources.urls import is_web_url
from pvm_resources.store.base import clean

_ITEM_ID: Final = re.compile(r"v1\|(\d{1,20})\|(\d{1,20})", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)
#: eBay lets a listing have this many pictures.
PICTURES_MAX: Final = 24
#: Warnings on an item that leave its title, brand and pictures whole: the seller is away (11508, 11509), the
#: shipping cost is unknown (11510). From the specification of `getItem`.
_HARMLESS: Final = frozenset((11508, 11509, 11510))


def parse_page(answer: Mapping[str, Any], subject: str) -> ShopPage:
    """The listings of an answer of `search`; one without a usable id is left out.

    Raises:
        CallError: ``ebay.warning``: the answer carries warnings. eBay ignores what it warns of and answers
            with unfiltered rows, so none of them answers the request.
    """
    _refuse_warnings(answer, subject, frozenset())
    rows = _objects(answer.get("itemSummaries"))
    listings = tuple(found for row in rows if (found := _summary(row)) is not None)
    return ShopPage(listings, bool(listings) and bool(_text(answer.get("next"))))


def parse_item(answer: Mapping[str, Any], subject: str) -> ShopProduct:
    """The listing of an answer of `getItem`, without ids: its own pictures, then those of its group.

    Raises:
        CallError: ``ebay.warning``: a warning that touches what is read here.
    """
    _refuse_warnings(answer, subject, _HARMLESS)
    group = _object(answer.get("primaryItemGroup"))
    product = _object(answer.get("product"))
    pictures = (
        *_pictures(answer, "image", "additionalImages"),
        *_pictures(group, "itemGroupImage", "itemGroupAdditionalImages"),
    )
    return ShopProduct(
        external_id="",
        title=_text(answer.get("title")),
        brand=_text(answer.get("brand")) or _text(product.get("brand")),
        url=_item_url(answer.get("itemWebUrl")),
        pictures=tuple(dict.fromkeys(pictures))[:PICTURES_MAX],
        price=_price(answer),
        facts=Facts(
            description=plain_text(_text(answer.get("shortDescription")) or _text(answer.get("description"))),
            category=_text(answer.get("categoryPath")).rpartition("|")[2],
            availability=_availability(answer),
            attributes=_attributes(answer),
        ),
    )


def _summary(row: Mapping[str, Any]) -> ShopProduct | None:
    """A listing of a search, under the id that is the same over marketplaces and variations: its group's,
    else its own. `item_id` is the id that requests take, ``v1|<listing>|<variation>``."""
    item_id = _text(row.get("itemId"))
    parts = _ITEM_ID.fullmatch(item_id)
    if parts is None:
        return None
    legacy = _text(row.get("legacyItemId"))
    listing = legacy if _NUMBER.fullmatch(legacy) else parts[1]
    return ShopProduct(
        item_id=item_id,
        external_id=_group_id(row.get("itemGroupHref")) or listing,
        title=_text(row.get("title")),
        brand="",
        url=_item_url(row.get("itemWebUrl")),
        pictures=tuple(dict.fromkeys(_pictures(row, "image", "additionalImages")))[:PICTURES_MAX],
        price=_price(row),
        facts=Facts(category=_category(row), attributes=_attributes(row)),
    )


def _price(row: Mapping[str, Any]) -> Price:
    found = _object(row.get("price"))
    return parse_price(_text(found.get("value")), _text(found.get("currency")))


def _category(row: Mapping[str, Any]) -> str:
    """The most particular category, which eBay gives first."""
    return next((_text(one.get("categoryName")) for one in _objects(row.get("categories"))), "")


def _availability(answer: Mapping[str, Any]) -> str:
    said = [
        _text(one.get("estimatedAvailabilityStatus"))
        for one in _objects(answer.get("estimatedAvailabilities"))
    ]
    return next((state for one in said if (state := parse_availability(one))), "")


def _attributes(row: Mapping[str, Any]) -> dict[str, str]:
    named = {_text(one.get("name")): _text(one.get("value")) for one in _objects(row.get("localizedAspects"))}
    return clean_attributes({"condition": _text(row.get("condition")), **named})


def _refuse_warnings(answer: Mapping[str, Any], subject: str, harmless: frozenset[int]) -> None:
    serious = [one for one in _objects(answer.get("warnings")) if one.get("errorId") not in harmless]
    if serious:
        raise CallError(
            "ebay.warning",
            subject,
            f"eBay warns: {describe(serious)}",
            "See eBay's list of Browse API errors",
        )


def describe(errors: list[Mapping[str, Any]]) -> str:
    """eBay's own words on its errors or warnings, with their numbers."""
    messages = []
    for error in errors[:3]:
        text = " ".join((_text(error.get("message")) or _text(error.get("longMessage"))).split())[:200]
        messages.append(f"{error.get('errorId')} {text}".strip().rstrip("."))
    return "; ".join(messages)


def errors_of(answer: Any) -> list[Mapping[str, Any]]:
    """The errors of a refusal; none where it has another form."""
    return list(_objects(_object(answer).get("errors")))


def _pictures(row: Mapping[str, Any], first: str, others: str) -> Iterator[str]:
    for image in (_object(row.get(first)), *_objects(row.get(others))):
        if url := _web_url(image.get("imageUrl")):
            yield url


def _group_id(href: Any) -> str:
    try:
        found = parse_qs(urlsplit(_text(href)).query).get("item_group_id", [""])[0]
    except ValueError:
        return ""
    return found if _NUMBER.fullmatch(found) else ""


def _item_url(given: Any) -> str:
    """The listing's address without what only tracks a visit; ``var`` names the variant."""
    url = _web_url(given)
    if not url:
        return ""
    parts = urlsplit(url)
    kept = urlencode([("var", value) for value in parse_qs(parts.query).get("var", [])[:1]])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, kept, ""))


def _web_url(given: Any) -> str:
    url = _text(given)
    return url if is_web_url(url) else ""


def _text(given: Any) -> str:
    return clean(given) if isinstance(given, str) else ""


def _object(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _objects(given: Any) -> list[Mapping[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
