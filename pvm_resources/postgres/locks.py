"""Names of the advisory locks that exclude runs and the purge from each other."""

from __future__ import annotations

from typing import Final

#: Prefix of the lock that keeps two runs from working on one job; the job's id follows.
JOB_PREFIX: Final = "job:"
#: Held by the purge during a batch; a run that starts waits for that batch.
PURGE: Final = "purge"


def job_lock_name(job_id: str) -> str:
    """The advisory lock that keeps two runs from working on one job."""
    return f"{JOB_PREFIX}{job_id}"


def run_lock_name(run_id: str) -> str:
    """The advisory lock that says "the worker of this Dagster run is alive"."""
    return f"run:{run_id}"


def step_lock_name(run_id: str, step: str) -> str:
    """The advisory lock that keeps two workers from computing one step of a Dagster run."""
    return f"step:{run_id}:{step}"
