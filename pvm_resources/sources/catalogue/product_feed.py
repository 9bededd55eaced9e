"""Rows of a Google product feed in XML: RSS 2.0 and Atom, read as a stream, never as a tree.

Format: Google Merchant Center's product data specification. A feed comes from anywhere, so nothing in it may
make the parser do more than read it: a document type declaration is refused as a whole, and with it every
entity of its own (billion laughs) and every reference to another file (XXE).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.cells import picture_list
from pvm_resources.sources.catalogue.content import Content
from pvm_resources.sources.catalogue.rows import Row

_GOOGLE: Final = ("http://base.google.com/ns/1.0", "https://base.google.com/ns/1.0")
#: RSS 2.0, Atom, RSS 1.0 (which Google takes too).
_ROOTS: Final = frozenset(("rss", "feed", "rdf"))
_ITEMS: Final = frozenset(("item", "entry"))
_MORE: Final = "additional_image_link"
#: Elements that are read, and the fields they become.
_COLUMNS: Final = {
    "id": "product_id",
    "title": "title",
    "brand": "brand",
    "link": "url",
    "image_link": "image",
    "price": "price",
    "description": "description",
    "summary": "description",
    "product_type": "category",
    "google_product_category": "category",
    "availability": "availability",
    "updated": "updated_at",
}
#: Elements of Google's specification that say a property of the product.
_PROPERTIES: Final = frozenset(
    ("color", "size", "material", "pattern", "condition", "gender", "age_group", "gtin", "mpn", "size_type")
)
#: A feed nests five deep (rss, channel, item, shipping, price).
_MAX_DEPTH: Final = 32
#: Google's own limits are 150 characters for a title and 2,000 for a link.
_MAX_TEXT: Final = 100_000
#: expat holds an unfinished tag or comment in memory and parses it again with each piece.
_MAX_TAG: Final = 1_000_000
_AGAIN: Final = "Export the feed again"
_DECLARED: Final = re.compile(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})")
_SEVERAL_BYTES: Final = frozenset(
    ("gb2312", "gbk", "gb18030", "big5", "big5hkscs", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "hz")
)


def feed_rows(content: Content, given: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The items of a feed, in order, each a row under the names of a product's fields.

    Where a feed that had items breaks off, its last row says so.

    Args:
        given: elements that the user named, by field.

    Raises:
        InputError: ``table.type`` (other XML), ``table.unsafe`` (a document type declaration, nesting or a
            tag beyond all measure), ``table.limits``, ``table.encoding``, ``table.syntax`` (broken before its
            first item), and what reading `content` raises.
    """
    declared = _other_encoding(content.head())
    reader = _Reader(content.subject, given or {}, recoded=bool(declared))
    try:
        for chunk in _recoded(content, declared) if declared else content.chunks():
            reader.feed(chunk)
            yield from reader.take()
        reader.finish()
    except expat.ExpatError as error:
        yield from reader.take()
        broken = f"line {error.lineno}: {expat.ErrorString(error.code)}"
        if not reader.met:
            reason = f"it is no well-formed XML ({broken})"
            raise InputError("table.syntax", content.subject, reason, _AGAIN) from error
        yield Row(error.lineno, {}, f"the feed is broken here ({broken}); what follows is not read")


def _other_encoding(head: bytes) -> str:
    """The encoding that the XML declares, where expat does not know it: those of several bytes a letter."""
    found = _DECLARED.match(head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200])
    name = found.group(1).decode().lower() if found else ""
    try:
        return name if name and codecs.lookup(name).name in _SEVERAL_BYTES else ""
    except LookupError:
        return ""


def _recoded(content: Content, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in content.chunks():
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", True).encode()
    except UnicodeDecodeError as error:
        reason = f"it is not the {encoding} that it says it is"
        raise InputError("table.encoding", content.subject, reason, "Export the feed as UTF-8") from error


@dataclass
class _FeedItem:
    """An item while its elements are being met."""

    line: int
    depth: int
    plain: dict[str, str] = field(default_factory=dict)
    google: dict[str, str] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    def add(self, name: str, is_google: bool, value: str, further: bool = False) -> None:
        if not value:
            return
        if further:
            # One past what is used shows that there were more; a feed may hold a million.
            if len(self.more) <= limits.MAX_MORE:
                self.more += picture_list(value, listed=True)
        else:
            (self.google if is_google else self.plain).setdefault(name, value)

    def row(self, fields: Mapping[str, str]) -> Row:
        # An Atom entry has an id of its own beside Google's.
        values: dict[str, str] = {}
        for name, field_name in fields.items():
            # Of two elements that say the same, the first of the fields' names counts.
            if value := self.google.get(name) or self.plain.get(name):
                values.setdefault(field_name, value)
        images = [*picture_list(values.pop("image", "")), *self.more]
        return Row(self.line, values, self.fault, tuple(images), attributes=self.attributes)


@dataclass
class _Field:
    """An element of an item while its text is being met."""

    name: str
    google: bool
    depth: int
    text: list[str] = field(default_factory=list)
    size: int = 0


class _Reader:
    """expat's calls, turned into rows; `met` once there was an item."""

    def __init__(self, subject: str, given: Mapping[str, str], *, recoded: bool = False) -> None:
        self._subject = subject
        named = {name.rpartition(":")[2].lower(): field for field, name in given.items()}
        self._more = {name for name, field in named.items() if field == "more_images"} | {_MORE}
        taken = set(named.values())
        self._fields = {
            **{
                name: field
                for name, field in _COLUMNS.items()
                if field not in taken and name not in self._more
            },
            **{name: field for name, field in named.items() if field != "more_images"},
        }
        # What was recoded is UTF-8, whatever its declaration says.
        self._parser = parser = expat.ParserCreate("utf-8" if recoded else None)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._depth = 0
        self._fed = 0
        # Feeds in the wild use g: without declaring it.
        self._prefixes = {"g"}
        self._item: _FeedItem | None = None
        self._field: _Field | None = None
        self._rows: list[Row] = []
        self._counted = limits.Counted(subject)
        self.met = False

    def feed(self, chunk: bytes) -> None:
        """Reads on.

        Raises:
            expat.ExpatError: the XML is broken.
            InputError: as `feed_rows`.
        """
        # Shops' scripts put an empty line before the XML declaration, where none may be.
        chunk = chunk if self._fed else chunk.lstrip(b" \t\r\n")
        self._parse(chunk, False)
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > _MAX_TAG:
            raise self._unsafe(f"a single tag or comment has more than {_MAX_TAG:,} bytes")

    def finish(self) -> None:
        """There is no more to come.

        Raises:
            expat.ExpatError: the document is not at its end.
        """
        self._parse(b"", True)

    def take(self) -> list[Row]:
        """The rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def _parse(self, data: bytes, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except (ValueError, LookupError) as error:
            # Python's own refusal of an encoding that the XML declaration names.
            remedy = "Export the feed as UTF-8"
            raise InputError("table.encoding", self._subject, str(error), remedy) from error

    def _doctype(self, *_: object) -> None:
        raise self._unsafe(
            "it holds a document type declaration (DOCTYPE), which can make a reader open other files or "
            "grow without end"
        )

    def _unsafe(self, what: str) -> InputError:
        reason = f"line {self._parser.CurrentLineNumber}: {what}"
        return InputError("table.unsafe", self._subject, reason, "Export the feed without it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._unsafe(f"its elements are nested more than {_MAX_DEPTH} deep")
        prefix, _, local = name.rpartition(":")
        if self._depth == 1:
            self._check_root(local)
        if self._item is None:
            self._declare(attributes)
            if local.lower() in _ITEMS and self._depth > 1:
                self._counted.row()
                self._item = _FeedItem(self._parser.CurrentLineNumber, self._depth)
        elif self._field is None and self._depth == self._item.depth + 1:
            self._begin(prefix, local.lower(), attributes)

    def _check_root(self, local: str) -> None:
        if local.lower() not in _ROOTS:
            reason = f"the content is XML of the kind <{local[:40]}>, no product feed"
            remedy = "Give a product feed (RSS 2.0 or Atom), CSV or JSON Lines"
            raise InputError("table.type", self._subject, reason, remedy)

    def _declare(self, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if name.startswith("xmlns:") and value.rstrip("/") in _GOOGLE:
                self._prefixes.add(name.removeprefix("xmlns:"))

    def _begin(self, prefix: str, local: str, attributes: dict[str, str]) -> None:
        google = prefix in self._prefixes
        known = local in self._fields or local in self._more or local in _PROPERTIES
        if not known or (prefix and not google and (local in _COLUMNS or local in _PROPERTIES)):
            return
        href = attributes.get("href", "")
        if local == "link" and href:
            # Atom's form; a link that is no page of the product says what else it is.
            if attributes.get("rel", "alternate") == "alternate" and self._item is not None:
                self._item.add(local, google, href.strip())
            return
        self._field = _Field(local, google, self._depth)

    def _text(self, data: str) -> None:
        if self._field is None:
            return
        self._field.size += len(data)
        if self._field.size <= _MAX_TEXT:
            self._field.text.append(data)

    def _end(self, _: str) -> None:
        item, one = self._item, self._field
        if item is not None and one is not None and self._depth == one.depth:
            if one.size > _MAX_TEXT and self._fields.get(one.name) != "description":
                item.fault = f"its {one.name} has more than {_MAX_TEXT:,} characters"
            # An indented feed breaks lines inside its elements.
            value = " ".join("".join(one.text).split())
            if one.name in _PROPERTIES and one.name not in self._fields and one.name not in self._more:
                item.attributes.setdefault(one.name, value)
            else:
                item.add(one.name, one.google, value, one.name in self._more)
            self._field = None
        elif item is not None and self._depth == item.depth:
            self._rows.append(item.row(self._fields))
            self._item, self.met = None, True
        self._depth -= 1
