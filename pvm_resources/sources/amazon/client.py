"""Amazon's Creators API through python-amazon-paapi: pages of products, typed refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import urllib3
from amazon_creatorsapi import AmazonCreatorsApi
from amazon_creatorsapi.errors import (
    AccessDeniedError,
    AmazonCreatorsApiError,
    AssociateValidationError,
    AuthenticationError,
    InvalidArgumentError,
    ItemsNotFoundError,
    TooManyRequestsError,
)
from creatorsapi_python_sdk.configuration import Configuration
from creatorsapi_python_sdk.exceptions import ApiException
from creatorsapi_python_sdk.models.images import Images
from creatorsapi_python_sdk.models.item import Item
from creatorsapi_python_sdk.models.search_items_resource import SearchItemsResource as Resource
from creatorsapi_python_sdk.models.search_result import SearchResult
from creatorsapi_python_sdk.rest import RESTClientObject, RESTResponse

from pvm_core.errors import PvmError
from pvm_resources.http.retry import retry_after
from pvm_resources.sources.amazon.account import (
    NAME,
    AmazonAccount,
    SharedTokens,
    refused_tag,
    refused_token,
)
from pvm_resources.sources.faults import LATER, CallError, SourceError, TooManyError
from pvm_resources.sources.rate_limit import RequestLimits
from pvm_resources.sources.shop import ShopClient, ShopPage, ShopProduct
from pvm_resources.sources.urls import is_web_url
from pvm_resources.store.base import clean

T = TypeVar("T")

#: Products of a page and pages of a search: the most that the API gives.
PAGE: Final = 10
PAGES: Final = 10
#: Requests are this far apart, seconds: the rate a new account starts with.
RATE_S: Final = 1.0
#: How an empty answer calls itself; that is no error.
_NOTHING: Final = "NoResults"
_PIECE: Final = 65_536
#: A page of ten products is 50 kB.
_MAX_BYTES: Final = 5_000_000
_RESOURCES: Final = [
    Resource.IMAGES_DOT_PRIMARY_DOT_LARGE,
    Resource.IMAGES_DOT_PRIMARY_DOT_HIGH_RES,
    Resource.IMAGES_DOT_VARIANTS_DOT_LARGE,
    Resource.IMAGES_DOT_VARIANTS_DOT_HIGH_RES,
    Resource.ITEM_INFO_DOT_TITLE,
    Resource.ITEM_INFO_DOT_BY_LINE_INFO,
]


class CreatorsClient(ShopClient):
    """Searches one marketplace, one request a second.

    The library sends, throttles and reads; retries are made here, so that ``Retry-After`` is kept to, and a
    wait of an hour is an error instead.

    Args:
        account: whose credential is used.
        rate_s: seconds between two requests.
        shared: as `ShopClient` takes them.
    """

    source = NAME
    shop = "Amazon"

    def __init__(self, account: AmazonAccount, rate_s: float, *shared: Any) -> None:
        super().__init__(*shared)
        self._account = account
        tokens = SharedTokens(account, self._tokens, self._retrying, self._limits)
        self._api = _Api(account, tokens, rate_s, self._limits)

    def close(self) -> None:
        """Closes the connections."""
        self._api.close()

    def search(self, phrase: str, number: int) -> ShopPage:
        """A page of products.

        Args:
            number: from 1 to 10.

        Raises:
            CallError: this request failed: ``amazon.refused``, ``amazon.server``, ``amazon.unreachable``,
                ``amazon.unreadable``.
            SourceError: no request can succeed now.
        """
        return self._retrying(lambda: self._search(phrase, number))

    def _search(self, phrase: str, number: int) -> ShopPage:
        subject = f"search {phrase!r}"
        try:
            result = self._api.search_items(
                keywords=phrase, item_count=PAGE, item_page=number, resources=_RESOURCES
            )
        except ItemsNotFoundError as error:
            if _is_api_refusal(error) and not _refusal(error):
                raise CallError(
                    "amazon.refused", subject, "Amazon answers 404", "Check AMAZON_API_URL"
                ) from error
            return ShopPage((), False, self._api.partial_errors)
        except AmazonCreatorsApiError as error:
            raise self._fault(error, subject) from error
        except (ValueError, TypeError, LookupError) as error:
            # The library lets the errors of its parsers through.
            reason = f"Amazon's answer cannot be used ({type(error).__name__})"
            raise CallError.passing("amazon.unreadable", subject, reason) from error
        return parse_page(result, number, self._api.partial_errors)

    def _fault(self, error: AmazonCreatorsApiError, subject: str) -> PvmError:
        body = _refusal(error)
        message = ": ".join(str(body[name])[:200] for name in ("reason", "message") if body.get(name))
        cause = error.__cause__
        status = cause.status if isinstance(cause, ApiException) else None
        if isinstance(error, AccessDeniedError):
            return _denied(str(body.get("reason")), message)
        if isinstance(error, AssociateValidationError) or body.get("reason") == "InvalidPartnerTag":
            return refused_tag(self._account, message)
        if isinstance(error, AuthenticationError):
            return refused_token(message or "401")
        if isinstance(error, TooManyRequestsError):
            return TooManyError.passing("amazon.too_many", subject, message or "429", _retry_after(cause))
        if isinstance(error, InvalidArgumentError):
            return CallError(
                "amazon.refused", subject, f"Amazon refuses it: {message or 400}", "Correct the phrase"
            )
        if isinstance(cause, urllib3.exceptions.HTTPError):
            reason = f"Amazon is out of reach, or does not answer in time ({type(cause).__name__})"
            return CallError.passing("amazon.unreachable", subject, reason)
        if not status:
            reason = "Amazon's answer cannot be used: it is no JSON"
            return CallError.passing("amazon.unreadable", subject, reason)
        reason = f"Amazon answers {status} {message}".strip()
        if status < 500:
            return CallError("amazon.server", subject, reason, LATER, retryable=False)
        return CallError.passing("amazon.server", subject, reason, _retry_after(cause))


class _Api(AmazonCreatorsApi):
    """The library's client with tokens of ours, answers in time, and the partial errors that it drops."""

    def __init__(
        self, account: AmazonAccount, tokens: SharedTokens, rate_s: float, limits: RequestLimits
    ) -> None:
        super().__init__(
            account.credential_id,
            account.secret.get_secret_value(),
            account.version,
            account.partner_tag,
            marketplace=account.marketplace,
            throttling=rate_s,
            timeout=(limits.connect_s, limits.read_s),
            retries=0,
            host=account.api_url,
            auth_endpoint=account.token_url,
        )
        self._api_client._token_manager = tokens
        self._api_client.rest_client = _WholeAnswers(self._api_client.configuration, limits.total_s)
        self.partial_errors: tuple[str, ...] = ()

    def _call(self, operation: Callable[..., T], **kwargs: Any) -> T:
        self.partial_errors = ()
        response = super()._call(operation, **kwargs)
        errors = [one for one in getattr(response, "errors", None) or [] if one.code != _NOTHING]
        self.partial_errors = tuple(clean(f"{error.code}: {error.message}")[:300] for error in errors)
        return response


class _WholeAnswers(RESTClientObject):
    """The SDK's transport with a limit of time and size: its own waits without end for an answer that comes a
    byte at a time."""

    def __init__(self, configuration: Configuration, total_s: float) -> None:
        super().__init__(configuration)
        self._total_s = total_s

    def request(self, method: str, url: str, *given: Any, **named: Any) -> RESTResponse:
        deadline = time.monotonic() + self._total_s
        answer: RESTResponse = super().request(method, url, *given, **named)  # type: ignore[no-untyped-call]
        body = bytearray()
        while piece := answer.response.read1(_PIECE):
            body += piece
            if time.monotonic() > deadline or len(body) > _MAX_BYTES:
                answer.response.close()
                raise urllib3.exceptions.HTTPError("the answer is too long or too slow")
        answer.data = bytes(body)  # type: ignore[assignment]  # where `read` keeps it; typed by its first value
        return answer


def parse_page(result: SearchResult, number: int, errors: tuple[str, ...] = ()) -> ShopPage:
    """The products of a search's answer; one without an ASIN is left out."""
    items = result.items or []
    products = tuple(product for item in items if (product := _product(item)) is not None)
    total = result.total_result_count
    more = bool(items) and number < PAGES and (number * PAGE < total if total else len(items) >= PAGE)
    return ShopPage(products, more, errors)


def _product(item: Item) -> ShopProduct | None:
    asin = clean(item.asin or "").strip()
    if not asin.isalnum() or len(asin) > 20:
        return None
    info = item.item_info
    title = info.title.display_value if info and info.title else None
    by_line = info.by_line_info if info else None
    brand = by_line.brand.display_value if by_line and by_line.brand else None
    return ShopProduct(
        asin,
        clean(title or ""),
        clean(brand or ""),
        clean(item.detail_page_url or ""),
        tuple(dict.fromkeys(_pictures(item.images))),
    )


def _pictures(images: Images | None) -> Iterator[str]:
    if images is None:
        return
    for image in (images.primary, *(images.variants or [])):
        # Named highRes in requests, hiRes in answers.
        sizes = (image.hi_res, image.large, image.medium, image.small) if image else ()
        url = next((size.url for size in sizes if size and size.url), "")
        if is_web_url(url):
            yield url


def _denied(reason: str, message: str) -> SourceError:
    if reason == "AssociateNotEligible":
        remedy = (
            "Amazon opens the API to an Associate's account after 10 qualified sales in 30 days, and closes "
            "it again when sales stop; Associates Central shows the account's state"
        )
        return SourceError.of("not_eligible", NAME, f"the account is not eligible ({message})", remedy)
    remedy = (
        "Check that credential, AMAZON_PARTNER_TAG and AMAZON_MARKETPLACE belong to one account and region"
    )
    return SourceError.of("not_eligible", NAME, f"Amazon denies access ({message or 403})", remedy)


def _is_api_refusal(error: AmazonCreatorsApiError) -> bool:
    return isinstance(error.__cause__, ApiException)


def _refusal(error: AmazonCreatorsApiError) -> Mapping[str, Any]:
    """The body of the refusal; nothing where it is no JSON object."""
    cause = error.__cause__
    body = cause.body if isinstance(cause, ApiException) else None
    try:
        found = json.loads(body) if isinstance(body, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _retry_after(cause: BaseException | None) -> float | None:
    headers = cause.headers if isinstance(cause, ApiException) else None
    return retry_after(headers.get("Retry-After")) if headers else None
