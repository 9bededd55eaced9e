"""A job whose source's terms end the keeping of its pictures: run, purged, run again, through Dagster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from stand import Stand

from definitions import defs
from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.execution.supervision import purge_after_run
from pvm_assets.graph import NODES
from pvm_core.errors import StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.retention.purge import Purge
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.records import Job
from sensors.purge import PurgeConfig, hourly_purge, pvm_purge


@pytest.fixture
def restricted(fresh: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """A platform on which a catalogue file has the terms of a shop that lets its pictures be kept an hour."""
    policy = {"file": {"max_age_h": 1, "attribution": "Shown by leave of *the shop*"}}
    monkeypatch.setenv("PVM_SOURCE_POLICIES", json.dumps(policy))
    return fresh


def _matches(stand: Stand, job: Job) -> dict[Any, MatchRecord]:
    return {m.match_id: m for m in stand.repos.matching.matches(job.job_id)}


def _previews(job: Job) -> dict[str, str]:
    found = {}
    with dagster_instance() as instance:
        for name in NODES:
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[job.partition_key]), 1
            ).records
            made = records[0].asset_materialization
            assert made is not None
            if "preview" in made.metadata:
                found[name] = str(made.metadata["preview"].value)
    return found


def _purged_by_dagster() -> dict[str, Any]:
    config = dg.RunConfig(ops={"purge_due": PurgeConfig(ahead_h=2, orphans=True)})
    with dagster_instance() as instance:
        done = pvm_purge.execute_in_process(run_config=config, instance=instance)
    (event,) = [e for e in done.all_events if e.event_type_value == "STEP_OUTPUT"]
    return {key: value.value for key, value in event.step_output_data.metadata.items()}


def test_a_purged_job_keeps_its_matches_and_a_rerun_gives_them_their_pictures_back(restricted: Stand) -> None:
    stand = restricted
    job = stand.job()
    assert stand.run(job).status == "completed"
    before = _matches(stand, job)
    proven = {key for key, m in before.items() if m.evidence_path}
    assert proven

    # Links in the event log in place of the shop's pictures; the frames are one's own.
    previews = _previews(job)
    assert "data:image/jpeg" in previews["keyframes"]
    for name in ("product_images", "masks", "evidence"):
        assert "not shown" in previews[name], name
        assert r"Shown by leave of \*the shop\*" in previews[name]
    for name in ("product_images", "evidence"):
        assert "data:image" not in previews[name], name
    assert "- p0\n- p1\n- p2\n- p3" in previews["product_images"]

    media = MediaStore(stand.settings.media)
    frames = set(media.keys("videos"))
    # The job of the schedule, looking two hours ahead.
    assert _purged_by_dagster() == {
        "file/products": 4, "file/pictures": 4, "file/masks": 4, "file/keypoints": 4,
        "file/evidence": len(proven), "file/matches": len(before),
    }  # fmt: skip
    assert not list(media.keys("products"))
    assert not list(media.keys("evidence"))
    assert set(media.keys("videos")) == frames
    gone = _matches(stand, job)
    assert gone.keys() == before.keys()
    for key, match in gone.items():
        assert (match.score, match.status, match.ts) == (
            before[key].score,
            before[key].status,
            before[key].ts,
        )
        assert match.media_purged_at is not None

    # The last step alone on what is left: nothing is dropped, nothing fails.
    with dagster_instance() as instance:
        alone = dg.materialize(
            [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)],
            selection=["matches", "evidence"],
            partition_key=job.partition_key,
            instance=instance,
            resources=dict(defs.resources or {}),
        )
    assert alone.success
    assert _matches(stand, job) == gone

    assert stand.run(job).status == "completed"
    after = _matches(stand, job)
    assert {k: (m.score, m.status, m.best.img_id) for k, m in after.items()} == {
        k: (m.score, m.status, m.best.img_id) for k, m in before.items()
    }
    for key in proven:
        assert after[key].media_purged_at is None
        assert media.exists(evidence_key(job.job_id, key))
    titles = {p.title for p in stand.repos.catalogue.products(job.job_id)}
    assert titles == {f"Gối số {n}" for n in range(4)}


def test_a_working_copy_goes_with_the_run(fresh: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_SOURCE_POLICIES", json.dumps({"file": {"store_media": False}}))
    job = fresh.job()
    assert fresh.run(job).status == "completed"
    media = MediaStore(fresh.settings.media)
    assert not list(media.keys("products"))
    assert not list(media.keys("evidence"))
    assert list(media.keys("videos"))
    rows = _matches(fresh, job).values()
    assert rows
    assert all(m.media_purged_at is not None for m in rows)
    with dagster_instance() as instance:
        verdicts = fresh.repos.state.verdicts(job.job_id)
        assert all(v.passed for v in verdicts if v.blocking), verdicts
        assert instance is not None


def test_the_schedule_is_on() -> None:
    assert hourly_purge.name in {s.name for s in defs.schedules or ()}
    assert pvm_purge.name in {j.name for j in defs.jobs or ()}
    assert hourly_purge.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(("hour", "orphans"), [(3, True), (4, False)])
def test_each_hour_looks_an_hour_ahead_and_one_sweeps_orphans(hour: int, orphans: bool) -> None:
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 1, hour, 17, tzinfo=UTC))
    request = hourly_purge.evaluate_tick(context).run_requests[0]  # type: ignore[index]
    given = request.run_config["ops"]["purge_due"]["config"]
    assert (given["ahead_h"], given["orphans"]) == (1.0, orphans)


def test_a_purge_that_fails_takes_nothing_from_the_jobs_result(
    fresh: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise StoreError("media.write", "x", "timed out", "Check the media store", retryable=True)

    monkeypatch.setattr(Purge, "run", broken)
    purge_after_run(fresh.repos.database, "job")
    assert "not purged" in caplog.text
    assert "timed out" in caplog.text


def test_a_purge_that_fails_fails_its_own_run(fresh: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_SOURCE_POLICIES", '{"ebay": {"ttl": 1}}')
    with dagster_instance() as instance:
        done = pvm_purge.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [e for e in done.all_events if e.is_step_failure]
    assert not done.success
    said = failure.step_failure_data.user_failure_data
    assert said is not None
    assert "no such field" in (said.description or "")
