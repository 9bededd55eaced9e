"""A catalogue that is read again as changes: what it says otherwise than it did last."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pvm_core import ids
from pvm_core.errors import Problem
from pvm_core.product_changes import FIELDS, Change, Kind, Version
from pvm_resources.living_catalogue import Gone, LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.sources.base import ProductRecord, Query
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_changes import ProductChange

#: Changes of one transaction.
_BATCH: Final = 500


@dataclass(frozen=True)
class Imported:
    """What came of a catalogue: products by what was done with them; `problems` of its rows."""

    created: int
    updated: int
    deleted: int
    unchanged: int
    refused: int
    problems: tuple[Problem, ...]


def import_file(
    store: Store,
    media: MediaStore,
    path: Path,
    industry: str,
    *,
    remove_missing: bool = False,
    dry_run: bool = False,
    gone: Gone | None = None,
) -> Imported:
    """Applies what a catalogue says otherwise than it did last, in batches; a killed import goes on where it
    is run again.

    Args:
        industry: the slug of the one whose catalogue it is.
        remove_missing: products of the industry's catalogue that it no longer lists are deleted.
        dry_run: only count.
        gone: is told which products are deleted; see `LivingCatalogue`.

    Raises:
        InputError: ``table.*``, ``catalogue.*``: it cannot be used as a whole.
    """
    found = FileCatalogue(path, industry).collect(Query(industry))
    records = {ids.product_id(one.namespace, one.external_id): one for one in found.records}
    version = Version.at(store.product_changes.now(), "catalogue")
    changes = list(_differences(store, records, version))
    if remove_missing:
        for key, external_id in store.product_changes.listed(industry).items():
            if key not in records:
                changes.append(ProductChange(key, industry, external_id, Change("delete", version)))
    counts = {"created": 0, "updated": 0, "deleted": 0, "refused": 0}
    catalogue = LivingCatalogue(store, media, gone)
    words: dict[Kind, str] = {"create": "created", "update": "updated", "delete": "deleted"}
    for batch in _batches(changes):
        if dry_run:
            effects: Sequence[str | None] = [words[one.change.kind] for one in batch]
        else:
            done = catalogue.apply(batch)
            effects = ["refused" if one.error else one.effect for one in done]
        for effect in filter(None, effects):
            counts[effect] += 1
    unchanged = len(records) - sum(one.product_id in records for one in changes)
    return Imported(**counts, unchanged=unchanged, problems=found.problems)


def _differences(
    store: Store, records: dict[uuid.UUID, ProductRecord], version: Version
) -> Iterator[ProductChange]:
    said = store.product_changes.said(list(records))
    gone = store.product_changes.deleted(list(records))
    for key, record in records.items():
        values = _values(record)
        known = said.get(key)
        if known is None:
            if key not in gone:
                change = Change("create", version, values)
                yield ProductChange(key, record.namespace, record.external_id, change, reading=True)
            continue
        # What it does not say, it does not empty.
        other = {
            name: value for name, value in values.items() if value != known[name] and value != FIELDS[name]
        }
        if other:
            change = Change("update", version, other)
            yield ProductChange(key, record.namespace, record.external_id, change, reading=True)


def _values(record: ProductRecord) -> dict[str, Any]:
    facts = record.facts
    return {
        "title": record.title, "description": facts.description, "category": facts.category,
        "brand": record.brand, "price": record.price, "currency": record.currency,
        "availability": facts.availability, "url": record.url, "attributes": dict(facts.attributes),
    }  # fmt: skip


def _batches(changes: Sequence[ProductChange]) -> Iterator[Sequence[ProductChange]]:
    for start in range(0, len(changes), _BATCH):
        yield changes[start : start + _BATCH]
