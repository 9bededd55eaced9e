"""What a job's product sources answered: picture references, before any picture is read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pvm_core.shown_url import shown_url
from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, columns, listed, rows


@dataclass(frozen=True)
class GalleryPicture:
    """A picture reference of a job, until the picture is stored.

    Attributes:
        position: its place in the product's gallery.
        source_ref: the reference as the source gave it.
        file: the path on this machine, None for a URL.
        fingerprint: what changes when the picture does, None where that is not known.
        data: its bytes, where it was downloaded.
        external_id: the product's id as given, to name the picture where its address cannot be shown whole.
    """

    product_id: uuid.UUID
    position: int
    source_ref: str
    file: str | None
    fingerprint: str | None = None
    data: bytes | None = field(default=None, repr=False)
    external_id: str = ""

    def __str__(self) -> str:
        """Its name in messages, the same in every run of the job."""
        shown = shown_url(self.source_ref)
        if shown == self.source_ref:
            return shown
        return f"{shown} (picture {self.position + 1} of product {self.external_id})"


_PICTURE: Final = {
    "job_id": "text", **columns(GalleryPicture, without=("fingerprint", "data", "external_id"))
}  # fmt: skip


class Galleries(Repository):
    """Table `job_pictures`."""

    @staticmethod
    def writes(job_id: str, pictures: Iterable[GalleryPicture]) -> tuple[Write, ...]:
        """The job's references are exactly these, as writes to go along with its products."""
        stored = rows(pictures, [*_PICTURE][1:], job_id)
        return (
            Statement("DELETE FROM job_pictures WHERE job_id = %s", [job_id]),
            Copy("job_pictures", _PICTURE, stored, ("job_id", "product_id", "position")),
        )

    def count(self, job_id: str) -> int:
        """How many references the job has."""
        return int(self._db.value("SELECT count(*) FROM job_pictures WHERE job_id = %s", [job_id]))

    def pictures(self, job_id: str) -> Iterator[GalleryPicture]:
        """The job's references in catalogue order; streamed."""
        return self._db.stream(
            GalleryPicture,
            f"SELECT {listed([*_PICTURE][1:], 'g')}, p.asin_or_itemid AS external_id "
            "FROM job_pictures g "
            "JOIN job_products jp USING (job_id, product_id) JOIN products p USING (product_id) "
            "WHERE g.job_id = %s "
            "ORDER BY jp.position, g.product_id, g.position",
            [job_id],
        )
