"""Partitions of old jobs leave Dagster; their jobs stay."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from pvm_assets.execution.run_termination import forget_old_partitions
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import PARTITION_TAG
from pvm_resources.store.assembly import Store

BY_HAND = "chairs@added-by-hand"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of its own."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def _ended(repos: Store, instance: dg.DagsterInstance, count: int) -> list[str]:
    """Jobs that ended one after the other; their partition keys."""
    slug = repos.industries.ensure("chairs").slug
    keys = []
    for n in range(count):
        job = repos.jobs.create(slug, {}, f"job{n}")
        repos.jobs.set_running(job.job_id, f"run{n}")
        repos.jobs.complete(job.job_id)
        keys.append(job.partition_key)
    instance.add_dynamic_partitions(PARTITIONS_NAME, [*keys, BY_HAND])
    return keys


def _left(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_dynamic_partitions(PARTITIONS_NAME))


def test_the_newest_ended_jobs_keep_theirs(repos: Store, instance: dg.DagsterInstance) -> None:
    keys = _ended(repos, instance, 4)
    still_open = repos.jobs.create("chairs", {}, "open").partition_key
    instance.add_dynamic_partitions(PARTITIONS_NAME, [still_open])
    assert forget_old_partitions(instance, repos.schedules, 3, dry_run=True) == 1
    assert _left(instance) == {*keys, BY_HAND, still_open}
    assert forget_old_partitions(instance, repos.schedules, 3) == 1
    assert _left(instance) == {*keys[1:], BY_HAND, still_open}
    assert repos.jobs.get("job0").status == "completed"


def test_an_archived_job_keeps_none(repos: Store, instance: dg.DagsterInstance) -> None:
    keys = _ended(repos, instance, 2)
    repos.inbox.archive("job1", "test")
    assert forget_old_partitions(instance, repos.schedules, 10) == 1
    assert _left(instance) == {keys[0], BY_HAND}


def test_a_partition_with_a_live_run_stays(repos: Store, instance: dg.DagsterInstance) -> None:
    keys = _ended(repos, instance, 2)
    run = dg.DagsterRun(job_name="x", status=dg.DagsterRunStatus.STARTED, tags={PARTITION_TAG: keys[0]})
    instance.add_run(run)
    assert forget_old_partitions(instance, repos.schedules, 1) == 0
    assert keys[0] in _left(instance)
