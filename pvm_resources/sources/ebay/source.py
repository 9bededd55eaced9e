"""eBay as a source of products: search, then each listing's own page for its brand and gallery."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from pvm_core.errors import Problem, PvmError
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import Collected, PictureRef, ProductRecord, Query, SourceStatus
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.ebay import markets
from pvm_resources.sources.ebay.account import NAME, Account
from pvm_resources.sources.ebay.client import BrowseClient
from pvm_resources.sources.ebay.parsing import Listing, Page, parse_item, parse_page
from pvm_resources.sources.faults import CallError, SourceError
from pvm_resources.sources.rate_limit import Limits, Pace
from pvm_resources.sources.search_phrases import Phrases, choose_phrases, round_robin

#: The stage these problems belong to.
STAGE: Final = "products"
#: Listings where the job names no number: 51 calls of the 5,000 a new key set has in a day.
TOP_DEFAULT: Final = 50
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


class Ebay:
    """Products from eBay's Browse API.

    K products cost one call for the search and K for their pages, of which
    ``EBAY_DAILY_CALLS`` are taken a day. A product is a listing: its variants share one id, and its gallery
    shows all of them. A listing whose page cannot be had keeps the search's pictures, without a brand, and
    gets a problem that says so.

    Args:
        context: what a source is given.
        pace: how often and how long to try again.
        limits: what one request may cost.
    """

    def __init__(
        self, context: SourceContext, *, pace: Pace | None = None, limits: Limits | None = None
    ) -> None:
        self._context = context
        self._pace = pace or Pace()
        self._limits = limits or Limits()

    @property
    def name(self) -> str:
        """``ebay``."""
        return NAME

    @property
    def policy(self) -> SourcePolicy:
        """What eBay's licence allows, with what this machine sets."""
        return self._context.policy

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """The query's first `limit` listings (default 50), its phrases in turn."""
        try:
            account = Account.of(self._context.settings)
        except SourceError as error:
            return Collected(error.status, ())
        phrases = choose_phrases(query, markets.languages(account.marketplace))
        locale = markets.locale(account.marketplace, phrases.language)
        with BrowseClient(account, locale, self._context.ledger, self._pace, self._limits) as client:
            run = _Run(self._context, client, f"{account.marketplace}|{locale}")
            return run.collect(phrases, query.limit or TOP_DEFAULT)


class _Run:
    """One collection: what it met so far."""

    def __init__(self, context: SourceContext, client: BrowseClient, market: str) -> None:
        self._context = context
        self._client = client
        self._market = market
        self._lock = threading.Lock()
        self._problems: list[Problem] = []
        self._ended: SourceError | None = None
        self._faults = 0

    def collect(self, phrases: Phrases, limit: int) -> Collected[ProductRecord]:
        asked = [fitted for phrase in phrases.phrases if (fitted := self._fit(phrase))]
        size = min(PAGE_MAX, max(_PAGE_MIN, math.ceil(limit / max(1, len(asked)))))
        streams = [self._listings(phrase, size) for phrase in dict.fromkeys(asked)]
        found = list(round_robin(streams, lambda one: one.listing_id, limit))
        records: list[ProductRecord] = []
        lost: list[Problem] = []
        for listing, problem in self._all_whole(found):
            if problem is not None:
                lost.append(problem)
            if listing.pictures:
                records.append(_record(listing))
        status = self._status(phrases, len(found), records, lost)
        return Collected(status, tuple(records), (*self._problems, *lost))

    # -- searching ---------------------------------------------------------------------------------

    def _fit(self, phrase: str) -> str:
        fitted = markets.fit(phrase)
        if len(phrase) > markets.PHRASE_MAX or not fitted:
            done = f"it was cut to {fitted!r}" if fitted else "nothing of it is left to search for"
            error = CallError("ebay.phrase", phrase, done, f"Give at most {markets.PHRASE_MAX} characters")
            self._problems.append(Problem.of(STAGE, error))
        return fitted

    def _listings(self, phrase: str, size: int) -> Iterator[Listing]:
        """A phrase's listings, page by page, as far as they are asked for."""
        for offset in range(0, OFFSET_END, size):
            try:
                page = self._page(phrase, offset, size)
            except CallError as error:
                self._problems.append(Problem.of(STAGE, error))
                return
            except SourceError:
                return
            yield from page.listings
            if not page.more:
                return

    def _page(self, phrase: str, offset: int, size: int) -> Page:
        key = f"search|{self._market}|{phrase}|{offset}|{size}"
        kept = self._context.answers.get(key)
        if kept is not None:
            return Page.from_json(kept)
        with _Watched(self):
            page = parse_page(self._client.search(phrase, offset, size), f"search {phrase!r}")
        self._context.answers.put(key, page.to_json())
        return page

    # -- listings ----------------------------------------------------------------------------------

    def _all_whole(self, found: list[Listing]) -> Iterator[tuple[Listing, Problem | None]]:
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            for done, whole in enumerate(pool.map(self._whole, found), start=1):
                if done % _REPORT_EVERY == 0 or done == len(found):
                    self._context.report(f"eBay: {done} of {len(found)} listings")
                yield whole
        finally:
            # Whoever interrupts a job must not wait for what has not been asked yet.
            pool.shutdown(cancel_futures=True)

    def _whole(self, listing: Listing) -> tuple[Listing, Problem | None]:
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
        )
        return whole, None if whole.pictures else _without_pictures(listing)

    def _item(self, item_id: str) -> Listing:
        key = f"item|{self._market}|{item_id}"
        kept = self._context.answers.get(key)
        if kept is not None:
            if "refused" in kept:
                raise CallError("ebay.refused", item_id, kept["refused"], _GONE)
            return Listing.from_json(kept)
        try:
            with _Watched(self):
                listing = parse_item(self._client.item(item_id), item_id)
        except CallError as error:
            if error.code == "ebay.refused":
                # A listing that is gone stays gone: no call of the budget is due to it again.
                self._context.answers.put(key, {"refused": error.reason})
                raise CallError(error.code, item_id, error.reason, _GONE) from error
            raise
        self._context.answers.put(key, listing.to_json())
        return listing

    # -- what it comes to --------------------------------------------------------------------------

    def check(self) -> None:
        """Raises what ended the asking, where something has."""
        with self._lock:
            if self._ended is not None:
                raise self._ended

    def answered(self) -> None:
        """A request was answered, be it with a refusal."""
        with self._lock:
            self._faults = 0

    def failed(self, error: PvmError) -> None:
        """A request failed for good."""
        with self._lock:
            if isinstance(error, SourceError):
                self._ended = self._ended or error
                return
            self._faults += 1
            if self._faults >= _FAULTS_MAX and self._ended is None:
                reason = f"{self._faults} requests in a row failed; the last: {error.reason}"
                self._ended = SourceError.of("failed", NAME, reason, error.remedy)

    def _status(
        self, phrases: Phrases, found: int, records: list[ProductRecord], lost: list[Problem]
    ) -> SourceStatus:
        note = f"; {phrases.note}" if phrases.note else ""
        so_far = f"; {len(records)} products were found" if records else ""
        if self._ended is not None:
            state = "partial" if self._ended.state == "failed" and records else self._ended.state
            return SourceStatus(NAME, state, f"{self._ended.reason}{so_far}{note}", self._ended.remedy)
        searches = [problem for problem in self._problems if problem.code != "ebay.phrase"]
        failures = (*searches, *lost)
        if failures:
            counted = f"{len(lost)} of {found} listings without their page" if lost else "a search failed"
            reason = f"{counted}: {failures[0].item}: {failures[0].message}{note}"
            return SourceStatus(NAME, "partial" if records else "failed", reason, "See the job's problems")
        if not records:
            asked = ", ".join(repr(phrase) for phrase in phrases.phrases[:3])
            return SourceStatus(
                NAME, "ok", f"nothing is listed for {asked}{note}", "Give the industry other phrases"
            )
        return SourceStatus(NAME, "ok", phrases.note)


class _Watched:
    """A request under way: it is not sent once the asking has ended, and its fault counts towards that."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._run.check()

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if isinstance(value, SourceError) or (isinstance(value, CallError) and value.retryable):
            self._run.failed(value)
        elif value is None or isinstance(value, CallError):
            self._run.answered()


_GONE: Final = "The listing may have ended; nothing is to be done"


def _without_page(listing: Listing, error: PvmError) -> Problem:
    kept = len(listing.pictures)
    instead = f"used with the {kept} pictures of the search and no brand" if kept else "left out: no pictures"
    reason = f"its page could not be had ({error.reason}); {instead}"
    code = "ebay.not_asked" if isinstance(error, SourceError) else error.code
    return Problem(STAGE, listing.item_id, code, f"{reason}. {error.remedy}", error.retryable)


def _without_pictures(listing: Listing) -> Problem:
    error = CallError("ebay.no_picture", listing.item_id, "the listing shows no picture", "It was left out")
    return Problem.of(STAGE, error)


def _record(listing: Listing) -> ProductRecord:
    return ProductRecord(
        source=NAME,
        namespace=NAME,
        external_id=listing.listing_id,
        title=listing.title,
        brand=listing.brand,
        url=listing.url,
        pictures=tuple(PictureRef(url) for url in listing.pictures),
    )
