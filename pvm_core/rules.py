"""Rules: every threshold and weight that decides a result, in one typed place.

The defaults are fitted together with the shipped calibration.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

from pvm_core.ids import content_key


@dataclass(frozen=True)
class Rules:
    """Thresholds and weights of one job.

    Attributes:
        weight_deep, weight_kp, weight_edge: weights of the three terms; they sum to 1.
        retrieval_topk: candidates per frame, >= 1.
        retrieval_topk_cpu_factor: multiplier of top-K where a learned embedder runs without a GPU.
        exhaustive_max_pairs: frames x images up to which every pair is a candidate.
        sim_deep_min, inliers_min: minimum calibrated `sim_deep` / `sim_kp` of a pair that may count, [0, 1].
        best_min: a match needs its best pair at least here when it has `cons_min` independent shots.
        best_alone_min: or its best pair at least here.
        cons_min: independent shots with a pair >= accept.
        accept: ACCEPT; status is accepted if and only if score >= accept.
        review_min: score from which a match that is not accepted is offered for review.
        review_deep_min: calibrated `sim_deep` from which the most alike product of a video is offered for
            review without a geometric proof: a plush toy from another side has no print to match.
        bonus_consistency, bonus_consistency_min: added to best from that many independent shots.
        bonus_coverage, bonus_coverage_min: added to best from that many distinct product images.
        sibling_margin: how much a match must lead the best other product in the same shot's place.
        min_inliers: geometric sanity floor: matches that must agree on a pose, and then on a transform.
        keyframes_per_minute, keyframes_min, keyframes_max: the keyframe budget, scaling with length.
        keyframe_max_gap_s: longest stretch of video, in seconds, that may go without a sampled frame.
        video_max_s: seconds of a video that are sampled.
        grey_clahe, segmentation, edge_term: feature flags.
        look_term: whether a pair that geometry could not place may be accepted because it is very alike, and
            far more so than every other product in the catalogue.
        learned_term: whether learned local features, where installed, may carry a pair with hardly any print.
        word_term: whether words on the pack, where a reader is installed, may tell siblings apart.
        shard_items: videos, pictures, frames or matches to do above which a stage is split over several
            steps, and about how many each of them takes; where `PVM_SHARDS` is on (docs/executors.md).
        picture_timeout_s: seconds a product picture may take to decode before it is left out, with a problem.
        mask_timeout_s: seconds a picture's segmentation may take before it goes on unmasked.
        detector: `sift` or `akaze`.
        max_keypoints: strongest keypoints kept per picture, spatially spread.
        min_decodable_ratio: share of pictures (videos) that must decode for the check to pass, [0, 1].
        min_frames_per_video: keyframes below which a video is named by the check.
        min_recall_at_k: recall of HNSW against exact search below which the check warns, [0, 1].
        keep_videos_days: days a downloaded video's file is kept once its keyframes are cut; 0: it goes at
            the end of the run. Files of a user's own folder are never touched.
        attention_detector: `blazeface`, `haar` or `yunet:PATH` (docs/attention.md).
        attention_weight_pose, attention_weight_gaze, attention_weight_eyes: weights of the three terms of
            attention; not all 0. They are divided by the sum of those that are known.
        keep_faces_days: days that numbers about faces are kept; 0: they go with the next purge.
        blur_faces: faces are blurred in evidence and reports; where they cannot be, these are refused.
        similar_weight_look, similar_weight_text: weights of look and words where similar products are asked
            for by both.
        recommend_weight_seen, recommend_weight_look, recommend_weight_text, recommend_weight_popular: weights
            of what recommends a product: the same videos, its look, its words, how many videos show it.
        recommend_diversity: weight of a recommendation's likeness to those before it, [0, 1].
    """

    weight_deep: float = 0.20
    weight_kp: float = 0.35
    weight_edge: float = 0.45
    retrieval_topk: int = 20
    retrieval_topk_cpu_factor: float = 1.5
    exhaustive_max_pairs: int = 2_000
    sim_deep_min: float = 0.0
    inliers_min: float = 0.10
    best_min: float = 0.80
    best_alone_min: float = 0.82
    cons_min: int = 2
    accept: float = 0.80
    review_min: float = 0.50
    review_deep_min: float = 0.90
    bonus_consistency: float = 0.02
    bonus_consistency_min: int = 3
    bonus_coverage: float = 0.02
    bonus_coverage_min: int = 2
    sibling_margin: float = 0.05
    min_inliers: int = 5
    keyframes_per_minute: float = 40.0
    keyframes_min: int = 8
    keyframes_max: int = 400
    keyframe_max_gap_s: float = 2.0
    video_max_s: float = 1_800.0
    grey_clahe: bool = True
    segmentation: bool = True
    edge_term: bool = True
    look_term: bool = True
    learned_term: bool = True
    word_term: bool = True
    shard_items: int = 500
    #: One of 40 million pixels takes 1 to 2 s of one core.
    picture_timeout_s: float = 20.0
    mask_timeout_s: float = 5.0
    detector: str = "sift"
    max_keypoints: int = 800
    min_decodable_ratio: float = 0.5
    min_frames_per_video: int = 1
    min_recall_at_k: float = 0.9
    keep_videos_days: float = 7.0
    attention_detector: str = "blazeface"
    attention_weight_pose: float = 0.4
    attention_weight_gaze: float = 0.4
    attention_weight_eyes: float = 0.2
    keep_faces_days: float = 30.0
    blur_faces: bool = False
    similar_weight_look: float = 0.5
    similar_weight_text: float = 0.5
    #: Chosen on a made-up shop of a seed of its own; measured on others: bench/bench_recommending.py.
    recommend_weight_seen: float = 0.6
    recommend_weight_look: float = 0.05
    recommend_weight_text: float = 0.1
    recommend_weight_popular: float = 0.25
    recommend_diversity: float = 0.1

    @cached_property
    def key(self) -> str:
        """A short key of all values that decide a result, stored with what was computed under them."""
        deciding = (f.name for f in fields(self) if f.name not in _NOT_DECIDING)
        return content_key(*(f"{name}={getattr(self, name)!r}" for name in deciding))


#: Fields that no stored match depends on: how long something is kept or waited for, what is shown beside it.
_NOT_DECIDING: Final = frozenset(
    {
        *(
            "blur_faces",
            "keep_videos_days",
            "picture_timeout_s",
            "shard_items",
            "similar_weight_look",
            "similar_weight_text",
        ),
        *("recommend_weight_seen", "recommend_weight_look", "recommend_weight_text"),
        *("recommend_weight_popular", "recommend_diversity", "keep_faces_days", "attention_detector"),
        *("attention_weight_pose", "attention_weight_gaze", "attention_weight_eyes"),
    }
)
