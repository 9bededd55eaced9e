"""One analysis in this process: ``python -m pvm_attention.run PARTITION [DETECTOR]``; needs a platform."""

from __future__ import annotations

import sys

import dagster as dg

from pvm_attention.location import DETECTOR, JOB_NAME, defs
from pvm_jobs.job_ids import PARTITIONS_NAME


def main(partition_key: str, detector: str = "") -> int:
    """Runs all six assets of a partition, under its rules' detector or another one; the exit code."""
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(PARTITIONS_NAME, [partition_key])
        made = defs.resolve_job_def(JOB_NAME)
        result = made.execute_in_process(
            partition_key=partition_key, instance=instance, raise_on_error=False,
            tags={DETECTOR: detector} if detector else {},
        )  # fmt: skip
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
