"""Tags of a run."""

from __future__ import annotations

from typing import Final

from pvm_resources.dagster_logs import FOREGROUND_TAG

#: The job of a run, as a tag, for filters in the UI.
JOB_TAG: Final = "pvm/job"
#: The job's industry: runs of one industry follow each other (dagster.yaml).
INDUSTRY_TAG: Final = "pvm/industry"
#: The request that a run was launched for.
EVENT_TAG: Final = "pvm/event"
#: Why a run was refused before its first step, as an error code.
REFUSED_TAG: Final = "pvm/refused"
#: Of runs of the attention analysis (`pvm_attention.location`), and their detector where it
#: is not that of the industry's rules.
ATTENTION_TAG: Final = "pvm/attention"
DETECTOR_TAG: Final = "pvm/attention_detector"
#: Dagster's own tag of a run's partition.
PARTITION_TAG: Final = "dagster/partition"

__all__ = [
    "ATTENTION_TAG", "DETECTOR_TAG", "EVENT_TAG", "FOREGROUND_TAG", "INDUSTRY_TAG", "JOB_TAG",
    "PARTITION_TAG", "REFUSED_TAG",
]  # fmt: skip
