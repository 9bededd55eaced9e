"""Sources by name: what a job's request names becomes the source that answers it.

A token of a request is a registered name (``ebay``) or a location: of products the path or URL of a
catalogue, of videos a folder, a file, a list of links (``*.txt``) or one link.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Generic
from urllib.parse import urlsplit

from pvm_core.errors import InputError
from pvm_core.shown_url import shown_url
from pvm_resources.sources.base import (
    ProductRecord,
    ProductSource,
    Record,
    Source,
    VideoRecord,
    VideoSource,
)
from pvm_resources.sources.context import SourceContext

#: Names what is here already, of products and of videos: a job of it crawls nothing.
STORED: Final = "stored"
#: Files that hold links rather than pixels.
_LISTS: Final = frozenset((".txt", ".list"))
#: Characters; at four bytes each, a label is in an index whose entries hold 2,704 bytes.
_LABEL_MAX: Final = 400


@dataclass(frozen=True)
class SourceSpec(Generic[Record]):
    """A source that a request names.

    Attributes:
        token: as the request names it.
        name: the source's name: ``ebay``, ``file``, ``folder``, ``links``, ...
        label: unique within one request; what statuses and answers are kept under.
        make: builds the source for one job.
    """

    token: str
    name: str
    label: str
    make: Callable[[SourceContext], Source[Record]]


def product_specs(tokens: Sequence[str]) -> tuple[SourceSpec[ProductRecord], ...]:
    """The product sources of a request, in its order.

    Raises:
        InputError: ``source.unknown``: a token is no source's name and no location.
    """
    return _specs(tokens, {**_PRODUCTS, STORED: _stored_products}, _product_location)


def video_specs(tokens: Sequence[str]) -> tuple[SourceSpec[VideoRecord], ...]:
    """The video sources of a request, in its order.

    Raises:
        InputError: ``source.unknown``.
    """
    return _specs(tokens, {**_VIDEOS, STORED: _stored_videos}, _video_location)


def is_url(token: str) -> bool:
    """True for an http(s) address."""
    return urlsplit(token).scheme.lower() in ("http", "https") if ":" in token else False


def _specs(
    tokens: Sequence[str],
    named: Mapping[str, Callable[[SourceContext], Source[Record]]],
    location: Callable[[str, Sequence[str]], SourceSpec[Record]],
) -> tuple[SourceSpec[Record], ...]:
    found: list[SourceSpec[Record]] = []
    for token in dict.fromkeys(tokens):
        if token in named:
            found.append(SourceSpec(token, token, token, named[token]))
        else:
            found.append(location(token, tuple(named)))
    return tuple(
        SourceSpec(spec.token, spec.name, label, spec.make)
        for spec, label in zip(found, _labels(found), strict=True)
    )


def _labels(specs: Sequence[SourceSpec[Any]]) -> Iterator[str]:
    """The name of each source; of several of one name their locations, without what may be a key in them."""
    names = Counter(spec.name for spec in specs)
    places = Counter(_place(spec.token) for spec in specs)
    met: Counter[str] = Counter()
    for spec in specs:
        place = _place(spec.token)
        met[place] += 1
        numbered = f"{place} ({met[place]})" if places[place] > 1 else place
        yield spec.name if names[spec.name] == 1 else numbered


def _place(token: str) -> str:
    """A location as a label; a long one is cut, since a label is part of a key."""
    shown = shown_url(token)
    if len(shown) <= _LABEL_MAX:
        return shown
    return (
        f"{shown[: _LABEL_MAX - 12]}…{hashlib.sha256(shown.encode(errors='surrogatepass')).hexdigest()[:8]}"
    )


def _product_location(token: str, names: Sequence[str]) -> SourceSpec[ProductRecord]:
    if is_url(token):
        return SourceSpec(token, "file", "file", lambda context: _web_catalogue(token, context))
    _check_place(token, names)
    return SourceSpec(
        token,
        "file",
        "file",
        lambda it: _file_catalogue(Path(token), it.namespace, it.confinement, it.columns),
    )


def _video_location(token: str, names: Sequence[str]) -> SourceSpec[VideoRecord]:
    if not is_url(token):
        _check_place(token, names)
    if is_url(token) or Path(token).suffix.lower() in _LISTS:
        return SourceSpec(token, "links", "links", lambda context: _links(token, context))
    return SourceSpec(token, "folder", "folder", lambda context: _folder(Path(token), context.confinement))


def _check_place(token: str, names: Sequence[str]) -> None:
    """Refuses a word that may be a misspelt source's name, before it is opened as a file."""
    if "/" in token or "." in token or Path(token).exists():
        return
    near = difflib.get_close_matches(token.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        "source.unknown",
        token,
        f"{hint}it is no source's name ({', '.join(names)}) and there is no such file",
        "Name a source, a path or an http(s) URL",
    )


def _lazy(module: str, name: str) -> Callable[..., Any]:
    """The class, imported when a job uses it: yt-dlp and Amazon's library take most of a second."""

    def make(*given: Any) -> Any:
        return getattr(import_module(f"pvm_resources.sources.{module}"), name)(*given)

    return make


_stored_products: Final = _lazy("stored", "StoredProducts")
_stored_videos: Final = _lazy("stored", "StoredVideos")
_web_catalogue: Final = _lazy("catalogue.web_catalogue", "WebCatalogue")
_file_catalogue: Final = _lazy("catalogue.file_catalogue", "FileCatalogue")
_links: Final = _lazy("ytdlp", "LinkList")
_folder: Final = _lazy("folder.videos", "FolderVideos")
_PRODUCTS: Final[Mapping[str, Callable[[SourceContext], ProductSource]]] = {
    "ebay": _lazy("ebay", "Ebay"),
    "amazon": _lazy("amazon", "Amazon"),
}
_VIDEOS: Final[Mapping[str, Callable[[SourceContext], VideoSource]]] = {
    "youtube": _lazy("ytdlp", "YouTubeVideos"),
    "bilibili": _lazy("ytdlp", "BilibiliVideos"),
}
#: Sources that a request names by their name; everything else in it is a location.
PRODUCT_SOURCES: Final = tuple(_PRODUCTS)
VIDEO_SOURCES: Final = tuple(_VIDEOS)
