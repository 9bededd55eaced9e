"""Finds and ends a job's runs, and removes its partition."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Final

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG

from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import PARTITION_TAG
from pvm_resources.store.schedules import Schedules

#: Partitions that one call forgets: each is a statement, and its runs are looked up.
_AT_ONCE: Final = 1_000
_ALIVE: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def runs_by_request(instance: dg.DagsterInstance, event_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The runs that exist for these requests: event id -> run id."""
    wanted = [str(event) for event in event_ids]
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: wanted})) if wanted else []
    # Newest first: a re-execution inherits the tag, the first run of a request is its own.
    return {uuid.UUID(run.tags[RUN_KEY_TAG]): run.run_id for run in runs}


def live_runs(instance: dg.DagsterInstance, partition_key: str) -> list[dg.DagsterRun]:
    """Runs of the partition that have not ended."""
    return list(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: partition_key}, statuses=_ALIVE)))


def end_runs(
    instance: dg.DagsterInstance, partition_key: str, spare: Collection[str] = ()
) -> list[dg.DagsterRun]:
    """Requests the end of the partition's live runs, whatever state they are in; returns these runs.

    A queued run is cancelled at once; a worker stops at the next point where nothing is half written.

    Args:
        spare: run keys of runs to leave alone.
    """
    found = [run for run in live_runs(instance, partition_key) if run.tags.get(RUN_KEY_TAG) not in spare]
    for run in found:
        if run.status != dg.DagsterRunStatus.CANCELING:
            instance.run_coordinator.cancel_run(run.run_id)
    return found


def forget_partition(instance: dg.DagsterInstance, partition_key: str) -> bool:
    """Removes the partition from Dagster; what was recorded about it stays. False while a run of it lives."""
    if live_runs(instance, partition_key):
        return False
    if partition_key and instance.has_dynamic_partition(PARTITIONS_NAME, partition_key):
        instance.delete_dynamic_partition(PARTITIONS_NAME, partition_key)
    return True


def forget_old_partitions(
    instance: dg.DagsterInstance, schedules: Schedules, keep: int, *, dry_run: bool = False
) -> int:
    """Removes partitions of archived jobs, and those of ended jobs beyond the newest `keep`; returns how
    many.

    Their jobs, results and runs stay, and a job that is run again has its partition again. A partition added
    by hand, which no job has yet, is left alone.
    """
    known = set(instance.get_dynamic_partitions(PARTITIONS_NAME))
    old = [key for key in schedules.old_partitions(keep) if key in known][:_AT_ONCE]
    if dry_run:
        return len(old)
    return sum(forget_partition(instance, key) for key in old)
