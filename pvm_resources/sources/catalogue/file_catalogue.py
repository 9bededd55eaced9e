"""Products of a catalogue: CSV, TSV, JSON Lines or a product feed in XML, a file or behind a URL.

One row is one picture, the id repeated for a gallery; a row may name further pictures of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pvm_core.errors import InputError, Problem
from pvm_core.shown_url import shown_url
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import (
    Collected,
    PictureRef,
    ProductRecord,
    Query,
    SourceStatus,
)
from pvm_resources.sources.catalogue import limits, schema
from pvm_resources.sources.catalogue.content import Content, opened
from pvm_resources.sources.catalogue.problems import ProblemList
from pvm_resources.sources.catalogue.rows import Row
from pvm_resources.sources.catalogue.tables import read_rows
from pvm_resources.sources.confined import Bounds, Confinement
from pvm_resources.sources.urls import is_web_url

#: What the source is called in commands, statuses and rows.
NAME: Final = "file"
REQUIRED: Final = ("product_id", "image")
#: The stage these problems belong to.
STAGE: Final = "products"
#: The longest path Linux opens; anything longer is no file name.
_MAX_PATH: Final = 4_096
#: Folders whose links were followed that are kept in memory.
_FOLDERS_KNOWN: Final = 10_000


class FileCatalogue:
    """A catalogue file as a product source.

    Columns ``product_id`` and ``image`` are required, ``title``, ``brand`` and ``url`` may follow, others are
    ignored; Google's product data names (``id``, ``image_link``, ``additional_image_link``, ``link``) are
    taken as well. ``image`` is a path relative to the file, inside its folder, or an http(s) URL. Ids are
    kept as given and never become part of a path.

    Args:
        path: the file.
        namespace: what its ids are unique within: the industry's slug.
        confinement: which files it may lead to.
    """

    name = NAME
    policy = SourcePolicy()

    def __init__(self, path: Path, namespace: str, confinement: Confinement | None = None) -> None:
        self._path = path
        self._namespace = namespace
        self._confinement = confinement or Confinement()

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products of the file, in its order; what the query asks is for other sources.

        Raises:
            InputError: the file as a whole cannot be used (``table.*``), or holds no usable row
                (``catalogue.no_products``).
        """
        with opened(self._path, self._confinement.around(self._path.parent)) as content:
            place = _Folder(self._path, self._confinement)
            return read_catalogue(content, place, self._namespace)


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
    for row in read_rows(content, REQUIRED):
        reading.add(row)
    records = tuple(draft.record(namespace) for draft in reading.drafts.values())
    problems = reading.problems.listed(place.label)
    if not records:
        raise _no_products(content.subject, reading.rows, problems)
    return Collected(reading.status(), records, problems)


class _Reading:
    """A catalogue while its rows are being met."""

    def __init__(self, place: Place) -> None:
        self.rows = 0
        self.drafts: dict[str, _Draft] = {}
        self.problems = ProblemList(STAGE)
        self._place = place
        self._refused_rows = 0
        self._refused_pictures = 0

    def add(self, row: Row) -> None:
        """Takes a row that keeps the schema and whose picture can be found; another is a problem."""
        self.rows += 1
        subject = f"{self._place.label} line {row.line}"
        try:
            broken = schema.refused(row)
            if broken is not None:
                rule, cell = broken
                raise rule.error(subject, cell)
            self._add(subject, row)
        except InputError as error:
            self._refused_rows += 1
            self.problems.add(error)

    def _add(self, subject: str, row: Row) -> None:
        external_id = row.values["product_id"]
        picture = self._place.picture(subject, row.values["image"])
        draft = self.drafts.setdefault(external_id, _Draft(external_id, row.line))
        for conflict in draft.add(subject, row, (picture, *self._further(subject, row.more))):
            self.problems.add(conflict)

    def _further(self, subject: str, images: Sequence[str]) -> Iterator[PictureRef]:
        """The pictures beside a row's own; one that cannot be used costs itself alone."""
        for image in images[: limits.MAX_MORE]:
            try:
                yield self._place.picture(subject, image)
            except InputError as error:
                self._refused_pictures += 1
                self.problems.add(error)
        if len(images) > limits.MAX_MORE:
            reason = f"it names more than {limits.MAX_MORE} further pictures"
            remedy = f"The first {limits.MAX_MORE} are used; give the others rows of their own"
            self.problems.add(InputError("catalogue.more", subject, reason, remedy))

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
    pictures: dict[PictureRef, None] = field(default_factory=dict)

    def add(self, subject: str, row: Row, pictures: Sequence[PictureRef]) -> Iterator[InputError]:
        """Takes a row; gives where it says otherwise than those before it."""
        self.pictures.update(dict.fromkeys(pictures))
        for name in ("title", "brand", "url"):
            value = row.values.get(name, "")
            known = self.texts.setdefault(name, value) or value
            self.texts[name] = known
            if value and value != known:
                yield self._conflict(f"{subject}, {name}", name, known, value)

    def _conflict(self, subject: str, name: str, known: str, other: str) -> InputError:
        reason = (
            f"product {_short(self.external_id)} has the {name} {_short(shown_url(known))!r} and here "
            f"{_short(shown_url(other))!r}"
        )
        return InputError("catalogue.conflict", subject, reason, "The first one is used; make them alike")

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
        )


class _Folder:
    """A catalogue file's folder: its pictures lie in it, or on the net."""

    def __init__(self, catalogue: Path, confinement: Confinement) -> None:
        self.label = catalogue.name
        self._folder = catalogue.parent.resolve()
        self._bounds = Bounds(None) if confinement.anywhere else Bounds((self._folder,))
        self._real: dict[str, str] = {}

    def picture(self, subject: str, image: str) -> PictureRef:
        if is_address(subject, image):
            return web_picture(subject, image)
        try:
            target = self._resolved(image)
        except (OSError, ValueError, RuntimeError) as error:
            reason = f"its image is no usable path ({error})"
            raise InputError(
                "catalogue.bad_image", subject, reason, "Give a path or an http(s) URL"
            ) from error
        if not self._bounds.admits(target):
            reason = f"its image {_short(image)!r} lies outside the catalogue's folder, or a link leads there"
            remedy = "Put the pictures beside the catalogue file, or run it with --allow-outside"
            raise InputError("catalogue.outside", subject, reason, remedy)
        return PictureRef(image, target)

    def _resolved(self, image: str) -> Path:
        """The file that `image` names, with links followed.

        Raises:
            ValueError: no file has such a name.
        """
        if len(image) > _MAX_PATH or "\x00" in image:
            raise ValueError("no file has such a name")
        if len(image.replace("\\", "/").split("/")) > limits.MAX_FOLDERS:
            raise ValueError(f"more than {limits.MAX_FOLDERS} folders")
        # Spreadsheets on Windows write backslashes; a file here may hold one in its name.
        given = os.path.join(self._folder, image)  # noqa: PTH118 - pathlib takes ten times as long
        if "\\" in image and not os.path.lexists(given):
            given = os.path.join(self._folder, image.replace("\\", "/"))  # noqa: PTH118
        folder, name = os.path.split(given)
        if name in ("", ".", ".."):
            return Path(os.path.realpath(given))
        # A gallery's pictures share their folder: its links are followed once.
        if folder not in self._real:
            if len(self._real) >= _FOLDERS_KNOWN:
                self._real.clear()
            self._real[folder] = os.path.realpath(folder)
        target = f"{self._real[folder]}/{name}"
        return Path(os.path.realpath(target) if os.path.islink(target) else target)  # noqa: PTH114


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
        reason = f"its image is no usable URL ({_short(shown_url(image))})"
        raise InputError("catalogue.bad_image", subject, reason, "Copy the picture's address again")
    return PictureRef(image)


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
