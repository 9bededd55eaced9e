"""Rows of a catalogue to products: galleries gathered by id, variants under their parents, ids compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pvm_core.errors import InputError, Problem
from pvm_core.money import parse_price
from pvm_core.product_facts import Facts, clean_attributes, parse_availability, parse_moment, plain_text
from pvm_core.shown_url import shown_url
from pvm_core.wording import shortened
from pvm_resources.sources.base import Collected, PictureRef, ProductRecord, SourceStatus
from pvm_resources.sources.catalogue import cells, limits, schema
from pvm_resources.sources.catalogue.content import Content
from pvm_resources.sources.catalogue.problems import ProblemList
from pvm_resources.sources.catalogue.rows import Row
from pvm_resources.sources.catalogue.tables import read_rows

#: What the source is called in commands, statuses and rows.
NAME: Final = "file"
#: The stage these problems belong to.
STAGE: Final = "products"
#: Fields of which the rows of one product should say the same.
_ALIKE: Final = ("title", "brand", "url")
_TEXTS: Final = (
    *_ALIKE, "price", "currency", "description", "category", "availability", "updated_at",
)  # fmt: skip


class Place(Protocol):
    """Where a catalogue is, which decides what its picture references mean.

    Attributes:
        label: the catalogue in messages about its rows.
        scheme: of addresses that are given without one, as ``//host/a.jpg``.
    """

    @property
    def label(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    def picture(self, subject: str, image: str) -> PictureRef:
        """The picture that a row names, by a reference that keeps the schema.

        Raises:
            InputError: ``catalogue.bad_image``, ``catalogue.outside``.
        """
        ...


def read_catalogue(
    content: Content, place: Place, namespace: str, columns: Mapping[str, str] | None = None
) -> Collected[ProductRecord]:
    """All products of a table or feed, in its order.

    Args:
        columns: columns that the user named, by field.

    Raises:
        InputError: it cannot be used as a whole (``table.*``), or holds no usable row
            (``catalogue.no_products``).
    """
    reading = Reading(place)
    for batch in _batches(read_rows(content, columns, reading.problems.add)):
        reading.add(batch)
    records = tuple(reading.records(namespace))
    problems = reading.problems.listed(place.label)
    if not records:
        raise _no_products(content.subject, reading.rows, problems)
    return Collected(reading.status(), records, problems)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows as many as are judged at once; one with a gallery counts as its pictures do."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += max(1, len(row.images))
        if size >= schema.BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _no_products(subject: str, rows: int, problems: Sequence[Problem]) -> InputError:
    first = next((problem for problem in problems if problem.code != "catalogue.encoding"), None)
    if not rows or first is None:
        return InputError(
            "catalogue.no_products",
            subject,
            "it has no rows or items",
            "Add one row for each picture of a product",
        )
    reason = f"none of its {rows} rows can be used; the first: {first.item}: {first.message}"
    return InputError("catalogue.no_products", subject, reason, "Correct the rows")


@dataclass
class _Draft:
    """A product while its rows are being met.

    Attributes:
        row: where it was met first.
        parent: id of the product that it is a variant of; "" for none.
    """

    external_id: str
    row: int
    parent: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    pictures: dict[PictureRef, None] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def add(self, subject: str, values: Mapping[str, str]) -> Iterator[InputError]:
        """Takes the texts of a row; gives where it says otherwise than those before it."""
        for name in _TEXTS:
            if not (value := cells.trimmed(values.get(name, ""))):
                continue
            value = self._as_kept(name, value)
            known = self.texts.setdefault(name, value)
            if value != known and name in _ALIKE:
                yield self._conflict(f"{subject}, {name}", name, known, value)

    def _as_kept(self, name: str, value: str) -> str:
        if name == "url":
            return cells.web_page(value)
        if name == "description" and name not in self.texts:
            return plain_text(value)
        if name == "availability" and parse_availability(value) == "in_stock":
            # A product is in stock where one of its variants is.
            self.texts[name] = value
        return value

    def _conflict(self, subject: str, name: str, known: str, other: str) -> InputError:
        reason = (
            f"product {shortened(self.external_id)} has the {name} {shortened(shown_url(known))!r} and here "
            f"{shortened(shown_url(other))!r}"
        )
        return InputError("catalogue.conflict", subject, reason, "The first one is used; make them alike")

    def record(self, namespace: str, parent: _Draft | None) -> ProductRecord:
        """The product; what its own rows leave out is its parent's."""
        texts = {**(parent.texts if parent else {}), **self.texts}
        attributes = {**(parent.attributes if parent else {}), **self.attributes}
        price = parse_price(texts.get("price", ""), texts.get("currency", ""))
        return ProductRecord(
            source=NAME,
            namespace=namespace,
            external_id=self.external_id,
            title=texts.get("title", ""),
            brand=texts.get("brand", ""),
            url=texts.get("url", ""),
            pictures=tuple(self.pictures),
            row=self.row,
            price=price.amount,
            currency=price.currency,
            facts=Facts(
                texts.get("description", ""),
                texts.get("category", ""),
                parse_availability(texts.get("availability", "")),
                clean_attributes(attributes),
                parse_moment(texts.get("updated_at", "")),
            ),
        )


@dataclass(frozen=True)
class _Met:
    """A row, its id and its parent's as their shop has them, its references to pictures repaired."""

    row: Row
    external_id: str
    parent: str
    images: tuple[str, ...]


class Reading:
    """A catalogue while its rows are being met."""

    def __init__(self, place: Place) -> None:
        self.rows = 0
        self.problems = ProblemList(STAGE)
        self._place = place
        self._drafts: dict[str, _Draft] = {}
        self._also: dict[str, str] = {}
        self._folded: dict[str, str | None] = {}
        self._without: list[tuple[int, _Draft]] = []
        self._last = ""
        self._refused_rows = 0
        self._refused_pictures = 0

    def add(self, batch: Sequence[Row]) -> None:
        """Takes the rows that keep the schema and whose pictures can be found; another is a problem."""
        met = [self._met(row) for row in batch]
        broken = schema.broken(
            [None if one.row.fault else schema.Judged(one.external_id, one.images) for one in met]
        )
        for place, one in enumerate(met):
            self.rows += 1
            subject = f"{self._place.label} line {one.row.line}"
            rule = broken.ids.get(place)
            if one.row.fault or rule is not None:
                self._refused_rows += 1
                fault = InputError("catalogue.row", subject, one.row.fault, "Correct that row")
                self.problems.add(rule.error(subject, one.external_id) if rule else fault)
                continue
            rules = [broken.images.get((place, n)) for n in range(len(one.images))]
            self._take(subject, one, rules)

    def records(self, namespace: str) -> Iterator[ProductRecord]:
        """The products, once all rows were met; rows that are left without a picture become problems."""
        shown = {id_ for id_, draft in self._drafts.items() if draft.pictures}
        parents = {self._parent(self._drafts[id_]) for id_ in shown}
        for line, draft in self._without:
            if not {draft.external_id, self._parent(draft)} & shown and draft.external_id not in parents:
                self._refused_rows += 1
                self.problems.add(schema.NO_IMAGE.error(f"{self._place.label} line {line}", ""))
        for external_id in self._drafts:
            draft = self._drafts[external_id]
            if draft.pictures:
                parent = self._drafts.get(self._parent(draft))
                yield draft.record(namespace, parent)

    def status(self) -> SourceStatus:
        """``partial`` where a row or a picture was refused; a conflict is a problem and no loss."""
        lost = [f"{self._refused_rows} of {self.rows} rows"] if self._refused_rows else []
        if self._refused_pictures:
            lost.append(f"{self._refused_pictures} further pictures")
        if not lost:
            return SourceStatus(NAME, "ok")
        reason = f"{' and '.join(lost)} could not be used"
        return SourceStatus(NAME, "partial", reason, "See the job's problems")

    def _met(self, row: Row) -> _Met:
        """What a row says of itself; one that is a variation may leave it to the row before."""
        if row.fault:
            return _Met(row, "", "", ())
        external_id = cells.product_id(row.values.get("product_id", ""))
        parent = cells.product_id(row.values.get("parent", ""))
        if row.variation:
            # A variation without a label of its own is a further picture of the listing.
            external_id, parent = external_id or self._last, self._last
        else:
            self._last = external_id
        images = row.images[: limits.MAX_MORE + 1]
        return _Met(row, external_id, parent, tuple(cells.repaired(i, self._place.scheme) for i in images))

    def _take(self, subject: str, met: _Met, rules: Sequence[schema.Rule | None]) -> None:
        draft = self._draft(subject, met)
        for conflict in draft.add(subject, met.row.values):
            self.problems.add(conflict)
        for name, value in met.row.attributes.items():
            draft.attributes.setdefault(name, value)
        if met.images:
            self._take_pictures(subject, draft, met, rules)
        else:
            # Another row of the product, its parent or a variant may hold the picture.
            self._without.append((met.row.line, draft))

    def _draft(self, subject: str, met: _Met) -> _Draft:
        """The product that a row belongs to."""
        draft = self._drafts.get(met.external_id)
        if draft is None:
            self._compare(subject, met.external_id)
            draft = self._drafts[met.external_id] = _Draft(met.external_id, met.row.line)
        draft.parent = draft.parent or (met.parent if met.parent != met.external_id else "")
        if met.row.also:
            self._also.setdefault(f"id:{met.row.also}", met.external_id)
        return draft

    def _parent(self, draft: _Draft) -> str:
        return self._also.get(draft.parent, draft.parent)

    def _compare(self, subject: str, external_id: str) -> None:
        """Says once of each group of ids that they differ in what nobody sees."""
        key = cells.folded(external_id)
        first = self._folded.setdefault(key, external_id)
        if first is None or first == external_id:
            return
        self._folded[key] = None
        reason = (
            f"the ids {shortened(ascii(first))} and {shortened(ascii(external_id))} differ only in case, "
            "blanks or invisible characters"
        )
        remedy = "They are taken as two products; write them alike where they are one"
        self.problems.add(InputError("catalogue.near_ids", subject, reason, remedy))

    def _take_pictures(
        self, subject: str, draft: _Draft, met: _Met, rules: Sequence[schema.Rule | None]
    ) -> None:
        errors: list[InputError] = []
        found = 0
        for image, rule in zip(met.images, rules, strict=True):
            try:
                if rule is not None:
                    raise rule.error(subject, image)
                draft.pictures[self._place.picture(subject, image)] = None
                found += 1
            except InputError as error:
                errors.append(error)
        if found:
            self._refused_pictures += len(errors)
        else:
            self._refused_rows += 1
        for refused in errors:
            self.problems.add(refused)
        if len(met.row.images) > limits.MAX_MORE + 1:
            reason = f"it names more than {limits.MAX_MORE} further pictures"
            remedy = f"The first {limits.MAX_MORE} are used; give the others rows of their own"
            self.problems.add(InputError("catalogue.more", subject, reason, remedy))
