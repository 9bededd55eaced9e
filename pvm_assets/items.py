"""Pictures of a job on their way to the workers, under the names their users know."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from pvm_assets.stage import Stage
from pvm_assets.work.features import Stored
from pvm_jobs.events import Event
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item

#: Events in one commit.
_EVENTS_AT_ONCE: Final = 1_000


class Names:
    """What to call a picture in a message: its product's id, or its video and second."""

    def __init__(self, stage: Stage) -> None:
        self._products = {
            p.product_id: p.asin_or_itemid for p in stage.services.store.catalogue.products(stage.job_id)
        }
        self._videos = {m.video_id: m.given_name for m in stage.services.store.videos.members(stage.job_id)}

    def of(self, item: Item) -> str:
        """The name of one picture."""
        if item.kind == "product":
            return f"product {self._products.get(item.parent_id, item.parent_id)}"
        return f"{self._videos.get(item.parent_id, item.parent_id)} at {item.ts or 0.0:.1f} s"


def stored_items(items: Iterable[Item], names: Names) -> Iterator[Stored]:
    """Items as workers take them."""
    for item in items:
        yield Stored(item.item_id, item.kind, item.local_path, names.of(item), item.mask_path)


def lost_files(media: MediaStore, known: Iterable[tuple[uuid.UUID, str | None]]) -> set[uuid.UUID]:
    """Items whose stored file is gone, to be computed again; only a local store is asked."""
    return {
        item for item, key in known if key is not None and (path := media.path(key)) and not path.is_file()
    }


def announce(stage: Stage, events: Iterable[Event]) -> None:
    """Writes the events of items that an earlier job has computed; one that exists is left as it is."""
    waiting = iter(events)
    while batch := list(islice(waiting, _EVENTS_AT_ONCE)):
        stage.services.database.commit(events=batch)
