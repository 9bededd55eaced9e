"""Picture references that a job's product sources returned, before any picture is read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pvm_resources.postgres.driver import Copy, Statement, Write
from pvm_resources.store.base import Repository, columns, listed, rows


@dataclass(frozen=True)
class GalleryPicture:
    """A picture reference of a job. `file` is the path on this machine, None for a URL; `product_ref` the
    product's id as given."""

    product_id: uuid.UUID
    position: int
    source_ref: str
    file: str | None
    product_ref: str = ""


_PICTURE: Final = {"job_id": "text", **columns(GalleryPicture, without=("product_ref",))}


class Galleries(Repository):
    """Table `job_pictures`."""

    @staticmethod
    def writes(job_id: str, pictures: Iterable[GalleryPicture]) -> tuple[Write, ...]:
        """The writes that store exactly these as the job's references, to be committed with its products."""
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
            f"SELECT {listed([*_PICTURE][1:], 'g')}, p.asin_or_itemid AS product_ref "
            "FROM job_pictures g JOIN job_products jp USING (job_id, product_id) "
            "JOIN products p USING (product_id) "
            "WHERE g.job_id = %s ORDER BY jp.position, g.product_id, g.position",
            [job_id],
        )
