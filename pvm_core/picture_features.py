"""All features of one stored picture: what retrieval and verification compare.

The asset graph computes each feature in a step of its own and stores it; an evaluation computes them at once.
Both call the functions named here on the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvm_core.embedders import Embedder, EmbedInput, Kind, Views, embed_views
from pvm_core.images import Rgb
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.masks import Segmenter
from pvm_core.rules import Rules
from pvm_core.verification import View


@dataclass(frozen=True, eq=False)
class FeatureMethods:
    """How features are computed.

    Attributes:
        segmenter: None: pictures go on without masks.
        gray: whether the grey picture is embedded too.
    """

    segmenter: Segmenter | None
    embedder: Embedder
    keypoints: KeypointParams
    gray: bool

    @classmethod
    def from_rules(cls, rules: Rules, segmenter: Segmenter | None, embedder: Embedder) -> FeatureMethods:
        """The methods that `rules` ask for, with these models."""
        used = segmenter if rules.segmentation else None
        return cls(used, embedder, KeypointParams.from_rules(rules), rules.grey_clahe)


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """Features of one picture.

    Attributes:
        view: pixels (uint8 (H, W, 3)), mask (uint8 (H, W), 255 = product, or None) and keypoints.
        vectors: of its views.
    """

    view: View
    vectors: Views


def describe_picture(rgb: Rgb, kind: Kind, methods: FeatureMethods) -> PictureFeatures:
    """The features of a picture as `pvm_core.images.decode_stored` gives it."""
    mask = methods.segmenter.segment(rgb, kind).mask if methods.segmenter else None
    (vectors,) = embed_views(methods.embedder, [EmbedInput(rgb, mask)], kind, methods.gray)
    return PictureFeatures(View(detect(rgb, mask, methods.keypoints, kind), rgb, mask), vectors)
