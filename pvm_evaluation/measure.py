"""Everything measured on every pair of a folder: the platform's own path, without its database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pvm_core.embedders import Embedder, EmbedInput, Views, load_embedder
from pvm_core.images import decode_picture, decode_stored, encode_jpeg, normalise
from pvm_core.keyframes import Keyframe, KeyframeParams, iter_keyframes
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.masks import Kind, Segmenter, load_segmenter
from pvm_core.rules import Rules
from pvm_core.verification import PairEvidence, VerifyParams, View, verify_frame
from pvm_evaluation.folders import CaseFolder, PhotoSet, ProductPicture
from pvm_resources.process_pool import WorkPool

U8 = npt.NDArray[np.uint8]
#: Qualities and sides at which the platform stores product pictures and frames.
PRODUCT_QUALITY, FRAME_QUALITY = 92, 90
PRODUCT_SIDE, FRAME_SIDE = 1_024, 960


@dataclass(frozen=True)
class Setting:
    """What an evaluation is made with; picklable, so that a worker can load it.

    Attributes:
        embedder, segmenter: names; segmenter "" measures without masks.
        models_dir: where weights lie.
        rules: parameters of keyframes, keypoints and verification.
        top_k: candidates a frame, verified; None verifies all.
    """

    embedder: str = "classic"
    segmenter: str = "classic"
    models_dir: Path | None = None
    rules: Rules = Rules()  # noqa: RUF009 - frozen
    top_k: int | None = None


@dataclass(frozen=True, eq=False)
class Tools:
    """A setting with its models loaded."""

    setting: Setting
    segmenter: Segmenter | None
    embedder: Embedder


@dataclass(frozen=True, eq=False)
class Item:
    """One picture with its features. `owner` is its product or video; `ts`, `shot` those of a frame."""

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
        source: name of the folder.
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


def load_tools(setting: Setting) -> Tools:
    """The models of a setting.

    Raises:
        ModelError: a model is unknown or its weights are missing.
    """
    segmenter = load_segmenter(setting.segmenter, setting.models_dir) if setting.segmenter else None
    return Tools(setting, segmenter, load_embedder(setting.embedder, setting.models_dir))


def measure(folder: PhotoSet | CaseFolder, setting: Setting, pool: WorkPool) -> list[RawPair]:
    """All pairs of a folder with their similarity, and the evidence of those that are candidates.

    A scene counts as a video of one frame. Pairs come in the order of frames, then of similarity.
    """
    load = partial(load_tools, setting)
    products = [done.unwrap() for done in pool.map(_product_item, folder.products, load)]
    ready = partial(_with_products, setting, tuple(products))
    if isinstance(folder, PhotoSet):
        work = partial(_scene_pairs, folder)
        return [pair for done in pool.map(work, folder.scenes, ready) for pair in done.unwrap()]
    clips = partial(_video_pairs, folder)
    return [pair for done in pool.map(clips, folder.videos, ready) for pair in done.unwrap()]


def _with_products(setting: Setting, products: tuple[Item, ...]) -> tuple[Tools, tuple[Item, ...]]:
    return load_tools(setting), products


def _product_item(tools: Tools, picture: ProductPicture) -> Item:
    rgb = decode_picture(picture.path.read_bytes(), picture.name).rgb
    return make_item(tools, normalise(rgb, PRODUCT_SIDE), "product", picture.name, picture.product)


def _scene_pairs(folder: PhotoSet, state: tuple[Tools, tuple[Item, ...]], path: Path) -> list[RawPair]:
    tools, products = state
    rgb = decode_picture(path.read_bytes(), path.name).rgb
    frame = make_item(tools, normalise(rgb, FRAME_SIDE), "frame", path.name, path.name)
    labels = [folder.label(p.owner, path.name) for p in products]
    return pairs_of_frame(tools, frame, products, labels, folder.name)


def _video_pairs(folder: CaseFolder, state: tuple[Tools, tuple[Item, ...]], path: Path) -> list[RawPair]:
    tools, products = state
    labels = [folder.label(p.owner, path.stem) for p in products]
    found: list[RawPair] = []
    for frame in iter_keyframes(path, KeyframeParams.from_rules(tools.setting.rules)):
        if isinstance(frame, Keyframe):
            name = f"{path.stem}@{frame.pts_ms}"
            item = make_item(tools, frame.rgb, "frame", name, path.stem, frame.ts, frame.shot)
            found += pairs_of_frame(tools, item, products, labels, folder.name)
    return found


def make_item(
    tools: Tools, rgb: U8, kind: Kind, name: str, owner: str, ts: float = 0.0, shot: int = 0
) -> Item:
    """The features of a picture as the assets compute them: from the stored JPEG, not from what was given."""
    quality = PRODUCT_QUALITY if kind == "product" else FRAME_QUALITY
    stored = decode_stored(encode_jpeg(rgb, quality))
    rules = tools.setting.rules
    mask = tools.segmenter.segment(stored, kind).mask if tools.segmenter and rules.segmentation else None
    keypoints = detect(stored, mask, KeypointParams.from_rules(rules))
    (views,) = tools.embedder.embed_views([EmbedInput(stored, mask)], kind, rules.grey_clahe)
    return Item(name, owner, View(keypoints, stored, mask), views, ts, shot)


def similarity(frame: Views, product: Views) -> tuple[float, float | None]:
    """Largest cosine over all views, in colour and in grey."""
    rgb = float((frame.rgb @ product.rgb.T).max())
    if frame.gray is None or product.gray is None:
        return rgb, None
    return rgb, float((frame.gray @ product.gray.T).max())


def pairs_of_frame(
    tools: Tools, frame: Item, products: Sequence[Item], labels: Sequence[bool | None], source: str
) -> list[RawPair]:
    """All pairs of a frame, most similar first; the setting's `top_k` of them are verified."""
    sims = [similarity(frame.views, p.views) for p in products]
    order = sorted(range(len(products)), key=lambda i: -max(s for s in sims[i] if s is not None))
    candidates = order[: tools.setting.top_k]
    params = VerifyParams.from_rules(tools.setting.rules)
    found = verify_frame(frame.view, [products[i].view for i in candidates], params)
    evidence = dict(zip(candidates, found, strict=True))
    return [
        RawPair(
            source=source,
            product=products[i].owner,
            image=products[i].name,
            video=frame.owner,
            frame=frame.name,
            ts=frame.ts,
            shot=frame.shot,
            label=labels[i],
            sim_rgb=sims[i][0],
            sim_gray=sims[i][1],
            rank=rank,
            evidence=evidence.get(i),
        )
        for rank, i in enumerate(order)
    ]
