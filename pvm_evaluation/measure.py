"""Everything measured on every pair of a folder: the platform's functions, without its database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from pvm_core.catalogue_review import CatalogueReview, Looked, review_catalogue
from pvm_core.embedders import Kind, load_embedder
from pvm_core.images import FRAME_FORMAT, PRODUCT_FORMAT, Rgb, decode_picture, decode_stored, stored_jpeg
from pvm_core.keyframes import Keyframe, KeyframeParams, iter_keyframes
from pvm_core.local_features import LocalFeatures, LocalMethod, load_local
from pvm_core.masks import load_segmenter
from pvm_core.picture_content import read_content
from pvm_core.picture_features import FeatureMethods, PictureFeatures, describe_picture
from pvm_core.retrieval import Gallery, ranked, search
from pvm_core.rules import Rules
from pvm_core.same_picture import is_same_picture
from pvm_core.scoring.learned_term import LEARNED_INLIERS
from pvm_core.scoring.margin import margins
from pvm_core.scoring.pair import Pair
from pvm_core.shared_material import without_bands
from pvm_core.verification import (
    PairEvidence,
    VerifyParams,
    View,
    compare_learned,
    verify_frame,
    verify_mirrored,
)
from pvm_core.verification.mirror import MIRROR_ROUNDS, FrameDoubt, frame_doubt, frames_to_try
from pvm_evaluation.folders import CaseFolder, PhotoSet, ProductPicture
from pvm_resources.process_pool import WorkPool

#: Most alike pictures of a frame about which the second verifier is asked: a job asks about those that lead,
#: and where the right product is taken out of the catalogue, the next one leads.
ASKED = 4


@dataclass(frozen=True)
class Setting:
    """What an evaluation is made with; picklable, so that a worker can load it.

    Attributes:
        embedder, segmenter: names; segmenter "" measures without masks.
        models_dir: where weights lie.
        rules: parameters of keyframes, keypoints and verification.
        top_k: candidates a frame, verified; None verifies all.
        local_features: detector and matcher of learned local features (`choose_local`), or ``none``.
    """

    embedder: str = "classic"
    segmenter: str = "classic"
    models_dir: Path | None = None
    rules: Rules = Rules()  # noqa: RUF009 - frozen
    top_k: int | None = None
    local_features: str = "none"

    def methods(self) -> FeatureMethods:
        """The methods with their models loaded.

        Raises:
            ModelError: a model is unknown or its weights are missing.
        """
        segmenter = load_segmenter(self.segmenter, self.models_dir) if self.segmenter else None
        embedder = load_embedder(self.embedder, self.models_dir)
        return FeatureMethods.from_rules(self.rules, segmenter, embedder)


@dataclass(frozen=True, eq=False)
class Described:
    """One picture with its features. `owner` is its product or video; `ts`, `shot` those of a frame."""

    name: str
    owner: str
    features: PictureFeatures
    ts: float = 0.0
    shot: int = 0


@dataclass(frozen=True, eq=False)
class SearchState:
    """What a worker needs to measure frames: the products with their gallery, and the methods.

    Attributes:
        local: of the second verifier, None without; seen: its features of product pictures, by their place.
    """

    setting: Setting
    methods: FeatureMethods
    products: tuple[Described, ...]
    gallery: Gallery
    review: CatalogueReview[str]
    local: LocalMethod | None = None
    seen: dict[int, LocalFeatures] = field(default_factory=dict)

    @classmethod
    def load(cls, setting: Setting, products: tuple[Described, ...]) -> SearchState:
        """The state of a worker process."""
        gallery = Gallery.of([p.features.vectors for p in products])
        review = _review(products)
        shown = tuple(_shown(p) if p.name in review.marked else p for p in products)
        local = load_local(setting.local_features, setting.models_dir)
        return cls(setting, setting.methods(), shown, gallery, review, local)


@dataclass(frozen=True)
class RawPair:
    """A frame and a product picture with everything measured on them.

    Attributes:
        source: name of the folder.
        product, image, video, frame: names; ts, shot: of the frame.
        label: whether the frame's video shows the product on purpose; None = neither searched for nor wrong.
        sim_rgb, sim_gray: cosines; rank: place among the frame's candidates, from 1.
        evidence: raw measurements; None where the pair was no candidate of its frame.
        margin: of the greater cosine over the most alike other product of the frame; None without one.
        share: of the agreeing points on material that is not the product; None where the picture has none.
        group: the first listing of the product's group, "" where it is listed once.
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
    margin: float | None = None
    share: float | None = None
    group: str = ""

    @property
    def similarity(self) -> float:
        """The greater cosine."""
        return self.sim_rgb if self.sim_gray is None else max(self.sim_rgb, self.sim_gray)

    def named(self, kind: str, name: str) -> uuid.UUID:
        """The id made of a name of this folder."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}\x1f{self.source}\x1f{name}")

    @property
    def pair(self) -> Pair:
        """The pair under ids made of its names."""
        named = self.named
        return Pair(
            frame_id=named("frame", f"{self.video}/{self.frame}"),
            img_id=named("image", self.image),
            product_id=named("product", self.product),
            video_id=named("video", self.video),
            ts=self.ts,
            shot=self.shot,
        )


def measure(folder: PhotoSet | CaseFolder, setting: Setting, pool: WorkPool) -> list[RawPair]:
    """All pairs of a folder with their similarity, and the evidence of those that are candidates.

    A scene counts as a video of one frame. Pairs come in the order of frames, then of similarity.
    """
    products = tuple(done.unwrap() for done in pool.map(_product, folder.products, setting.methods))
    load = partial(SearchState.load, setting, products)
    if isinstance(folder, PhotoSet):
        found = pool.map(partial(_scene_pairs, folder), folder.scenes, load)
    else:
        found = pool.map(partial(_video_pairs, folder), folder.videos, load)
    return [pair for done in found for pair in done.unwrap()]


def _review(products: tuple[Described, ...]) -> CatalogueReview[str]:
    """The catalogue as a job reviews it; titles are not known here."""
    by_product = sorted(range(len(products)), key=lambda n: products[n].owner)
    looked = [
        Looked(p.name, p.owner, "", n, read_content(p.features.view.rgb), p.features.vectors.rgb[0])
        for n in by_product
        for p in (products[n],)
    ]
    views = {p.name: p.features.view for p in products}
    return review_catalogue(
        looked, lambda pairs: (is_same_picture(views[a.img_id], views[b.img_id]) for a, b in pairs)
    )


def _shown(picture: Described) -> Described:
    features = picture.features
    return replace(picture, features=replace(features, view=without_bands(features.view)))


def describe(rgb: Rgb, kind: Kind, methods: FeatureMethods) -> PictureFeatures:
    """The features as the assets compute them: from the stored JPEG, not from what was given."""
    form = PRODUCT_FORMAT if kind == "product" else FRAME_FORMAT
    return describe_picture(decode_stored(stored_jpeg(rgb, form)), kind, methods)


def _product(methods: FeatureMethods, picture: ProductPicture) -> Described:
    rgb = decode_picture(picture.path.read_bytes(), picture.name).rgb
    return Described(picture.name, picture.product, describe(rgb, "product", methods))


def _scene_pairs(folder: PhotoSet, state: SearchState, path: Path) -> list[RawPair]:
    rgb = decode_picture(path.read_bytes(), path.name).rgb
    scene = Described(path.name, path.name, describe(rgb, "frame", state.methods))
    labels = [folder.label(p.owner, path.name) for p in state.products]
    return _mirrored_too(state, [(scene, pairs_of_frame(state, scene, labels, folder.name))])


def _video_pairs(folder: CaseFolder, state: SearchState, path: Path) -> list[RawPair]:
    labels = [folder.label(p.owner, path.stem) for p in state.products]
    found: list[tuple[Described, list[RawPair]]] = []
    for frame in iter_keyframes(path, KeyframeParams.from_rules(state.setting.rules)):
        if isinstance(frame, Keyframe):
            features = describe(frame.rgb, "frame", state.methods)
            name = f"{path.stem}@{frame.pts_ms}"
            shown = Described(name, path.stem, features, frame.ts, frame.shot)
            found.append((shown, pairs_of_frame(state, shown, labels, folder.name)))
    return _mirrored_too(state, found)


def _mirrored_too(state: SearchState, clip: Sequence[tuple[Described, list[RawPair]]]) -> list[RawPair]:
    """The pairs of a clip's frames, those in doubt looked at left for right as a job does."""
    pairs = [list(of_frame) for _, of_frame in clip]
    for _ in range(MIRROR_ROUNDS):
        for n in frames_to_try([_doubt(i, of_frame) for i, of_frame in enumerate(pairs) if of_frame]):
            pairs[n] = _looked_at_mirrored(state, clip[n][0], pairs[n])
    return [pair for of_frame in pairs for pair in of_frame]


def _doubt(place: int, pairs: Sequence[RawPair]) -> FrameDoubt[int]:
    known = (p.evidence for p in pairs if p.evidence is not None)
    return frame_doubt(place, pairs[0].shot, pairs[0].similarity, known)


def _looked_at_mirrored(state: SearchState, frame: Described, pairs: Sequence[RawPair]) -> list[RawPair]:
    products = {p.name: p for p in state.products}
    known = [(p.image, p.evidence) for p in pairs if p.evidence is not None]
    params = VerifyParams.from_rules(state.setting.rules)
    plain = [evidence for _, evidence in known]
    views = [products[image].features.view for image, _ in known]
    found = verify_mirrored(frame.features.view, views, plain, params)
    seen = {
        image: replace(evidence, learned=before.learned)
        for (image, before), evidence in zip(known, found, strict=True)
    }
    return [
        replace(
            p, evidence=seen.get(p.image), share=_share(state.review, products[p.image], seen.get(p.image))
        )
        for p in pairs
    ]


def pairs_of_frame(
    state: SearchState, frame: Described, labels: Sequence[bool | None], source: str
) -> list[RawPair]:
    """All pairs of a frame, most similar first; the setting's `top_k` of them are verified."""
    vectors, products = frame.features.vectors, state.products
    nearest = search(state.gallery, np.zeros(1, np.intp), vectors.rgb, vectors.gray, len(products))
    review = state.review
    shown = [i for i in nearest.index[0].tolist() if review.is_view(products[i].name)]
    candidates = shown[: state.setting.top_k]
    params = VerifyParams.from_rules(state.setting.rules)
    views = [products[i].features.view for i in candidates]
    evidence = dict(zip(candidates, verify_frame(frame.features.view, views, params), strict=True))
    evidence |= _asked(state, frame.features.view, [(i, evidence[i]) for i in candidates[:ASKED]])
    alike = dict(zip(nearest.index[0].tolist(), nearest.similarity[0].tolist(), strict=True))
    owners = [review.groups.get(products[i].owner, products[i].owner) for i in shown]
    leads = dict(zip(shown, margins(owners, [alike[i] for i in shown]), strict=True))
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
            sim_rgb=sim_rgb,
            sim_gray=sim_gray,
            rank=rank,
            evidence=evidence.get(i),
            margin=leads[i],
            share=_share(review, products[i], evidence.get(i)),
            group=review.groups.get(products[i].owner, ""),
        )
        for _, i, rank, sim_rgb, sim_gray, _ in ranked(nearest)
        if i in leads
    ]


def _share(review: CatalogueReview[str], picture: Described, evidence: PairEvidence | None) -> float | None:
    material = review.material.get(picture.name)
    if material is None:
        return None
    height, width = picture.features.view.rgb.shape[:2]
    return material.share(evidence.points_product if evidence else (), width, height)


def _asked(
    state: SearchState, frame: View, measured: Sequence[tuple[int, PairEvidence]]
) -> dict[int, PairEvidence]:
    """The evidence of pairs on which hardly any print agrees, with that of the second verifier."""
    doubtful = [(i, e) for i, e in measured if e.inliers < LEARNED_INLIERS]
    if state.local is None or not doubtful:
        return {}
    detector = state.local.detector
    for i, _ in doubtful:
        if i not in state.seen:
            view = state.products[i].features.view
            (state.seen[i],) = detector.detect([(view.rgb, view.mask)])
    (shown,) = detector.detect([(frame.rgb, frame.mask)])
    found = compare_learned(shown, [state.seen[i] for i, _ in doubtful], state.local.matcher)
    return {i: replace(e, learned=learned) for (i, e), learned in zip(doubtful, found, strict=True)}
