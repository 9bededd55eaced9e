"""Verification of a job's candidate pairs, in rounds, and the scores of what was measured.

A frame is compared with its candidates alone. Which frames are looked at mirrored and whose words are read
depends on the other frames of the clip, and on no other clip: all rounds of a clip are done by one step, and
clips are spread over steps (`pvm_assets.shards`). What needs the whole job (rarity of words, decisions that
are stored together) is left to the asset's own step.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Any

from pvm_assets.keys import key_of
from pvm_assets.stage import Stage
from pvm_assets.work.catalogue_review import Review, reviewed_catalogue
from pvm_assets.work.learned import LearnedWorkerState, ask_frame
from pvm_assets.work.pairs import PairDone, PairTask, PairWorkerState, compare_frame, pair_label
from pvm_assets.work.words import ReadingTask, WordWorkerState, read_frame, read_picture
from pvm_core import ids, picture_content
from pvm_core.ids import content_key
from pvm_core.local_features import NONE, LocalMethod, choose_local, load_local
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration
from pvm_core.scoring.decision import Groups, MatchDecision, decide
from pvm_core.scoring.learned_term import in_doubt
from pvm_core.scoring.margin import margins
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.pair_score import score_pair
from pvm_core.scoring.word_term import READ_ROUNDS, to_read
from pvm_core.text import NONE as NO_READER
from pvm_core.text import Line, Reader, choose_reader, load_reader
from pvm_core.verification import PairEvidence, VerifyParams, evidence_from_row
from pvm_core.verification.mirror import MIRROR_ROUNDS, frames_to_try
from pvm_core.verification.word_evidence import rarities
from pvm_resources.models.calibrations import calibration_for
from pvm_resources.process_pool import Done
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import CandidatePair, Item, PairEvidenceRow


@dataclass(frozen=True)
class Comparison:
    """What verifying and scoring a job's candidate pairs needs, the same in each step of the asset.

    Attributes:
        params, method, reader: how pairs are compared; None: no second verifier, no words.
        verify_key: names that with all that measurements depend on; they are stored under it.
        model: name of the embedder.
        review: of the whole catalogue of the job.
        pictures: the product pictures, and the frames of the step's clips.
        videos: the step's clips; None: all of the job.
    """

    stage: Stage
    params: VerifyParams
    calibration: Calibration
    model: str
    method: LocalMethod | None
    reader: Reader | None
    verify_key: str
    review: Review
    pictures: Mapping[uuid.UUID, Item]
    videos: Sequence[uuid.UUID] | None

    @classmethod
    def of(cls, stage: Stage) -> Comparison:
        """For the step of a stage; makes the review of the catalogue where there is none.

        Raises:
            PvmError: an upstream key is missing, or a model that the job asks for.
        """
        params = VerifyParams.from_rules(stage.rules)
        mask_key, keypoint_key = key_of(stage, "masks"), key_of(stage, "keypoints")
        store = stage.services.store
        job = store.jobs.get(stage.job_id)
        model = job.embed_model or ""
        calibration = calibration_for(store.calibrations, stage.services.settings.models, job.industry, model)
        method, reader = _second_verifier(stage, calibration), _reader(stage)
        learned = tuple(one.key for one in (method, reader) if one is not None)
        key = content_key("verify", params.key, keypoint_key, mask_key, picture_content.VERSION, *learned)
        videos = _videos(stage)
        items = store.features.items(stage.job_id, mask_key=mask_key, keypoint_key=keypoint_key)
        pictures = {i.item_id: i for i in items if i.kind == "product" or _takes_part(stage, i, videos)}
        review = reviewed_catalogue(stage, params, pictures)
        return cls(stage, params, calibration, model, method, reader, key, review, pictures, videos)

    @cached_property
    def shown(self) -> Mapping[uuid.UUID, Item]:
        """The pictures that are compared: views of products and frames, with keypoints."""
        return {
            i: item
            for i, item in self.pictures.items()
            if item.kp_path is not None and self.review.is_view(i)
        }

    def begin(self) -> list[PairTask]:
        """States what the measurements depend on and how many frames there are; those to compare."""
        stage, store = self.stage, self.stage.services.store
        store.jobs.set_keys(stage.job_id, verify=self.verify_key)
        store.jobs.set_rules(stage.job_id, stage.rules)
        tasks = self.unmeasured()
        state = store.state.asset(stage.job_id, "candidate_pairs")
        total = int(state.metadata.get("items", len(tasks))) if state else len(tasks)
        stage.begin(max(total, len(tasks)), reused=max(total - len(tasks), 0))
        return tasks

    def unmeasured(self) -> list[PairTask]:
        """The frames with candidates that have no measurements yet under the key."""
        matching = self.stage.services.store.matching
        missing = matching.missing_evidence(self.stage.job_id, self.verify_key, self.videos)
        tasks = []
        for frame, pairs in groupby(missing, key=lambda pair: pair.frame_id):
            task = None if frame is None else _task(self, frame, (pair.img_id for pair in pairs))
            if task is not None:
                tasks.append(task)
        return tasks

    def measured(self) -> Iterator[tuple[CandidatePair, dict[str, Any] | None]]:
        """The step's pairs with their raw measurements, video by video; streamed."""
        matching = self.stage.services.store.matching
        return matching.evidence(self.stage.job_id, self.verify_key, self.videos)


def verify(comparison: Comparison, tasks: Sequence[PairTask]) -> None:
    """All rounds of the step's clips; `tasks` are the frames without measurements."""
    compare(comparison, tasks)
    _verify_mirrored(comparison)
    if comparison.method is not None:
        _ask_second_verifier(comparison, comparison.method)
    if comparison.reader is not None:
        _read_words(comparison, comparison.reader)


def compare(comparison: Comparison, tasks: Sequence[PairTask], *, again: bool = False) -> None:
    """Measures the pairs of `tasks` and stores what was measured, once more with `again`."""
    stage, key = comparison.stage, comparison.verify_key

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.write_evidence(_rows(key, done), again=again)

    stage.settle(_answers(comparison, tasks), write, batch=32)


def _answers(comparison: Comparison, tasks: Sequence[PairTask]) -> Iterator[Done[PairTask, PairDone]]:
    """What became of each task. One that failed is tried in halves: where one of them succeeds the failure is
    that of a pair in the other, and its pairs are tried one by one; else it is the frame's."""
    failed, single = [], []
    for answer in _compared(comparison, tasks):
        error = answer.error
        if error is not None and error.traits.scope == "item" and len(answer.item.candidates) > 1:
            failed.append(answer)
        else:
            yield answer
    halves = [half for answer in failed for half in answer.item.parts(-(-len(answer.item.candidates) // 2))]
    tried = list(_compared(comparison, halves))
    for answer, one, other in zip(failed, tried[::2], tried[1::2], strict=True):
        if one.error is not None and other.error is not None:
            yield answer
            continue
        good, bad = (one, other) if one.error is None else (other, one)
        if bad.error is not None:
            parts = bad.item.parts(1)
            comparison.stage.more(len(parts))
            single += parts
        else:
            comparison.stage.more(1)
            yield bad
        yield good
    yield from _compared(comparison, single)


def _compared(comparison: Comparison, tasks: Sequence[PairTask]) -> Iterator[Done[PairTask, PairDone]]:
    services = comparison.stage.services
    setup = partial(PairWorkerState, services.media, comparison.params, comparison.review.marked)
    return services.pool.map(compare_frame, tasks, setup)


def _videos(stage: Stage) -> list[uuid.UUID] | None:
    if stage.shard is None:
        return None
    cut = stage.services.store.videos.sets(stage.job_id, key_of(stage, "keyframes"))
    return stage.shard.share({video: found.frames for video, found in cut.items()})


def _takes_part(stage: Stage, frame: Item, videos: Collection[uuid.UUID] | None) -> bool:
    return (videos is None or frame.parent_id in videos) and stage.is_open(str(frame))


def _verify_mirrored(comparison: Comparison) -> None:
    """The clips whose print does not read plainly, looked at left for right: some frames, then the rest of
    those where something was found. What was looked at so is marked and not tried again."""
    for _ in range(MIRROR_ROUNDS):
        if tasks := _mirror_tasks(comparison):
            comparison.stage.more(len(tasks))
            compare(comparison, tasks, again=True)


def _mirror_tasks(comparison: Comparison) -> list[PairTask]:
    stage, key = comparison.stage, comparison.verify_key
    store = stage.services.store.matching
    doubts = groupby(store.mirror_doubts(stage.job_id, key, comparison.videos), key=lambda one: one[0])
    frames = [frame for _, clip in doubts for frame in frames_to_try([doubt for _, doubt in clip])]
    found = store.evidence_of_frames(stage.job_id, key, frames) if frames else ()
    tasks = []
    for frame, pairs in groupby(found, key=lambda one: one[0].frame_id):
        raws = {pair.img_id: raw for pair, raw in pairs if pair.img_id is not None}
        if (task := None if frame is None else _task(comparison, frame, raws)) is not None:
            tasks.append(replace(task, plain=tuple(raws[c.item_id] for c in task.candidates)))
    return tasks


def _rows(verify_key: str, done: Iterable[PairDone]) -> Iterator[PairEvidenceRow]:
    for one in done:
        for image, raw in one.evidence:
            yield PairEvidenceRow(one.frame_id, image, verify_key, raw)


def _task(comparison: Comparison, frame: uuid.UUID, images: Iterable[uuid.UUID | None]) -> PairTask | None:
    """A frame beside those of the pictures that are compared; None where neither is left."""
    pictures, is_open = comparison.shown, comparison.stage.is_open
    picture = pictures.get(frame)
    if picture is None or not is_open(str(picture)):
        return None
    known = (pictures[i] for i in images if i is not None and i in pictures)
    candidates = tuple(one for one in known if is_open(pair_label(picture, one)))
    return PairTask(picture, candidates) if candidates else None


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


def _ask_second_verifier(comparison: Comparison, method: LocalMethod) -> None:
    """Learned evidence of every pair in doubt that has none yet under the key."""
    stage, tasks = comparison.stage, []
    for frame, measured in groupby(comparison.measured(), key=frame_of):
        images = _doubtful(list(measured), comparison)
        task = _task(comparison, frame, images) if frame is not None and images else None
        tasks += [] if task is None else [task]
    stage.more(len(tasks))

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.add_to_evidence(_rows(comparison.verify_key, done))

    services = stage.services
    setup = partial(LearnedWorkerState.load, services.media, method.name, services.settings.models)
    stage.settle(services.pool.map(ask_frame, tasks, setup), write, batch=32)


def _reader(stage: Stage) -> Reader | None:
    """Who reads the words of packs: where the rules want it and this machine can."""
    name = choose_reader(stage.services.settings.text_reader)
    return None if not stage.rules.word_term or name == NO_READER else load_reader(name)


def _read_words(comparison: Comparison, reader: Reader) -> None:
    """Words of the pairs that would carry a match or contest one, where they were not read under the key."""
    stage, scoring = comparison.stage, Scoring(comparison)
    setup = partial(WordWorkerState.load, stage.services.media, reader.name)

    def write(done: list[PairDone]) -> None:
        stage.services.store.matching.add_to_evidence(_rows(comparison.verify_key, done))

    for _ in range(READ_ROUNDS):
        if not (wanted := _reading_tasks(scoring)):
            break
        lines = _product_lines(stage, reader, {item for task in wanted for item in task.candidates})
        tasks = [ready for task in wanted if (ready := ReadingTask.of(task, lines)) is not None]
        stage.more(len(tasks))
        stage.settle(stage.services.pool.map(read_frame, tasks, setup), write, batch=8)


def _product_lines(stage: Stage, reader: Reader, items: Collection[Item]) -> dict[uuid.UUID, list[Line]]:
    """The lines of product pictures: each is read once, whatever jobs show it."""
    catalogue = stage.services.store.catalogue
    known = catalogue.lines(reader.key, [item.item_id for item in items])
    missing = [i for i in items if i.item_id not in known and stage.is_open(str(i))]
    missing.sort(key=lambda item: str(item.item_id))
    setup = partial(WordWorkerState.load, stage.services.media, reader.name)

    def write(done: list[tuple[uuid.UUID, list[Line]]]) -> None:
        catalogue.write_lines(reader.key, dict(done))
        known.update(done)

    stage.more(len(missing))
    stage.settle(stage.services.pool.map(read_picture, missing, setup), write, batch=8)
    return known


def _reading_tasks(scoring: Scoring) -> list[PairTask]:
    comparison, tasks = scoring.comparison, []
    stage, pictures = comparison.stage, comparison.shown
    for measured in scoring.videos():
        known = [(score, evidence_from_row(raw)) for score, raw in measured if raw is not None]
        wanted = to_read(known, stage.rules, comparison.review.groups)
        raws = {(score.frame_id, score.img_id): raw for score, raw in measured if raw is not None}
        for frame, pairs in groupby(sorted(wanted, key=lambda p: str(p.frame_id)), key=lambda p: p.frame_id):
            found = [
                (pictures[p.img_id], raws[frame, p.img_id])
                for p in pairs
                if p.img_id is not None and p.img_id in pictures
            ]
            if frame in pictures and found and stage.is_open(str(pictures[frame])):
                items, plain = zip(*found, strict=True)
                tasks.append(PairTask(pictures[frame], items, plain))
    return tasks


def _doubtful(
    measured: list[tuple[CandidatePair, dict[str, Any] | None]], comparison: Comparison
) -> list[uuid.UUID]:
    """Product pictures of one frame about which the second verifier is to be asked and was not."""
    leads = _leads(measured, comparison.review.groups)
    calibration, rules = comparison.calibration, comparison.stage.rules
    return [
        pair.img_id
        for (pair, raw), lead in zip(measured, leads, strict=True)
        if raw is not None
        and "learned" not in raw
        and pair.img_id is not None
        and in_doubt(evidence_from_row(raw), pair.sim_rgb, pair.sim_gray, calibration, rules, lead)
    ]


@dataclass
class Scoring:
    """Scores pairs as a stream and decides video by video on the way.

    Attributes:
        matches: what was decided of the videos so far.
        pairs, unmeasured, asked, read: pairs so far; of them without measurements, asked of the second
            verifier, with words read.
        rarity: of each word of the catalogue, once they are weighed.
    """

    comparison: Comparison
    matches: list[MatchRecord] = field(default_factory=list)
    pairs: int = 0
    unmeasured: int = 0
    asked: int = 0
    read: int = 0
    rarity: Mapping[str, float] = field(default_factory=dict)

    @property
    def rules(self) -> Rules:
        """The job's rules."""
        return self.comparison.stage.rules

    def scores(self) -> Iterator[PairScore]:
        """Every candidate pair with its calibrated terms, video by video; `matches` grows as videos end."""
        calibration, groups = self.comparison.calibration, self.comparison.review.groups
        for measured in self.videos():
            scored = [score for score, _ in measured]
            self._count(raw for _, raw in measured)
            yield from scored
            decisions = decide(scored, self.rules, calibration, groups)
            self.matches.extend(self._record(d) for d in decisions)

    def videos(self) -> Iterator[list[tuple[PairScore, dict[str, Any] | None]]]:
        """The scored pairs of each video, with their raw measurements."""
        for _, pairs in groupby(self.comparison.measured(), key=lambda pair: pair[0].video_id):
            yield [one for _, frame in groupby(pairs, key=frame_of) for one in self._scores(list(frame))]

    def weigh_words(self) -> None:
        """Takes in how rare each word is that was read in the catalogue."""
        self.rarity = rarities(
            (pair.product_id, raw["words"].get("carried", ()))
            for pair, raw in self.comparison.measured()
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
        review = self.comparison.review
        views = [(pair, raw) for pair, raw in frame if pair.img_id is None or review.is_view(pair.img_id)]
        leads = _leads(views, review.groups)
        return [(self._score(pair, raw, lead), raw) for (pair, raw), lead in zip(views, leads, strict=True)]

    def _score(self, pair: CandidatePair, raw: dict[str, Any] | None, margin: float | None) -> PairScore:
        evidence = None if raw is None else evidence_from_row(raw)
        share = self._share(pair, evidence)
        return score_pair(
            pair, evidence, pair.sim_rgb, pair.sim_gray, self.comparison.calibration, self.rules, margin,
            share, self.rarity,
        )  # fmt: skip

    def _share(self, pair: CandidatePair, evidence: PairEvidence | None) -> float | None:
        """Of the agreeing points, the share on material that is not the product; None where there is none."""
        comparison = self.comparison
        picture = comparison.pictures.get(pair.img_id)
        material = comparison.review.material.get(pair.img_id)
        if picture is None or material is None:
            return None
        points = evidence.points_product if evidence else ()
        return material.share(points, picture.width, picture.height)

    def _record(self, decision: MatchDecision) -> MatchRecord:
        comparison = self.comparison
        return MatchRecord(
            **vars(decision),
            match_id=ids.match_id(comparison.stage.job_id, decision.product_id, decision.video_id),
            accept=self.rules.accept,
            calibration=comparison.calibration.name,
            embed_model=comparison.model,
            rules_key=self.rules.key,
        )


def _leads(
    frame: Sequence[tuple[CandidatePair, dict[str, Any] | None]], groups: Groups
) -> list[float | None]:
    """How far each pair of a frame leads the other products' of it; listings of one group do not compete."""
    owners = [groups.get(pair.product_id, pair.product_id) for pair, _ in frame]
    return margins(owners, [pair.similarity for pair, _ in frame])


def frame_of(found: tuple[CandidatePair, dict[str, Any] | None]) -> uuid.UUID | None:
    """The frame of a pair."""
    return found[0].frame_id
