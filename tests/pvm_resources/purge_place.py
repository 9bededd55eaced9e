"""A machine with one completed job over three sources, with every file of it, for tests of the purge."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.retention.purge import Purge
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.galleries import Galleries, GalleryPicture
from pvm_resources.store.match_record import MatchView
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.retention import Retention
from pvm_resources.store.source_runs import SourceRuns
from tests.pvm_resources import world

_HOUR = timedelta(hours=1)
#: The source of the world's products, in order: one free, one of each restricted shop.
SOURCES = ("file", "ebay", "amazon")


@dataclass
class Place:
    """A machine with one completed job over three sources."""

    repos: Store
    media: MediaStore
    settings: Settings
    made: world.World

    @property
    def job_id(self) -> str:
        return self.made.job.job_id

    def purge(self, batch: int = 100) -> Purge:
        return Purge(self.repos.database, self.media, self.settings, batch=batch)

    def after(self, hours: float) -> datetime:
        return Retention(self.repos.database).now() + hours * _HOUR

    def results(self) -> dict[str, MatchView]:
        return {r.product: r for r in self.repos.matching.results(self.job_id)}

    def files_of(self, product: int) -> set[str]:
        """Every media key that shows a product or was computed from a picture of it."""
        ids_of = {str(i.img_id) for i in self.made.images if i.product_id == self.product_id(product)}
        match = str(world.matches(self.made)[product].match_id)
        marks = {*ids_of, str(self.product_id(product)), match}
        return {key for key in self.media.keys() if any(mark in key for mark in marks)}  # noqa: SIM118

    def product_id(self, product: int) -> uuid.UUID:
        return self.made.products[product].product_id

    def count(self, table: str, product: int) -> int:
        """Rows of a table that hang on the product's pictures."""
        found = self.repos.database.value(
            f"SELECT count(*) FROM {table} WHERE img_id = ANY(%s)",
            [[i.img_id for i in self.made.images if i.product_id == self.product_id(product)]],
        )
        return int(found)


def build(repos: Store, home: Path, policies: dict[str, Any] | None = None) -> Place:
    """Writes the world with all its files; the second and third product come from eBay and from Amazon."""
    settings = load_settings(
        home / "none.env", home=home, source_policies=json.dumps(policies) if policies else ""
    )
    media = MediaStore(settings.media)
    plain = world.make(repos)
    made = replace(plain, products=[replace(p, src=s) for p, s in zip(plain.products, SOURCES, strict=True)])
    world.write(repos, made)
    for table in ("source_answers", "dead_letters", "video_files"):
        repos.database.commit(Statement(f"DELETE FROM {table}"))
    job, found = made.job.job_id, world.matches(made)
    repos.matching.set_evidence(job, {m.match_id: evidence_key(job, m.match_id) for m in found[:2]})
    pictures = [
        GalleryPicture(i.product_id, i.position, f"https://shop/{i.source_ref}", None) for i in made.images
    ]
    repos.catalogue.set_products(job, made.products, also=Galleries.writes(job, pictures))
    for source in SOURCES:
        SourceRuns(repos.database).answers(job, source).put("search|pillow", {"title": "Gối"})
    for path in paths(repos.database):
        media.put(path, b"x" * 10)
    for match in found:
        media.put(evidence_key(job, match.match_id), b"x")
    return Place(repos, media, settings, made)


def paths(database: Database) -> list[str]:
    rows = database.tuples(
        "SELECT local_path FROM stored_images UNION SELECT local_path FROM stored_frames "
        "UNION SELECT mask_path FROM masks UNION SELECT kp_blob_path FROM keypoint_sets"
    )
    return [row[0] for row in rows if row[0] is not None]
