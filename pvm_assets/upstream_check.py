"""Checked before an asset starts: its upstream is materialised and passed its blocking checks.

Dagster stops the downstream of a failed blocking check within one run only; launched alone it would run.
"""

from __future__ import annotations

from pvm_assets.graph import ancestors
from pvm_core.errors import InputError
from pvm_resources.store.state import State


def require_upstream(state: State, job_id: str, asset: str) -> None:
    """Raises where an asset upstream is missing or a blocking check of it failed.

    A verdict counts for the data version it was given for; the check run again on the same data replaces it.

    Raises:
        InputError: ``upstream.missing`` or ``upstream.blocked``, naming asset, check and remedy.
    """
    names = ancestors(asset)
    finished = {s.asset for s in state.assets(job_id)}
    missing = [name for name in names if name not in finished]
    if missing:
        raise InputError(
            "upstream.missing",
            f"{asset} of job {job_id}",
            f"{missing[-1]} has not been materialised for this job",
            f"Materialise {missing[-1]} first, or run the job pvm_job_run",
        )
    for verdict in state.blocking_failures(job_id, names):
        summary = verdict.metadata.get("summary")
        raise InputError(
            "upstream.blocked",
            f"{asset} of job {job_id}",
            f"the blocking check {verdict.check_name} of {verdict.asset} failed"
            + (f": {summary}" if summary else ""),
            f"Correct the data or the industry's rules and materialise {verdict.asset} with its checks again",
        )
