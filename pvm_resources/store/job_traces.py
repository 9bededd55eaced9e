"""Table `job_traces`: the trace that a job belongs to."""

from __future__ import annotations

from pvm_resources.store.base import Repository


class JobTraces(Repository):
    """Written only where traces are recorded."""

    def begin(self, job_id: str, traceparent: str) -> str:
        """Notes the span that begins the job's trace, where none did; the one that did."""
        self._execute(
            "INSERT INTO job_traces (job_id, traceparent) SELECT job_id, %s FROM jobs WHERE job_id = %s "
            "ON CONFLICT (job_id) DO NOTHING",
            traceparent, job_id,
        )  # fmt: skip
        return self.of(job_id) or traceparent

    def of(self, job_id: str) -> str | None:
        """The span that began the job's trace, as W3C Trace Context writes it; None where none did."""
        found = self._db.value("SELECT traceparent FROM job_traces WHERE job_id = %s", [job_id])
        return None if found is None else str(found)
