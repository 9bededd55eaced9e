"""Which sources can be asked from this machine as it is set up; nobody is asked to find out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pvm_core.errors import MediaError
from pvm_jobs.source_kinds import SourceKind
from pvm_resources.settings import Settings
from pvm_resources.sources.base import SourceStatus
from pvm_resources.sources.faults import SourceError
from pvm_resources.sources.registry import PRODUCT_SOURCES, VIDEO_SOURCES


@dataclass(frozen=True)
class Readiness:
    """A source on this machine.

    Attributes:
        kind: what it gives.
        status: ``ok``; ``partial``: it works and something is missing; ``not_configured``.
        account: under what the ledger keeps its calls; None where none are counted.
        daily_calls: calls that the account has in a day.
    """

    kind: SourceKind
    status: SourceStatus
    account: str | None = None
    daily_calls: int | None = None


def readiness(settings: Settings) -> Iterator[Readiness]:
    """All sources, those with a name first, products before videos."""
    for name in PRODUCT_SOURCES:
        yield _SHOPS[name](settings)
    yield Readiness("products", SourceStatus("file", "ok"))
    for name in VIDEO_SOURCES:
        yield Readiness("videos", _video_site(name, settings))
    yield Readiness("videos", SourceStatus("folder", "ok"))
    yield Readiness("videos", _video_site("links", settings))


def languages(source: str, settings: Settings) -> tuple[str, ...]:
    """The languages that a source with a name is searched in, its own first; none where any will do."""
    if source == "ebay":
        from pvm_resources.sources.ebay import markets

        known = settings.ebay_marketplace in markets.MARKETS
        return markets.languages(settings.ebay_marketplace) if known else ()
    if source == "amazon":
        from pvm_resources.sources.amazon.account import MARKETS

        return MARKETS.get(settings.amazon_marketplace, ())
    return ("zh",) if source == "bilibili" else ()


def _ebay(settings: Settings) -> Readiness:
    from pvm_resources.sources.ebay.account import NAME, Account

    try:
        account = Account.of(settings)
    except SourceError as error:
        return Readiness("products", error.status)
    return Readiness("products", SourceStatus(NAME, "ok"), account.key, account.daily_calls)


def _amazon(settings: Settings) -> Readiness:
    from pvm_resources.sources.amazon.account import NAME, Account

    try:
        Account.of(settings)
    except SourceError as error:
        return Readiness("products", error.status)
    # No daily limit is stated that calls could be counted against.
    return Readiness("products", SourceStatus(NAME, "ok"))


_SHOPS: Final[dict[str, Callable[[Settings], Readiness]]] = {"ebay": _ebay, "amazon": _amazon}


def _video_site(name: str, settings: Settings) -> SourceStatus:
    from pvm_resources.sources.ytdlp import runtimes
    from pvm_resources.sources.ytdlp.options import Extractors

    try:
        Extractors.linked(settings)
    except MediaError as error:
        return SourceStatus(name, "not_configured", error.reason, error.remedy)
    cookies = settings.ytdlp_cookies
    if cookies is not None and not cookies.expanduser().is_file():
        reason = f"PVM_YTDLP_COOKIES names {cookies}, and there is no such file"
        return SourceStatus(
            name, "not_configured", reason, "Name a file of cookies in Netscape's format, or leave it out"
        )
    if name == "youtube" and (lack := runtimes.detect().lack):
        reason = f"{lack}, without which YouTube withholds formats of many videos"
        return SourceStatus(name, "partial", reason, runtimes.REMEDY)
    return SourceStatus(name, "ok")
