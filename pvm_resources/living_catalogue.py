"""Changes of products from whoever sends them: their products are looked up, rows and files change as one."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs.product_events import SentChange, parse_event
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_changes import Outcome, ProductChange
from pvm_resources.store.product_queries import unknown_product
from pvm_resources.tracing import Tracing

#: Namespace of products that are of no industry; no industry's slug holds a colon.
NAMESPACE: Final = "shop:"
#: Is told what was applied, and the span that brought each.
Follow = Callable[[Sequence[Outcome], Sequence[str | None]], None]
#: Is told which products are deleted.
Gone = Callable[[Sequence[uuid.UUID]], None]
#: Changes that one transaction takes from several threads.
_MOST: Final = 500
#: Seconds that a transaction waits for the threads of the last one.
_MOMENT_S: Final = 0.002


class LivingCatalogue:
    """Takes changes and applies them at once.

    Args:
        store, media: where products, and what was computed from them, are.
        gone: is told which products are deleted, after that: a store of vectors beside the database.
        follow: is told what was applied, once it is; it raises nothing.
        tracing: knows the span that changes came in, which goes with them.
    """

    def __init__(
        self,
        store: Store,
        media: MediaStore,
        gone: Gone | None = None,
        follow: Follow | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing or Tracing()
        self._follow = follow
        self._store = store
        self._media = media
        self._gone = gone
        self._together = _Together(self._applied)

    def take(self, events: Iterable[Mapping[str, Any]], *, known: bool = False) -> list[Outcome]:
        """Applies events in their order, in one transaction; one that is refused leaves the others alone.

        Args:
            known: a product that is not there is an error ``product.unknown``, not a new one.

        Raises:
            StoreError: nothing was applied.
        """
        now, namespaces = datetime.now(UTC), dict[str, str]()
        outcomes: list[Outcome | None] = []
        changes: list[ProductChange] = []
        for event in events:
            try:
                changes.append(self._found(parse_event(event, now), known, namespaces))
                outcomes.append(None)
            except InputError as error:
                outcomes.append(Outcome(uuid.UUID(int=0), error=error))
        done = iter(self.apply(changes))
        return [outcome or next(done) for outcome in outcomes]

    def apply(self, changes: Sequence[ProductChange]) -> list[Outcome]:
        """Applies changes whose products are known.

        Raises:
            StoreError: nothing was applied; ``vectors.*``: all of it was, but for vectors in another store.
        """
        span = self._tracing.current
        if span is not None:
            changes = [replace(one, traceparent=span) for one in changes]
        outcomes = self._together.apply(changes) if changes else []
        deleted = [one.product_id for one in changes if one.change.kind == "delete"]
        if self._gone is not None and deleted:
            # Whether this delete did it or one before: where telling failed, it is sent again.
            self._gone(sorted(self._store.product_changes.deleted(deleted)))
        return outcomes

    def identify(self, product: str, industry: str = "") -> tuple[uuid.UUID, str]:
        """The id of a product, and the namespace that its id as given is of.

        Args:
            product: a product's id here, else the id as its shop gives it.
            industry: slug or name of the industry whose catalogue names it so; "" for none.

        Raises:
            InputError: ``industry.unknown``.
        """
        if industry:
            slug = self._store.industries.get(industry).slug
            return ids.product_id(slug, product), slug
        try:
            here = uuid.UUID(product)
        except ValueError:
            here = None
        if here is not None and self._store.product_changes.knows(here):
            return here, NAMESPACE
        return ids.product_id(NAMESPACE, product), NAMESPACE

    def _found(self, sent: SentChange, known: bool, namespaces: dict[str, str]) -> ProductChange:
        if sent.industry:
            if sent.industry not in namespaces:
                namespaces[sent.industry] = self._store.industries.get(sent.industry).slug
            namespace = namespaces[sent.industry]
            product_id = ids.product_id(namespace, sent.product)
        else:
            product_id, namespace = self.identify(sent.product)
        if known and not self._store.product_changes.knows(product_id):
            raise unknown_product(sent.product)
        return ProductChange(product_id, namespace, sent.product, sent.change, undated=sent.undated)

    def _applied(self, changes: Sequence[ProductChange]) -> list[Outcome]:
        """What several threads brought, applied and followed at once."""
        outcomes = self._store.product_changes.apply(changes, self._forget)
        if self._follow is not None:
            self._follow(outcomes, [one.traceparent for one in changes])
        return outcomes

    def _forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._media.delete(key)


class _Together:
    """Applies what several threads bring at a time in one transaction: a commit waits for the disk, however
    much it holds ("group commit": DeWitt and others, "Implementation techniques for main memory database
    systems", 1984).

    Args:
        apply: applies changes in one transaction.
    """

    def __init__(self, apply: Callable[[Sequence[ProductChange]], list[Outcome]]) -> None:
        self._apply = apply
        self._lock = threading.Lock()
        self._waiting: list[_Brought] = []
        self._led = False
        self._company = 1

    def apply(self, changes: Sequence[ProductChange]) -> list[Outcome]:
        """The outcomes of these changes.

        Raises:
            StoreError: neither these nor those that came with them were applied.
        """
        mine = _Brought(changes)
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            mine.awake.wait()
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.outcomes

    def _lead(self, mine: _Brought) -> None:
        """Works for those that wait, this thread's changes among them, then has another lead."""
        try:
            until = time.monotonic() + _MOMENT_S
            # Those of the last transaction are likely to be back in a moment (`commit_delay` of PostgreSQL).
            while len(self._waiting) < self._company and time.monotonic() < until:
                time.sleep(_MOMENT_S / 8)
            with self._lock:
                taken = _some(self._waiting)
                del self._waiting[: len(taken)]
            self._company = len(taken)
            self._work(taken)
        finally:
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                if self._waiting:
                    self._waiting[0].awake.set()
                else:
                    self._led = False

    def _work(self, taken: Sequence[_Brought]) -> None:
        try:
            outcomes = iter(self._apply([change for one in taken for change in one.changes]))
            for one in taken:
                one.outcomes = [next(outcomes) for _ in one.changes]
        except BaseException as error:
            for one in taken:
                one.error = error
            raise
        finally:
            for one in taken:
                one.done = True
                one.awake.set()


@dataclass(eq=False)
class _Brought:
    """What a thread brings, and what became of it."""

    changes: Sequence[ProductChange]
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False
    awake: threading.Event = field(default_factory=threading.Event)


def _some(waiting: Sequence[_Brought]) -> list[_Brought]:
    """The first of them: as many as a transaction should hold, at least one."""
    taken, count = list(waiting[:1]), len(waiting[0].changes)
    for one in waiting[1:]:
        count += len(one.changes)
        if count > _MOST:
            break
        taken.append(one)
    return taken
