"""A batch of a feature that fails: only the picture at fault is reported."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pvm_assets.feature_step import Extractor, FeatureStep, Rows
from pvm_assets.report import Report
from pvm_core.errors import MediaError
from pvm_resources.process_pool import Done
from pvm_resources.store.records import Item, Kind, Mask

_ITEMS = [Item(uuid.uuid4(), "product", uuid.uuid4(), f"{n}.jpg", 0, 0) for n in range(5)]
_BROKEN = _ITEMS[1]


class _Step(FeatureStep):
    def __init__(self) -> None:
        self.batches: list[int] = []

    def extractor(self) -> Callable[[], Extractor]:
        raise NotImplementedError

    def report(self, totals: Mapping[Kind, int]) -> Report:
        raise NotImplementedError

    def _computed(self, batches: Iterator[tuple[Item, ...]]) -> Iterator[Done[tuple[Item, ...], list[Rows]]]:
        for items in batches:
            self.batches.append(len(items))
            if _BROKEN in items:
                yield Done(items, None, MediaError("picture.corrupt", "1.jpg", "no JPEG", "Replace it"), 0.0)
            else:
                yield Done(items, [[_mask(item)] for item in items], None, 0.0)


def _mask(item: Item) -> Mask:
    return Mask(item.item_id, item.kind, "key", False, None, 1.0, "")


def test_a_broken_picture_costs_no_other_of_its_batch() -> None:
    step = _Step()
    found: dict[Any, Done[Item, Rows]] = {
        done.item.item_id: done for done in step._each(iter([tuple(_ITEMS[:4]), tuple(_ITEMS[4:])]))
    }
    assert step.batches == [4, 1, 1, 1, 1, 1]
    assert len(found) == len(_ITEMS)
    for item in _ITEMS:
        error = found[item.item_id].error
        assert (error is None) == (item is not _BROKEN)
        assert found[item.item_id].value == (None if item is _BROKEN else [_mask(item)])
