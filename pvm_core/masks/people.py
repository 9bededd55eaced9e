"""People taken away on frames: what another segmenter finds, less what a person mask covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pvm_core.arrays import F32, U8
from pvm_core.ids import content_key
from pvm_core.masks.base import Kind, MaskResult, Segmenter
from pvm_core.weights import unusable, weights_path

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec

#: The network's input, (width, height) in pixels (the model card of MediaPipe Selfie Segmentation, general).
_SIZE: Final = (256, 256)
#: Probability from which a pixel is a person's: the threshold of the model card's own evaluation.
_PERSON: Final = 0.5
#: Share of a frame below which people are specks of the network, not persons.
_LEAST: Final = 0.02
#: Share of a frame that must remain for matching to have something to look at.
_REMAINS: Final = 0.02


@dataclass(frozen=True)
class SelfieSegmentation:
    """Probabilities of people by MediaPipe's selfie segmentation (MobileNetV3, 256 x 256), run by OpenCV.

    Attributes:
        identity: the model's name and the hash of its weights.
        net: `cv2.dnn.Net`.
    """

    identity: str
    net: Any = field(repr=False)

    def people(self, rgb: U8) -> F32:
        """float32 (H, W) in [0, 1]: how surely each pixel of uint8 (H, W, 3) belongs to a person."""
        import cv2

        small = cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        self.net.setInput(np.ascontiguousarray(small.transpose(2, 0, 1)[None]))
        found = np.asarray(self.net.forward()[0, 0], dtype=np.float32)
        return np.asarray(cv2.resize(found, (rgb.shape[1], rgb.shape[0])), dtype=np.float32)


def load_selfie(spec: ModelSpec, models_dir: Path | None) -> SelfieSegmentation:
    """The network from its file in the model store.

    Raises:
        ModelError: ``model.missing``, ``model.hash``, ``model.weights``.
    """
    import cv2

    path, manifest = weights_path(models_dir, spec.name, spec.sha256)
    try:
        net = cv2.dnn.readNetFromTFLite(str(path))
    except cv2.error as error:
        raise unusable(spec.name, path, "is not a network OpenCV can read", error) from error
    return SelfieSegmentation(f"{spec.name}:{manifest.sha256}", net)


@dataclass(frozen=True)
class WithoutPeople:
    """Another segmenter's masks; on frames, people are taken away.

    Product pictures keep people: clothes are sold on them.

    Attributes:
        base: finds the product's region, or the sharp part of a frame.
        selfie: finds people.
    """

    base: Segmenter
    selfie: SelfieSegmentation

    @property
    def name(self) -> str:
        """Both names, joined as users write them."""
        return f"{self.base.name}+{self.selfie.identity.partition(':')[0]}"

    @property
    def key(self) -> str:
        """Changes with either method, its parameters and its weights."""
        return content_key("segmenter", "without-people", "1", self.base.key, self.selfie.identity)

    def segment(self, rgb: U8, kind: Kind) -> MaskResult:
        """The base's mask of uint8 (H, W, 3); on a frame with people in it, less them."""
        found = self.base.segment(rgb, kind)
        if kind != "frame":
            return found
        people = self.selfie.people(rgb) >= _PERSON
        if people.mean() < _LEAST:
            return found
        region = ~people if found.mask is None else (found.mask > 0) & ~people
        if region.mean() < _REMAINS:
            return found
        return MaskResult.of(np.where(region, 255, 0).astype(np.uint8), "without-people")
