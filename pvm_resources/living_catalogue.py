"""Changes of products from whoever sends them: their products are looked up, rows and files change as one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs.product_events import SentChange, parse_event
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_changes import Outcome, ProductChange
from pvm_resources.store.product_queries import unknown_product

#: Namespace of products that are of no industry; no industry's slug holds a colon.
NAMESPACE: Final = "shop:"


class LivingCatalogue:
    """Takes changes and applies them at once.

    Args:
        store, media: where products, and what was computed from them, are.
    """

    def __init__(self, store: Store, media: MediaStore) -> None:
        self._store = store
        self._media = media

    def take(self, events: Iterable[Mapping[str, Any]], *, known: bool = False) -> list[Outcome]:
        """Applies events in their order, in one transaction; one that is refused leaves the others alone.

        Args:
            known: a product that is not there is an error ``product.unknown``, not a new one.

        Raises:
            StoreError: nothing was applied.
        """
        now = self._store.product_changes.now()
        outcomes: list[Outcome | None] = []
        changes: list[ProductChange] = []
        for event in events:
            try:
                changes.append(self._found(parse_event(event, now), known))
                outcomes.append(None)
            except InputError as error:
                outcomes.append(Outcome(uuid.UUID(int=0), error=error))
        done = iter(self.apply(changes))
        return [outcome or next(done) for outcome in outcomes]

    def apply(self, changes: Sequence[ProductChange]) -> list[Outcome]:
        """Applies changes whose products are known.

        Raises:
            StoreError: nothing was applied.
        """
        return self._store.product_changes.apply(changes, self._forget) if changes else []

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

    def _found(self, sent: SentChange, known: bool) -> ProductChange:
        product_id, namespace = self.identify(sent.product, sent.industry)
        if known and not self._store.product_changes.knows(product_id):
            raise unknown_product(sent.product)
        return ProductChange(product_id, namespace, sent.product, sent.change)

    def _forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._media.delete(key)
