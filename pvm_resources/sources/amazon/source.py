"""Amazon as a source of products: searches only, no page of the shop is ever read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pvm_core.errors import Problem
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.amazon.account import MARKETS, NAME, Account
from pvm_resources.sources.amazon.client import PAGE, PAGES, RATE_S, CreatorsClient, Page, Product
from pvm_resources.sources.base import Collected, PictureRef, ProductRecord, Query, SourceStatus
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.faults import CallError, SourceError
from pvm_resources.sources.rate_limit import Limits, Pace
from pvm_resources.sources.search_phrases import Phrases, choose_phrases, round_robin

#: The stage these problems belong to.
STAGE: Final = "products"
#: Products where the job names no number: five requests for one phrase.
TOP_DEFAULT: Final = 50


class Amazon:
    """Products from Amazon's Creators API.

    Ten products cost one call, one call takes a second, and a phrase has at most a hundred. A marketplace's
    ids are its own, so the marketplace is their namespace.

    Args:
        context: what a source is given.
        pace: how often and how long to try again.
        limits: what one request may cost.
        rate_s: seconds between two requests.
    """

    def __init__(
        self,
        context: SourceContext,
        *,
        pace: Pace | None = None,
        limits: Limits | None = None,
        rate_s: float = RATE_S,
    ) -> None:
        self._context = context
        self._pace = pace or Pace()
        self._rate_s = rate_s
        self._limits = limits or Limits()

    @property
    def name(self) -> str:
        """``amazon``."""
        return NAME

    @property
    def policy(self) -> SourcePolicy:
        """What the Associates licence allows, with what this machine sets."""
        return self._context.policy

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """The query's first `limit` products (default 50), its phrases in turn."""
        try:
            account = Account.of(self._context.settings)
        except SourceError as error:
            return Collected(error.status, ())
        phrases = choose_phrases(query, MARKETS[account.marketplace])
        ledger = self._context.ledger
        with CreatorsClient(account, ledger, self._pace, self._rate_s, self._limits) as client:
            run = _Run(self._context, client, account.marketplace)
            return run.collect(phrases, query.limit or TOP_DEFAULT)


class _Run:
    """One collection: what it met so far."""

    def __init__(self, context: SourceContext, client: CreatorsClient, marketplace: str) -> None:
        self._context = context
        self._client = client
        self._marketplace = marketplace
        self._problems: list[Problem] = []
        self._failed: list[CallError] = []
        self._ended: SourceError | None = None
        self._at_the_end = False

    def collect(self, phrases: Phrases, limit: int) -> Collected[ProductRecord]:
        streams = [self._products(phrase) for phrase in phrases.phrases]
        records: list[ProductRecord] = []
        for product in round_robin(streams, lambda one: one.asin, limit):
            if product.pictures:
                records.append(self._record(product))
            else:
                error = CallError("amazon.no_picture", product.asin, "it has no picture", "It was left out")
                self._problems.append(Problem.of(STAGE, error))
        status = self._status(phrases, limit, records)
        return Collected(status, tuple(records), tuple(self._problems))

    def _products(self, phrase: str) -> Iterator[Product]:
        """A phrase's products, page by page, as far as they are asked for."""
        for number in range(1, PAGES + 1):
            if self._ended is not None:
                return
            try:
                page = self._page(phrase, number)
            except SourceError as error:
                self._ended = error
                return
            except CallError as error:
                self._failed.append(error)
                self._problems.append(Problem.of(STAGE, error))
                return
            yield from page.products
            if not page.more:
                self._at_the_end = self._at_the_end or number == PAGES
                return

    def _page(self, phrase: str, number: int) -> Page:
        key = f"search|{self._marketplace}|{phrase}|{number}|{PAGE}"
        kept = self._context.answers.get(key)
        if kept is None:
            page = self._client.search(phrase, number)
            self._context.answers.put(key, page.to_json())
            self._context.report(f"Amazon: page {number} of {phrase!r}, {len(page.products)} products")
        else:
            page = Page.from_json(kept)
        for said in page.errors:
            error = CallError(
                "amazon.partial", f"search {phrase!r}", said, "Amazon left it out of its answer"
            )
            self._problems.append(Problem.of(STAGE, error))
        return page

    def _record(self, product: Product) -> ProductRecord:
        return ProductRecord(
            source=NAME,
            namespace=self._marketplace,
            external_id=product.asin,
            title=product.title,
            brand=product.brand,
            url=product.url,
            pictures=tuple(PictureRef(url) for url in product.pictures),
        )

    def _status(self, phrases: Phrases, limit: int, records: list[ProductRecord]) -> SourceStatus:
        note = f"; {phrases.note}" if phrases.note else ""
        so_far = f"; {len(records)} products were found" if records else ""
        if self._ended is not None:
            state = "partial" if self._ended.state == "failed" and records else self._ended.state
            return SourceStatus(NAME, state, f"{self._ended.reason}{so_far}{note}", self._ended.remedy)
        if self._failed:
            first = self._failed[0]
            reason = f"{first.subject}: {first.reason}{so_far}{note}"
            return SourceStatus(NAME, "partial" if records else "failed", reason, first.remedy)
        if self._problems:
            first_problem = self._problems[0]
            reason = f"{len(self._problems)} left out; {first_problem.item}: {first_problem.message}{note}"
            return SourceStatus(NAME, "partial", reason, "See the job's problems")
        if not records:
            asked = ", ".join(repr(phrase) for phrase in phrases.phrases[:3])
            return SourceStatus(
                NAME, "ok", f"nothing is sold as {asked}{note}", "Give the industry other phrases"
            )
        if self._at_the_end and len(records) < limit:
            few = f"Amazon shows {PAGE * PAGES} products a phrase and no more"
            return SourceStatus(NAME, "ok", f"{few}{note}", "Give the industry more phrases")
        return SourceStatus(NAME, "ok", phrases.note)
