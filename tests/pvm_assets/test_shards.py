"""Assets whose items are spread over steps: the same rows whatever the number, items that fail set aside."""

from __future__ import annotations

import os
import re
import shutil
import signal
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from small_case import product_picture, write_clip
from stand import Stand
from zygote_runs import COMPUTED, computed, started_zygote

from definitions import SHARDED, definitions, defs
from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.graph import asset_of
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.shards import shard_count
from pvm_assets.stage import Shard
from pvm_assets.steps import evidence as evidence_step
from pvm_assets.steps import keyframes as keyframes_step
from pvm_assets.steps import verification
from pvm_assets.work.evidence import EvidenceDone, EvidenceTask, render_item
from pvm_assets.work.frames import CutVideo, FrameWorkerState, cut_video
from pvm_assets.work.pairs import PairDone, PairTask, PairWorkerState, compare_frame, pair_label
from pvm_assets.work.picture_source import PictureSource
from pvm_core.model_registry import MODELS
from pvm_resources.models.weights_store import ModelStore
from pvm_resources.settings import environment
from pvm_resources.store.records import Job, JobVideo

_POISON = "clip1"
_TRIES = "PVM_TEST_TRIES"


def _shards(items: int, size: int) -> int:
    return shard_count([uuid.uuid4() for _ in range(items)], size)


@pytest.mark.parametrize(
    ("items", "size", "shards"), [(0, 5, 0), (5, 5, 0), (6, 5, 2), (11, 5, 3), (3, 1, 3)]
)
def test_a_stage_is_split_above_its_size(items: int, size: int, shards: int) -> None:
    assert _shards(items, size) == shards


@pytest.mark.parametrize(("sizes", "shares"), [([9, 4, 5], [9, 9]), ([100] * 50, [500] * 10), ([7], [7, 0])])
def test_clips_are_spread_evenly(sizes: list[int], shares: list[int]) -> None:
    clips = {uuid.uuid4(): size for size in sizes}
    parts = [Shard(number, len(shares)).share(clips) for number in range(len(shares))]
    assert sorted(clip for part in parts for clip in part) == sorted(clips)
    assert [sum(clips[clip] for clip in part) for part in parts] == shares


def test_what_is_not_split_bounds_the_number_of_shards() -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    assert shard_count([one] * 90 + [other] * 10, 10) == 2


@pytest.mark.parametrize("name", sorted(SHARDED))
def test_an_asset_in_shards_is_the_same_asset(name: str) -> None:
    key = dg.AssetKey(name)
    split = definitions("in_process", shards=True).resolve_asset_graph().get(key)
    whole = defs.resolve_asset_graph().get(key)
    for told in ("description", "group_name", "owners", "tags", "metadata", "code_version", "parent_keys"):
        assert getattr(split, told) == getattr(whole, told), told
    assert split.partitions_def == whole.partitions_def


@pytest.mark.parametrize(
    ("step", "asset"),
    [
        ("masks", "masks"), ("masks_shards.masks", "masks"), ("masks_shards.masks_shard[3_of_8]", "masks"),
        ("masks_masks_in_time", "masks_masks_in_time"),
    ],
)  # fmt: skip
def test_steps_of_shards_are_their_assets(step: str, asset: str) -> None:
    assert asset_of(step) == asset


def _run(stand: Stand, job: Job, size: int) -> Counter[str]:
    """Runs a job in shards; steps that succeeded, by name without their number."""
    stand.repos.industries.set_rules(job.industry, "default", {"shard_items": size})
    whole = definitions("in_process", shards=True).resolve_job_def(JOB_NAME)
    with dagster_instance() as instance:
        instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
        done = whole.execute_in_process(instance=instance, partition_key=job.partition_key)
    ended = (event for event in done.all_events if event.is_step_success)
    return Counter(re.sub(r"\[.*", "", event.step_key or "") for event in ended)


def _rows(stand: Stand, job: Job) -> list[dict[str, Any]]:
    # Ids of products are those of an industry.
    told = (
        "title",
        "video_title",
        "ts",
        "shot",
        "sim_deep",
        "sim_kp",
        "sim_edge",
        "score",
        "status",
        "mirrored",
    )
    found = (row.row() for row in stand.repos.matching.results(job.job_id))
    return [{name: row[name] for name in told} for row in found]


def _progress(stand: Stand, job: Job) -> dict[str, tuple[int, int | None]]:
    return {one.stage: (one.done, one.total) for one in stand.repos.state.progress(job.job_id)}


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.long), 4])
def test_rows_are_the_same_whatever_the_number_of_shards(
    stand: Stand, fresh: Stand, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = fresh.job()
    steps = _run(fresh, job, size)

    pictures = fresh.repos.features.covered(
        job.job_id, "masks", fresh.repos.jobs.get(job.job_id).keys["masks"]
    )
    items = sum(total for _, total in pictures.values())
    assert steps["keyframes_shards.keyframes_shard"] == _shards(3, size)
    assert steps["masks_shards.masks_shard"] == _shards(items, size)
    assert _progress(fresh, job)["masks"] == (items, items)
    computed = {one.asset: one.metadata["computed"] for one in fresh.repos.state.assets(job.job_id)}
    assert (computed["keyframes"], computed["masks"]) == (3, items)

    # The last stand that was made is the one of the environment.
    for name, value in environment(stand.settings).items():
        monkeypatch.setenv(name, value)
    plain = stand.job()
    assert stand.run(plain).status == "completed"
    assert _rows(fresh, job) == _rows(stand, plain)


def cut_or_die(state: FrameWorkerState, video: JobVideo) -> CutVideo:
    """Cuts a video; one of them ends the process, and leaves a mark."""
    if str(video) != _POISON:
        return cut_video(state, video)
    with Path(os.environ[_TRIES]).open("a") as tries:
        tries.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_an_item_that_kills_its_worker_twice_is_set_aside(
    fresh: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyframes_step, "cut_video", cut_or_die)
    monkeypatch.setenv(_TRIES, str(tmp_path / "tries"))
    job = fresh.job()
    steps = _run(fresh, job, 1)

    assert steps["keyframes_shards.keyframes_shard"] == 3
    assert (tmp_path / "tries").read_text() == "xx", "the asset's own step does not try it again"
    (problem,) = fresh.repos.state.problems(job.job_id, "keyframes")
    assert (problem.item, problem.code) == (_POISON, "worker.died")
    assert _progress(fresh, job)["keyframes"] == (3, 3)
    assert steps["evidence_shards.evidence"] == 1, "the job goes on without it"


def _six_clips(stand: Stand, folder: Path) -> Stand:
    """The small case with three clips more: one mirrored, one of two products' shots, one longer."""
    case = folder / "case"
    shutil.copytree(stand.case, case)
    write_clip(case / "videos" / "clip3.mp4", 3, np.ascontiguousarray(product_picture(0)[:, ::-1]))
    write_clip(case / "videos" / "clip4.mp4", 4, product_picture(3))
    write_clip(case / "videos" / "clip5.mp4", 5, product_picture(2), shots=5)
    return replace(stand, case=case)


def _random_weights(stand: Stand) -> None:
    """Installs a DINOv2 network as it is before it learned anything: real code, real size, no download."""
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    architecture = MODELS["dinov2-small"].architecture
    network = timm.create_model(architecture, pretrained=False, num_classes=0, img_size=224)
    weights = stand.settings.home / "random.safetensors"
    save_file(network.state_dict(), weights)
    ModelStore(stand.settings.models).install("dinov2-small", weights)


def _forget_matching(stand: Stand) -> None:
    with stand.repos.database.transaction() as cursor:
        cursor.execute("TRUNCATE pair_evidence, picture_lines")


def _measured(stand: Stand, job: Job) -> list[tuple[str, Any]]:
    key = stand.repos.jobs.get(job.job_id).keys["verify"]
    return [(f"{p.frame_id}{p.img_id}", raw) for p, raw in stand.repos.matching.evidence(job.job_id, key)]


def test_verification_and_evidence_are_the_same_whatever_the_number_of_shards(
    fresh: Stand, tmp_path: Path
) -> None:
    stand = _six_clips(fresh, tmp_path)
    frames, found = 0, []
    for shards in (1, 2, 5):
        _forget_matching(stand)
        job = stand.job()
        size = 1_000 if shards == 1 else frames // shards + 1
        steps = _run(stand, job, size)
        assert steps["matches_shards.matches_shard"] == (0 if shards == 1 else shards)
        pages = [m.evidence_path for m in stand.repos.matching.matches(job.job_id) if m.evidence_path]
        assert steps["evidence_shards.evidence_shard"] == _shards(len(pages), size)
        frames = len({name[:36] for name, _ in _measured(stand, job)})
        figures = {a.asset: a.metadata for a in stand.repos.state.assets(job.job_id)}
        counted = {name: figures["matches"][name] for name in ("items", "pairs_scored", "pairs_words_read")}
        said = sorted((p.item, p.code) for p in stand.repos.state.problems(job.job_id, "matches"))
        progress = _progress(stand, job)
        assert progress["matches"][0] == progress["matches"][1]
        found.append((_measured(stand, job), _rows(stand, job), counted, progress, said, len(pages)))
    assert any(raw.get("mirrored") for _, raw in found[0][0] if raw), "a clip is looked at mirrored"
    assert found[0] == found[1]
    assert found[0] == found[2]


def compare_or_die(state: PairWorkerState, task: PairTask) -> PairDone:
    """Compares a frame; one ends the process, alone or beside one picture, and leaves a mark."""
    frame, image = os.environ["PVM_TEST_POISON"].split()
    named = {str(one.item_id) for one in task.candidates}
    if str(task.frame.item_id) != frame or image not in ("all", *named):
        return compare_frame(state, task)
    with Path(os.environ[_TRIES]).open("a") as tries:
        tries.write(f"{len(named)} ")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("whole", [pytest.param(True, marks=pytest.mark.long), False])
def test_a_pair_or_a_frame_that_kills_its_worker_twice_is_set_aside(
    fresh: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    first = fresh.job()
    assert fresh.run(first).status == "completed"
    pairs = list(fresh.repos.matching.candidates(first.job_id))
    frames = {i.item_id: i for i in fresh.repos.features.items(first.job_id)}
    poison = next(p for p in pairs if frames[p.frame_id].label.startswith("clip1") and p.rank == 3)
    frame, image = frames[poison.frame_id], frames[poison.img_id]
    _forget_matching(fresh)
    monkeypatch.setattr(verification, "compare_frame", compare_or_die)
    monkeypatch.setenv("PVM_TEST_POISON", f"{frame.item_id} {'all' if whole else image.item_id}")
    monkeypatch.setenv(_TRIES, str(tmp_path / "tries"))
    job = fresh.job()
    steps = _run(fresh, job, 1)

    assert steps["matches_shards.matches_shard"] == 3
    tries = (tmp_path / "tries").read_text().split()
    # Whole, then the halves; a pair alone. Each twice, and nothing tries it again.
    assert tries == ["4", "4", *(["2"] * 4 if whole else ["2", "2", "1", "1"])]
    (problem,) = (p for p in fresh.repos.state.problems(job.job_id, "matches") if p.code == "worker.died")
    assert problem.item == (frame.label if whole else pair_label(frame, image))
    without = {name for name, raw in _measured(fresh, job) if raw is None}
    assert without == {f"{frame.item_id}{p.img_id}" for p in pairs if p.frame_id == frame.item_id
                       and (whole or p.img_id == image.item_id)}  # fmt: skip
    done, total = _progress(fresh, job)["matches"]
    assert done == total
    accepted = {(row.product, row.video) for row in fresh.repos.matching.results(job.job_id)}
    assert ("p1", "clip1") in accepted, "the other frames of its clip are compared"
    assert steps["evidence_shards.evidence"] == 1


def draw_or_die(source: PictureSource, task: EvidenceTask) -> EvidenceDone:
    """Draws the evidence of a match; one of them ends the process, and leaves a mark."""
    if str(task) != "p1 in clip1":
        return render_item(source, task)
    with Path(os.environ[_TRIES]).open("a") as tries:
        tries.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_match_whose_picture_kills_its_worker_twice_is_set_aside(
    fresh: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_step, "render_item", draw_or_die)
    monkeypatch.setenv(_TRIES, str(tmp_path / "tries"))
    job = fresh.job()
    with pytest.raises(dg.DagsterError, match="evidence_readable"):
        _run(fresh, job, 1)

    assert (tmp_path / "tries").read_text() == "xx", "the asset's own step does not try it again"
    (problem,) = fresh.repos.state.problems(job.job_id, "evidence")
    assert (problem.item, problem.code) == ("p1 in clip1", "worker.died")
    shown = fresh.repos.matching.match_items(job.job_id, statuses=("accepted", "review"))
    without = {(m.product, m.video) for m in shown if m.evidence_path is None}
    assert without == {("p1", "clip1")}, "those of other matches are drawn"


@pytest.mark.long
@pytest.mark.parametrize(
    ("asset", "model"),
    [
        ("embeddings", "efficientnet-lite0"),
        pytest.param("embeddings", "dinov2-small", marks=pytest.mark.models),
        ("matches", "classic"),
    ],
)
def test_a_run_killed_in_a_shard_goes_on_and_computes_nothing_again(
    fresh: Stand, monkeypatch: pytest.MonkeyPatch, asset: str, model: str
) -> None:
    if model == "dinov2-small":
        _random_weights(fresh)
    monkeypatch.setenv("EMBED_MODEL", model)
    fresh.repos.industries.ensure(fresh.industry)
    job = fresh.job()
    fresh.repos.industries.set_rules(job.industry, "default", {"shard_items": 3})
    table = "embeddings" if asset == "embeddings" else "pair_evidence"
    with started_zygote(PVM_SHARDS="true") as zygote:
        # The steps of the asset: the count, the first shard, the second.
        assert zygote.run(job.job_id, (asset, 0.0), nth=3) is None
        before = computed(fresh.repos)
        assert before[table], "the first shard had stored what it computed"
        ended = zygote.run(job.job_id)
    assert ended is not None
    assert ended["status"] == "completed", ended
    after = computed(fresh.repos)
    for name in COMPUTED:
        assert before[name].items() <= after[name].items(), f"{name} computed again"
    assert len(before[table]) < len(after[table]), "something was left to do"
