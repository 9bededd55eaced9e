"""One frame against its candidates."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from pvm_assets.work.decoded import decode
from pvm_core.arrays import U8
from pvm_core.keypoints import from_npz
from pvm_core.shared_material import without_bands
from pvm_core.verification import (
    LateView,
    VerifyParams,
    View,
    evidence_from_row,
    evidence_to_row,
    verify_frame,
    verify_mirrored,
)
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item

#: Bytes of decoded product pictures a worker keeps; neighbouring frames share most candidates.
_CACHE_BYTES: Final = 128 << 20


@dataclass(frozen=True)
class PairTask:
    """A frame and the product pictures it is to be compared with.

    Attributes:
        plain: the raw measurements there are of each, where the frame is looked at mirrored or read; else ().
        part: of a task that failed as a whole.
    """

    frame: Item
    candidates: tuple[Item, ...]
    plain: tuple[dict[str, Any], ...] = ()
    part: bool = False

    def __str__(self) -> str:
        single = self.part and len(self.candidates) == 1
        return pair_label(self.frame, self.candidates[0]) if single else self.frame.label

    def parts(self, size: int) -> list[PairTask]:
        """The task in parts of at most `size` candidates."""
        cuts = [slice(at, at + size) for at in range(0, len(self.candidates), size)]
        return [PairTask(self.frame, self.candidates[cut], self.plain[cut], True) for cut in cuts]


def pair_label(frame: Item, image: Item) -> str:
    """What messages call a pair."""
    return f"{frame.label} beside {image.label}, picture {image.item_id}"


@dataclass(frozen=True)
class PairDone:
    """Raw measurements of one frame, per product picture (`verification.evidence_to_row`)."""

    frame_id: uuid.UUID
    evidence: tuple[tuple[uuid.UUID, dict[str, Any]], ...]


@dataclass
class PairWorkerState:
    """What a worker needs to verify; keeps the product pictures used last.

    Attributes:
        banded: product pictures that a seller laid something over, which is left out of them.
    """

    media: MediaStore
    params: VerifyParams
    banded: frozenset[uuid.UUID] = frozenset()
    cache: OrderedDict[uuid.UUID, View] = field(default_factory=OrderedDict)
    cached_bytes: int = 0

    def view(self, item: Item) -> View:
        """The picture ready to be compared, from the cache where it is there."""
        if item.item_id in self.cache:
            self.cache.move_to_end(item.item_id)
            return self.cache[item.item_id]
        view = load_view(self.media, item)
        if item.item_id in self.banded:
            view = without_bands(view)
        self.cache[item.item_id] = view
        self.cached_bytes += _bytes(view)
        while self.cached_bytes > _CACHE_BYTES and len(self.cache) > 1:
            _, oldest = self.cache.popitem(last=False)
            self.cached_bytes -= _bytes(oldest)
        return view


def load_view(media: MediaStore, item: Item) -> View:
    """A stored picture with keypoints and mask; its pixels are read where a pair comes to them."""
    assert item.kp_path is not None

    def load() -> tuple[U8, U8 | None]:
        picture = decode(media, item)
        return picture.rgb, picture.mask

    return LateView(from_npz(media.get(item.kp_path)), load)


def compare_frame(state: PairWorkerState, task: PairTask) -> PairDone:
    """Raw measurements of one frame against each of its candidates; of the clearer look where the frame is
    looked at mirrored."""
    frame, views = load_view(state.media, task.frame), [state.view(c) for c in task.candidates]
    if task.plain:
        found = verify_mirrored(frame, views, [evidence_from_row(raw) for raw in task.plain], state.params)
    else:
        found = verify_frame(frame, views, state.params)
    pairs = zip(task.candidates, found, strict=True)
    return PairDone(task.frame.item_id, tuple((c.item_id, evidence_to_row(e)) for c, e in pairs))


def _bytes(view: View) -> int:
    # RootSIFT is made on first use and kept: 512 bytes a keypoint, and twice 128 as integers. So are pixels
    # and mask, which are counted beforehand.
    points = len(view.keypoints) * (768 + view.keypoints.descriptors.shape[1])
    return int(view.keypoints.width * view.keypoints.height * 4 + points)
