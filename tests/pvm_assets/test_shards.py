"""Assets whose items are spread over steps: the same rows whatever the number, items that fail set aside."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from stand import Stand

from definitions import SHARDED, definitions, defs
from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.graph import asset_of
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.shards import shard_count
from pvm_assets.steps import keyframes as keyframes_step
from pvm_assets.work.frames import CutVideo, FrameWorkerState, cut_video
from pvm_resources.settings import environment
from pvm_resources.store.records import Job, JobVideo

_POISON = "clip1"
_TRIES = "PVM_TEST_TRIES"


@pytest.mark.parametrize(
    ("items", "size", "shards"), [(0, 5, 0), (5, 5, 0), (6, 5, 2), (11, 5, 3), (3, 1, 3)]
)
def test_a_stage_is_split_above_its_size(items: int, size: int, shards: int) -> None:
    assert shard_count(items, size) == shards


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
    assert steps["keyframes_shards.keyframes_shard"] == shard_count(3, size)
    assert steps["masks_shards.masks_shard"] == shard_count(items, size)
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
    assert steps["evidence"] == 1, "the job goes on without it"
