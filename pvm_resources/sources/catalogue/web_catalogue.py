"""A catalogue behind a URL: fetched once for a job, read as a file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pvm_core.errors import InputError
from pvm_core.shown_url import shown_url
from pvm_resources.http.faults import FetchError
from pvm_resources.http.limits import FEED
from pvm_resources.sources.answered_facts import facts_json, facts_of
from pvm_resources.sources.base import Collected, PictureRef, ProductRecord, Query, SourceStatus
from pvm_resources.sources.catalogue.cells import repaired
from pvm_resources.sources.catalogue.content import held
from pvm_resources.sources.catalogue.gathering import NAME, read_catalogue
from pvm_resources.sources.catalogue.picture_places import is_address, web_picture
from pvm_resources.sources.context import SourceContext
from pvm_resources.store.base import clean

_KEY: Final = "products|"


class WebCatalogue:
    """A catalogue or product feed at an http(s) URL, as a product source.

    Its pictures are on the net too: a relative reference is taken from the feed's own address, and no path of
    this machine is ever read.

    Args:
        url: the feed's address.
        context: what sources are given.
    """

    name = NAME

    def __init__(self, url: str, context: SourceContext) -> None:
        self.policy = context.policy
        self._url = url
        self._context = context
        self._subject = shown_url(url)

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products of the feed, in its order; what the query asks is for other sources.

        A feed that cannot be downloaded or read is a `failed` source. Its products are stored for the job
        only where all of them were usable, so that a corrected feed is read again.
        """
        key = f"{_KEY}{self._url}"
        stored = self._context.answers.get(key)
        if stored is not None:
            return Collected(SourceStatus(NAME, "ok"), tuple(map(_product, stored["products"])))
        try:
            found = self._read()
        except InputError as error:
            return Collected(_failed(error), ())
        if found.status.state == "ok" and not found.problems:
            self._context.answers.put(key, {"products": [_json(record) for record in found.records]})
        return found

    def _read(self) -> Collected[ProductRecord]:
        found = self._context.web.fetch(self._url, FEED)
        self._context.report(f"{len(found.data):,} bytes from {self._subject}")
        content = held(self._subject, found.data)
        place = _Site(found.url, self._subject)
        return read_catalogue(content, place, self._context.namespace, self._context.columns)


class _Site:
    """The address a feed came from: its pictures are where it says, as a browser would read it."""

    def __init__(self, url: str, subject: str) -> None:
        self.label = subject
        # Without a scheme an address has that of the feed.
        self.scheme = urlsplit(url).scheme
        self._url = url

    def picture(self, subject: str, image: str) -> PictureRef:
        if is_address(image):
            return web_picture(subject, image)
        try:
            return web_picture(subject, repaired(urljoin(self._url, image)))
        except ValueError as error:
            reason = f"its image is no usable address ({error})"
            raise InputError("catalogue.bad_image", subject, reason, "Give an http(s) URL") from error


def _failed(error: InputError) -> SourceStatus:
    limited = isinstance(error, FetchError) and error.rate_limited
    return SourceStatus(NAME, "rate_limited" if limited else "failed", error.reason, error.remedy)


def _json(record: ProductRecord) -> dict[str, Any]:
    # JSON lines may spell out half a character, which no database holds.
    texts = {name: clean(getattr(record, name)) for name in ("title", "brand", "url")}
    return {**asdict(record), **texts, "facts": facts_json(record.facts)}


def _product(stored: Mapping[str, Any]) -> ProductRecord:
    pictures = tuple(PictureRef(picture["ref"]) for picture in stored["pictures"])
    facts = facts_of(stored.get("facts") or {})
    return ProductRecord(**{**stored, "pictures": pictures, "facts": facts})
