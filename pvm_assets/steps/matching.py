"""Matching: candidates of each frame, their verification, scores and decisions."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import dagster as dg
import numpy as np

from pvm_assets.data_version import version_of
from pvm_assets.keys import key_of
from pvm_assets.preview import ResultRow, results_table
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.steps.verification import Comparison, Scoring, compare, verify
from pvm_core.arrays import F32
from pvm_core.errors import InputError
from pvm_core.figures import clock_text, score_text
from pvm_core.links import at_second
from pvm_core.retrieval import Gallery, Nearest, first_rows, ranked, search
from pvm_core.scoring.decision import STATUSES
from pvm_core.scoring.verdict import Verdict, effective_status
from pvm_core.text import NONE as NO_READER
from pvm_resources.store.match_record import EvidenceItem, MatchRecord
from pvm_resources.store.records import (
    Candidate,
    EmbeddingBatch,
)

#: Frames whose recall against exact search is measured.
_RECALL_SAMPLE = 20
#: Matches read for the table of results: one more than it shows says that there are more.
_LISTED = 13
#: Verdicts as the figures of the asset name them.
_JUDGED: Final[Mapping[Verdict, str]] = {"accept": "right", "reject": "wrong", "unsure": "unsure"}


@job_asset(
    table="candidate_pairs",
    columns=(
        Column("frame_id", "uuid", "a keyframe"),
        Column("img_id", "uuid", "a product picture that may be in it"),
        Column("rank", "int4", "from 1, by similarity"),
        Column("sim_rgb", "float8", "cosine, greatest over the views"),
        Column("sim_gray", "float8", "cosine of the grey pictures"),
        Column("similarity", "float8", "the greater of both"),
    ),
    kinds={"python", "postgres", "numpy"},
    code_version="1",
)
def candidate_pairs(stage: Stage) -> Report:
    """The product pictures most similar to each frame: exact, in batches; all of them where there are few."""
    services, key = stage.services, key_of(stage, "embeddings")
    frames, _ = services.store.features.covered(stage.job_id, "embeddings", key)["frame"]
    images, gallery = _gallery(stage, key)
    k = _candidates_per_frame(stage, frames, len(images))
    stage.begin(frames)
    digest, rows = [], 0
    for batch in services.store.features.iter_embeddings(stage.job_id, "frame", key, 512):
        frame_ids = list(dict.fromkeys(batch.ids))
        nearest = search(gallery, first_rows(batch.ids), batch.rgb, batch.gray, k)
        services.store.matching.write_candidates(
            stage.job_id, frame_ids, _candidates(frame_ids, images, nearest)
        )
        digest.append(version_of((frame_ids, nearest.index.tolist())))
        rows += nearest.index.size
        stage.advance(len(frame_ids))
    services.store.matching.prune_candidates(stage.job_id)
    recall = services.store.features.recall_of_ann(
        stage.job_id, key, min(20, max(1, len(images))), _RECALL_SAMPLE
    )
    facts = {
        "candidates_per_frame": k,
        "exhaustive": k >= len(images),
        "recall_at_k": recall.value,
        "recall_k": min(20, len(images)),
        "recall_frames": recall.queries,
    }
    return Report(
        rows, version_of([key, k, *images, *digest]), {n: v for n, v in facts.items() if v is not None}, facts
    )


def _gallery(stage: Stage, key: str) -> tuple[list[uuid.UUID], Gallery]:
    parts: deque[EmbeddingBatch] = deque(
        stage.services.store.features.iter_embeddings(stage.job_id, "product", key)
    )
    if not parts:
        raise InputError(
            "embeddings.none", "candidate_pairs", "no product picture has a vector", "See the job's problems"
        )
    owners = [owner for part in parts for owner in part.ids]
    starts = first_rows(owners)
    rgb, gray = _joined(parts, len(owners))
    return [owners[i] for i in starts], Gallery(starts, rgb, gray)


def _joined(parts: deque[EmbeddingBatch], rows: int) -> tuple[F32, F32 | None]:
    """The vectors of all parts; each part is let go once it is copied, so that they are held once."""
    shape = (rows, parts[0].rgb.shape[1])
    rgb = np.empty(shape, np.float32)
    gray = np.empty(shape, np.float32) if all(p.gray is not None for p in parts) else None
    at = 0
    while parts:
        part = parts.popleft()
        end = at + len(part.ids)
        rgb[at:end] = part.rgb
        if gray is not None:
            gray[at:end] = part.gray
        at = end
    return rgb, gray


def _candidates_per_frame(stage: Stage, frames: int, images: int) -> int:
    """K by the rules: all where pairs are few; more where an embedder that wants a GPU had to do without."""
    rules = stage.rules
    if frames * images <= rules.exhaustive_max_pairs:
        return images
    state = stage.services.store.state.asset(stage.job_id, "embeddings")
    facts = state.metadata if state else {}
    larger = bool(facts.get("without_gpu"))
    k = round(rules.retrieval_topk * rules.retrieval_topk_cpu_factor) if larger else rules.retrieval_topk
    return min(k, images)


def _candidates(frames: list[uuid.UUID], images: list[uuid.UUID], nearest: Nearest) -> Iterator[Candidate]:
    for frame, image, rank, sim_rgb, sim_gray, similarity in ranked(nearest):
        yield Candidate(frames[frame], images[image], rank, sim_rgb, sim_gray, similarity)


@job_asset(
    table="matches",
    columns=(
        Column("match_id", "uuid", "uuid5 of job, product and video"),
        Column("product_id", "uuid", "the product that is looked for"),
        Column("video_id", "uuid", "the video it is looked for in"),
        Column("score", "float8", "[0, 1]; accepted if and only if it reaches the rules' ACCEPT"),
        Column("status", "text", "by the score: accepted, review or rejected"),
        Column("reason_code", "text", "why it has this status"),
        Column("reason_values", "jsonb", "what the reason speaks of"),
        Column("ts", "float8", "second of the best frame"),
        Column("sim_deep", "float8", "calibrated term"),
        Column("sim_kp", "float8", "calibrated term"),
        Column("sim_edge", "float8", "calibrated term"),
        Column("score_pair", "float8", "of the best pair"),
        Column("mirrored", "bool", "whether the best frame shows the product left for right"),
        Column("consistency", "int4", "independent shots with a pair that reaches ACCEPT"),
        Column("coverage", "int4", "distinct product pictures in such pairs"),
        Column("listing_group", "uuid", "first listing of the product's group; null: listed once"),
    ),
    kinds={"python", "postgres", "opencv"},
    code_version="1",
)
def matches(stage: Stage) -> Report:
    """Candidates verified by geometry and appearance, scored, and decided per product and video."""
    comparison = Comparison.of(stage)
    tasks = comparison.begin()
    if stage.spread:
        # Rounds that begin again would go further than those of a step that does them all.
        compare(comparison, tasks)
    else:
        verify(comparison, tasks)
    scoring = Scoring(comparison)
    if comparison.reader is not None:
        scoring.weigh_words()
    stage.services.store.matching.replace_scores(stage.job_id, scoring.scores())
    rows = scoring.matches
    said = stage.services.store.matching.verdicts(stage.job_id)
    judged = [(m, verdict, effective_status(m.status, verdict)) for m in rows
             for verdict in (said.get((m.product_id, m.video_id)),)]  # fmt: skip
    events = [
        stage.event(
            "match.result",
            str(m.match_id),
            match_id=str(m.match_id),
            product_id=str(m.product_id),
            video_id=str(m.video_id),
            best_pair={
                "img_id": str(m.best.img_id),
                "frame_id": str(m.best.frame_id),
                "score_pair": m.best.score_pair,
            },
            score=m.score,
            ts=m.ts,
            mirrored=m.mirrored,
            status=status,
            scored_status=m.status,
            verdict=verdict,
        )
        for m, verdict, status in judged
        if status != "rejected"
    ]
    stage.services.store.matching.replace_matches(stage.job_id, rows, events=events)
    return _match_report(stage, rows, scoring, said)


def begin_matches(stage: Stage) -> list[uuid.UUID]:
    """States how many frames there are; of each that is to be compared its clip, which is not split."""
    return [task.frame.parent_id for task in Comparison.of(stage).begin()]


def verify_matches(stage: Stage) -> None:
    """Verifies the clips of the stage's shard."""
    comparison = Comparison.of(stage)
    verify(comparison, comparison.unmeasured())


def _match_report(
    stage: Stage,
    rows: list[MatchRecord],
    scoring: Scoring,
    said: Mapping[tuple[uuid.UUID, uuid.UUID], Verdict],
) -> Report:
    comparison = scoring.comparison
    verdicts = [said.get((m.product_id, m.video_id)) for m in rows]
    shown = [effective_status(m.status, verdict) for m, verdict in zip(rows, verdicts, strict=True)]
    facts: dict[str, Any] = {
        **{status: shown.count(status) for status in STATUSES},
        **{f"scored_{status}": sum(m.status == status for m in rows) for status in STATUSES},
        **{f"judged_{what}": verdicts.count(verdict) for verdict, what in _JUDGED.items()},
        "mirrored": sum(m.mirrored and status == "accepted" for m, status in zip(rows, shown, strict=True)),
        "pairs_scored": scoring.pairs,
        "pairs_without_keypoints": scoring.unmeasured,
        "pairs_second_verifier": scoring.asked,
        "text_reader": comparison.reader.name if comparison.reader is not None else NO_READER,
        "pairs_words_read": scoring.read,
        "model": comparison.model,
        "calibration": comparison.calibration.name,
        "calibrated": comparison.calibration.calibrated,
        **comparison.review.counts,
    }
    version = version_of(sorted(f"{m.match_id.hex}{m.score:.9f}{m.status}{m.reason.text()}" for m in rows))
    metadata = {**facts, **_results(stage)}
    return Report(len(rows), version, metadata, facts, (stage.event("matchings.process.completed"),))


def _results(stage: Stage) -> dict[str, Any]:
    """The best accepted matches as a table; {} where there are none."""
    found = stage.services.store.matching.match_items(stage.job_id, statuses=("accepted",))
    shown = list(islice((one for one in found if one.effective_status == "accepted"), _LISTED))
    if not shown:
        return {}
    keys = {one.match_id: _keys(one) for one in shown}
    hidden = stage.redactor.restricted([key for pair in keys.values() for key in pair])
    rows = [
        _row(stage, one, () if any(key in hidden for key in keys[one.match_id]) else keys[one.match_id])
        for one in shown
    ]
    return {"results": dg.MetadataValue.md(results_table(stage.services.media, rows))}


def _row(stage: Stage, one: EvidenceItem, pictures: tuple[str, ...]) -> ResultRow:
    """A row of the table. The event log cannot be purged: of limited material it gets ids alone."""
    review_url = f"{stage.services.settings.public_url}/review/match/{one.match_id}"
    product, price = one.title or one.product, f"{one.price} {one.currency}".strip()
    video, video_url = one.video_title or one.video, at_second(one.video_url, one.ts)
    if stage.policies[one.source].restricted:
        product, price = one.product, ""
    if stage.policies.of_platform(one.platform).restricted:
        video, video_url = str(one.video_id), None
    return ResultRow(
        product, price, video, video_url, clock_text(one.ts), score_text(one.score), one.effective_status,
        pictures, review_url, one.mirrored,
    )  # fmt: skip


def _keys(item: EvidenceItem) -> tuple[str, ...]:
    """Media keys of product picture and frame; () where one is gone."""
    if item.image_path is None or item.frame_path is None:
        return ()
    return item.image_path, item.frame_path
