"""eBay as a source of products: search, then each listing's own page for its brand and gallery."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from pvm_core.errors import Problem, PvmError
from pvm_resources.sources.base import Collected, ProductRecord, Query, SourceStateName
from pvm_resources.sources.ebay import markets
from pvm_resources.sources.ebay.account import NAME, EbayAccount
from pvm_resources.sources.ebay.client import BrowseClient
from pvm_resources.sources.ebay.parsing import parse_item, parse_page
from pvm_resources.sources.faults import CallError, SourceError
from pvm_resources.sources.search_phrases import Phrases, choose_phrases, round_robin
from pvm_resources.sources.shop import STAGE, ShopPage, ShopProduct, ShopSearch, ShopSource

#: eBay's largest page, and where its results end whatever their total says.
PAGE_MAX: Final = 200
OFFSET_END: Final = 10_000
#: A page costs one call however short it is; listings that two phrases share leave room for others.
_PAGE_MIN: Final = 20
#: Requests under way at once.
_AT_ONCE: Final = 4
#: So many requests in a row that all failed, with their retries: the server is down, not a listing.
_FAULTS_MAX: Final = 3
_REPORT_EVERY: Final = 10


def page_size(phrases: int, limit: int) -> int:
    """Listings of one page where so many phrases share `limit`."""
    return min(PAGE_MAX, max(_PAGE_MIN, math.ceil(limit / max(1, phrases))))


class Ebay(ShopSource):
    """Products from eBay's Browse API.

    K products cost one call for the search and K for their pages, of which
    ``EBAY_DAILY_CALLS`` are taken a day. A product is a listing: its variants share one id, and its gallery
    shows all of them. A listing whose page cannot be read keeps the search's pictures, without a brand, and
    gets a problem that says so.
    """

    name = NAME

    def _collect(self, query: Query, limit: int) -> Collected[ProductRecord]:
        account = EbayAccount.of(self._context.settings)
        phrases = choose_phrases(query, markets.languages(account.marketplace))
        locale = markets.locale(account.marketplace, phrases.language)
        with BrowseClient(account, locale, self._context, self._retries, self._limits) as client:
            search = _EbaySearch(self._context, client=client, market=f"{account.marketplace}|{locale}")
            return search.collect(phrases, limit)


@dataclass(kw_only=True)
class _EbaySearch(ShopSearch):
    """One collection: what it met so far."""

    source = NAME
    nothing = "nothing is listed for"

    client: BrowseClient
    market: str
    size: int = 0
    listings: int = 0
    lost: list[Problem] = field(default_factory=list)
    _faults: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self, phrases: Phrases, limit: int) -> Collected[ProductRecord]:
        fitted = dict.fromkeys(fitted for phrase in phrases.phrases if (fitted := self._fit(phrase)))
        self.size = page_size(len(fitted), limit)
        streams = [self.products(phrase, range(0, OFFSET_END, self.size)) for phrase in fitted]
        found = list(round_robin(streams, lambda one: one.external_id, limit))
        self.listings = len(found)
        records = tuple(one.record(NAME, NAME) for one in self._all_whole(found) if one.pictures)
        return Collected(self.status(phrases, records), records, (*self.problems, *self.lost))

    # -- searching ---------------------------------------------------------------------------------

    def _fit(self, phrase: str) -> str:
        fitted = markets.fit(phrase)
        if len(phrase) > markets.PHRASE_MAX or not fitted:
            done = f"it was cut to {fitted!r}" if fitted else "nothing of it is left to search for"
            error = CallError("ebay.phrase", phrase, done, f"Give at most {markets.PHRASE_MAX} characters")
            self.problem(error)
        return fitted

    def page(self, phrase: str, place: int) -> ShopPage:
        def request() -> ShopPage:
            with self._watched():
                return parse_page(self.client.search(phrase, place, self.size), f"search {phrase!r}")

        return self.stored_page(f"page|{self.market}|{phrase}|{place}|{self.size}", request)

    # -- listings ----------------------------------------------------------------------------------

    def _all_whole(self, found: list[ShopProduct]) -> Iterator[ShopProduct]:
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            for done, (listing, problem) in enumerate(pool.map(self._whole, found), start=1):
                if done % _REPORT_EVERY == 0 or done == len(found):
                    self.context.report(f"eBay: {done} of {len(found)} listings")
                if problem is not None:
                    self.lost.append(problem)
                yield listing
        finally:
            # The end of an interrupted job does not wait for requests that have not been sent yet.
            pool.shutdown(cancel_futures=True)

    def _whole(self, listing: ShopProduct) -> tuple[ShopProduct, Problem | None]:
        """The listing with what its page adds, or as the search gave it and why."""
        try:
            page = self._item(listing.item_id)
        except (CallError, SourceError) as error:
            return listing, _without_page(listing, error)
        whole = replace(
            listing,
            title=page.title or listing.title,
            brand=page.brand,
            url=page.url or listing.url,
            pictures=page.pictures or listing.pictures,
            price=page.price if page.price.amount else listing.price,
            facts=replace(
                page.facts,
                category=page.facts.category or listing.facts.category,
                attributes={**listing.facts.attributes, **page.facts.attributes},
            ),
        )
        return whole, None if whole.pictures else _without_pictures(listing)

    def _item(self, item_id: str) -> ShopProduct:
        key = f"item|{self.market}|{item_id}"
        stored = self.context.answers.get(key)
        if stored is not None:
            if "refused" in stored:
                raise CallError("ebay.refused", item_id, stored["refused"], _GONE)
            return ShopProduct.from_json(stored)
        try:
            with self._watched():
                listing = parse_item(self.client.item(item_id), item_id)
        except CallError as error:
            if error.code == "ebay.refused":
                # An ended listing does not come back: no further call of the budget is spent on it.
                self.context.answers.put(key, {"refused": error.reason})
                raise CallError(error.code, item_id, error.reason, _GONE) from error
            raise
        self.context.answers.put(key, asdict(listing))
        return listing

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """For one request: it is not sent once the search has ended; faults in a row end it."""
        with self._lock:
            if self.ended is not None:
                raise self.ended
        try:
            yield
        except (SourceError, CallError) as error:
            self._count(error)
            raise
        self._faults = 0

    def _count(self, error: SourceError | CallError) -> None:
        with self._lock:
            if isinstance(error, SourceError):
                self.ended = self.ended or error
            elif not error.retryable:
                self._faults = 0
            else:
                self._faults += 1
                if self._faults >= _FAULTS_MAX and self.ended is None:
                    reason = f"{self._faults} requests in a row failed; the last: {error.reason}"
                    self.ended = SourceError.of("failed", NAME, reason, error.remedy)

    def loss(self, records: Sequence[ProductRecord], so_far: str) -> tuple[SourceStateName, str, str] | None:
        failures = (*(p for p in self.problems if p.code != "ebay.phrase"), *self.lost)
        if not failures:
            return None
        lost = f"{len(self.lost)} of {self.listings} listings without their page"
        reason = f"{lost if self.lost else 'a search failed'}: {failures[0].item}: {failures[0].message}"
        return "partial" if records else "failed", reason, "See the job's problems"


_GONE: Final = "The listing may have ended; nothing is to be done"


def _without_page(listing: ShopProduct, error: PvmError) -> Problem:
    kept = len(listing.pictures)
    instead = f"used with the {kept} pictures of the search and no brand" if kept else "left out: no pictures"
    reason = f"its page could not be had ({error.reason}); {instead}"
    code = "ebay.not_asked" if isinstance(error, SourceError) else error.code
    return Problem(STAGE, listing.item_id, code, f"{reason}. {error.remedy}", error.retryable)


def _without_pictures(listing: ShopProduct) -> Problem:
    error = CallError("ebay.no_picture", listing.item_id, "the listing shows no picture", "It was left out")
    return Problem.of(STAGE, error)
