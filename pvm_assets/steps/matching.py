"""Matching: candidates of each frame, their verification, scores and decisions."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from typing import Any, Final

import dagster as dg
import numpy as np

from pvm_assets.data_version import version_of
from pvm_assets.keys import key_of
from pvm_assets.preview import ResultRow, results_table
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.work.catalogue_review import Review, reviewed_catalogue
from pvm_assets.work.learned import LearnedWorkerState, ask_frame
from pvm_assets.work.pairs import PairDone, PairTask, PairWorkerState, compare_frame
from pvm_assets.work.words import ReadingTask, WordWorkerState, read_frame, read_picture
from pvm_core import ids, picture_content
from pvm_core.arrays import F32
from pvm_core.errors import InputError
from pvm_core.figures import clock_text, score_text
from pvm_core.ids import content_key
from pvm_core.links import at_second
from pvm_core.local_features import NONE, LocalMethod, choose_local, load_local
from pvm_core.retrieval import Gallery, Nearest, first_rows, ranked, search
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration
from pvm_core.scoring.decision import STATUSES, Groups, MatchDecision, decide
from pvm_core.scoring.learned_term import in_doubt
from pvm_core.scoring.margin import margins
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.pair_score import score_pair
from pvm_core.scoring.verdict import Verdict, effective_status
from pvm_core.scoring.word_term import READ_ROUNDS, to_read
from pvm_core.text import NONE as NO_READER
from pvm_core.text import Line, Reader, choose_reader, load_reader
from pvm_core.verification import PairEvidence, VerifyParams, evidence_from_row
from pvm_core.verification.mirror import MIRROR_ROUNDS, frames_to_try
from pvm_core.verification.word_evidence import rarities
from pvm_resources.models.calibrations import calibration_for
from pvm_resources.store.match_record import EvidenceItem, MatchRecord
from pvm_resources.store.records import (
    Candidate,
    CandidatePair,
    EmbeddingBatch,
    Item,
    PairEvidenceRow,
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
    params = VerifyParams.from_rules(stage.rules)
    mask_key, keypoint_key = key_of(stage, "masks"), key_of(stage, "keypoints")
    job = stage.services.store.jobs.get(stage.job_id)
    model = job.embed_model or ""
    calibration = calibration_for(
        stage.services.store.calibrations, stage.services.settings.models, job.industry, model
    )
    method = _second_verifier(stage, calibration)
    reader = _reader(stage)
    learned = tuple(one.key for one in (method, reader) if one is not None)
    verify_key = content_key("verify", params.key, keypoint_key, mask_key, picture_content.VERSION, *learned)
    stage.services.store.jobs.set_keys(stage.job_id, verify=verify_key)
    stage.services.store.jobs.set_rules(stage.job_id, stage.rules)
    items = stage.services.store.features.items(stage.job_id, mask_key=mask_key, keypoint_key=keypoint_key)
    pictures = {item.item_id: item for item in items}
    review = reviewed_catalogue(stage, params, pictures)
    shown = {i: item for i, item in pictures.items() if item.kp_path is not None and review.is_view(i)}
    _verify(stage, params, verify_key, shown, review.marked)
    _verify_mirrored(stage, params, verify_key, shown, review.marked)
    if method is not None:
        _ask_second_verifier(stage, method, verify_key, calibration, shown, review.groups)
    scoring = _Scoring(stage, verify_key, calibration, model, review, pictures)
    if reader is not None:
        _read_words(scoring, reader, shown)
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


def _verify(
    stage: Stage,
    params: VerifyParams,
    verify_key: str,
    pictures: Mapping[uuid.UUID, Item],
    marked: frozenset[uuid.UUID],
) -> None:
    """Raw measurements of every candidate pair that has none yet under the key."""
    missing = stage.services.store.matching.missing_evidence(stage.job_id, verify_key)
    frames = {frame: [p.img_id for p in pairs] for frame, pairs in groupby(missing, key=lambda p: p.frame_id)}
    tasks = [task for frame, images in frames.items() if (task := _task(pictures, frame, images)) is not None]
    state = stage.services.store.state.asset(stage.job_id, "candidate_pairs")
    total = int(state.metadata.get("items", len(tasks))) if state else len(tasks)
    stage.begin(max(total, len(tasks)), reused=max(total - len(tasks), 0))

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.write_evidence(_rows(verify_key, done))

    setup = partial(PairWorkerState, stage.services.media, params, marked)
    stage.settle(stage.services.pool.map(compare_frame, tasks, setup), write, batch=32)


def _verify_mirrored(
    stage: Stage,
    params: VerifyParams,
    verify_key: str,
    pictures: Mapping[uuid.UUID, Item],
    marked: frozenset[uuid.UUID],
) -> None:
    """The clips whose print does not read plainly, looked at left for right: some frames, then the rest of
    those where something was found. What was looked at so is marked and not tried again."""

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.write_evidence(_rows(verify_key, done), again=True)

    setup = partial(PairWorkerState, stage.services.media, params, marked)
    for _ in range(MIRROR_ROUNDS):
        if tasks := _mirror_tasks(stage, verify_key, pictures):
            stage.total += len(tasks)
            stage.settle(stage.services.pool.map(compare_frame, tasks, setup), write, batch=32)


def _mirror_tasks(stage: Stage, verify_key: str, pictures: Mapping[uuid.UUID, Item]) -> list[PairTask]:
    store = stage.services.store.matching
    doubts = groupby(store.mirror_doubts(stage.job_id, verify_key), key=lambda one: one[0])
    frames = [frame for _, clip in doubts for frame in frames_to_try([doubt for _, doubt in clip])]
    found = store.evidence_of_frames(stage.job_id, verify_key, frames) if frames else ()
    tasks = []
    for frame, pairs in groupby(found, key=lambda one: one[0].frame_id):
        known = [(pictures[p.img_id], raw) for p, raw in pairs if p.img_id in pictures]
        if frame in pictures and known:
            candidates, plain = zip(*known, strict=True)
            tasks.append(PairTask(pictures[frame], candidates, plain))
    return tasks


def _rows(verify_key: str, done: Iterable[PairDone]) -> Iterator[PairEvidenceRow]:
    for one in done:
        for image, raw in one.evidence:
            yield PairEvidenceRow(one.frame_id, image, verify_key, raw)


def _task(
    pictures: Mapping[uuid.UUID, Item], frame: uuid.UUID, images: Iterable[uuid.UUID]
) -> PairTask | None:
    picture = pictures.get(frame)
    candidates = tuple(c for c in map(pictures.get, images) if c is not None)
    return PairTask(picture, candidates) if picture is not None and candidates else None


def _second_verifier(stage: Stage, calibration: Calibration) -> LocalMethod | None:
    """The learned local features that this job's calibration knows and this machine has."""
    settings = stage.services.settings
    name = choose_local(settings.local_features)
    if not stage.rules.learned_term or name == NONE:
        return None
    if calibration.learned is None or name != calibration.learned_by:
        stage.log.warning(f"{name} is not asked: the calibration {calibration.name} does not know it")
        return None
    return load_local(name, settings.models)


def _ask_second_verifier(
    stage: Stage, method: LocalMethod, verify_key: str, calibration: Calibration,
    pictures: Mapping[uuid.UUID, Item], groups: Groups,
) -> None:  # fmt: skip
    """Learned evidence of every pair in doubt that has none yet under the key."""
    tasks = []
    found = stage.services.store.matching.evidence(stage.job_id, verify_key)
    for frame, measured in groupby(found, key=_frame):
        images = _doubtful(list(measured), calibration, stage.rules, groups)
        task = _task(pictures, frame, images) if frame is not None and images else None
        tasks += [] if task is None else [task]
    stage.total += len(tasks)

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.add_to_evidence(_rows(verify_key, done))

    services = stage.services
    setup = partial(LearnedWorkerState.load, services.media, method.name, services.settings.models)
    stage.settle(services.pool.map(ask_frame, tasks, setup), write, batch=32)


def _reader(stage: Stage) -> Reader | None:
    """Who reads the words of packs: where the rules want it and this machine can."""
    name = choose_reader(stage.services.settings.text_reader)
    return None if not stage.rules.word_term or name == NO_READER else load_reader(name)


def _read_words(scoring: _Scoring, reader: Reader, pictures: Mapping[uuid.UUID, Item]) -> None:
    """Words of the pairs that would carry a match or contest one, where they were not read under the key."""
    stage = scoring.stage
    setup = partial(WordWorkerState.load, stage.services.media, reader.name)

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.add_to_evidence(_rows(scoring.verify_key, done))

    for _ in range(READ_ROUNDS):
        if not (wanted := _reading_tasks(scoring, pictures)):
            break
        lines = _product_lines(stage, reader, {item for task in wanted for item in task.candidates})
        tasks = [ready for task in wanted if (ready := ReadingTask.of(task, lines)) is not None]
        stage.total += len(tasks)
        stage.settle(stage.services.pool.map(read_frame, tasks, setup), write, batch=8)
    scoring.weigh_words()
    scoring.reader = reader.name


def _product_lines(stage: Stage, reader: Reader, items: Collection[Item]) -> dict[uuid.UUID, list[Line]]:
    """The lines of product pictures: each is read once, whatever jobs show it."""
    catalogue = stage.services.store.catalogue
    known = catalogue.lines(reader.key, [item.item_id for item in items])
    missing = sorted((i for i in items if i.item_id not in known), key=lambda item: str(item.item_id))
    setup = partial(WordWorkerState.load, stage.services.media, reader.name)

    def write(done: list[tuple[uuid.UUID, list[Line]]]) -> None:
        catalogue.write_lines(reader.key, dict(done))
        known.update(done)

    stage.total += len(missing)
    stage.settle(stage.services.pool.map(read_picture, missing, setup), write, batch=8)
    return known


def _reading_tasks(scoring: _Scoring, pictures: Mapping[uuid.UUID, Item]) -> list[PairTask]:
    tasks = []
    for measured in scoring.videos():
        known = [(score, evidence_from_row(raw)) for score, raw in measured if raw is not None]
        wanted = to_read(known, scoring.stage.rules, scoring.review.groups)
        raws = {(score.frame_id, score.img_id): raw for score, raw in measured if raw is not None}
        for frame, pairs in groupby(sorted(wanted, key=lambda p: str(p.frame_id)), key=lambda p: p.frame_id):
            found = [
                (pictures[p.img_id], raws[frame, p.img_id])
                for p in pairs
                if p.img_id is not None and p.img_id in pictures
            ]
            if frame is not None and frame in pictures and found:
                items, plain = zip(*found, strict=True)
                tasks.append(PairTask(pictures[frame], items, plain))
    return tasks


def _doubtful(
    measured: list[tuple[CandidatePair, dict[str, Any] | None]], calibration: Calibration, rules: Rules,
    groups: Groups,
) -> list[uuid.UUID]:  # fmt: skip
    """Product pictures of one frame about which the second verifier is to be asked and was not."""
    leads = _leads(measured, groups)
    return [
        pair.img_id
        for (pair, raw), lead in zip(measured, leads, strict=True)
        if raw is not None
        and "learned" not in raw
        and pair.img_id is not None
        and in_doubt(evidence_from_row(raw), pair.sim_rgb, pair.sim_gray, calibration, rules, lead)
    ]


@dataclass
class _Scoring:
    """Scores pairs as a stream and decides video by video on the way."""

    stage: Stage
    verify_key: str
    calibration: Calibration
    model: str
    review: Review
    pictures: Mapping[uuid.UUID, Item]
    matches: list[MatchRecord] = field(default_factory=list)
    pairs: int = 0
    unmeasured: int = 0
    asked: int = 0
    read: int = 0
    rarity: Mapping[str, float] = field(default_factory=dict)
    reader: str = NO_READER

    def scores(self) -> Iterator[PairScore]:
        """Every candidate pair with its calibrated terms, video by video; `matches` grows as videos end."""
        for measured in self.videos():
            scored = [score for score, _ in measured]
            self._count(raw for _, raw in measured)
            yield from scored
            decisions = decide(scored, self.stage.rules, self.calibration, self.review.groups)
            self.matches.extend(self._record(d) for d in decisions)

    def videos(self) -> Iterator[list[tuple[PairScore, dict[str, Any] | None]]]:
        """The scored pairs of each video, with their raw measurements."""
        found = self.stage.services.store.matching.evidence(self.stage.job_id, self.verify_key)
        for _, pairs in groupby(found, key=lambda pair: pair[0].video_id):
            yield [one for _, frame in groupby(pairs, key=_frame) for one in self._scores(list(frame))]

    def weigh_words(self) -> None:
        """Takes in how rare each word is that was read in the catalogue."""
        found = self.stage.services.store.matching.evidence(self.stage.job_id, self.verify_key)
        self.rarity = rarities(
            (pair.product_id, raw["words"].get("carried", ()))
            for pair, raw in found
            if raw and "words" in raw
        )

    def _count(self, measured: Iterable[dict[str, Any] | None]) -> None:
        for raw in measured:
            self.pairs += 1
            self.unmeasured += raw is None
            self.asked += raw is not None and "learned" in raw
            self.read += raw is not None and "words" in raw

    def _scores(
        self, frame: list[tuple[CandidatePair, dict[str, Any] | None]]
    ) -> list[tuple[PairScore, dict[str, Any] | None]]:
        views = [
            (pair, raw) for pair, raw in frame if pair.img_id is None or self.review.is_view(pair.img_id)
        ]
        leads = _leads(views, self.review.groups)
        return [(self._score(pair, raw, lead), raw) for (pair, raw), lead in zip(views, leads, strict=True)]

    def _score(self, pair: CandidatePair, raw: dict[str, Any] | None, margin: float | None) -> PairScore:
        evidence = None if raw is None else evidence_from_row(raw)
        rules = self.stage.rules
        share = self._share(pair, evidence)
        return score_pair(
            pair, evidence, pair.sim_rgb, pair.sim_gray, self.calibration, rules, margin, share, self.rarity
        )

    def _share(self, pair: CandidatePair, evidence: PairEvidence | None) -> float | None:
        """Of the agreeing points, the share on material that is not the product; None where there is none."""
        picture, material = self.pictures.get(pair.img_id), self.review.material.get(pair.img_id)
        if picture is None or material is None:
            return None
        points = evidence.points_product if evidence else ()
        return material.share(points, picture.width, picture.height)

    def _record(self, decision: MatchDecision) -> MatchRecord:
        return MatchRecord(
            **vars(decision),
            match_id=ids.match_id(self.stage.job_id, decision.product_id, decision.video_id),
            accept=self.stage.rules.accept,
            calibration=self.calibration.name,
            embed_model=self.model,
            rules_key=self.stage.rules.key,
        )


def _leads(
    frame: Sequence[tuple[CandidatePair, dict[str, Any] | None]], groups: Groups
) -> list[float | None]:
    """How far each pair of a frame leads the other products' of it; listings of one group do not compete."""
    owners = [groups.get(pair.product_id, pair.product_id) for pair, _ in frame]
    return margins(owners, [pair.similarity for pair, _ in frame])


def _frame(found: tuple[CandidatePair, dict[str, Any] | None]) -> uuid.UUID | None:
    return found[0].frame_id


def _match_report(
    stage: Stage,
    rows: list[MatchRecord],
    scoring: _Scoring,
    said: Mapping[tuple[uuid.UUID, uuid.UUID], Verdict],
) -> Report:
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
        "text_reader": scoring.reader,
        "pairs_words_read": scoring.read,
        "model": scoring.model,
        "calibration": scoring.calibration.name,
        "calibrated": scoring.calibration.calibrated,
        **scoring.review.counts,
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
