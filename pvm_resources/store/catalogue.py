"""Products and their pictures."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pvm_core.picture_content import Role
from pvm_core.product_changes import FIELDS
from pvm_core.text import Line
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, clean, columns, json, listed, rows, signed, unsigned
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.records import Image, ImageSource, Product

_PRODUCT: Final = columns(Product, attributes="jsonb")
#: What a product's row never changes.
_GIVEN: Final = ("src", "namespace", "asin_or_itemid")
_AS_STORED: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("title", "brand", "url", "description", "category"), clean),
    "attributes": lambda given: json({clean(name): clean(value) for name, value in given.items()}),
}
#: The database's clock as a version: microseconds since 1970.
_NOW: Final = "(extract(epoch FROM now()) * 1000000)::bigint"


def _merged() -> dict[str, str]:
    """Column -> SQL of what a reading makes of a stored row t.

    A field that a change has set stands while the source says what it said before, and where the change is
    newer than what the source says; else the reading is one more change.
    """
    number = f"coalesce((extract(epoch FROM excluded.updated_at) * 1000000)::bigint, {_NOW})"
    found = {"updated_at": "coalesce(excluded.updated_at, t.updated_at)"}
    versions, said = [], []
    for name in (name for name in _PRODUCT if name in FIELDS):
        nothing = "'{}'::jsonb" if name == "attributes" else "''"
        before = "t.said -> 'attributes'" if name == "attributes" else f"t.said ->> '{name}'"
        keeps = (
            f"(t.versions ? '{name}' AND (excluded.{name} = coalesce({before}, {nothing}) "
            f"OR (t.versions -> '{name}' ->> 0)::bigint >= {number}))"
        )
        found[name] = f"CASE WHEN {keeps} THEN t.{name} ELSE excluded.{name} END"
        set_by = f"jsonb_build_object('{name}', jsonb_build_array({number}, 'catalogue'))"
        versions.append(f"CASE WHEN t.versions ? '{name}' AND NOT {keeps} THEN {set_by} ELSE '{{}}' END")
        now = f"jsonb_build_object('{name}', excluded.{name})"
        said.append(f"CASE WHEN t.versions ? '{name}' THEN {now} ELSE '{{}}' END")
    for column, parts in (("versions", versions), ("said", said)):
        merged = " || ".join((f"t.{column}", *parts))
        found[column] = f"CASE WHEN t.versions = '{{}}' THEN t.{column} ELSE {merged} END"
    return found


_MERGED: Final = _merged()


def _news() -> str:
    """SQL that writes an event for every staged product whose row is made, or takes another value."""
    number = f"coalesce((extract(epoch FROM s.updated_at) * 1000000)::bigint, {_NOW})"
    parts = []
    for name in (name for name in _PRODUCT if name in FIELDS):
        nothing = "'{}'::jsonb" if name == "attributes" else "''"
        now = _MERGED[name].replace("excluded.", "s.")
        value = f"CASE WHEN t.product_id IS NULL THEN s.{name} ELSE {now} END"
        parts.append(
            f"CASE WHEN {value} IS DISTINCT FROM coalesce(t.{name}, {nothing}) "
            f"THEN jsonb_build_object('{name}', {value}) ELSE '{{}}' END"
        )
    return (
        "INSERT INTO outbox (event_id, name, item, payload) SELECT gen_random_uuid(), "
        "CASE WHEN n.made THEN 'product.created' ELSE 'product.updated' END, n.product_id::text, "
        "jsonb_build_object('product_id', n.product_id, 'product', n.asin_or_itemid, 'source', n.src, "
        "'version', n.number, 'data', n.data) FROM (SELECT DISTINCT ON (s.product_id) s.product_id, "
        f"s.asin_or_itemid, s.src, t.product_id IS NULL AS made, {number} AS number, "
        f"{' || '.join(parts)} AS data FROM {{stage}} s LEFT JOIN products t USING (product_id) "
        f"WHERE s.src = ANY(%s) ORDER BY s.product_id, s.ctid DESC) n WHERE n.made OR n.data <> '{{}}'"
    )


_NEWS: Final = _news()
#: Nobody changes the products between the events and the rows.
_HOLD: Final = (
    "SELECT FROM products WHERE product_id IN (SELECT product_id FROM {stage}) ORDER BY product_id FOR UPDATE"
)
#: Sources whose products may be told on; what a shop's terms limit goes to nobody.
_TOLD: Final = ("file",)
_JOB_PRODUCT: Final = {"job_id": "text", "product_id": "uuid", "position": "int4"}
_IMAGE: Final = columns(Image, without=("position",), phash="int8")
_JOB_IMAGE: Final = {"job_id": "text", "img_id": "uuid", "product_id": "uuid", "position": "int4"}
_SOURCE: Final = columns(ImageSource)
_GALLERY: Final = f"""
SELECT {listed(_IMAGE, "i")}, ji.position
FROM job_images ji JOIN stored_images i USING (img_id)
JOIN job_products jp ON (jp.job_id, jp.product_id) = (ji.job_id, ji.product_id)
"""


@dataclass(frozen=True)
class ReviewedPicture:
    """What a picture of a job is. `marked`: 32 x 32 cells that are not the product, a bit each, or None."""

    img_id: uuid.UUID
    role: Role
    marked: bytes | None


class Catalogue(Repository):
    """Tables `products`, `stored_images`, `image_sources`, `picture_lines` and a job's membership in them."""

    def set_products(
        self,
        job_id: str,
        products: Sequence[Product],
        *,
        kept: Collection[uuid.UUID] = (),
        reuse_h: Mapping[str, float] | None = None,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """Stores exactly these as the job's products, in this order; a product left out loses its pictures in
        this job. What differs from the stored row is a change, with its event `product.created` or
        `product.updated` in the outbox. Texts, price and facts of a known product take the new values, and
        its age starts again; a field that a change has set keeps its value until its source says otherwise
        than it did before.

        Args:
            kept: products of these that are stored already; their rows, and their age, stay as they are.
            reuse_h: source -> hours for which its stored answers are read in place of calling it. Its
                products are then as old as the oldest such answer.
        """
        unique = {product.product_id: product for product in products}
        fresh = [product for key, product in unique.items() if key not in kept]
        stored = rows(fresh, _PRODUCT, **_AS_STORED)
        members = [(job_id, product, position) for position, product in enumerate(unique)]
        self._db.commit(
            Copy(
                "products", _PRODUCT, stored, ("product_id",),
                extra={**_MERGED, "seen_at": "now()", "purged_at": "NULL::timestamptz"},
                before=[Statement(_HOLD), Statement(_NEWS, [list(_TOLD)])],
            ),
            Copy(
                "job_products", _JOB_PRODUCT, members, ("job_id", "product_id"), update=("position",),
                before=[_leave("job_products", "product_id", job_id)],
            ),
            *(_as_old_as_answers(job_id, source, hours) for source, hours in (reuse_h or {}).items()),
            *also,
            outbox_write(events),
        )  # fmt: skip

    def write_images(
        self,
        job_id: str,
        images: Iterable[Image],
        sources: Iterable[ImageSource] = (),
        *,
        events: Iterable[Event] = (),
        also: Sequence[Write] = (),
    ) -> None:
        """Adds pictures to the job's galleries, new ones and known ones alike, and what their references
        answered. A picture stored already keeps its row."""
        pictures = list(images)
        members = rows(pictures, [*_JOB_IMAGE][1:], job_id)
        self._db.commit(
            Copy("stored_images", _IMAGE, rows(pictures, _IMAGE, phash=signed), ("img_id",)),
            Copy("job_images", _JOB_IMAGE, members, ("job_id", "img_id"), update=("position",)),
            Copy(
                "image_sources", _SOURCE, rows(sources, _SOURCE), ("product_id", "source_ref"),
                conflict="(product_id, ref_hash)", update=("fingerprint", "img_id"),
            ),
            *also,
            outbox_write(events),
        )  # fmt: skip

    @staticmethod
    def renewed_write(img_ids: Sequence[uuid.UUID]) -> Write:
        """The write that notes those pictures as just fetched: their age starts again."""
        return Statement(
            "UPDATE stored_images SET created_at = now() WHERE img_id = ANY(%s)", [list(img_ids)]
        )

    def keep_images(self, job_id: str, img_ids: Iterable[uuid.UUID]) -> int:
        """Removes all other pictures from the job's galleries; returns how many."""
        query = "DELETE FROM job_images WHERE job_id = %s AND img_id <> ALL(%s)"
        return self._execute(query, job_id, list(img_ids))

    def write_review(
        self, job_id: str, pictures: Iterable[ReviewedPicture], groups: Mapping[uuid.UUID, uuid.UUID]
    ) -> None:
        """What each of the job's pictures is; and product -> the first listing of its group."""
        given = list(pictures)
        self._db.commit(
            Statement(
                "UPDATE job_images i SET role = g.role, marked = g.marked "
                "FROM unnest(%s::uuid[], %s::text[], %s::bytea[]) g (img_id, role, marked) "
                "WHERE i.job_id = %s AND i.img_id = g.img_id",
                [[p.img_id for p in given], [p.role for p in given], [p.marked for p in given], job_id],
            ),
            Statement("UPDATE job_products SET listing_group = NULL WHERE job_id = %s", [job_id]),
            Statement(
                "UPDATE job_products p SET listing_group = g.first "
                "FROM unnest(%s::uuid[], %s::uuid[]) g (product_id, first) "
                "WHERE p.job_id = %s AND p.product_id = g.product_id",
                [list(groups), list(groups.values()), job_id],
            ),
        )

    def reviewed(self, job_id: str) -> list[ReviewedPicture]:
        """The job's pictures as `write_review` left them."""
        return self._db.all(
            ReviewedPicture, "SELECT img_id, role, marked FROM job_images WHERE job_id = %s", [job_id]
        )

    def lines(self, reader_key: str, pictures: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Line]]:
        """The lines of text of those of the pictures that were read under the key."""
        found = self._db.tuples(
            "SELECT img_id, lines FROM picture_lines WHERE reader_key = %s AND img_id = ANY(%s)",
            [reader_key, list(pictures)],
        )
        return {img_id: [Line(text, tuple(at), score) for text, at, score in raw] for img_id, raw in found}

    def write_lines(self, reader_key: str, read: Mapping[uuid.UUID, Sequence[Line]]) -> None:
        """The lines of pictures; of one that was read meanwhile, or is gone, nothing is written."""
        self._db.commit(
            Statement(
                "INSERT INTO picture_lines (img_id, reader_key, lines) "
                "SELECT g.img_id, %s, g.lines FROM unnest(%s::uuid[], %s::jsonb[]) g (img_id, lines) "
                "WHERE EXISTS (SELECT 1 FROM stored_images i WHERE i.img_id = g.img_id) "
                "ON CONFLICT DO NOTHING",
                [
                    reader_key,
                    list(read),
                    [
                        json([[clean(one.text), one.at, one.score] for one in lines])
                        for lines in read.values()
                    ],
                ],
            )
        )

    def listing_groups(self, job_id: str) -> dict[uuid.UUID, uuid.UUID]:
        """Product -> the first listing of its group, for products listed more than once."""
        found = self._db.tuples(
            "SELECT product_id, listing_group FROM job_products "
            "WHERE job_id = %s AND listing_group IS NOT NULL",
            [job_id],
        )
        return dict(found)

    def products(self, job_id: str) -> list[Product]:
        """The job's products, in catalogue order."""
        return self._db.all(
            Product,
            f"SELECT {listed(_PRODUCT, 'p')} FROM job_products jp "
            "JOIN products p USING (product_id) WHERE jp.job_id = %s ORDER BY jp.position, p.product_id",
            [job_id],
        )

    def images(self, job_id: str) -> Iterator[Image]:
        """The job's pictures, by product and place in its gallery; streamed."""
        return self._db.stream(
            _image,
            f"{_GALLERY} WHERE ji.job_id = %s ORDER BY jp.position, ji.product_id, ji.position, ji.img_id",
            [job_id],
        )

    def images_of(self, img_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Image]:
        """Those stored pictures, of any job; `position` is 0."""
        found = self._db.all(
            _image, f"SELECT {listed(_IMAGE)} FROM stored_images WHERE img_id = ANY(%s)", [list(img_ids)]
        )
        return {image.img_id: image for image in found}

    def ages(self, img_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, datetime]]:
        """Of those stored pictures: their product's source, and when they were last fetched."""
        found = self._db.tuples(
            "SELECT i.img_id, p.src, i.created_at FROM stored_images i JOIN products p USING (product_id) "
            "WHERE i.img_id = ANY(%s)",
            [list(img_ids)],
        )
        return {img_id: (source, stored_at) for img_id, source, stored_at in found}

    def known_sources(self, job_id: str) -> dict[tuple[uuid.UUID, str], ImageSource]:
        """What the picture references of the job's products answered last time, in any job, by product and
        reference."""
        found = self._db.stream(
            ImageSource,
            f"SELECT {listed(_SOURCE, 's')} FROM job_products jp "
            "JOIN image_sources s USING (product_id) WHERE jp.job_id = %s",
            [job_id],
        )
        return {(source.product_id, source.source_ref): source for source in found}


def _as_old_as_answers(job_id: str, source: str, hours: float) -> Statement:
    return Statement(
        "UPDATE products p SET seen_at = a.oldest FROM (SELECT min(fetched_at) AS oldest FROM source_answers "
        "WHERE job_id = %(job)s AND source = %(source)s "
        "AND fetched_at > now() - make_interval(secs => %(hours)s * 3600)) a "
        "WHERE a.oldest < p.seen_at AND p.src = %(source)s "
        "AND p.product_id IN (SELECT product_id FROM job_products WHERE job_id = %(job)s)",
        {"job": job_id, "source": source, "hours": hours},
    )


def _leave(table: str, member: str, job_id: str) -> Statement:
    return Statement(
        f"DELETE FROM {table} WHERE job_id = %s AND {member} NOT IN (SELECT {member} FROM {{stage}})",
        [job_id],
    )


def _image(**columns: Any) -> Image:
    return Image(**{**columns, "phash": unsigned(columns["phash"])})
