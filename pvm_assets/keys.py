"""Which parameters a job is computed under, as the assets upstream left them in `jobs.keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_assets.stage import Stage

#: Mask key of a job whose rules switch segmentation off; no mask is ever stored under it.
MASKS_OFF: Final = "off"


def key_of(stage: Stage, name: str) -> str:
    """The key `name` of the job as it is now.

    Raises:
        InputError: ``job.key``: the asset that sets it has not run.
    """
    keys = stage.services.store.jobs.get(stage.job_id).keys
    if name not in keys:
        raise InputError(
            "job.key", f"job {stage.job_id}", f"it has no {name} yet", f"Materialise {name} first"
        )
    return keys[name]
