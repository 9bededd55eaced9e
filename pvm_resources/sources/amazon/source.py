"""Amazon as a source of products: searches only, no page of the shop is ever read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pvm_resources.sources.amazon.account import MARKETS, NAME, AmazonAccount
from pvm_resources.sources.amazon.client import PAGE, PAGES, RATE_S, CreatorsClient
from pvm_resources.sources.base import Collected, ProductRecord, Query, SourceStateName
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.faults import CallError
from pvm_resources.sources.search_phrases import Phrases, choose_phrases, round_robin
from pvm_resources.sources.shop import ShopPage, ShopSearch, ShopSource


class Amazon(ShopSource):
    """Products from Amazon's Creators API.

    Ten products cost one call, one call takes a second, and a phrase has at most a hundred. A marketplace's
    ids are its own, so the marketplace is their namespace.

    Args:
        rate_s: seconds between two requests.
        shared: as `ShopSource` takes them.
    """

    name = NAME

    def __init__(self, context: SourceContext, *, rate_s: float = RATE_S, **shared: Any) -> None:
        super().__init__(context, **shared)
        self._rate_s = rate_s

    def _collect(self, query: Query, limit: int) -> Collected[ProductRecord]:
        account = AmazonAccount.of(self._context.settings)
        phrases = choose_phrases(query, MARKETS[account.marketplace])
        shared = (self._context, self._retries, self._limits)
        with CreatorsClient(account, self._rate_s, *shared) as client:
            search = _AmazonSearch(self._context, client=client, marketplace=account.marketplace)
            return search.collect(phrases, limit)


@dataclass(kw_only=True)
class _AmazonSearch(ShopSearch):
    """One collection: what it met so far."""

    source = NAME
    nothing = "nothing is sold as"

    client: CreatorsClient
    marketplace: str
    limit: int = 0
    at_the_end: bool = False

    def collect(self, phrases: Phrases, limit: int) -> Collected[ProductRecord]:
        self.limit = limit
        streams = [self.products(phrase, range(1, PAGES + 1)) for phrase in phrases.phrases]
        records: list[ProductRecord] = []
        for product in round_robin(streams, lambda one: one.external_id, limit):
            if product.pictures:
                records.append(product.record(NAME, self.marketplace))
            else:
                self.problem(
                    CallError(
                        "amazon.no_picture", product.external_id, "it has no picture", "It was left out"
                    )
                )
        return Collected(self.status(phrases, records), tuple(records), tuple(self.problems))

    def page(self, phrase: str, place: int) -> ShopPage:
        def request() -> ShopPage:
            page = self.client.search(phrase, place)
            self.context.report(f"Amazon: page {place} of {phrase!r}, {len(page.products)} products")
            return page

        page = self.stored_page(f"page|{self.marketplace}|{phrase}|{place}|{PAGE}", request)
        self.at_the_end = self.at_the_end or place == PAGES
        for error in page.errors:
            subject = f"search {phrase!r}"
            self.problem(CallError("amazon.partial", subject, error, "Amazon left it out of its answer"))
        return page

    def loss(self, records: Sequence[ProductRecord], so_far: str) -> tuple[SourceStateName, str, str] | None:
        if self.failed:
            first = self.failed[0]
            reason = f"{first.subject}: {first.reason}{so_far}"
            return "partial" if records else "failed", reason, first.remedy
        if self.problems:
            problem = self.problems[0]
            reason = f"{len(self.problems)} left out; {problem.item}: {problem.message}"
            return "partial", reason, "See the job's problems"
        if records and self.at_the_end and len(records) < self.limit:
            few = f"Amazon shows {PAGE * PAGES} products a phrase and no more"
            return "ok", few, "Give the industry more phrases"
        return None
