"""One frame and the product pictures that print leaves in doubt: their learned local features."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pvm_assets.work.decoded import decode
from pvm_assets.work.pairs import PairDone, PairTask
from pvm_core.local_features import LocalFeatures, LocalMethod, load_local
from pvm_core.verification import compare_learned, learned_to_row
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item

#: Product pictures whose features a worker keeps: one of 1,000 features takes 270 KB.
_CACHED: Final = 200


@dataclass
class LearnedWorkerState:
    """What a worker needs to ask the second verifier; keeps the product pictures used last."""

    media: MediaStore
    method: LocalMethod
    cache: OrderedDict[str, LocalFeatures] = field(default_factory=OrderedDict)

    @classmethod
    def load(cls, media: MediaStore, name: str, models_dir: Path | None) -> LearnedWorkerState:
        """The state of a worker process for a method that is not ``none``."""
        method = load_local(name, models_dir)
        assert method is not None
        return cls(media, method)

    def features(self, item: Item) -> LocalFeatures:
        """Of a stored picture, inside its mask."""
        picture = decode(self.media, item)
        (found,) = self.method.detector.detect([(picture.rgb, picture.mask)])
        return found

    def product(self, item: Item) -> LocalFeatures:
        """Of a product picture, from the cache where it is there."""
        key = str(item.item_id)
        if key not in self.cache:
            self.cache[key] = self.features(item)
            if len(self.cache) > _CACHED:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]


def ask_frame(state: LearnedWorkerState, task: PairTask) -> PairDone:
    """What the second verifier says about each pair of the task, as `learned_to_row` writes it."""
    frame = state.features(task.frame)
    found = compare_learned(frame, [state.product(c) for c in task.candidates], state.method.matcher)
    pairs = zip(task.candidates, found, strict=True)
    return PairDone(task.frame.item_id, tuple((c.item_id, learned_to_row(e)) for c, e in pairs))
