"""The purge deletes what a source's terms, or a retention rule, no longer allow to be kept, with all data
derived from it.

With a picture it deletes its file, masks, keypoints, embeddings, candidate pairs, compared pairs and evidence
pictures; of a product the title, brand and every address. A match keeps its id, score, status, second and
terms. Files are deleted before their rows, so that after a crash at any moment the rows still name what is
left to delete, and the next purge completes it.

What a run works on is kept until that run has ended.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from pvm_core.errors import PvmError, StoreError
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.retention.faces import remove_faces
from pvm_resources.retention.uploads import remove_uploads
from pvm_resources.settings import Settings, load_policies
from pvm_resources.store.attention import Attention
from pvm_resources.store.base import Cursor
from pvm_resources.store.industries import Industries
from pvm_resources.store.retention import (
    FIRST,
    FRAMES,
    PICTURES,
    DueProduct,
    DueVideo,
    PurgeBatch,
    PurgeScope,
    Retention,
    Side,
    Term,
)
from pvm_resources.store.uploads import Uploads

#: Items of a batch: its rows are locked while its files are deleted, which a remote store makes slow.
BATCH: Final = 100
#: A run may have found a file and not yet stored that it uses it; it has done so within a day.
_GRACE: Final = timedelta(days=1)
#: Where a batch ended: an id, or a platform and an id.
Place = TypeVar("Place", uuid.UUID, tuple[str, str], bool)
_log = logging.getLogger("pvm.purge")


@dataclass(frozen=True)
class Purged:
    """What was deleted of one source.

    Attributes:
        source: its name; for videos the platform's.
        products: blanked of title, brand and addresses.
        pictures, frames: of products and of videos, with all that was computed from them.
        masks, keypoints, evidence: files derived from those.
        matches: that lost their pictures and stay.
        answers: stored answers of the source.
        videos: downloaded files.
        uploads: catalogues uploaded over the API, under the name ``uploads``.
        faces: videos whose faces are forgotten, under the name ``faces``.
    """

    source: str
    products: int = 0
    pictures: int = 0
    frames: int = 0
    masks: int = 0
    keypoints: int = 0
    evidence: int = 0
    matches: int = 0
    answers: int = 0
    videos: int = 0
    uploads: int = 0
    faces: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Everything but the source's name."""
        return {kind: getattr(self, kind) for kind in _KINDS}


_KINDS: Final = tuple(field.name for field in fields(Purged) if field.name != "source")


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did, or with `dry_run` what it would do.

    Attributes:
        purged: by source, in order of name; sources without deletions are left out.
        failures: files that could not be deleted; their rows stay, so the next purge tries them again.
    """

    purged: tuple[Purged, ...]
    failures: tuple[PvmError, ...] = ()


class Purge:
    """Purges one machine's stores.

    Args:
        batch: items whose files are deleted between two commits.
    """

    def __init__(
        self, database: Database, media: MediaStore, settings: Settings, *, batch: int = BATCH
    ) -> None:
        self._database = database
        self._repo = Retention(database)
        self._media = media
        self._settings = settings
        self._policies = load_policies(settings)
        self._downloads = settings.home / "downloads"
        self._uploads = Uploads(database)
        self._batch = batch
        self._dry_run = False
        self._counts: Counter[tuple[str, str]] = Counter()
        self._failures: list[StoreError] = []

    def run(
        self,
        *,
        dry_run: bool = False,
        source: str | None = None,
        ending: str | None = None,
        now: datetime | None = None,
    ) -> PurgeReport:
        """Purges everything that is due.

        Args:
            dry_run: only count.
            source: of this source (platform) alone.
            ending: a job that counts as not running, because its run calls the purge at its end.
            now: the time to judge by; default the database's clock.

        Raises:
            InputError: ``settings.invalid``; ``rules.*`` where an industry's stored rules are not valid.
            StoreError: the database is out of reach, or the media store is as a whole.
        """
        self._counts, self._failures, self._dry_run = Counter(), [], dry_run
        moment = now or self._repo.now()
        products, videos, answers = (
            PurgeScope(self._terms(names, policy_of, moment, source), ending, self._batch)
            for names, policy_of in zip(
                self._repo.names(),
                (self._policies.__getitem__, self._policies.of_platform, self._policies.__getitem__),
                strict=True,
            )
        )
        if products.terms:
            self._items(PICTURES, products)
            self._texts(products)
        if videos.terms:
            self._items(FRAMES, videos)
        if answers.terms:
            self._answers(replace(answers, limit=10 * self._batch))
        self._videos(videos, moment, source)
        if source is None:
            self._counts["uploads", "uploads"] += remove_uploads(
                self._settings.home / "uploads",
                self._uploads,
                moment,
                timedelta(days=self._settings.api_upload_days),
                self._failures,
                dry_run=dry_run,
            )
            self._faces(self._days("keep_faces_days"), moment)
        return self._report()

    def forget_faces(self, *, dry_run: bool = False) -> PurgeReport:
        """Deletes all numbers about faces, however young.

        Raises:
            StoreError: the database is out of reach.
        """
        self._counts, self._failures, self._dry_run = Counter(), [], dry_run
        self._faces({}, self._repo.now())
        return self._report()

    def _faces(self, days_of: Mapping[str, float], moment: datetime) -> None:
        attention = Attention(self._database)
        self._counts["faces", "faces"] += remove_faces(
            attention, self._media, days_of, moment, self._failures, dry_run=self._dry_run
        )

    def _terms(
        self,
        names: Sequence[str],
        policy_of: Callable[[str], SourcePolicy],
        now: datetime,
        source: str | None,
    ) -> list[Term]:
        policies = {name: policy_of(name) for name in names if source in (None, name)}
        return [
            Term(
                name,
                None if policy.max_age_h is None else now - timedelta(hours=policy.max_age_h),
                not policy.store_media,
            )
            for name, policy in policies.items()
            if policy.restricted
        ]

    def _batches(self, first: Place, step: Callable[[Cursor, Place], Place | None]) -> None:
        """Calls `step` in transactions of their own that hold the purge lock; it returns where the next
        batch continues, None where none is left."""
        after: Place | None = first
        while after is not None:
            with self._database.transaction() as cursor:
                self._repo.hold(cursor)
                after = step(cursor, after)

    # -- pictures and frames -----------------------------------------------------------------------

    def _items(self, side: Side, scope: PurgeScope) -> None:
        def step(cursor: Cursor, after: uuid.UUID) -> uuid.UUID | None:
            batch, following = self._repo.batch(cursor, side, scope, after)
            if batch.items and not self._dry_run:
                batch = self._without_files(batch)
                self._count_matches(batch, self._repo.drop(cursor, side, batch))
            self._count(side, batch)
            return following

        self._batches(FIRST, step)

    def _without_files(self, batch: PurgeBatch) -> PurgeBatch:
        """The batch less the items of which a file could not be deleted."""
        failed: set[uuid.UUID] = set()
        for pairs in batch.keys.values():
            failed |= self._delete(pairs)
        if len(failed) == len(batch.items):
            # Every deletion failed: the store is out of reach, and trying the other batches is of no use.
            raise self._failures[-1]
        keys = {kind: [p for p in pairs if p[0] not in failed] for kind, pairs in batch.keys.items()}
        return replace(batch, items=[i for i in batch.items if i.item_id not in failed], keys=keys)

    def _delete(self, pairs: Sequence[tuple[uuid.UUID, str]]) -> set[uuid.UUID]:
        failed: set[uuid.UUID] = set()
        for item, key in pairs:
            try:
                self._media.delete(key)
            except StoreError as error:
                failed.add(item)
                self._failures.append(error)
        return failed

    def _count(self, side: Side, batch: PurgeBatch) -> None:
        source = {item.item_id: item.source for item in batch.items}
        self._counts.update(
            (item.source, "pictures" if side is PICTURES else "frames") for item in batch.items
        )
        for kind in ("masks", "keypoints", "evidence"):
            self._counts.update((source[item], kind) for item, _ in batch.keys.get(kind, ()))

    def _count_matches(self, batch: PurgeBatch, matches: Mapping[uuid.UUID, int]) -> None:
        for item in batch.items:
            self._counts[item.source, "matches"] += matches.get(item.item_id, 0)

    # -- texts -------------------------------------------------------------------------------------

    def _texts(self, scope: PurgeScope) -> None:
        def step(cursor: Cursor, after: uuid.UUID) -> uuid.UUID | None:
            due, following = self._repo.due_products(cursor, scope, after)
            if due and not self._dry_run:
                due = self._without_leftovers(cursor, due)
                self._repo.drop_texts(cursor, [product.product_id for product in due])
            self._counts.update((product.source, "products") for product in due)
            return following

        self._batches(FIRST, step)

    def _without_leftovers(self, cursor: Cursor, due: Sequence[DueProduct]) -> list[DueProduct]:
        """Deletes picture files that a killed run stored without a row; returns the products now free of
        them."""
        known = self._repo.stored_keys(cursor, [product.product_id for product in due])
        free: list[DueProduct] = []
        for product in due:
            keys = self._media.keys(f"products/{product.product_id}")
            if not self._delete([(product.product_id, key) for key in keys if key not in known]):
                free.append(product)
        return free

    def _answers(self, scope: PurgeScope) -> None:
        def add(counts: Mapping[str, int]) -> None:
            self._counts.update({(source, "answers"): count for source, count in counts.items()})

        def step(cursor: Cursor, after: bool) -> bool | None:
            deleted = self._repo.drop_answers(cursor, scope)
            add(deleted)
            return True if deleted else None

        if self._dry_run:
            add(self._repo.count_answers(scope))
        else:
            self._batches(True, step)

    # -- downloaded videos -------------------------------------------------------------------------

    def _videos(self, scope: PurgeScope, now: datetime, source: str | None) -> None:
        keep_days = self._days("keep_videos_days")
        until = now - _GRACE if self._repo.any_running(scope.ending) else now

        def step(cursor: Cursor, after: tuple[str, str]) -> tuple[str, str] | None:
            due, following = self._repo.due_videos(cursor, scope, keep_days, until, after)
            due = [video for video in due if source in (None, video.platform)]
            if not self._dry_run:
                due = [video for video in due if self._unlink(video)]
                self._repo.drop_videos(cursor, due)
            self._counts.update((video.platform, "videos") for video in due)
            return following

        self._batches(("", ""), step)

    def _days(self, rule: str) -> dict[str, float]:
        """Days of a rule by industry, under the rules as they are now."""
        return {
            industry.slug: getattr(self._settings.rules_of(industry.rule_set, industry.rules), rule)
            for industry in Industries(self._database).list()
        }

    def _unlink(self, video: DueVideo) -> bool:
        folder = self._downloads.resolve()
        path = (folder / video.path).resolve()
        try:
            if not path.is_relative_to(folder):
                raise OSError(0, f"it lies outside {folder}, where downloads are")
            path.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            self._failures.append(
                StoreError("purge.file", str(path), reason, "Delete it by hand if it is not needed")
            )
            return False
        return True

    def _report(self) -> PurgeReport:
        purged = tuple(
            Purged(source, **{kind: self._counts[source, kind] for kind in _KINDS})
            for source in sorted({source for (source, _), count in self._counts.items() if count})
        )
        for one in purged:
            _log.info("purged", extra={"source": one.source, **one.counts})
        return PurgeReport(purged, tuple(self._failures))
