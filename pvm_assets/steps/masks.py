"""Segmentation: the product region of each picture, where one can be trusted."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvm_assets.data_version import version_of
from pvm_assets.feature_step import Extractor, FeatureStep, Rows
from pvm_assets.keys import MASKS_OFF
from pvm_assets.report import Column, Report
from pvm_assets.work.decoded import Decoded
from pvm_core.errors import Problem, PvmError
from pvm_core.images import encode_mask
from pvm_core.masks import load_segmenter
from pvm_jobs.events import Event
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import Item, Kind, Mask

if TYPE_CHECKING:
    from pvm_assets.stage import Stage
    from pvm_core.masks import Segmenter


class Masks(FeatureStep):
    """The product region of each picture: plain backgrounds and the fill around a clip are masked out.

    People stay in, unless `PVM_SEGMENTER` names a segmenter of people: what they hold goes with them, which
    costs more matches than it is worth (docs/accuracy.md). A picture without a trustworthy mask, or whose
    segmentation exceeds its time limit, goes on unmasked.
    """

    name = "masks"
    table = "masks"
    columns = (
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("method_key", "text", "segmenter with its parameters and version"),
        Column("has_mask", "bool", "false: the whole picture counts as the product"),
        Column("mask_path", "text", "key in the media store"),
        Column("coverage", "float8", "share of the picture inside the mask"),
        Column("reason", "text", "how the mask came about, or why there is none"),
    )
    kinds = frozenset({"python", "postgres", "image"})
    code_version = "1"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        settings, self.key = stage.services.settings, MASKS_OFF
        self.timeout_s = stage.rules.mask_timeout_s
        if stage.rules.segmentation:
            self.segmenter = load_segmenter(settings.segmenter, settings.models)
            self.key = self.segmenter.key

    def extractor(self) -> Callable[[], Extractor]:
        services = self.stage.services
        return partial(MaskExtractor.load, services.media, self.segmenter.name, services.settings.models)

    def without(self, item: Item, error: PvmError) -> Rows | None:
        if not error.code.startswith("worker."):
            return None
        self.stage.note([Problem.of(self.name, error, item.label)])
        reason = error.code.removeprefix("worker.")
        return [Mask(item.item_id, item.kind, self.key, False, None, 1.0, reason)]

    def begin(self) -> list[uuid.UUID]:
        if self.key != MASKS_OFF:
            return super().begin()
        self.stage.begin(0)
        return []

    def run(self) -> Report:
        if self.key != MASKS_OFF:
            return super().run()
        self.stage.services.store.jobs.set_keys(self.stage.job_id, **self.job_keys)
        self.stage.begin(0)
        none: Mapping[Kind, int] = {"product": 0, "frame": 0}
        return Report(0, version_of([self.key]), {"segmentation": "off by rule"}, events=self._ended(none))

    def report(self, totals: Mapping[Kind, int]) -> Report:
        rows: list[str] = []
        reasons = Counter[str]()
        for mask in self.features.masks(self.stage.job_id, self.key):
            rows.append(f"{mask.item_id.hex}{mask.has_mask}{mask.coverage:.6f}")
            if not mask.has_mask:
                reasons[mask.reason] += 1
        unmasked = {"unmasked_for": dict(reasons)}
        masked = len(rows) - reasons.total()
        metadata = {"method": self.segmenter.name, "masked": masked, **unmasked, **self._preview()}
        return Report(len(rows), version_of([self.key, *rows]), metadata, unmasked, self._ended(totals))

    def _preview(self) -> dict[str, Any]:
        items = self.features.items(self.stage.job_id, mask_key=self.key)
        shown = [(item.local_path, item.mask_path) for item in items if item.mask_path is not None]
        text = "masks: what is dimmed is left out"
        return self.stage.preview([path for path, _ in shown], text, [mask for _, mask in shown])

    def _ended(self, totals: Mapping[Kind, int]) -> tuple[Event, Event]:
        return (
            self.stage.event("products.images.masked.batch", total_images=totals["product"]),
            self.stage.event("video.keyframes.masked.batch", total_keyframes=totals["frame"]),
        )


@dataclass(frozen=True)
class MaskExtractor:
    """Segments pictures and stores their masks."""

    media: MediaStore
    segmenter: Segmenter

    @classmethod
    def load(cls, media: MediaStore, segmenter: str, models_dir: Path) -> MaskExtractor:
        """The extractor with the segmenter of that name."""
        return cls(media, load_segmenter(segmenter, models_dir))

    def compute(self, pictures: Sequence[Decoded]) -> list[Rows]:
        """One row a picture; no file where it has no mask."""
        return [[self._mask(picture)] for picture in pictures]

    def _mask(self, picture: Decoded) -> Mask:
        item, method = picture.item, self.segmenter.key
        found = self.segmenter.segment(picture.rgb, item.kind)
        if found.mask is None:
            return Mask(item.item_id, item.kind, method, False, None, found.coverage, found.reason)
        path = f"masks/{item.kind}s/{method}/{item.item_id}.png"
        self.media.put(path, encode_mask(found.mask))
        return Mask(item.item_id, item.kind, method, True, path, found.coverage, found.reason)
