"""Products of a catalogue: CSV, TSV, JSON Lines or a product feed in XML, a file or behind a URL.

One row is one picture, the id repeated for a gallery; a row may name further pictures of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from pvm_core.errors import InputError, Problem
from pvm_core.money import Price, parse_price
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import (
    Collected,
    PictureRef,
    ProductRecord,
    Query,
    SourceStatus,
)
from pvm_resources.sources.catalogue import schema
from pvm_resources.sources.catalogue.content import Content, opened
from pvm_resources.sources.catalogue.rows import MAX_MORE, Row
from pvm_resources.sources.catalogue.tables import read_rows
from pvm_resources.sources.urls import is_web_url

#: What the source is called in commands, statuses and rows.
NAME: Final = "file"
REQUIRED: Final = ("product_id", "image")
#: The stage these problems belong to.
STAGE: Final = "products"
#: Rows that are checked at once.
_BATCH: Final = 1_000
#: The longest path Linux opens; anything longer is no file name.
_MAX_PATH: Final = 4_096


class FileCatalogue:
    """A catalogue file as a product source.

    Columns ``product_id`` and ``image`` are required, ``title``, ``brand``, ``url``, ``price``,
    ``currency`` may follow, others are ignored; Google's product data names (``id``, ``image_link``,
    ``additional_image_link``, ``link``) are taken as well. ``image`` is a path relative to the file, inside
    its folder, or an http(s) URL. Ids are kept as given and never become part of a path.

    Args:
        path: the file.
        namespace: what its ids are unique within: the industry's slug.
    """

    name = NAME
    policy = SourcePolicy()

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._namespace = namespace

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products of the file, in its order; what the query asks is for other sources.

        Raises:
            InputError: the file as a whole cannot be used (``table.*``), or holds no usable row
                (``catalogue.no_products``).
        """
        with opened(self._path) as content:
            return read_catalogue(content, _Folder(self._path), self._namespace)


class Place(Protocol):
    """Where a catalogue is, which decides what its picture references mean.

    Attributes:
        label: the catalogue in messages about its rows.
    """

    @property
    def label(self) -> str: ...

    def picture(self, subject: str, image: str) -> PictureRef:
        """The picture that a row names.

        Raises:
            InputError: ``catalogue.no_image``, ``catalogue.bad_image``, ``catalogue.outside``.
        """
        ...


def read_catalogue(content: Content, place: Place, namespace: str) -> Collected[ProductRecord]:
    """All products of a table or feed, in its order.

    Raises:
        InputError: it cannot be used as a whole (``table.*``), or holds no usable row
            (``catalogue.no_products``).
    """
    reading = _Reading(place)
    rows = read_rows(content, REQUIRED)
    while batch := list(islice(rows, _BATCH)):
        reading.add(batch)
    records = tuple(draft.record(namespace) for draft in reading.drafts.values())
    problems = reading.problems()
    if not records:
        raise _no_products(content.subject, reading.rows, problems)
    return Collected(reading.status(), records, problems)


class _Reading:
    """A catalogue while its rows are being met."""

    def __init__(self, place: Place) -> None:
        self.rows = 0
        self.drafts: dict[str, _Draft] = {}
        self._place = place
        self._problems: list[Problem] = []
        self._refused_rows = 0
        self._refused_pictures = 0

    def add(self, batch: Sequence[Row]) -> None:
        """Takes the rows that keep the schema and whose picture can be found; the others are problems."""
        refused = schema.refused(batch)
        for place, row in enumerate(batch):
            self.rows += 1
            subject = f"{self._place.label} line {row.line}"
            try:
                if place in refused:
                    rule, cell = refused[place]
                    raise rule.error(subject, cell)
                self._add(subject, row)
            except InputError as error:
                self._refused_rows += 1
                self._problems.append(Problem.of(STAGE, error))

    def _add(self, subject: str, row: Row) -> None:
        external_id = row.values["product_id"]
        picture = self._place.picture(subject, row.values["image"])
        draft = self.drafts.setdefault(external_id, _Draft(external_id, row.line))
        draft.add(subject, row, (picture, *self._further(subject, row.more)))

    def _further(self, subject: str, images: Sequence[str]) -> Iterator[PictureRef]:
        """The pictures beside a row's own; one that cannot be used costs itself alone."""
        for image in images[:MAX_MORE]:
            try:
                yield self._place.picture(subject, image)
            except InputError as error:
                self._refused_pictures += 1
                self._problems.append(Problem.of(STAGE, error))
        if len(images) > MAX_MORE:
            reason = f"it names more than {MAX_MORE} further pictures"
            remedy = f"The first {MAX_MORE} are used; give the others rows of their own"
            self._problems.append(Problem.of(STAGE, InputError("catalogue.more", subject, reason, remedy)))

    def problems(self) -> tuple[Problem, ...]:
        return (*self._problems, *(p for draft in self.drafts.values() for p in draft.problems))

    def status(self) -> SourceStatus:
        """``partial`` where a row or a picture was refused; a conflict is a problem and no loss."""
        lost = [f"{self._refused_rows} of {self.rows} rows"] if self._refused_rows else []
        if self._refused_pictures:
            lost.append(f"{self._refused_pictures} further pictures")
        if not lost:
            return SourceStatus(NAME, "ok")
        reason = f"{' and '.join(lost)} could not be used"
        return SourceStatus(NAME, "partial", reason, "See the job's problems")


def _no_products(subject: str, rows: int, problems: Sequence[Problem]) -> InputError:
    if not rows:
        return InputError(
            "catalogue.no_products",
            subject,
            "it has no rows or items",
            "Add one row for each picture of a product",
        )
    first = problems[0]
    reason = f"none of its {rows} rows can be used; the first: {first.item}: {first.message}"
    return InputError("catalogue.no_products", subject, reason, "Correct the rows")


@dataclass
class _Draft:
    """A product while its rows are being met."""

    external_id: str
    row: int
    texts: dict[str, str] = field(default_factory=dict)
    price: Price = field(default_factory=Price)
    pictures: dict[PictureRef, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, subject: str, row: Row, pictures: Sequence[PictureRef]) -> None:
        self.pictures.update(dict.fromkeys(pictures))
        # Variants of a product differ in price and are no conflict: the first one stands for it.
        if not self.price.amount:
            self.price = parse_price(row.values.get("price", ""), row.values.get("currency", ""))
        for name in ("title", "brand", "url"):
            value = row.values.get(name, "")
            known = self.texts.setdefault(name, value) or value
            self.texts[name] = known
            if value and value != known:
                self.problems.append(self._conflict(f"{subject}, {name}", name, known, value))

    def _conflict(self, subject: str, name: str, known: str, other: str) -> Problem:
        reason = (
            f"product {_short(self.external_id)} has the {name} {_short(known)!r} and here {_short(other)!r}"
        )
        error = InputError("catalogue.conflict", subject, reason, "The first one is used; make them alike")
        return Problem.of(STAGE, error)

    def record(self, namespace: str) -> ProductRecord:
        return ProductRecord(
            source=NAME,
            namespace=namespace,
            external_id=self.external_id,
            title=self.texts.get("title", ""),
            brand=self.texts.get("brand", ""),
            url=self.texts.get("url", ""),
            pictures=tuple(self.pictures),
            row=self.row,
            price=self.price.amount,
            currency=self.price.currency,
        )


class _Folder:
    """A catalogue file's folder: its pictures lie in it, or on the net."""

    def __init__(self, catalogue: Path) -> None:
        self.label = catalogue.name
        self._folder = catalogue.parent.resolve()

    def picture(self, subject: str, image: str) -> PictureRef:
        if is_address(subject, image):
            return web_picture(subject, image)
        return PictureRef(image, _inside(subject, image, self._folder))


def is_address(subject: str, image: str) -> bool:
    """True for an http(s) address, False for what may be a path.

    Raises:
        InputError: ``catalogue.no_image``; ``catalogue.bad_image``: an address of another kind.
    """
    schema.check_image(subject, image)
    return schema.scheme_of(image) in ("http", "https")


def web_picture(subject: str, image: str) -> PictureRef:
    """The picture at an http(s) address.

    Raises:
        InputError: ``catalogue.bad_image``: it is no usable one.
    """
    if not is_web_url(image):
        reason = f"its image is no usable URL ({_short(image)})"
        raise InputError("catalogue.bad_image", subject, reason, "Copy the picture's address again")
    return PictureRef(image)


def _inside(subject: str, image: str, folder: Path) -> Path:
    """The file that `image` names, with links followed, inside the catalogue's folder."""
    try:
        if len(image) > _MAX_PATH or "\x00" in image:
            raise ValueError("no file has such a name")
        # Spreadsheets on Windows write backslashes; a file here may hold one in its name.
        given = folder / image
        if "\\" in image and not given.exists():
            given = folder / image.replace("\\", "/")
        target = given.resolve()
        within = target.is_relative_to(folder)
    except (OSError, ValueError, RuntimeError) as error:
        reason = f"its image is no usable path ({error})"
        raise InputError("catalogue.bad_image", subject, reason, "Give a path or an http(s) URL") from error
    if not within:
        reason = f"its image {_short(image)!r} lies outside the catalogue's folder"
        raise InputError("catalogue.outside", subject, reason, "Put the pictures beside the catalogue file")
    return target


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
