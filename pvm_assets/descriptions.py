"""Descriptions as Dagster's UI shows them, which is Markdown: an indented line would be code."""

from __future__ import annotations

import inspect
from typing import Final

from pvm_jobs.job_ids import PARTITION_FORM

#: What somebody who adds a partition by hand has to know.
PARTITION_HELP: Final = (
    f"A partition is one job of one industry; its key is `{PARTITION_FORM}`, e.g. `yoga-mats@spring-1`. "
    "To start a job here, add a partition (the slug as `pvm industries list` shows it, and any new job id) "
    "and materialise it. It takes the standing sources of the industry."
)


def described(work: object) -> str:
    """The docstring of `work`, its indentation taken off."""
    return inspect.getdoc(work) or ""


def of_asset(work: object) -> str:
    """The description of an asset: its docstring, and what its partitions are."""
    return f"{described(work)}\n\n{PARTITION_HELP}"
