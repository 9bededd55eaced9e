"""Which sources this machine's settings allow; sends no request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pvm_core.errors import InputError, MediaError
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
        account: under what its calls are stored; None where none are counted.
        daily_calls: calls that the account has in a day.
    """

    kind: SourceKind
    status: SourceStatus
    account: str | None = None
    daily_calls: int | None = None


def readiness(settings: Settings) -> Iterator[Readiness]:
    """All sources, those with a name first, products before videos."""
    for name in PRODUCT_SOURCES:
        yield _shop(name, settings)
    yield Readiness("products", SourceStatus("file", "ok"))
    for name in VIDEO_SOURCES:
        yield Readiness("videos", _video_site(name, settings))
    yield Readiness("videos", SourceStatus("folder", "ok"))
    yield Readiness("videos", _video_site("links", settings))


def unconfigured(name: str, settings: Settings) -> InputError | None:
    """Why no request to the source of that name can succeed on this machine: the setting that is missing or
    wrong, under ``request.not_configured``. None where one can, and for locations."""
    if name in PRODUCT_SOURCES:
        status = _shop(name, settings).status
    elif name in VIDEO_SOURCES:
        status = _video_settings(name, settings)
    else:
        return None
    if status.state != "not_configured":
        return None
    return InputError("request.not_configured", name, status.reason, status.remedy)


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


def _shop(name: str, settings: Settings) -> Readiness:
    try:
        if name == "ebay":
            from pvm_resources.sources.ebay.account import EbayAccount

            account = EbayAccount.of(settings)
            return Readiness("products", SourceStatus(name, "ok"), account.key, account.daily_calls)
        from pvm_resources.sources.amazon.account import AmazonAccount

        AmazonAccount.of(settings)
    except SourceError as error:
        return Readiness("products", error.status)
    # Amazon states no daily limit that calls could be counted against.
    return Readiness("products", SourceStatus(name, "ok"))


def _video_site(name: str, settings: Settings) -> SourceStatus:
    from pvm_resources.sources.ytdlp import runtimes

    status = _video_settings(name, settings)
    if status.state == "ok" and name == "youtube" and (support := runtimes.detect()).lack:
        return SourceStatus(name, "partial", support.reason, runtimes.REMEDY)
    return status


def _video_settings(name: str, settings: Settings) -> SourceStatus:
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
    return SourceStatus(name, "ok")
