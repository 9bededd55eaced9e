"""The one partitions definition of the graph: a partition is a job."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pvm_jobs.job_ids import PARTITIONS_NAME as PARTITIONS_NAME

#: Keys are ``<industry-slug>@<job-id>`` (`pvm_jobs.job_ids`). One dynamic dimension: a job has one industry,
#: so industry x job as two dimensions would be a cross product that is nearly empty.
JOB_PARTITIONS: Final = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
