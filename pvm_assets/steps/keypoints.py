"""Keypoints of each picture, for geometric verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pvm_assets.data_version import version_of
from pvm_assets.feature_step import Extractor, FeatureStep, Rows
from pvm_assets.keys import key_of
from pvm_assets.report import Column, Report
from pvm_assets.work.decoded import Decoded
from pvm_core.ids import content_key
from pvm_core.keypoints import KeypointParams, detect, to_npz
from pvm_resources.media.store import MediaStore
from pvm_resources.store.records import KeypointSet, Kind

if TYPE_CHECKING:
    from pvm_assets.stage import Stage


class Keypoints(FeatureStep):
    """Keypoints and descriptors of each picture, inside its mask, spread over the picture."""

    name = "keypoints"
    table = "keypoint_sets"
    columns = (
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("method_key", "text", "detector, parameters and masks"),
        Column("n_keypoints", "int4", "points found"),
        Column("kp_blob_path", "text", "npz in the media store"),
        Column("status", "text", "ok or excused"),
        Column("reason", "text", "why a picture is excused"),
    )
    kinds = frozenset({"python", "postgres", "opencv"})
    code_version = "1"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.params, self.mask_key = KeypointParams.from_rules(stage.rules), key_of(stage, "masks")
        self.key = content_key("keypoints", self.params.key, self.mask_key)

    def extractor(self) -> Callable[[], Extractor]:
        return partial(KeypointExtractor, self.stage.services.media, self.params, self.key)

    def report(self, totals: Mapping[Kind, int]) -> Report:
        found = list(self.features.keypoints(self.stage.job_id, self.key))
        metadata = {
            "detector": self.params.detector,
            "keypoints_per_picture": round(sum(k.n_keypoints for k in found) / max(1, len(found)), 1),
            "excused": sum(k.status == "excused" for k in found),
        }
        version = version_of([self.key, *(f"{k.item_id.hex}{k.n_keypoints}" for k in found)])
        completed = ("image.keypoints.completed", "video.keypoints.completed")
        return Report(len(found), version, metadata, {}, [self.stage.event(name) for name in completed])


@dataclass(frozen=True)
class KeypointExtractor:
    """Finds and stores keypoints; `method_key` names detector, parameters and masks."""

    media: MediaStore
    params: KeypointParams
    method_key: str

    def compute(self, pictures: Sequence[Decoded]) -> list[Rows]:
        """One row a picture; one without any keypoint is excused."""
        return [[self._keypoints(picture)] for picture in pictures]

    def _keypoints(self, picture: Decoded) -> KeypointSet:
        item, found = picture.item, detect(picture.rgb, picture.mask, self.params, picture.item.kind)
        if len(found) == 0:
            reason = "no keypoint: the picture is flat"
            return KeypointSet(item.item_id, item.kind, self.method_key, 0, None, "excused", reason)
        path = f"kp/{self.method_key}/{item.item_id}.npz"
        self.media.put(path, to_npz(found))
        return KeypointSet(item.item_id, item.kind, self.method_key, len(found), path)
