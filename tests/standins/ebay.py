"""A stand-in for eBay's Browse API: token, search, item, and the pictures of its listings.

Each request and each answer is checked against eBay's specification where that is at hand; what breaks it is
kept in `violations`, and a request that does is refused.

As a program: ``python -m tests.standins.ebay --port 8123 --folder CASE`` prints its address. Settings that
lead a job to it: ``EBAY_API_URL`` = that address, ``EBAY_CLIENT_ID`` = ``stand-in-client``,
``EBAY_CLIENT_SECRET`` = ``stand-in-secret``, and ``PVM_FETCH_ALLOW`` = its host and port, for the pictures.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

from tests.standins.openapi import Contract, find_spec
from tests.standins.serving import Answer, Request, StandIn, serve
from tests.standins.wares import Ware, drawn, of_folder, plain

CLIENT_ID: Final = "stand-in-client"
CLIENT_SECRET: Final = "stand-in-secret"
TOKEN_PATH: Final = "/identity/v1/oauth2/token"
BASE: Final = "/buy/browse/v1"
SEARCH: Final = f"{BASE}/item_summary/search"
ITEM: Final = f"{BASE}/item/"
PICTURES: Final = "/pictures/"
#: eBay's documentation: "Buy API support by marketplace".
_MARKETPLACES: Final = frozenset(
    f"EBAY_{country}"
    for country in (
        "US",
        "AT",
        "AU",
        "BE",
        "CA",
        "CH",
        "DE",
        "ES",
        "FR",
        "GB",
        "HK",
        "IE",
        "IT",
        "NL",
        "PL",
        "SG",
    )
)
_FIRST_ID: Final = 110_000_000_000
#: Every third listing is a group of two variants.
_GROUP_EVERY: Final = 3
WARNING: Final = {
    "category": "REQUEST",
    "domain": "API_BROWSE",
    "errorId": 12002,
    "message": "The conditionIds value is invalid.",
}
AWAY: Final = {**WARNING, "errorId": 11508, "message": "This seller is currently away."}


class EbayStandIn(StandIn):
    """The Browse API with `wares` on sale.

    Args:
        wares: default 12 plain ones.
        port: 0 takes a free one.
        token_life_s: what tokens are said to live.
    """

    def __init__(self, wares: Sequence[Ware] | None = None, port: int = 0, token_life_s: int = 7200) -> None:
        super().__init__(port)
        self.wares = list(plain(12) if wares is None else wares)
        self.token_life_s = token_life_s
        self.minted: list[str] = []
        self.revoked: set[str] = set()
        spec = find_spec()
        self.contract = Contract(spec) if spec else None

    def revoke(self) -> None:
        """All tokens minted so far are refused from now on."""
        self.revoked.update(self.minted)

    # -- answers -----------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """What a sound server answers."""
        if request.path == TOKEN_PATH and request.method == "POST":
            return self._token(request)
        if request.path.startswith(PICTURES):
            return self._picture(request)
        if not request.path.startswith(BASE):
            return Answer.of({}, 404)
        faults = self._request_faults(request)
        if faults:
            for fault in faults:
                self.violation(f"{request.method} {request.path}: {fault}")
            return _error(400, 1, "; ".join(faults))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.minted or token in self.revoked:
            return _error(401, 1001, "Invalid access token", domain="OAuth")
        found = self._search(request) if request.path == SEARCH else self._item(request)
        self._check(request, found)
        return found

    def with_warnings(self, request: Request, answer: Answer, warnings: Any) -> Answer:
        """eBay's way to say that it did not understand: 200, rows, and warnings."""
        content = {**json.loads(answer.body), "warnings": warnings or [WARNING]}
        warned = Answer.of(content)
        self._check(request, warned)
        return warned

    def _token(self, request: Request) -> Answer:
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            refusal = {"error": "invalid_client", "error_description": "client authentication failed"}
            return Answer.of(refusal, 401)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        wanted = {"grant_type": "client_credentials", "scope": "https://api.ebay.com/oauth/api_scope"}
        if form != wanted:
            self.violation(f"POST {request.path}: the form is {sorted(form)}")
            return Answer.of({"error": "invalid_request"}, 400)
        self.minted.append(f"v^1.1#i^1#stand-in-token-{len(self.minted)}")
        return Answer.of(
            {
                "access_token": self.minted[-1],
                "expires_in": self.token_life_s,
                "token_type": "Application Access Token",
            }
        )

    def _search(self, request: Request) -> Answer:
        phrase = request.query["q"]
        limit, offset = int(request.query.get("limit", 50)), int(request.query.get("offset", 0))
        numbers = [] if "nothing" in phrase else list(range(len(self.wares)))
        # Other phrases find the same listings in another order.
        turn = zlib.crc32(phrase.encode()) % max(1, len(numbers))
        numbers = numbers[turn:] + numbers[:turn]
        href = f"{self.url}{SEARCH}?q={quote(phrase)}&limit={limit}&offset="
        content: dict[str, Any] = {
            "href": f"{href}{offset}",
            "total": len(numbers),
            "limit": limit,
            "offset": offset,
        }
        if offset + limit < len(numbers):
            content["next"] = f"{href}{offset + limit}"
        if page := numbers[offset : offset + limit]:
            content["itemSummaries"] = [self._summary(number, turn % 2) for number in page]
        return Answer.of(content)

    def _summary(self, number: int, variant: int) -> dict[str, Any]:
        ware, legacy = self.wares[number], str(_FIRST_ID + number)
        found = {
            "itemId": self.item_id(number, variant),
            "legacyItemId": legacy,
            "title": ware.title,
            "itemWebUrl": f"https://www.ebay.com/itm/{legacy}?_skw=pillow&hash=item{number}:g:track",
            "itemAffiliateWebUrl": f"https://www.ebay.com/itm/{legacy}?campid=5338{number}",
            "itemHref": f"{self.url}{ITEM}{quote(self.item_id(number, variant), safe='')}",
            "price": {"value": "19.99", "currency": "USD"},
            "condition": "New",
            "conditionId": "1000",
            "seller": {"username": f"seller_{number}", "feedbackPercentage": "99.1", "feedbackScore": 12},
            "categories": [{"categoryId": "20445", "categoryName": "Bed Pillows"}],
        }
        if ware.pictures:
            found["image"] = {"imageUrl": self.picture_url(number, 0)}
        if number % 2 == 0 and len(ware.pictures) > 1:
            found["additionalImages"] = [{"imageUrl": self.picture_url(number, 1)}]
        if self.is_group(number):
            found["itemGroupType"] = "SELLER_DEFINED_VARIATIONS"
            found["itemGroupHref"] = f"{self.url}{ITEM}get_items_by_item_group?item_group_id={legacy}"
        return found

    def _item(self, request: Request) -> Answer:
        parts = re.fullmatch(r"v1\|(\d+)\|(\d+)", unquote(request.path.removeprefix(ITEM)))
        number = int(parts[1]) - _FIRST_ID if parts else -1
        if not 0 <= number < len(self.wares):
            return _error(404, 11001, "The specified item Id was not found.")
        ware, legacy = self.wares[number], str(_FIRST_ID + number)
        images = [{"imageUrl": self.picture_url(number, view)} for view in range(len(ware.pictures))]
        group = self.is_group(number)
        found: dict[str, Any] = {
            "itemId": unquote(request.path.removeprefix(ITEM)),
            "legacyItemId": legacy,
            "title": ware.title,
            "brand": ware.brand,
            "mpn": "Does not apply",
            "itemWebUrl": f"https://www.ebay.com/itm/{legacy}?hash=item{number}:g:track",
            "price": {"value": "19.99", "currency": "USD"},
            "seller": {"username": f"seller_{number}", "feedbackPercentage": "99.1", "feedbackScore": 12},
            "localizedAspects": [{"type": "STRING", "name": "Brand", "value": ware.brand}],
        }
        if images:
            found["image"] = images[0]
        if group:
            found["primaryItemGroup"] = {
                "itemGroupId": legacy,
                "itemGroupType": "SELLER_DEFINED_VARIATIONS",
                "itemGroupHref": f"{self.url}{ITEM}get_items_by_item_group?item_group_id={legacy}",
                "itemGroupTitle": ware.title,
                "itemGroupImage": images[0],
                "itemGroupAdditionalImages": images[1:],
            }
        elif images[1:]:
            found["additionalImages"] = images[1:]
        return Answer.of(found)

    def _picture(self, request: Request) -> Answer:
        parts = re.fullmatch(r"(\d+)/(\d+)\.jpg", request.path.removeprefix(PICTURES))
        try:
            body = self.wares[int(parts[1])].pictures[int(parts[2])] if parts else b""
        except IndexError:
            body = b""
        if not body:
            return Answer.of({}, 404)
        return Answer(200, body, "image/png" if body.startswith(b"\x89PNG") else "image/jpeg")

    # -- what it sells -----------------------------------------------------------------------------

    def is_group(self, number: int) -> bool:
        """True where the listing has variants."""
        return number % _GROUP_EVERY == 2 and bool(self.wares[number].pictures)

    def item_id(self, number: int, variant: int = 0) -> str:
        """The id of a listing for requests."""
        return f"v1|{_FIRST_ID + number}|{50_000 + variant if self.is_group(number) else 0}"

    @staticmethod
    def listing_id(number: int) -> str:
        """The id of a listing, whatever its variant."""
        return str(_FIRST_ID + number)

    @staticmethod
    def number(listing_id: str) -> int:
        """Which ware a listing is of."""
        return int(listing_id) - _FIRST_ID

    def item_path(self, number: int, variant: int = 0) -> str:
        """The path of a listing's page."""
        return ITEM + quote(self.item_id(number, variant), safe="")

    def picture_url(self, number: int, view: int) -> str:
        """Where a picture is."""
        return f"{self.url}{PICTURES}{number}/{view}.jpg"

    # -- the contract ------------------------------------------------------------------------------

    def _request_faults(self, request: Request) -> list[str]:
        faults: list[str] = []
        if request.headers.get("x-ebay-c-marketplace-id") not in _MARKETPLACES:
            faults.append("X-EBAY-C-MARKETPLACE-ID is missing or unknown; eBay would take it for EBAY_US")
        if not re.fullmatch(r"[a-z]{2}-[A-Z]{2}", request.headers.get("accept-language", "")):
            faults.append("Accept-Language is no locale")
        if request.path == SEARCH:
            faults += _search_faults(request.query)
        elif not re.fullmatch(r"v1%7C\d+%7C\d+", request.path.removeprefix(ITEM)):
            faults.append("the item id is not percent-encoded, or is none")
        if self.contract is not None:
            route = self.contract.route(request.method, request.path.removeprefix(BASE))
            if route is None:
                return [*faults, "no such path in the specification"]
            faults += self.contract.request_faults(request.method, route, request.query, request.headers)
        return faults

    def _check(self, request: Request, answer: Answer) -> None:
        if self.contract is None:
            return
        route = self.contract.route(request.method, request.path.removeprefix(BASE))
        if route is not None:
            faults = self.contract.answer_faults("GET", route, answer.status, json.loads(answer.body))
            for fault in faults:
                self.violation(f"the answer to {request.path}: {fault}")


def _search_faults(query: dict[str, str]) -> list[str]:
    """The rules that the specification states in words."""
    faults = []
    phrase, limit, offset = query.get("q", ""), query.get("limit", "50"), query.get("offset", "0")
    if not phrase or len(phrase) > 100 or "*" in phrase:
        faults.append("q is empty, longer than 100 characters, or holds a star")
    if not limit.isdecimal() or not 1 <= int(limit) <= 200:
        faults.append("limit is not from 1 to 200")
    elif not offset.isdecimal() or int(offset) % int(limit) or int(offset) >= 10_000:
        faults.append("offset is no multiple of limit below 10,000")
    return faults


def _error(status: int, number: int, message: str, domain: str = "API_BROWSE") -> Answer:
    error = {"errorId": number, "domain": domain, "category": "REQUEST", "message": message}
    return Answer.of({"errors": [error]}, status)


def _made(given: argparse.Namespace) -> EbayStandIn:
    wares = (
        of_folder(given.folder)
        if given.folder
        else drawn(given.drawn, 7)
        if given.drawn
        else plain(given.plain)
    )
    return EbayStandIn(wares, given.port)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A stand-in for eBay's Browse API.")
    options.add_argument("--folder", type=Path, help="sells the products of its products.csv")
    options.add_argument("--drawn", type=int, default=0, help="sells so many drawn products")
    options.add_argument("--plain", type=int, default=12, help="sells so many plain products")
    serve(_made, options)
