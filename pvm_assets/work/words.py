"""One frame and the product pictures whose words are to be told from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvm_assets.work.decoded import decode
from pvm_assets.work.pairs import PairDone, PairTask
from pvm_core.text import Line, Reader, load_reader
from pvm_core.text.compare import compare_words, read_place, read_product
from pvm_core.verification import evidence_from_row, words_to_row
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item

#: Product pictures whose lines a worker keeps.
_CACHED: Final = 2_000


@dataclass
class WordWorkerState:
    """What a worker needs to read; keeps the lines of product pictures read last."""

    media: MediaStore
    reader: Reader
    cache: OrderedDict[str, Sequence[Line]] = field(default_factory=OrderedDict)

    @classmethod
    def load(cls, media: MediaStore, name: str) -> WordWorkerState:
        """The state of a worker process for a reader that is not ``none``."""
        reader = load_reader(name)
        assert reader is not None
        return cls(media, reader)

    def product(self, item: Item) -> Sequence[Line]:
        """The lines of a product picture, from the cache where it is there."""
        key = str(item.item_id)
        if key not in self.cache:
            self.cache[key] = read_product(self.reader, decode(self.media, item).rgb)
            if len(self.cache) > _CACHED:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]


def read_frame(state: WordWorkerState, task: PairTask) -> PairDone:
    """What words say about each pair of the task, as `words_to_row` writes it."""
    frame, found = decode(state.media, task.frame).rgb, []
    for item, raw in zip(task.candidates, task.plain, strict=True):
        transform = evidence_from_row(raw).transform
        assert transform is not None
        matrix = np.reshape(transform, (3, 3))
        lines = read_place(state.reader, frame, matrix, (item.height, item.width))
        words = compare_words(state.product(item), lines, matrix)
        found.append((item.item_id, words_to_row(words)))
    return PairDone(task.frame.item_id, tuple(found))
