"""A stand-in for Amazon's Creators API: tokens of both kinds, searchItems, and the pictures.

Each request and each answer is read by the models of Amazon's own SDK; a field that they do not know is kept
in `violations`, and a request that has one is refused.

As a program: ``python -m tests.standins.amazon --port 8124 --folder CASE`` prints its address A. Settings
that lead a job to it: ``AMAZON_API_URL`` = A, ``AMAZON_TOKEN_URL`` = A + ``/auth/o2/token``,
``AMAZON_CREDENTIAL_ID`` = ``stand-in-credential``, ``AMAZON_CREDENTIAL_SECRET`` = ``stand-in-secret``,
``AMAZON_CREDENTIAL_VERSION`` = ``3.1``, ``AMAZON_PARTNER_TAG`` = ``stand-in-20``, and ``PVM_FETCH_ALLOW`` =
its host and port, for the pictures.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from creatorsapi_python_sdk.models.access_denied_exception_response_content import (
    AccessDeniedExceptionResponseContent,
)
from creatorsapi_python_sdk.models.search_items_request_content import SearchItemsRequestContent
from creatorsapi_python_sdk.models.search_items_response_content import SearchItemsResponseContent
from creatorsapi_python_sdk.models.throttle_exception_response_content import ThrottleExceptionResponseContent
from pydantic import ValidationError

from tests.standins.serving import Answer, Request, StandIn, serve
from tests.standins.wares import Ware, drawn, of_folder, plain

CREDENTIAL_ID: Final = "stand-in-credential"
SECRET: Final = "stand-in-secret"
TAG: Final = "stand-in-20"
LWA_PATH: Final = "/auth/o2/token"
COGNITO_PATH: Final = "/oauth2/token"
SEARCH: Final = "/catalog/v1/searchItems"
PICTURES: Final = "/pictures/"
NOT_ELIGIBLE: Final = {
    "type": "AccessDeniedException",
    "message": "Your account does not currently meet the eligibility requirements.",
    "reason": "AssociateNotEligible",
}
THROTTLED: Final = {"type": "ThrottleException", "message": "Request was denied due to request throttling."}
_PAGE: Final = 10
_PAGES: Final = 10


class AmazonStandIn(StandIn):
    """The Creators API with `wares` on sale.

    Args:
        wares: default 12 plain ones.
        port: 0 takes a free one.
        version: of the credential; 2.x and 3.x get their tokens in different ways.
    """

    def __init__(self, wares: Sequence[Ware] | None = None, port: int = 0, version: str = "3.1") -> None:
        super().__init__(port)
        self.wares = list(plain(12) if wares is None else wares)
        self.version = version
        self.minted: list[str] = []
        self.revoked: set[str] = set()
        self.partial: list[dict[str, str]] = []
        AccessDeniedExceptionResponseContent.from_dict(NOT_ELIGIBLE)
        ThrottleExceptionResponseContent.from_dict(THROTTLED)

    @property
    def token_url(self) -> str:
        """Where tokens of its version are had."""
        return self.url + (LWA_PATH if self.version.startswith("3") else COGNITO_PATH)

    def revoke(self) -> None:
        """All tokens minted so far are refused from now on."""
        self.revoked.update(self.minted)

    # -- answers -----------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """What a sound server answers."""
        if request.path in (LWA_PATH, COGNITO_PATH) and request.method == "POST":
            return self._token(request)
        if request.path.startswith(PICTURES):
            return self._picture(request)
        if request.path != SEARCH or request.method != "POST":
            return Answer.of({}, 404)
        if not self._authorised(request):
            refusal = {"type": "UnauthorizedException", "message": "Refused.", "reason": "InvalidToken"}
            return Answer.of(refusal, 401)
        faults = _request_faults(request)
        if faults:
            for fault in faults:
                self.violation(f"{request.path}: {fault}")
            refusal = {"message": "; ".join(faults), "reason": "FieldValidationFailed"}
            return Answer.of({"type": "ValidationException", **refusal}, 400)
        if request.json["partnerTag"] != TAG:
            refusal = {"message": "The partner tag is invalid.", "reason": "InvalidPartnerTag"}
            return Answer.of({"type": "ValidationException", **refusal}, 400)
        return self._search(request)

    def _token(self, request: Request) -> Answer:
        lwa = request.path == LWA_PATH
        if lwa != self.version.startswith("3"):
            self.violation(f"{request.path}: not where version {self.version} has its tokens")
        if lwa:
            given = request.json or {}
        else:
            given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        expected = {
            "grant_type": "client_credentials",
            "client_id": CREDENTIAL_ID,
            "client_secret": SECRET,
            "scope": "creatorsapi::default" if lwa else "creatorsapi/default",
        }
        if given.get("client_id") != CREDENTIAL_ID or given.get("client_secret") != SECRET:
            return Answer.of({"error": "invalid_client", "error_description": "Client failed."}, 401)
        if given != expected:
            self.violation(f"{request.path}: the fields are {sorted(given)}")
            return Answer.of({"error": "invalid_request"}, 400)
        self.minted.append(f"Atc|stand-in-token-{len(self.minted)}")
        return Answer.of({"access_token": self.minted[-1], "expires_in": 3600, "token_type": "bearer"})

    def _authorised(self, request: Request) -> bool:
        tail = "" if self.version.startswith("3") else f", Version {self.version}"
        given = request.headers.get("authorization", "")
        return any(given == f"Bearer {token}{tail}" for token in self.minted if token not in self.revoked)

    def _search(self, request: Request) -> Answer:
        phrase, page = request.json["keywords"], int(request.json.get("itemPage", 1))
        numbers = [] if "nothing" in phrase else list(range(len(self.wares)))
        turn = zlib.crc32(phrase.encode()) % max(1, len(numbers))
        numbers = (numbers[turn:] + numbers[:turn])[: _PAGE * _PAGES]
        shown = numbers[(page - 1) * _PAGE : page * _PAGE]
        content: dict[str, Any] = {"errors": self.partial} if self.partial else {}
        if shown:
            wanted = set(request.json.get("resources") or [])
            content["searchResult"] = {
                "totalResultCount": len(numbers),
                "searchURL": f"https://{request.headers['x-marketplace']}/s?k=x&tag={TAG}",
                "items": [self._item(number, wanted, request.headers["x-marketplace"]) for number in shown],
            }
        elif not self.partial:
            content["errors"] = [{"code": "NoResults", "message": "No results found for your request."}]
        for fault in _answer_faults(content):
            self.violation(f"the answer to {request.path}: {fault}")
        return Answer.of(content)

    def _item(self, number: int, wanted: set[str], marketplace: str) -> dict[str, Any]:
        ware, asin = self.wares[number], self.asin(number)
        found: dict[str, Any] = {
            "asin": asin,
            "detailPageURL": f"https://{marketplace}/dp/{asin}?tag={TAG}&linkCode=osi",
        }
        images: dict[str, Any] = {}
        if ware.pictures and any(one.startswith("images.primary") for one in wanted):
            images["primary"] = self._sizes(number, 0, wanted, "primary")
        if ware.pictures[1:] and any(one.startswith("images.variants") for one in wanted):
            views = range(1, len(ware.pictures))
            images["variants"] = [self._sizes(number, view, wanted, "variants") for view in views]
        if images:
            found["images"] = images
        info: dict[str, Any] = {}
        if "itemInfo.title" in wanted:
            info["title"] = {"displayValue": ware.title, "label": "Title", "locale": "en_US"}
        if "itemInfo.byLineInfo" in wanted and ware.brand:
            info["byLineInfo"] = {"brand": {"displayValue": ware.brand, "label": "Brand", "locale": "en_US"}}
        if info:
            found["itemInfo"] = info
        return found

    def _sizes(self, number: int, view: int, wanted: set[str], kind: str) -> dict[str, Any]:
        """The sizes asked for; ``highRes`` comes as ``hiRes``, and not for every picture."""
        url = f"{self.url}{PICTURES}{number}/{view}"
        found: dict[str, Any] = {}
        if f"images.{kind}.large" in wanted:
            found["large"] = {"url": f"{url}.large.jpg", "width": 500, "height": 500}
        if f"images.{kind}.highRes" in wanted and number % 2 == 0:
            found["hiRes"] = {"url": f"{url}.jpg", "width": 1500, "height": 1500}
        return found

    def _picture(self, request: Request) -> Answer:
        parts = re.fullmatch(r"(\d+)/(\d+)(\.large)?\.jpg", request.path.removeprefix(PICTURES))
        try:
            body = self.wares[int(parts[1])].pictures[int(parts[2])] if parts else b""
        except IndexError:
            body = b""
        if not body:
            return Answer.of({}, 404)
        return Answer(200, body, "image/png" if body.startswith(b"\x89PNG") else "image/jpeg")

    # -- what it sells -----------------------------------------------------------------------------

    @staticmethod
    def asin(number: int) -> str:
        """The id of a product."""
        return f"B0{number:08d}"

    @staticmethod
    def number(asin: str) -> int:
        """Which ware an id is of."""
        return int(asin[2:])


def _request_faults(request: Request) -> list[str]:
    from amazon_creatorsapi.core.marketplaces import MARKETPLACES

    faults = []
    given = request.json
    if not isinstance(given, dict):
        return ["the body is no JSON object"]
    if request.headers.get("x-marketplace") not in MARKETPLACES.values():
        faults.append("x-marketplace is missing or unknown")
    known = {field.alias or name for name, field in SearchItemsRequestContent.model_fields.items()}
    faults += [f"unknown field {name}" for name in given if name not in known]
    try:
        SearchItemsRequestContent.from_dict(given)
    except ValidationError as error:
        faults += [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    if not 1 <= given.get("itemCount", _PAGE) <= _PAGE:
        faults.append("itemCount is not from 1 to 10")
    return faults


def _answer_faults(content: dict[str, Any]) -> list[str]:
    """What the SDK does not read of an answer: a field that Amazon would not send."""
    read = SearchItemsResponseContent.from_dict(content)
    back = json.loads(json.dumps(read.to_dict() if read else {}))
    return [] if back == content else [f"read back as {json.dumps(back)[:300]}"]


def _made(given: argparse.Namespace) -> AmazonStandIn:
    if given.folder:
        wares = of_folder(given.folder)
    else:
        wares = drawn(given.drawn, 7) if given.drawn else plain(given.plain)
    return AmazonStandIn(wares, given.port)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A stand-in for Amazon's Creators API.")
    options.add_argument("--folder", type=Path, help="sells the products of its products.csv")
    options.add_argument("--drawn", type=int, default=0, help="sells so many drawn products")
    options.add_argument("--plain", type=int, default=12, help="sells so many plain products")
    serve(_made, options)
