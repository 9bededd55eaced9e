"""Which videos show a picture: the stored keyframes most like it, verified and decided like a match."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pvm_assets.work.pairs import load_view
from pvm_core.embedders import Embedder, EmbedInput, Views
from pvm_core.errors import StoreError
from pvm_core.ids import content_key
from pvm_core.images import decode_stored, stored_pixels
from pvm_core.keypoints import KeypointParams, detect
from pvm_core.masks import Segmenter, load_segmenter
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration
from pvm_core.scoring.decision import MatchDecision, decide
from pvm_core.scoring.pair import Pair, PairScore
from pvm_core.scoring.pair_score import score_pair
from pvm_core.verification import PairEvidence, VerifyParams, View, verify_frame, verify_mirrored
from pvm_core.verification.mirror import MIRROR_ROUNDS, FrameDoubt, frame_doubt, frames_to_try
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import FoundFrame, Item, Model

#: Frames that are verified, and of one video: 10 to 20 ms of one core each.
FRAMES: Final = 120
_PER_VIDEO: Final = 8


@dataclass(frozen=True, eq=False)
class SearchPicture:
    """The picture that is looked for, as the stored ones are known.

    Attributes:
        rgb: uint8 (H, W, 3); mask: uint8 (H, W), 255 = product, None without a trustworthy one.
        views: its vectors.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    views: Views


@dataclass(frozen=True)
class FoundVideo:
    """A video with what was decided on it, as on a match without rivals."""

    decision: MatchDecision
    frame: FoundFrame


@dataclass(frozen=True)
class SearchOutcome:
    """What was found.

    Attributes:
        videos: accepted and reviewable ones first, best first.
        frames: keyframes that were verified; unknown: those of them without keypoints under these rules.
    """

    videos: tuple[FoundVideo, ...]
    frames: int
    unknown: int


def stored_segmenter(model: Model, name: str, models: Path) -> Segmenter | None:
    """The segmenter that a model's stored vectors were made with.

    Args:
        name: of the segmenter that this machine is set to.
        models: folder of models.

    Returns:
        None where they were made without one, or with another than this machine is set to.

    Raises:
        ModelError: ``model.*``: this machine cannot load its own.
    """
    if model.spec.get("masks") in (None, "off"):
        return None
    found = load_segmenter(name, models)
    return found if found.key == model.spec.get("masks") else None


def search_picture(
    data: bytes,
    subject: str,
    embedder: Embedder,
    segmenter: Segmenter | None,
    model: Model,
    store: Store,
    media: MediaStore,
) -> SearchPicture:
    """The picture in the bytes of a file, in the form in which pictures are stored: compression alone moves
    a vector. Bytes that are stored already are known by their stored picture and vectors.

    Args:
        segmenter: the one the stored vectors were made with; None: it goes on unmasked.
        model: of the stored vectors.

    Raises:
        MediaError: ``picture.*``: it cannot be used.
    """
    known = store.features.known_picture(hashlib.sha256(data).hexdigest(), model.model_key)
    rgb = _kept(media, known.local_path) if known is not None else None
    if rgb is None:
        rgb = stored_pixels(data, subject)
    mask = segmenter.segment(rgb, "product").mask if segmenter is not None else None
    if known is not None:
        return SearchPicture(rgb, mask, Views(known.rgb, known.gray))
    (views,) = embedder.embed_views([EmbedInput(rgb, mask)], "product", bool(model.spec.get("gray")))
    return SearchPicture(rgb, mask, views)


def _kept(media: MediaStore, key: str) -> NDArray[np.uint8] | None:
    """The stored picture; None where it was purged a moment ago."""
    try:
        return decode_stored(media.get(key))
    except StoreError as error:
        if error.code != "media.missing":
            raise
        return None


def search_videos(
    store: Store,
    media: MediaStore,
    model: Model,
    picture: SearchPicture,
    rules: Rules,
    calibration: Calibration,
    *,
    industry: str | None = None,
) -> SearchOutcome:
    """The videos that show the picture, of all jobs or of an industry's (slug).

    Vectors propose keyframes, the verifier measures them, calibration and rules decide as for a match; there
    are no rivals, since one picture stands alone.
    """
    params = KeypointParams.from_rules(rules)
    mask_key = str(model.spec.get("masks") or "")
    views = picture.views
    frames = store.features.frames_like(
        model.model_key, views.rgb[0], None if views.gray is None else views.gray[0], FRAMES, _PER_VIDEO,
        mask_key=mask_key, keypoint_key=content_key("keypoints", params.key, mask_key), industry=industry,
    )  # fmt: skip
    wanted = View(detect(picture.rgb, picture.mask, params), picture.rgb, picture.mask)
    found = list(_scored(frames, wanted, media, rules, calibration))
    by_id = {frame.frame_id: frame for frame in frames}
    decided = decide([score for score, _ in found], rules, calibration)
    videos = [FoundVideo(one, by_id[one.best.frame_id]) for one in decided if one.best.frame_id in by_id]
    ranked = sorted(videos, key=lambda one: (one.decision.status == "rejected", -one.decision.score))
    return SearchOutcome(tuple(ranked), len(frames), sum(not measured for _, measured in found))


def _scored(
    frames: Iterable[FoundFrame], wanted: View, media: MediaStore, rules: Rules, calibration: Calibration
) -> Iterator[tuple[PairScore, bool]]:
    """Each frame's pair with the picture, and whether it could be measured."""
    params, picture = VerifyParams.from_rules(rules), uuid.uuid4()
    frames = list(frames)
    found = {frame.frame_id: _measured(frame, wanted, media, params) for frame in frames}
    for _ in range(MIRROR_ROUNDS):
        for frame in _in_doubt(frames, found):
            found[frame.frame_id] = _measured(frame, wanted, media, params, found[frame.frame_id])
    for frame in frames:
        evidence = found[frame.frame_id]
        pair = Pair(frame.frame_id, picture, picture, frame.video_id, frame.ts, frame.shot)
        score = score_pair(pair, evidence, frame.sim_rgb, frame.sim_gray, calibration, rules)
        yield score, evidence is not None


def _measured(
    frame: FoundFrame,
    wanted: View,
    media: MediaStore,
    params: VerifyParams,
    plain: PairEvidence | None = None,
) -> PairEvidence | None:
    """The pair's measurements, of the clearer look where those of the `plain` one are given; None where it
    cannot be measured."""
    if frame.kp_path is None or not len(wanted.keypoints):
        return None
    try:
        view = load_view(media, _item(frame))
    except StoreError as error:
        # Purged a moment ago.
        if error.code != "media.missing":
            raise
        return plain
    if plain is None:
        return verify_frame(view, [wanted], params)[0]
    return verify_mirrored(view, [wanted], [plain], params)[0]


def _in_doubt(
    frames: Iterable[FoundFrame], found: Mapping[uuid.UUID, PairEvidence | None]
) -> list[FoundFrame]:
    """The frames to look at left for right now, as a job would."""
    clips: dict[uuid.UUID, list[FrameDoubt[FoundFrame]]] = {}
    for frame in frames:
        if (e := found[frame.frame_id]) is not None:
            alike = max(frame.sim_rgb, -1.0 if frame.sim_gray is None else frame.sim_gray)
            clips.setdefault(frame.video_id, []).append(frame_doubt(frame, frame.shot, alike, [e]))
    return [frame for clip in clips.values() for frame in frames_to_try(clip)]


def _item(frame: FoundFrame) -> Item:
    return Item(
        frame.frame_id, "frame", frame.video_id, frame.local_path, frame.width, frame.height, frame.ts,
        frame.shot, frame.mask_path, frame.kp_path, str(frame.frame_id),
    )  # fmt: skip
