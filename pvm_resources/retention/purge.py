"""The purge: what a source's terms, or a retention rule, no longer allow to be kept goes, with all
that came of it.

A picture takes with it its file, masks, keypoints, embeddings, candidate pairs, compared pairs and the
evidence pictures drawn with it; a product its title, brand and every address. A match keeps its id, score,
status, second and terms. Files go before their rows, so that after a crash at any moment the rows still name
what is left to delete, and the next purge ends where an undisturbed one ends.

What a run works on is left alone until that run has ended.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final

from pvm_core.errors import PvmError, StoreError
from pvm_jobs.rules import resolve
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_policies
from pvm_resources.store.industries import Industries
from pvm_resources.store.retention import (
    FIRST,
    FRAMES,
    PICTURES,
    Cursor,
    DueProduct,
    DueVideo,
    PurgeBatch,
    Retention,
    Side,
    Term,
)

#: Items of one lot: its rows are locked while its files are deleted, which a remote store makes slow.
BATCH: Final = 100
#: A run may have found a file here and not yet written that it uses it; it has noted that within a day.
_GRACE: Final = timedelta(days=1)
_log = logging.getLogger("pvm.purge")


@dataclass(frozen=True)
class Purged:
    """What went of one source.

    Attributes:
        source: its name; for videos the platform's.
        products: blanked of title, brand and addresses.
        pictures, frames: of products and of videos, with all that was computed from them.
        masks, keypoints, evidence: files derived from those.
        matches: that lost their pictures and stay.
        answers: stored answers of the source.
        videos: downloaded files.
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

    @property
    def counts(self) -> dict[str, int]:
        """Everything but the source's name."""
        return {kind: getattr(self, kind) for kind in _KINDS}


_KINDS: Final = tuple(field.name for field in fields(Purged) if field.name != "source")


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did, or with `dry_run` what it would do.

    Attributes:
        purged: by source, in order of name; a source of which nothing went is left out.
        failures: files that could not be deleted; their rows stay, so the next purge tries them again.
    """

    purged: tuple[Purged, ...]
    failures: tuple[PvmError, ...] = ()


class Purge:
    """Purges one machine's stores.

    Args:
        batch: items whose files go between two commits.
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
        self._batch = batch
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
            ending: a job whose run, at its end, asks: it counts as running no longer.
            now: the time to judge by; default the database's clock.

        Raises:
            InputError: ``settings.invalid``; ``rules.*`` where an industry's stored rules are not valid.
            StoreError: the database is out of reach, or the media store is as a whole.
        """
        self._counts, self._failures = Counter(), []
        moment = now or self._repo.now()
        product_names, platforms, answer_names = self._repo.names()
        products = self._terms(product_names, self._policies.__getitem__, moment, source)
        videos = self._terms(platforms, self._policies.of_platform, moment, source)
        answers = self._terms(answer_names, self._policies.__getitem__, moment, source)
        if products:
            self._items(PICTURES, products, ending, dry_run)
            self._texts(products, ending, dry_run)
        if videos:
            self._items(FRAMES, videos, ending, dry_run)
        if answers:
            self._answers(answers, dry_run)
        self._videos(videos, moment, source, ending, dry_run)
        return self._report()

    def _terms(
        self,
        names: Sequence[str],
        policy_of: Callable[[str], SourcePolicy],
        now: datetime,
        source: str | None,
    ) -> list[Term]:
        found = []
        for name in names:
            policy = policy_of(name)
            if policy.restricted and source in (None, name):
                age = policy.max_age_h
                cutoff = now - timedelta(hours=age) if age is not None else None
                found.append(Term(name, cutoff, not policy.store_media))
        return found

    # -- pictures and frames -----------------------------------------------------------------------

    def _items(self, side: Side, terms: Sequence[Term], ending: str | None, dry_run: bool) -> None:
        after: uuid.UUID | None = FIRST
        while after is not None:
            with self._database.transaction() as cursor:
                self._repo.hold(cursor)
                lot, after = self._repo.lot(cursor, side, terms, after, self._batch, ending)
                if lot.items and not dry_run:
                    lot = self._without_files(lot)
                    self._count_matches(lot, self._repo.drop(cursor, side, lot))
                self._count(side, lot)

    def _without_files(self, lot: PurgeBatch) -> PurgeBatch:
        """The lot less the items of which a file would not go."""
        failed: set[uuid.UUID] = set()
        for pairs in lot.keys.values():
            failed |= self._delete(pairs)
        if len(failed) == len(lot.items):
            # Not one item went: the store is out of reach, and asking for each of the rest is of no use.
            raise self._failures[-1]
        keys = {kind: [p for p in pairs if p[0] not in failed] for kind, pairs in lot.keys.items()}
        return replace(lot, items=[i for i in lot.items if i.item_id not in failed], keys=keys)

    def _delete(self, pairs: Sequence[tuple[uuid.UUID, str]]) -> set[uuid.UUID]:
        failed: set[uuid.UUID] = set()
        for item, key in pairs:
            try:
                self._media.delete(key)
            except StoreError as error:
                failed.add(item)
                self._failures.append(error)
        return failed

    def _count(self, side: Side, lot: PurgeBatch) -> None:
        source = {item.item_id: item.source for item in lot.items}
        self._counts.update((item.source, "pictures" if side is PICTURES else "frames") for item in lot.items)
        for kind in ("masks", "keypoints", "evidence"):
            self._counts.update((source[item], kind) for item, _ in lot.keys.get(kind, ()))

    def _count_matches(self, lot: PurgeBatch, matches: Mapping[uuid.UUID, int]) -> None:
        for item in lot.items:
            self._counts[item.source, "matches"] += matches.get(item.item_id, 0)

    # -- texts -------------------------------------------------------------------------------------

    def _texts(self, terms: Sequence[Term], ending: str | None, dry_run: bool) -> None:
        after: uuid.UUID | None = FIRST
        while after is not None:
            with self._database.transaction() as cursor:
                self._repo.hold(cursor)
                due, after = self._repo.due_products(cursor, terms, after, self._batch, ending)
                if due and not dry_run:
                    due = self._without_leftovers(cursor, due)
                    self._repo.drop_texts(cursor, [product.product_id for product in due])
                self._counts.update((product.source, "products") for product in due)

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

    def _answers(self, terms: Sequence[Term], dry_run: bool) -> None:
        if dry_run:
            self._add("answers", self._repo.count_answers(terms))
            return
        gone: dict[str, int] = {"": 1}
        while gone:
            with self._database.transaction() as cursor:
                gone = self._repo.drop_answers(cursor, terms, 10 * self._batch)
            self._add("answers", gone)

    def _add(self, kind: str, counts: Mapping[str, int]) -> None:
        for source, count in counts.items():
            self._counts[source, kind] += count

    # -- downloaded videos -------------------------------------------------------------------------

    def _videos(
        self, terms: Sequence[Term], now: datetime, source: str | None, ending: str | None, dry_run: bool
    ) -> None:
        keep_days = self._keep_days()
        until = now - _GRACE if self._repo.any_running(ending) else now
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            with self._database.transaction() as cursor:
                self._repo.hold(cursor)
                due, after = self._repo.due_videos(
                    cursor, terms, keep_days, until, after, self._batch, ending
                )
                due = [video for video in due if source in (None, video.platform)]
                if not dry_run:
                    due = [video for video in due if self._unlink(video)]
                    self._repo.drop_videos(cursor, due)
                self._counts.update((video.platform, "videos") for video in due)

    def _keep_days(self) -> dict[str, float]:
        """Days by industry, under the rules as they are now."""
        own = self._settings.rules_overrides()
        return {
            industry.slug: resolve(industry.rule_set, {**industry.rules, **own}).keep_videos_days
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
