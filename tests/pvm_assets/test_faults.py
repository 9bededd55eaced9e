"""Runs that are killed, and databases and disks that give up: a rerun ends where an unbroken run ends."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from stand import Stand
from zygote_runs import COMPUTED, Zygote, computed, started_zygote

from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.execution.runner import StepNews
from pvm_resources.store.assembly import Store
from tests.outbox import Outbox

#: Tables whose rows must not depend on how often a run was killed, and what of them is a matter of time.
_TABLES = (
    "products", "job_products", "job_pictures", "stored_images", "image_sources", "job_images", "videos",
    "job_videos", "keyframe_sets", "stored_frames", "masks", "embeddings", "keypoint_sets", "models",
    "candidate_pairs", "pair_evidence", "pair_scores", "matches", "asset_states", "check_verdicts",
    "problems", "phase_events", "outbox",
)  # fmt: skip
_FLEETING = {
    "created_at",
    "seen_at",
    "fetched_at",
    "updated_at",
    "finished_at",
    "received_at",
    "event_id",
    "seq",
    "metadata",
}
#: A product's version is when its catalogue was read, where the catalogue gives none.
_TIMELESS = {("outbox", "payload"): "(payload - 'version')"}
_STEPS = (
    "products",
    "videos",
    "product_images",
    "keyframes",
    "masks",
    "embeddings",
    "keypoints",
    "matches",
    "evidence",
)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """A zygote."""
    with started_zygote() as started:
        yield started


def _rows(repos: Store) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for table in _TABLES:
        columns = [
            c
            for (c,) in repos.database.tuples(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = %s",
                [table],
            )
            if c not in _FLEETING
        ]
        text = ", ".join(f"{_TIMELESS.get((table, c), c)}::text" for c in sorted(columns))
        found[table] = sorted(repos.database.tuples(f"SELECT {text} FROM {table}"), key=str)
    found["outbox"] = [row for row in found["outbox"] if "job.failed" not in row]
    found["phase_events"] = [row for row in found["phase_events"] if "job.failed" not in row]
    return found


def _moments() -> list[tuple[str, float]]:
    """Ten moments at which a run is killed; the first is certain to lie inside `embeddings`."""
    random_ = random.Random(7)
    return [("embeddings", 0.0)] + [(random_.choice(_STEPS), random_.random() * 0.4) for _ in range(9)]


@pytest.mark.long
def test_killed_ten_times_a_job_ends_with_the_rows_of_an_unbroken_run(fresh: Stand, zygote: Zygote) -> None:
    job = fresh.job("case")
    slots_held = False
    for moment in sorted(_moments(), key=lambda m: _STEPS.index(m[0])):
        before = computed(fresh.repos)
        ended = zygote.run(job.job_id, moment)
        slots_held |= fresh.pool_slots() > 0
        after = computed(fresh.repos)
        for table in COMPUTED:
            assert before[table].items() <= after[table].items(), f"{table} computed again at {moment}"
        if ended is not None:
            assert ended["status"] == "completed", ended
    assert slots_held, "no run was killed while it held the slot of the pool"
    before = computed(fresh.repos)
    ended = zygote.run(job.job_id)
    assert ended is not None
    assert ended["status"] == "completed", ended
    assert fresh.pool_slots() == 0
    after = computed(fresh.repos)
    for table in COMPUTED:
        assert before[table].items() <= after[table].items(), f"{table} computed again"
    broken = _rows(fresh.repos)
    _start_over(fresh)
    whole = zygote.run(fresh.job("case").job_id)
    assert whole is not None
    assert whole["status"] == "completed", whole
    unbroken = _rows(fresh.repos)
    assert broken.keys() == unbroken.keys()
    for table, rows in unbroken.items():
        assert broken[table] == rows, table


def _start_over(stand: Stand) -> None:
    tables = ", ".join((*_TABLES, "jobs", "progress"))
    with psycopg.connect(stand.repos.database.dsn, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {tables} CASCADE")
    shutil.rmtree(stand.settings.media)


def test_a_run_without_a_worker_is_found_and_its_slot_freed(fresh: Stand, zygote: Zygote) -> None:
    from dagster import build_sensor_context

    from sensors import stale_runs

    job = fresh.job()
    assert zygote.run(job.job_id, ("embeddings", 0.0)) is None
    with dagster_instance() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert fresh.pool_slots() == 1
        stale_runs(build_sensor_context(instance=instance))
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]
    assert fresh.pool_slots() == 0
    failed = fresh.repos.jobs.get(job.job_id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "run.died"


def test_ctrl_c_cancels_and_the_job_resumes(fresh: Stand, zygote: Zygote) -> None:
    job = fresh.job()
    zygote.start(job.job_id)
    pid, ended = 0, None
    while True:
        word, *rest = zygote.line()
        if word == "pid":
            pid = int(rest[0])
        elif word == "STEP_START" and rest[0] == "keypoints":
            os.killpg(pid, signal.SIGINT)
        elif word == "end":
            ended = rest[0]
        elif word == "gone":
            break
    assert ended == "cancelled"
    cancelled = fresh.repos.jobs.get(job.job_id)
    assert (cancelled.status, cancelled.phase) == ("cancelled", "cancelled")
    assert Outbox(fresh.repos.database).counts(job.job_id)["job.cancelled"] == 1
    assert fresh.pool_slots() == 0
    resumed = zygote.run(job.job_id)
    assert resumed is not None
    assert resumed["status"] == "completed", resumed


def test_two_runs_never_work_on_one_job(fresh: Stand, zygote: Zygote) -> None:
    job = fresh.job()
    with fresh.repos.database.run_lock(f"job:{job.job_id}"):
        ended = zygote.run(job.job_id)
    assert ended is not None
    assert ended["status"] == "failed"
    with dagster_instance() as instance:
        run = instance.get_runs(limit=1)[0]
        (log,) = [
            e
            for e in instance.all_logs(run.run_id)
            if e.dagster_event_type == dg.DagsterEventType.RUN_FAILURE
        ]
    assert "another run is working on it" in str(log.dagster_event)


@pytest.mark.long
def test_a_database_that_goes_away_fails_the_run_and_a_rerun_resumes(fresh: Stand) -> None:
    job = fresh.job()
    name = fresh.repos.database.value("SELECT current_database()")
    admin = psycopg.connect(fresh.settings.dagster_url.get_secret_value(), autocommit=True)  # type: ignore[union-attr]

    def take_away(news: StepNews) -> None:
        if (news.kind, news.step) == ("STEP_START", "masks"):
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    with pytest.raises(Exception, match=r"\[(store|run)\.") as failure:
        fresh.run(job, take_away)
    assert failure.value.retryable  # type: ignore[attr-defined]
    admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    resumed = fresh.run(job)
    assert resumed.status == "completed", resumed.error
    assert fresh.pool_slots() == 0


@pytest.mark.long
def test_a_full_disk_fails_the_run_and_a_rerun_resumes(fresh: Stand, tmp_path: Path) -> None:
    job = fresh.job()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The nearest a user without rights gets to a full disk: no file may grow beyond a few kilobytes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        outcome = fresh.run(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["code"].startswith(("media.", "store."))
    assert outcome.error["retryable"]
    resumed = fresh.run(job)
    assert resumed.status == "completed", resumed.error
