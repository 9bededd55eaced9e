"""Labels: verdicts of people on matches, and the precision they give."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from pvm_api import models
from pvm_api.auth import Principal, require
from pvm_api.deps import Base, IndustryFilter, JobFilter, Reader, ServicesDep
from pvm_api.paging import Cursor, Limit, cut, next_url
from pvm_core.scoring.verdict import Verdict

router: Final = APIRouter(tags=["labels"])

Reviewer = Annotated[Principal, Depends(require("review"))]
History = Annotated[bool, Query(description="Superseded verdicts and undone ones as well.")]


@router.post("/v1/matches/{match_id}/label", operation_id="labelMatch", summary="Judge a match")
def label_match(
    match_id: uuid.UUID, body: models.LabelBody, services: ServicesDep, caller: Reviewer
) -> models.Labelled:
    """Accepts or rejects a match, or takes the newest verdict on it back."""
    found = services.judge(match_id, body.verdict, caller.name)
    return models.Labelled(match_id=match_id, label=models.LabelRow.of(found) if found else None)


@router.get("/v1/labels", operation_id="listLabels", summary="Labels, newest first")
def list_labels(
    request: Request,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    industry: IndustryFilter = None,
    job: JobFilter = None,
    verdict: Verdict | None = None,
    history: History = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.Page[models.LabelRow]:
    """Verdicts that count, one for each product and video of an industry."""
    filters: dict[str, Any] = {"industry": industry, "job": job, "verdict": verdict, "history": history}
    after = int(services.cursors.read("labels", filters, cursor)[0]) if cursor else None
    slug = services.store.industries.get(industry).slug if industry else None
    rows = services.labels.list(
        limit + 1, industry=slug, job=job, verdict=verdict, history=history, after=after
    )
    page, last = cut(rows, limit)
    follow = services.cursors.write("labels", filters, [last.seq]) if last else None
    return models.Page[models.LabelRow](
        items=[models.LabelRow.of(one) for one in page], next=next_url(request, base, follow)
    )


@router.get("/v1/labels/precision", operation_id="getPrecision", summary="Precision of each industry")
def precision(
    services: ServicesDep, caller: Reader, industry: IndustryFilter = None
) -> models.Page[models.IndustryPrecision]:
    """Of each industry's latest completed job: how many of its accepted matches people judged, and how many
    of those are right."""
    jobs = services.latest_jobs(services.store.industries.get(industry).slug if industry else None)
    tallies = services.labels.tallies([job.job_id for job in jobs])
    found = [
        models.IndustryPrecision.of(tallies[job.job_id], industry=job.industry, job_id=job.job_id)
        for job in jobs
    ]
    return models.Page[models.IndustryPrecision](items=found, next=None)
