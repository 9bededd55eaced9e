"""Partitions that somebody added in Dagster's UI, as a run worker meets them."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import pytest
from dagster._core.execution.api import execute_run_iterator
from dagster._core.storage.dagster_run import DagsterRun
from stand import LOCATION, Stand

from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import PARTITION_TAG, REFUSED_TAG
from sensors.run_status import open_jobs

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _launched(instance: dg.DagsterInstance, key: str, assets: Sequence[str] = ()) -> DagsterRun:
    """The run that the UI would make for a new partition, worked on by this process to its end."""
    instance.add_dynamic_partitions(PARTITIONS_NAME, [key])
    job = LOCATION.job(JOB_NAME).get_definition()
    keys = {dg.AssetKey(name) for name in assets}
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=keys) if keys else job,
        run_config=QUIET,
        tags={PARTITION_TAG: key},
        asset_selection=frozenset(keys) or None,
        remote_job_origin=LOCATION.origin_of(JOB_NAME),
        job_code_origin=LOCATION.job(JOB_NAME).get_python_origin(),
    )
    for _ in execute_run_iterator(LOCATION.job(JOB_NAME), run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def _said(instance: dg.DagsterInstance, run: DagsterRun) -> str:
    """The message of the run's end; no step of it began."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    assert not [event for event in events if event.is_step_start or event.is_step_failure]
    (end,) = [e for e in events if e.event_type == dg.DagsterEventType.PIPELINE_CANCELED]
    return end.message or ""


def _with_sources(stand: Stand) -> str:
    slug = stand.repos.industries.ensure(stand.industry).slug
    sources = {"products": str(stand.case / "products.csv"), "videos": str(stand.case / "videos")}
    stand.repos.industries.set_sources(slug, sources)
    return slug


@pytest.mark.parametrize(
    ("key", "code", "help_"),
    [
        ("{slug}x@spring-1", "partition.industry", "Take {slug}@spring-1"),
        ("nobody-at-all@spring-1", "partition.industry", "pvm industries add"),
        ("{slug}", "partition.industry", "Take {slug}@<job-id>"),
        ("@spring-1", "partition.industry", "pvm industries add"),
        ("{slug}@spring 1", "partition.form", "Use letters, digits"),
        ("{slug}@../1", "partition.form", "Use letters, digits"),
        ("{slug}@taken-already", "partition.job", "another-one@taken-already"),
    ],
)
def test_a_key_that_can_be_no_job_is_refused_before_any_step(
    stand: Stand, instance: dg.DagsterInstance, key: str, code: str, help_: str
) -> None:
    slug = _with_sources(stand)
    other = stand.repos.industries.ensure("Another one").slug
    stand.repos.jobs.create(other, {"products": "x", "videos": "y"}, "taken-already")
    run = _launched(instance, key.format(slug=slug))

    assert (run.status, run.tags[REFUSED_TAG]) == (dg.DagsterRunStatus.CANCELED, code)
    assert help_.format(slug=slug) in _said(instance, run)
    assert stand.repos.jobs.by_partition(key.format(slug=slug)) is None
    assert open_jobs(stand.repos.jobs, run) == []


@pytest.mark.parametrize(
    ("sources", "code", "help_"),
    [
        ({}, "partition.sources", "pvm industries sources {slug}"),
        ({"products": "products.csv"}, "partition.sources", "no standing sources of videos"),
        ({"products": "ebay", "videos": "clips"}, "request.not_configured", "EBAY_CLIENT_ID"),
    ],
)
def test_an_industry_that_can_run_nothing_refuses_its_partitions(
    stand: Stand, instance: dg.DagsterInstance, sources: dict[str, str], code: str, help_: str
) -> None:
    slug = stand.repos.industries.ensure(stand.industry).slug
    stand.repos.industries.set_sources(slug, sources)
    run = _launched(instance, f"{slug}@first")

    assert (run.status, run.tags[REFUSED_TAG]) == (dg.DagsterRunStatus.CANCELED, code)
    assert help_.format(slug=slug) in _said(instance, run)
    assert stand.repos.jobs.find("first") is None


def test_an_asset_whose_upstream_a_new_partition_lacks_is_refused_and_makes_no_job(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    slug = _with_sources(stand)
    run = _launched(instance, f"{slug}@in-the-middle", ["keyframes"])
    assert run.tags[REFUSED_TAG] == "upstream.missing"
    assert "Materialise videos first" in _said(instance, run)
    assert stand.repos.jobs.find("in-the-middle") is None


def test_a_refused_run_takes_nothing_from_a_job_that_waits(
    stand: Stand, instance: dg.DagsterInstance
) -> None:
    job = stand.job()
    run = _launched(instance, job.partition_key, ["evidence"])
    assert run.tags[REFUSED_TAG] == "upstream.missing"
    assert open_jobs(stand.repos.jobs, run) == []
    assert stand.repos.jobs.get(job.job_id).status == "queued"


def test_a_key_of_an_industry_with_sources_runs(stand: Stand, instance: dg.DagsterInstance) -> None:
    slug = _with_sources(stand)
    run = _launched(instance, f"{slug}@by-hand")
    job = stand.repos.jobs.get("by-hand")
    assert (run.status, job.status, job.run_id) == (dg.DagsterRunStatus.SUCCESS, "completed", run.run_id)
