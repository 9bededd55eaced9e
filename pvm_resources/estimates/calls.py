"""Requests that each source makes for a query, in numbers: the arithmetic of the sources themselves."""

from __future__ import annotations

import math
from typing import Final

from pvm_core.run_estimate import Calls, Span
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Query
from pvm_resources.sources.search_phrases import choose_phrases
from pvm_resources.sources.shop import TOP_DEFAULT

#: Seconds of a request to eBay, four of which are under way at once. Assumed: no request of a true account
#: was measured; half a second to two for each is usual of web services.
_EBAY_S: Final = Span(0.1, 0.5)
#: Amazon's requests are a second apart; its answers are assumed to take at most one more.
_AMAZON_WAIT_S: Final = 1.0
#: Seconds of a request to a video site beside the pause of PVM_YTDLP_SLEEP. Assumed.
_SITE_S: Final = Span(0.5, 5.0)
#: Hits that one request of a search brings on YouTube and on Bilibili.
_SITE_PAGE: Final = 20


def ebay_calls(query: Query, settings: Settings) -> tuple[Calls, ...]:
    """Searches, a page each, and one request for each listing.

    Phrases that share listings are read further, each at most as far as the number asked for.
    """
    from pvm_resources.sources.ebay import markets
    from pvm_resources.sources.ebay.source import page_size

    limit = query.limit or TOP_DEFAULT
    chosen = choose_phrases(query, markets.languages(settings.ebay_marketplace)).phrases
    phrases = len({fitted for phrase in chosen if (fitted := markets.fit(phrase))})
    size = page_size(phrases, limit)
    searches = _searches(phrases, limit, size, limit)
    listings = Span.of(limit if phrases else 0)
    return Calls("searches", searches, _EBAY_S), Calls("listings", listings, _EBAY_S)


def amazon_calls(query: Query, settings: Settings) -> tuple[Calls, ...]:
    """Searches, a page of ten products each; a phrase has ten pages."""
    from pvm_resources.sources.amazon.account import MARKETS
    from pvm_resources.sources.amazon.client import PAGE, PAGES, RATE_S

    phrases = len(choose_phrases(query, MARKETS.get(settings.amazon_marketplace, ())).phrases)
    searches = _searches(phrases, query.limit or TOP_DEFAULT, PAGE, PAGE * PAGES)
    return (Calls("searches", searches, Span(RATE_S, RATE_S + _AMAZON_WAIT_S)),)


def most_products(source: str, query: Query, settings: Settings) -> int:
    """Products that a shop can give at most."""
    limit = query.limit or TOP_DEFAULT
    if source != "amazon":
        return limit
    from pvm_resources.sources.amazon.account import MARKETS
    from pvm_resources.sources.amazon.client import PAGE, PAGES

    phrases = choose_phrases(query, MARKETS.get(settings.amazon_marketplace, ())).phrases
    return min(limit, len(phrases) * PAGE * PAGES)


def site_calls(source: str, query: Query, settings: Settings) -> tuple[Calls, ...]:
    """Searches, a request for each twenty hits, and one request for each video's page.

    Where YouTube is asked for young videos only, pages of older ones are read as well: at most of all hits.
    """
    from pvm_resources.sources.ytdlp import search
    from pvm_resources.sources.ytdlp.sources import bilibili_phrases, youtube_phrases

    wanted = query.limit or search.DEFAULT_TOP
    phrases = len((youtube_phrases if source == "youtube" else bilibili_phrases)(query))
    hits = search.depth(wanted, phrases)
    dated = source == "bilibili" or query.recency_days is None
    pages = Span(wanted, wanted if dated else max(wanted, phrases * hits))
    each = _site_s(settings)
    searches = Span(phrases, phrases * math.ceil(hits / _SITE_PAGE))
    return Calls("searches", searches, each), Calls("video pages", pages, each)


def link_calls(links: int, settings: Settings) -> tuple[Calls, ...]:
    """One request for each video's page."""
    return (Calls("video pages", Span.of(links), _site_s(settings)),)


def _site_s(settings: Settings) -> Span:
    return Span.of(settings.ytdlp_sleep_s) + _SITE_S


def _searches(phrases: int, limit: int, size: int, end: int) -> Span:
    """Pages of `size` that phrases taking turns are read for `limit`; a phrase ends after `end`."""
    if not phrases:
        return Span.of(0)
    share, further = divmod(limit, phrases)
    shares = [share + (n < further) for n in range(phrases)]
    least = sum(math.ceil(min(one, end) / size) for one in shares)
    return Span(least, phrases * math.ceil(min(limit, end) / size))
