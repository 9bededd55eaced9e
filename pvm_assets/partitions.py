"""The one partitions definition of the graph: a partition is a job."""

from __future__ import annotations

from typing import Final

import dagster as dg

PARTITIONS_NAME: Final = "pvm_job"

#: Keys are ``<industry-slug>@<job-id>`` (`pvm_jobs.job_ids`). One dynamic dimension: a job has one industry,
#: so industry x job as two dimensions would be a cross product that is nearly empty.
JOB_PARTITIONS: Final = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
