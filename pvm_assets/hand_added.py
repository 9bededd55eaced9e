"""Partitions that somebody added in Dagster's UI: the job that one becomes, or why it can be none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pvm_assets.graph import NODES, ancestors
from pvm_core.errors import InputError
from pvm_core.wording import near_names, shortened
from pvm_jobs.job_ids import PARTITION_FORM, is_plain_id, partition_key, split_partition_key
from pvm_jobs.request import JobRequest, complete
from pvm_jobs.source_kinds import KINDS
from pvm_resources.settings import Settings
from pvm_resources.sources.readiness import unconfigured
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Industry, Job

_ID_FORM: Final = "Use letters, digits, - and _ for the job id, at most 100 of them"


@dataclass(frozen=True)
class Draft:
    """A job that a partition stands for and that is not stored yet."""

    slug: str
    job_id: str
    request: JobRequest


def job_of(store: Store, settings: Settings, key: str) -> Job:
    """The job of a partition. One that names no job becomes a job that runs the standing sources of its
    industry.

    Raises:
        InputError: ``partition.*`` or ``request.not_configured``, naming what helps.
    """
    return store.jobs.by_partition(key) or _stored(store, draft(store, settings, key))


def admitted(store: Store, settings: Settings, key: str, steps: Collection[str]) -> Job:
    """The job of a partition, once nothing keeps these steps of it from running.

    Raises:
        InputError: as `job_of`; ``upstream.missing`` where an asset that the steps read was never made for
            the job. Nothing is stored then.
    """
    found = store.jobs.by_partition(key)
    new = draft(store, settings, key) if found is None else None
    made = set() if found is None else {state.asset for state in store.state.assets(found.job_id)}
    if lacking := _lacking(steps, made):
        raise InputError(
            "upstream.missing",
            f"partition {shortened(key)}",
            f"{lacking} has not been materialised for this job",
            f"Materialise {lacking} first, or run the job pvm_job_run",
        )
    if new is not None:
        return _stored(store, new)
    assert found is not None
    return found


def draft(store: Store, settings: Settings, key: str) -> Draft:
    """The job that a partition without one stands for.

    Raises:
        InputError: ``partition.industry``, ``partition.form``, ``partition.job``, ``partition.sources``,
            ``request.not_configured``.
    """
    slug, job_id = split_partition_key(key)
    subject = f"partition {shortened(key)}"
    industry = _industry(store, slug, job_id, subject)
    assert job_id is not None
    if not is_plain_id(job_id):
        raise InputError("partition.form", subject, f"{shortened(job_id)!r} is no id of a job", _ID_FORM)
    if (taken := store.jobs.find(job_id)) is not None:
        raise InputError(
            "partition.job",
            subject,
            f"{job_id} is a job of the industry {taken.industry}",
            f"Take another job id, or materialise the partition {partition_key(taken.industry, job_id)}",
        )
    request = complete(
        JobRequest(),
        JobRequest.parse(industry.sources),
        refused=lambda kind: InputError(
            "partition.sources",
            subject,
            f"the industry {industry.name!r} has no standing sources of {kind}",
            f"Add them with `pvm industries sources {slug} --products FILE --videos FOLDER`",
        ),
    )
    for kind in KINDS:
        faults = [unconfigured(source, settings) for source in getattr(request, kind)]
        # Sources that work make up for those that do not, as on a schedule.
        if faults and faults[0] is not None and None not in faults:
            raise faults[0]
    return Draft(slug, job_id, request)


def _industry(store: Store, slug: str, job_id: str | None, subject: str) -> Industry:
    known = store.industries.list()
    found = next((one for one in known if one.slug == slug), None)
    if found is not None and job_id is not None:
        return found
    named = {one.name: one.slug for one in known} | {one.slug: one.slug for one in known}
    near = [slug] if found else dict.fromkeys(named[name] for name in near_names(slug, named))
    remedies = []
    if near:
        remedies.append("Take " + " or ".join(partition_key(one, job_id or "<job-id>") for one in near))
    if found is None:
        add = "dd the industry with `pvm industries add NAME --products FILE --videos FOLDER`"
        remedies.append(f"{'or a' if near else 'A'}{add}, then name the partition {PARTITION_FORM}")
    raise InputError(
        "partition.industry",
        subject,
        f"{shortened(slug)!r} is no industry's slug" if job_id else f"its key is not {PARTITION_FORM}",
        ", ".join(remedies),
    )


def _stored(store: Store, new: Draft) -> Job:
    return store.jobs.create(new.slug, new.request.to_json(), new.job_id)


def _lacking(steps: Collection[str], made: Collection[str]) -> str:
    """The first asset, in the order of the graph, that these steps read and that nothing has made."""
    needed: set[str] = set()
    for step in steps:
        if step in NODES:
            needed.update(ancestors(step))
        else:
            # A check: ``<asset>_<check>``.
            needed.update(sorted((n for n in NODES if step.startswith(f"{n}_")), key=len)[-1:])
    return next((name for name in NODES if name in needed and name not in made and name not in steps), "")
