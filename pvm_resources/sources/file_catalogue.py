"""Products of a catalogue file: CSV or JSON Lines, one row a picture, the id repeated for a gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pvm_core.errors import InputError, Problem
from pvm_resources.sources.base import (
    Collected,
    PictureRef,
    ProductRecord,
    Query,
    SourcePolicy,
    SourceStatus,
)
from pvm_resources.sources.tables import Row, read_rows

REQUIRED: Final = ("product_id", "image")
#: The stage these problems belong to.
STAGE: Final = "products"
#: An id is a key in the database and in results, not a text.
_MAX_ID: Final = 500
#: The longest path Linux opens; anything longer is no file name.
_MAX_PATH: Final = 4_096
_MAX_URL: Final = 8_000


class FileCatalogue:
    """A catalogue file as a product source.

    Columns ``product_id`` and ``image`` are required, ``title``, ``brand`` and ``url`` may follow, others are
    ignored. ``image`` is a path relative to the file, inside its folder, or an http(s) URL. Ids are kept as
    given and never become part of a path.

    Args:
        path: the file.
        namespace: what its ids are unique within: the industry's slug.
    """

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._namespace = namespace

    @property
    def name(self) -> str:
        """``file``."""
        return "file"

    @property
    def policy(self) -> SourcePolicy:
        """The user's own material: no limits."""
        return SourcePolicy()

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products of the file, in its order; what the query asks is for other sources.

        Raises:
            InputError: the file as a whole cannot be used (``table.*``), or holds no usable row
                (``catalogue.no_products``).
        """
        drafts: dict[str, _Draft] = {}
        problems: list[Problem] = []
        rows = 0
        folder = self._path.parent.resolve()
        for row in read_rows(self._path, REQUIRED):
            rows += 1
            try:
                self._add(drafts, row, folder)
            except InputError as error:
                problems.append(Problem.of(STAGE, error))
        problems += [p for draft in drafts.values() for p in draft.problems]
        records = tuple(draft.record(self._namespace) for draft in drafts.values())
        if not records:
            raise self._no_products(rows, problems)
        return Collected(self._status(rows, problems), records, tuple(problems))

    def _add(self, drafts: dict[str, _Draft], row: Row, folder: Path) -> None:
        subject = f"{self._path.name} line {row.line}"
        if row.fault:
            raise InputError("catalogue.row", subject, row.fault, "Correct that row")
        external_id = row.values.get("product_id", "")
        _check_id(subject, external_id)
        picture = _picture(subject, row.values.get("image", ""), folder)
        draft = drafts.setdefault(external_id, _Draft(external_id, row.line))
        draft.add(self._path.name, row, picture)

    def _status(self, rows: int, problems: list[Problem]) -> SourceStatus:
        refused = sum(problem.code != "catalogue.conflict" for problem in problems)
        if not refused:
            return SourceStatus(self.name, "ok")
        return SourceStatus(
            self.name, "partial", f"{refused} of {rows} rows could not be used", "See the job's problems"
        )

    def _no_products(self, rows: int, problems: list[Problem]) -> InputError:
        if not rows:
            return InputError(
                "catalogue.no_products",
                str(self._path),
                "it has column names and no rows",
                "Add one row for each picture of a product",
            )
        first = problems[0]
        reason = f"none of its {rows} rows can be used; the first: {first.item}: {first.message}"
        return InputError("catalogue.no_products", str(self._path), reason, "Correct the rows")


@dataclass
class _Draft:
    """A product while its rows are being met."""

    external_id: str
    row: int
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[PictureRef, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, file: str, row: Row, picture: PictureRef) -> None:
        self.pictures.setdefault(picture)
        for name in ("title", "brand", "url"):
            value = row.values.get(name, "")
            known = self.texts.setdefault(name, value) or value
            self.texts[name] = known
            if value and value != known:
                self.problems.append(self._conflict(f"{file} line {row.line}, {name}", name, known, value))

    def _conflict(self, subject: str, name: str, known: str, other: str) -> Problem:
        reason = (
            f"product {_short(self.external_id)} has the {name} {_short(known)!r} and here {_short(other)!r}"
        )
        error = InputError("catalogue.conflict", subject, reason, "The first one is used; make them alike")
        return Problem.of(STAGE, error)

    def record(self, namespace: str) -> ProductRecord:
        return ProductRecord(
            source="file",
            namespace=namespace,
            external_id=self.external_id,
            title=self.texts.get("title", ""),
            brand=self.texts.get("brand", ""),
            url=self.texts.get("url", ""),
            pictures=tuple(self.pictures),
            row=self.row,
        )


def _check_id(subject: str, external_id: str) -> None:
    if not external_id:
        raise InputError("catalogue.no_id", subject, "its product_id is empty", "Give the row an id")
    if len(external_id) > _MAX_ID:
        reason = f"its product_id has {len(external_id):,} characters, over {_MAX_ID}"
        raise InputError("catalogue.bad_id", subject, reason, "Give it a shorter id")
    if not external_id.isprintable():
        reason = "its product_id holds control characters or line breaks"
        raise InputError("catalogue.bad_id", subject, reason, "Give it an id of printable characters")


def _picture(subject: str, image: str, folder: Path) -> PictureRef:
    if not image:
        raise InputError("catalogue.no_image", subject, "its image is empty", "Give a path or an http(s) URL")
    scheme = image.split(":", 1)[0].lower() if ":" in image else ""
    if scheme in ("http", "https"):
        return _web_picture(subject, image)
    if "://" in image or scheme in ("data", "javascript", "file"):
        reason = f"its image is a {scheme}: address"
        raise InputError("catalogue.bad_image", subject, reason, "Give a path or an http(s) URL")
    return PictureRef(image, _inside(subject, image, folder))


def _web_picture(subject: str, image: str) -> PictureRef:
    try:
        parts = urlsplit(image)
        usable = bool(parts.hostname) and len(image) <= _MAX_URL and image.isprintable() and " " not in image
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
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
