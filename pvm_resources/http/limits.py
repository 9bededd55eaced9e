"""What one download may cost and what it must be: named configurations for pictures and feeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pvm_core.file_type import PICTURE_FORMATS, Sniffed

Family = Literal["picture", "fetch"]

#: Types that servers give to whatever they do not know; the content decides.
_ANYTHING: Final = ("application/octet-stream", "binary/octet-stream", "application/x-download")


@dataclass(frozen=True)
class Content:
    """What a download must be, by its header and by its first bytes; both must agree.

    Attributes:
        noun: with its article, for a sentence: "a picture".
        media_types: accepted beginnings of Content-Type; an answer without the header is judged by its bytes.
        accept: the request's Accept header.
        formats: what it may come as, for a sentence.
        packed: a gzip file (``feed.xml.gz``) is unpacked.
    """

    noun: str
    media_types: tuple[str, ...]
    accept: str
    formats: str
    packed: bool = False

    def suits(self, found: Sniffed) -> bool:
        """Whether the first bytes are of that content."""
        if self.noun == "a picture":
            return found.kind == "picture" and found.supported
        return found.kind == "other" and found.name not in _NO_FEED


#: What a feed's address answers with when it is a login page, a download or a mistake. UTF-16 text, which is
#: "data of an unknown kind", passes: the feed's reader knows encodings.
_NO_FEED: Final = frozenset(
    (
        "an HTML page", "an SVG drawing", "a PDF document", "a ZIP archive or office document",
        "a gzip archive", "a 7z archive", "a RAR archive", "a program", "a playlist", "an empty file",
        "nothing but zeros or blanks",
    )
)  # fmt: skip

PICTURES: Final = Content(
    "a picture",
    ("image/", *_ANYTHING),
    "image/jpeg,image/png,image/webp,image/avif;q=0.8,image/*;q=0.5",
    PICTURE_FORMATS,
)
FEEDS: Final = Content(
    "a feed",
    (
        "text/csv", "text/tab-separated-values", "text/plain", "text/xml", "text/x-", "application/xml",
        "application/rss+xml", "application/atom+xml", "application/json", "application/jsonl",
        "application/x-ndjson", "application/ndjson", "application/x-jsonlines", "application/csv",
        "application/vnd.ms-excel", "application/gzip", "application/x-gzip", *_ANYTHING,
    ),
    "text/csv,application/xml,application/x-ndjson,text/plain,*/*;q=0.1",
    "CSV, JSONL or XML",
    packed=True,
)  # fmt: skip


@dataclass(frozen=True)
class FetchLimits:
    """What one download may cost.

    Attributes:
        family: first part of its error codes.
        content: what it must be.
        max_bytes: counted while reading, before and after unpacking, whatever a header says.
        connect_s, read_s: seconds to connect, and between two pieces of the answer.
        total_s: seconds for one try as a whole: names, redirects, headers, body.
        max_redirects: redirects followed.
    """

    family: Family
    content: Content
    max_bytes: int
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    max_redirects: int = 3


#: 15 MB is what `pvm_core.images.PictureLimits` decodes at most, and above the 12 MB that eBay takes for a
#: picture (developer.ebay.com, "Managing images"). 60 s is such a picture at 2 Mbit/s.
PICTURE: Final = FetchLimits("picture", PICTURES, max_bytes=15_000_000)
#: A feed is read whole into memory; 100 MB is some 50,000 products of 2 kB.
FEED: Final = FetchLimits("fetch", FEEDS, max_bytes=100_000_000, read_s=30.0, total_s=600.0)
