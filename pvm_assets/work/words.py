"""Words of product pictures, and what the words of a frame say about them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pvm_assets.work.decoded import decode
from pvm_assets.work.pairs import PairDone, PairTask
from pvm_core.text import Line, Reader, load_reader
from pvm_core.verification import evidence_from_row, words_to_row
from pvm_core.verification.words import read_product, tell_words
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item


@dataclass(frozen=True)
class WordWorkerState:
    """What a worker needs to read."""

    media: MediaStore
    reader: Reader

    @classmethod
    def load(cls, media: MediaStore, name: str) -> WordWorkerState:
        """The state of a worker process for a reader that is not ``none``."""
        reader = load_reader(name)
        assert reader is not None
        return cls(media, reader)


@dataclass(frozen=True)
class ReadingTask:
    """A frame and the product pictures whose words are looked for in it.

    Attributes:
        pairs: the pictures, with their raw measurements.
        lines: of each picture, as it was read.
    """

    pairs: PairTask
    lines: tuple[Sequence[Line], ...]

    @classmethod
    def of(cls, task: PairTask, lines: Mapping[uuid.UUID, Sequence[Line]]) -> ReadingTask | None:
        """Those of the task's pictures that could be read; None where none could."""
        both = zip(task.candidates, task.plain, strict=True)
        read = [(item, raw, lines[item.item_id]) for item, raw in both if item.item_id in lines]
        if not read:
            return None
        items, plain, found = zip(*read, strict=True)
        return cls(replace(task, candidates=items, plain=plain), found)

    def __str__(self) -> str:
        return str(self.pairs)


def read_picture(state: WordWorkerState, item: Item) -> tuple[uuid.UUID, list[Line]]:
    """The lines of a product picture, in its pixels."""
    return item.item_id, read_product(state.reader, decode(state.media, item).rgb)


def read_frame(state: WordWorkerState, task: ReadingTask) -> PairDone:
    """What words say about each pair of the task, as `words_to_row` writes it."""
    pairs, found = task.pairs, []
    frame = decode(state.media, pairs.frame).rgb
    for item, raw, lines in zip(pairs.candidates, pairs.plain, task.lines, strict=True):
        transform = evidence_from_row(raw).transform
        assert transform is not None
        words = tell_words(
            lines, decode(state.media, item).rgb, state.reader, frame, np.reshape(transform, (3, 3))
        )
        found.append((item.item_id, words_to_row(words)))
    return PairDone(pairs.frame.item_id, tuple(found))
