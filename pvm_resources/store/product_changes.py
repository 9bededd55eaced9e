"""Changes of products: applied once in effect, in order per product, each with its event in the outbox."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pvm_core.errors import InputError
from pvm_core.product_changes import FIELDS, Applied, Change, Effect, ProductState, Version, apply
from pvm_resources.store.base import Cursor, Repository, clean, json

#: Changes up to which their statements travel together: ids of more are no short parameters (`transaction`).
_PIPELINED: Final = 500
#: Deletes the files of these media keys.
Forget = Callable[[Sequence[str]], None]

_ROW: Final = ", ".join(FIELDS)
_LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('pvm product ' || id, 0))
FROM (SELECT unnest(%s::text[]) AS id ORDER BY 1) o
"""
_KNOWN: Final = f"""
SELECT clock_timestamp(), w.product_id, p.src, p.asin_or_itemid, p.versions, p.said, t.number, t.entry, {_ROW}
FROM unnest(%s::uuid[]) w (product_id)
LEFT JOIN products p USING (product_id) LEFT JOIN product_tombstones t USING (product_id)
"""
_TYPES: Final = {
    "product_id": "uuid", "src": "text", "namespace": "text", "asin_or_itemid": "text",
    **dict.fromkeys(FIELDS, "text"), "attributes": "jsonb", "pictures": "jsonb", "versions": "jsonb",
    "said": "jsonb",
}  # fmt: skip
_SET: Final = (*FIELDS, "versions", "said")
_STORE: Final = f"""
INSERT INTO products ({", ".join(_TYPES)}, updated_at)
SELECT {", ".join(_TYPES)}, clock_timestamp()
FROM jsonb_to_recordset(%s) r ({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})
ON CONFLICT (product_id) DO UPDATE SET updated_at = clock_timestamp(), purged_at = NULL,
    {", ".join(f"{name} = excluded.{name}" for name in _SET)}
"""
_TOMBSTONES: Final = """
INSERT INTO product_tombstones (product_id, number, entry)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[])
ON CONFLICT (product_id) DO UPDATE SET number = excluded.number, entry = excluded.entry, deleted_at = now()
"""
_EVENTS: Final = """
INSERT INTO outbox (event_id, name, item, payload)
SELECT gen_random_uuid(), * FROM unnest(%s::text[], %s::text[], %s::jsonb[])
"""
#: Media keys that exist because of these products.
_FILES: Final = """
WITH mine AS (SELECT img_id, local_path FROM stored_images WHERE product_id = ANY(%(ids)s))
SELECT local_path FROM mine
UNION SELECT mask_path FROM masks WHERE item_id IN (SELECT img_id FROM mine) AND mask_path IS NOT NULL
UNION SELECT kp_blob_path FROM keypoint_sets
      WHERE item_id IN (SELECT img_id FROM mine) AND kp_blob_path IS NOT NULL
UNION SELECT evidence_path FROM matches WHERE product_id = ANY(%(ids)s) AND evidence_path IS NOT NULL
UNION SELECT path FROM industry_reports WHERE job_id IN (
    SELECT job_id FROM job_products WHERE product_id = ANY(%(ids)s))
"""
#: A report shows what its job matched: the next materialisation makes it anew.
_REPORTS: Final = """
DELETE FROM industry_reports WHERE job_id IN (SELECT job_id FROM job_products WHERE product_id = ANY(%s))
"""
_BUSY: Final = """
SELECT DISTINCT product_id FROM job_products JOIN jobs USING (job_id)
WHERE product_id = ANY(%s) AND status = 'running'
"""


@dataclass(frozen=True)
class ProductChange:
    """A change and the product that it is of.

    Attributes:
        namespace, external_id: of which its id is made; external_id is the id as given.
        reading: it is what the product's source says now.
        undated: its version is the time at which it is applied.
        traceparent: of the span that brought it; None: it is not traced.
    """

    product_id: uuid.UUID
    namespace: str
    external_id: str
    change: Change
    reading: bool = False
    undated: bool = False
    traceparent: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a change came to.

    Attributes:
        effect: None where nothing changed: a duplicate, or older than what stands.
        changed: the fields that have another value now.
        error: why it was refused.
    """

    product_id: uuid.UUID
    effect: Effect | None = None
    changed: tuple[str, ...] = ()
    error: InputError | None = None


@dataclass
class _Known:
    """A product while changes are applied to it."""

    product_id: uuid.UUID
    source: str
    namespace: str
    external_id: str
    state: ProductState
    said: dict[str, Any]
    stored: bool
    touched: bool = False

    def take(self, done: Applied, change: Change, reading: bool) -> None:
        """Goes on from what a change did."""
        for name in done.state.versions.keys() - self.state.versions.keys():
            # What its source said is remembered, so that a reading which says it again is no news.
            if self.stored and name in self.state.values and change.kind != "delete":
                self.said.setdefault(name, self.state.value(name))
        if reading:
            self.said |= {name: value for name, value in change.data.items() if name in done.state.versions}
        if not done.state.exists:
            self.said = {}
        self.touched = self.touched or reading or done.state != self.state
        self.state = done.state


class ProductChanges(Repository):
    """Tables `products` as changes write it, and `product_tombstones`."""

    def apply(self, changes: Sequence[ProductChange], forget: Forget) -> list[Outcome]:
        """Applies changes in one transaction: those of a product in their order, none twice in effect.

        A delete removes the product's row with everything computed from it, in any job, and its files; of a
        product on which a job is running it is refused.

        Args:
            forget: deletes media files; called before the rows go, so that a crash leaves rows that say what
                is left.

        Returns:
            an outcome per change, ``change.busy`` among them.

        Raises:
            StoreError: nothing was applied.
        """
        with self._db.transaction(pipelined=len(changes) <= _PIPELINED) as cursor:
            now, known = self._known(cursor, changes)
            busy = _running(cursor, [one.product_id for one in changes if one.change.kind == "delete"])
            outcomes, events = [], []
            for place, given in enumerate(changes):
                # Those of one product are applied one after another, and so are their times.
                moment = now + timedelta(microseconds=place)
                one = _dated(given, moment) if given.undated else given
                if one.change.kind == "delete" and one.product_id in busy:
                    outcomes.append(Outcome(one.product_id, error=_busy(one)))
                    continue
                product = known[one.product_id]
                done = apply(product.state, _cleaned(one.change))
                product.take(done, one.change, one.reading)
                outcomes.append(Outcome(one.product_id, done.effect, tuple(sorted(done.changed))))
                if done.effect is not None:
                    events.append(_event(product, one.change.version, done))
            self._write(cursor, [one for one in known.values() if one.touched], forget)
            if events:
                cursor.execute(_EVENTS, [list(column) for column in zip(*events, strict=True)])
        return outcomes

    def deleted(self, product_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those that were deleted by a change, and not made again."""
        query = (
            "SELECT t.product_id FROM product_tombstones t LEFT JOIN products p USING (product_id) "
            "WHERE t.product_id = ANY(%s) AND p.product_id IS NULL"
        )
        return {row[0] for row in self._db.tuples(query, [list(product_ids)])}

    def listed(self, namespace: str) -> dict[uuid.UUID, str]:
        """The products of a namespace, and their ids as given."""
        query = "SELECT product_id, asin_or_itemid FROM products WHERE namespace = %s AND src = 'file'"
        return {row[0]: row[1] for row in self._db.tuples(query, [namespace])}

    def knows(self, product_id: uuid.UUID) -> bool:
        """Whether there is, or was, such a product."""
        query = (
            "SELECT 1 FROM products WHERE product_id = %(id)s "
            "UNION ALL SELECT 1 FROM product_tombstones WHERE product_id = %(id)s LIMIT 1"
        )
        return self._db.value(query, {"id": product_id}) is not None

    def said(self, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
        """Of stored products: what their source said last, by field; a field that it never said has the value
        that stands."""
        query = f"SELECT product_id, said, {_ROW} FROM products WHERE product_id = ANY(%s)"
        return {
            row[0]: {**dict(zip(FIELDS, row[2:], strict=True)), **row[1]}
            for row in self._db.tuples(query, [list(product_ids)])
        }

    def _known(
        self, cursor: Cursor, changes: Iterable[ProductChange]
    ) -> tuple[datetime, dict[uuid.UUID, _Known]]:
        """The time, and the products, which nobody else changes until the transaction ends."""
        first = {one.product_id: one for one in reversed(list(changes))}
        # Another cursor, so that nobody waits for its rows, which say nothing.
        cursor.connection.cursor().execute(_LOCK, [[str(product_id) for product_id in first]])
        rows = cursor.execute(_KNOWN, [list(first)]).fetchall()
        return rows[0][0], {row[1]: _read(first[row[1]], *row[2:]) for row in rows}

    def _write(self, cursor: Cursor, products: Sequence[_Known], forget: Forget) -> None:
        gone = [one.product_id for one in products if one.stored and not one.state.exists]
        if gone:
            forget([row[0] for row in cursor.execute(_FILES, {"ids": gone})])
            cursor.execute(_REPORTS, [gone])
            cursor.execute("DELETE FROM job_products WHERE product_id = ANY(%s)", [gone])
            cursor.execute("DELETE FROM products WHERE product_id = ANY(%s)", [gone])
        buried = [(one.product_id, one.state.deleted) for one in products if one.state.deleted is not None]
        if buried:
            ids, versions = zip(*buried, strict=True)
            numbers, entries = [one.number for one in versions], [one.entry for one in versions]
            cursor.execute(_TOMBSTONES, [list(ids), numbers, entries])
        rows = [_row(one) for one in products if one.state.exists]
        if rows:
            cursor.execute(_STORE, [json(rows)])


def _read(
    change: ProductChange, source: str | None, external_id: str | None, versions: Mapping[str, Any] | None,
    said: Mapping[str, Any] | None, number: int | None, entry: str | None, *values: Any,
) -> _Known:  # fmt: skip
    deleted = None if number is None else Version(number, str(entry))
    if source is None:
        state = ProductState(deleted=deleted)
        return _Known(change.product_id, "file", change.namespace, change.external_id, state, {}, False)
    known = {name: Version(int(one[0]), one[1]) for name, one in (versions or {}).items()}
    fields = {
        name: tuple(one) if name == "pictures" else one for name, one in zip(FIELDS, values, strict=True)
    }
    state = ProductState(fields, known, deleted)
    return _Known(
        change.product_id, source, change.namespace, str(external_id), state, dict(said or {}), True
    )


def _dated(one: ProductChange, moment: datetime) -> ProductChange:
    return replace(one, change=replace(one.change, version=Version.at(moment, one.change.version.entry)))


def _running(cursor: Cursor, product_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    if not product_ids:
        return set()
    return {row[0] for row in cursor.execute(_BUSY, [list(product_ids)])}


def _busy(one: ProductChange) -> InputError:
    return InputError(
        "change.busy", one.external_id, "a running job works on it", "Send the change again once it has ended"
    )


def _cleaned(change: Change) -> Change:
    """The change with texts that a database holds."""
    data: dict[str, Any] = {}
    for name, value in change.data.items():
        if name == "attributes":
            data[name] = {clean(key): clean(one) for key, one in value.items()}
        elif name == "pictures":
            data[name] = tuple(clean(one) for one in value)
        else:
            data[name] = clean(value)
    return Change(change.kind, change.version, data)


def _row(one: _Known) -> dict[str, Any]:
    versions = {name: [version.number, version.entry] for name, version in one.state.versions.items()}
    values = {name: one.state.value(name) for name in FIELDS}
    return {
        "product_id": str(one.product_id), "src": one.source, "namespace": one.namespace,
        "asin_or_itemid": one.external_id, **values, "attributes": dict(values["attributes"]),
        "pictures": list(values["pictures"]), "versions": versions, "said": one.said,
    }  # fmt: skip


def _event(product: _Known, version: Version, done: Applied) -> tuple[str, str, Any]:
    values = {name: done.state.value(name) for name in sorted(done.changed)}
    payload: dict[str, Any] = {
        "product_id": str(product.product_id), "product": product.external_id, "source": product.source,
        "version": version.number,
    }  # fmt: skip
    if done.effect != "deleted":
        payload["data"] = {name: dict(v) if name == "attributes" else v for name, v in values.items()}
    return f"product.{done.effect}", str(product.product_id), json(payload)
