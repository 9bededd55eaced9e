"""A platform under test."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pvm_assets.execution.bootstrap import dagster_instance
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.execution.runner import RunOutcome, StepNews, run_job
from pvm_resources.settings import Settings, project_root
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Job

_count = itertools.count(1)
LOCATION = CodeLocation.of_workspace(project_root() / "workspace.yaml")


@dataclass
class Stand:
    """A platform of one test."""

    settings: Settings
    repos: Store
    case: Path
    industry: str

    def job(self, job_id: str | None = None, **request: str) -> Job:
        """A queued job on the small case."""
        slug = self.repos.industries.ensure(self.industry).slug
        sources = {"products": str(self.case / "products.csv"), "videos": str(self.case / "videos")}
        return self.repos.jobs.create(slug, {**sources, **request}, job_id or f"job{next(_count)}")

    def run(self, job: Job, on_news: Callable[[StepNews], None] | None = None) -> RunOutcome:
        """Runs a job in this process."""
        return run_job(job.job_id, self.settings, LOCATION, on_news)

    def pool_slots(self) -> int:
        """Claimed slots of the pool `gpu`."""
        with dagster_instance() as instance:
            return len(instance.event_log_storage.get_concurrency_info("gpu").claimed_slots)
