"""What the shops' sources share: accounts, tokens, products and pages, and one collection from a search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, Self, TypeVar

from pvm_core.errors import Problem
from pvm_core.money import Price
from pvm_core.product_facts import Facts
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.sources.answered_facts import facts_of
from pvm_resources.sources.base import (
    Collected,
    PictureRef,
    ProductRecord,
    Query,
    SourceStateName,
    SourceStatus,
)
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.faults import LATER, CallError, SourceError, TooManyError
from pvm_resources.sources.rate_limit import SHOP_RETRIES, RequestLimits, retried
from pvm_resources.sources.search_phrases import Phrases
from pvm_resources.sources.urls import is_web_url
from pvm_resources.store.oauth_tokens import OAuthTokens, Token

T = TypeVar("T")

#: The stage these problems belong to.
STAGE: Final = "products"
#: Products where the job names no number.
TOP_DEFAULT: Final = 50


@dataclass(frozen=True)
class ShopProduct:
    """A product of a shop.

    Attributes:
        external_id: its id in the shop.
        title, brand, url: as given; "" where there is none.
        pictures: addresses, the main one first, without repeats.
        item_id: the id that requests for its own page take; "" where there are none.
        price, facts: as the shop states them.
    """

    external_id: str
    title: str
    brand: str
    url: str
    pictures: tuple[str, ...]
    item_id: str = ""
    price: Price = field(default_factory=Price)
    facts: Facts = field(default_factory=Facts)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ShopProduct:
        """A product stored with `dataclasses.asdict`."""
        texts = (stored["title"], stored["brand"], stored["url"])
        return cls(
            stored.get("external_id", ""),
            *texts,
            tuple(stored["pictures"]),
            stored.get("item_id", ""),
            Price(**stored.get("price", {})),
            facts_of(stored.get("facts", {})),
        )

    def record(self, source: str, namespace: str) -> ProductRecord:
        """The product as sources answer it."""
        pictures = tuple(PictureRef(url) for url in self.pictures)
        return ProductRecord(
            source, namespace, self.external_id, self.title, self.brand, self.url, pictures,
            price=self.price.amount, currency=self.price.currency, facts=self.facts,
        )  # fmt: skip


@dataclass(frozen=True)
class ShopPage:
    """A page of a search.

    Attributes:
        products: in the shop's order.
        more: another page follows.
        errors: what the shop could not give, in its own words.
    """

    products: tuple[ShopProduct, ...]
    more: bool
    errors: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ShopPage:
        """A page stored with `dataclasses.asdict`."""
        products = tuple(map(ShopProduct.from_json, stored["products"]))
        return cls(products, stored["more"], tuple(stored["errors"]))


class ShopClient(ABC):
    """Sends requests to a shop's API.

    Args:
        context: tokens and budgets.
        retries: how often a request is sent, and after which pauses.
        limits: what one request may cost.
    """

    #: The source's name, and the shop's for messages.
    source: ClassVar[str]
    shop: ClassVar[str]

    def __init__(self, context: SourceContext, retries: RetryPolicy, limits: RequestLimits) -> None:
        self._tokens = context.oauth_tokens
        self._quotas = context.quotas
        self._retries = retries
        self._limits = limits

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def _retrying(self, request: Callable[[], T]) -> T:
        """What `request` returns, sent again while it fails in a way that may pass.

        Raises:
            CallError: this request failed.
            SourceError: ``source.rate_limited``: the shop takes no more requests.
        """
        try:
            return retried(self._retries, request)
        except TooManyError as error:
            raise error.ending(self.source, self.shop) from error


class ShopSource(ABC):
    """Products from a shop's API.

    Args:
        context: what a source is given.
        retries: how often a request is sent, and after which pauses.
        limits: what one request may cost.
    """

    #: The source's name in commands, statuses and rows.
    name: ClassVar[str]

    def __init__(
        self,
        context: SourceContext,
        *,
        retries: RetryPolicy = SHOP_RETRIES,
        limits: RequestLimits | None = None,
    ) -> None:
        self._context = context
        self._retries = retries
        self._limits = limits or RequestLimits()
        #: What the shop's licence allows, with what this machine sets.
        self.policy = context.policy

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """The query's first `limit` products (default 50), its phrases in turn."""
        try:
            return self._collect(query, query.limit or TOP_DEFAULT)
        except SourceError as error:
            return Collected(error.status, ())

    @abstractmethod
    def _collect(self, query: Query, limit: int) -> Collected[ProductRecord]:
        """The first `limit` products; raises SourceError where the account cannot be used."""


@dataclass
class ShopSearch(ABC):
    """One collection: what it met so far.

    Attributes:
        source: the source's name.
        problems: what could not be used.
        failed: searches that failed.
        ended: why no request can succeed any more.
    """

    source: ClassVar[str]
    #: For a status, e.g. "nothing is listed for".
    nothing: ClassVar[str]

    context: SourceContext
    problems: list[Problem] = field(default_factory=list)
    failed: list[CallError] = field(default_factory=list)
    ended: SourceError | None = None

    def products(self, phrase: str, places: Iterable[int]) -> Iterator[ShopProduct]:
        """A phrase's products, page by page, as far as they are read."""
        for place in places:
            try:
                page = self.page(phrase, place)
            except CallError as error:
                self.failed.append(error)
                self.problem(error)
                return
            except SourceError as error:
                self.ended = self.ended or error
                return
            yield from page.products
            if not page.more:
                return

    @abstractmethod
    def page(self, phrase: str, place: int) -> ShopPage:
        """The page at a place of the search."""

    def stored_page(self, key: str, request: Callable[[], ShopPage]) -> ShopPage:
        """The page that this job was answered before, else what `request` returns, stored."""
        stored = self.context.answers.get(key)
        if stored is not None:
            return ShopPage.from_json(stored)
        page = request()
        self.context.answers.put(key, asdict(page))
        return page

    def problem(self, error: CallError) -> None:
        """Adds a problem."""
        self.problems.append(Problem.of(STAGE, error))

    def status(self, phrases: Phrases, records: Sequence[ProductRecord]) -> SourceStatus:
        """The state of the source after the collection."""
        note = f"; {phrases.note}" if phrases.note else ""
        so_far = f"; {len(records)} products were found" if records else ""
        if self.ended is not None:
            state = "partial" if self.ended.state == "failed" and records else self.ended.state
            return SourceStatus(self.source, state, f"{self.ended.reason}{so_far}{note}", self.ended.remedy)
        if (loss := self.loss(records, so_far)) is not None:
            state, reason, remedy = loss
            return SourceStatus(self.source, state, f"{reason}{note}", remedy)
        if not records:
            searched = ", ".join(repr(phrase) for phrase in phrases.phrases[:3])
            reason = f"{self.nothing} {searched}{note}"
            return SourceStatus(self.source, "ok", reason, "Give the industry other phrases")
        return SourceStatus(self.source, "ok", phrases.note)

    @abstractmethod
    def loss(self, records: Sequence[ProductRecord], so_far: str) -> tuple[SourceStateName, str, str] | None:
        """State, reason and remedy where something could not be used; None where everything could."""


# -- accounts, tokens, requests ----------------------------------------------------------------------


def require(source: str, settings: Mapping[str, object], remedy: str) -> None:
    """Passes where all of these variables are set.

    Raises:
        SourceError: ``source.not_configured``, naming those that are not.
    """
    missing = [name for name, value in settings.items() if not value]
    if missing:
        named = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        reason = f"{named} {'is' if len(missing) == 1 else 'are'} not set"
        raise SourceError.of("not_configured", source, reason, remedy)


def api_address(source: str, variable: str, given: str) -> str:
    """The address of an API without a final slash.

    Raises:
        SourceError: ``source.not_configured``: the variable holds no http(s) URL.
    """
    if not is_web_url(given):
        reason = f"{variable} is no http(s) URL"
        raise SourceError.of("not_configured", source, reason, "Correct it, or leave it out")
    return given.rstrip("/")


def shared_token(tokens: OAuthTokens, source: str, account: str, mint: Callable[[], Token]) -> str:
    """The account's token, minted by one process where none is valid.

    Raises:
        SourceError: none can be minted.
    """
    try:
        return tokens.token(source, account, mint)
    except CallError as error:
        raise SourceError.of("failed", source, f"no token could be had: {error.reason}", LATER) from error
