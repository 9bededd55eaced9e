"""How well the platform finds what it should: the whole path in one process, from files to figures.

A *photo set* is a folder with `reference/`, `scene/` and `pairs.csv` (its positives; every other combination
is a negative); a *case* is a catalogue, a folder of videos and `truth.csv`. Both become `RawPair`s, from which
calibrations are fitted and scores and tables are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pvm_core.embedders import Embedder, EmbedInput, Views
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.masks import Kind, Segmenter
from pvm_core.pictures import decode_stored, encode_jpeg
from pvm_core.rules import Rules
from pvm_core.verification import PairEvidence, VerifyParams, View, verify_frame

U8 = npt.NDArray[np.uint8]
#: Qualities at which the platform stores product pictures and frames; features are those of stored files.
PRODUCT_QUALITY, FRAME_QUALITY = 92, 90


@dataclass(frozen=True)
class Tools:
    """The models and parameters of one evaluation."""

    segmenter: Segmenter | None
    embedder: Embedder
    rules: Rules

    @property
    def keypoints(self) -> KeypointParams:
        """Keypoint parameters of the rules."""
        return KeypointParams.from_rules(self.rules)

    @property
    def verify(self) -> VerifyParams:
        """Verification parameters of the rules."""
        return VerifyParams.from_rules(self.rules)


@dataclass(frozen=True, eq=False)
class Item:
    """One picture with its features. `owner` is its product or its video; `ts` and `shot` those of a frame."""

    name: str
    owner: str
    view: View
    views: Views
    ts: float = 0.0
    shot: int = 0


@dataclass(frozen=True)
class RawPair:
    """A frame and a product picture with everything measured on them.

    Attributes:
        source: the folder it comes from.
        product, image, video, frame: names; ts, shot: of the frame.
        label: whether the frame's video shows the product on purpose; None = neither asked for nor wrong.
        sim_rgb, sim_gray: cosines; rank: place among the frame's candidates, from 0.
        evidence: raw figures; None where the pair was no candidate of its frame.
    """

    source: str
    product: str
    image: str
    video: str
    frame: str
    ts: float
    shot: int
    label: bool | None
    sim_rgb: float
    sim_gray: float | None
    rank: int
    evidence: PairEvidence | None


def make_item(
    rgb: U8, kind: Kind, name: str, owner: str, tools: Tools, ts: float = 0.0, shot: int = 0
) -> Item:
    """The features of a picture as the assets compute them: from the stored JPEG, not from what was given."""
    quality = PRODUCT_QUALITY if kind == "product" else FRAME_QUALITY
    stored = decode_stored(encode_jpeg(rgb, quality))
    mask = tools.segmenter.segment(stored, kind).mask if tools.segmenter else None
    keypoints = detect(stored, mask, tools.keypoints)
    (views,) = tools.embedder.embed_views([EmbedInput(stored, mask)], kind, tools.rules.grey_clahe)
    return Item(name, owner, View(keypoints, stored, mask), views, ts, shot)


def similarity(frame: Views, product: Views) -> tuple[float, float | None]:
    """Largest cosine over all views, in colour and in grey."""
    rgb = float((frame.rgb @ product.rgb.T).max())
    if frame.gray is None or product.gray is None:
        return rgb, None
    return rgb, float((frame.gray @ product.gray.T).max())


def pairs_of_frame(
    frame: Item,
    products: Sequence[Item],
    tools: Tools,
    source: str,
    label: Callable[[str, str], bool | None],
    top_k: int,
) -> list[RawPair]:
    """All pairs of a frame; the `top_k` most similar are verified."""
    sims = [similarity(frame.views, p.views) for p in products]
    order = sorted(range(len(products)), key=lambda i: -max(s for s in sims[i] if s is not None))
    candidates = order[:top_k]
    found = verify_frame(frame.view, [products[i].view for i in candidates], tools.verify)
    evidence = dict(zip(candidates, found, strict=True))
    return [
        RawPair(
            source,
            products[i].owner,
            products[i].name,
            frame.owner,
            frame.name,
            frame.ts,
            frame.shot,
            label(products[i].owner, frame.owner),
            *sims[i],
            rank,
            evidence.get(i),
        )
        for rank, i in enumerate(order)
    ]
