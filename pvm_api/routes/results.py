"""Results: matches flat and in pages; matches, products and videos one by one."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from pvm_api import models, views
from pvm_api.deps import Base, IndustryFilter, JobFilter, Reader, ServicesDep
from pvm_api.paging import Cursor, Limit, cut, next_url
from pvm_api.services import Services
from pvm_api.serving import first_file
from pvm_resources.store.labels import VerdictFilter
from pvm_resources.store.match_queries import ResultFilter, ResultSort
from pvm_resources.store.records import MatchStatus

router: Final = APIRouter(tags=["results"])

MinScore = Annotated[
    float | None,
    Query(ge=0, le=1, description="Matches of any status from this score on; 0: every scored match."),
]
Status = Annotated[
    list[MatchStatus] | None,
    Query(
        max_length=10,
        description="A verdict of people stands over what the score says. Default `accepted`, "
        "unless `min_score` or `verdict` is given.",
    ),
]
Said = Annotated[
    list[VerdictFilter] | None, Query(description="What people say of it; `none`: nobody judged it.")
]
Order = Annotated[
    ResultSort,
    Query(
        description="`doubt`: nearest to the threshold first, where a verdict says most; with `verdict=none` "
        "and `status` accepted and review the queue of the review page. `attention`: the presenter who "
        "holds the viewer first; unknown last."
    ),
]
Everything = Annotated[
    bool, Query(alias="all", description="Matches of every job, not of each industry's latest one.")
]


@router.get(
    "/v1/results",
    operation_id="listResults",
    response_model=models.Page[models.Result],
    summary="Matches, best first",
)
def list_results(
    request: Request,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    industry: IndustryFilter = None,
    job: JobFilter = None,
    min_score: MinScore = None,
    status: Status = None,
    verdict: Said = None,
    product: uuid.UUID | None = None,
    video: uuid.UUID | None = None,
    every_job: Everything = False,
    sort: Order = "best",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Matches of a job; without `job` those of the latest completed job of the industry, or of each
    industry. One row per product and video, ids as the sources gave them. Without `min_score`, `status` and
    `verdict` the accepted ones."""
    if min_score is None and status is None and verdict is None:
        status = ["accepted"]
    filters = {
        "industry": industry, "job": job, "min_score": min_score, "status": status,
        "product": product, "video": video, "all": every_job, "verdict": verdict, "sort": sort,
    }  # fmt: skip
    place = services.cursors.read("results", filters, cursor) if cursor else None
    # Later pages are of the same jobs as the first one, whatever completes meanwhile.
    as_of = datetime.fromisoformat(place[2]) if place else services.store.match_queries.now()
    wanted = ResultFilter(
        _jobs_of(services, industry, job, every_job, as_of), min_score or 0.0, status or (), product, video,
        verdict or (), sort,
    )  # fmt: skip
    after = (float(place[0]), uuid.UUID(place[1])) if place else None
    page, last = cut(services.store.match_queries.results(wanted, limit + 1, after), limit)
    here = [wanted.place(last), str(last.match_id), as_of.isoformat()] if last else None
    follow = services.cursors.write("results", filters, here) if here else None
    found = models.Page[models.Result](
        items=[views.result(row, base) for row in page], next=next_url(request, base, follow)
    )
    # Written here: the framework would check each row a second time.
    return Response(found.model_dump_json(), media_type="application/json")


@router.get("/v1/matches/{match_id}", operation_id="getMatch", summary="One match")
def get_match(match_id: uuid.UUID, services: ServicesDep, base: Base, caller: Reader) -> models.Result:
    """A match with its score, its terms and its pictures."""
    return views.result(services.store.match_queries.match(match_id), base)


@router.get("/v1/videos/{video_id}", operation_id="getVideo", summary="One video")
def get_video(video_id: uuid.UUID, services: ServicesDep, base: Base, caller: Reader) -> models.Video:
    """A video with its first hundred keyframes."""
    row = services.store.match_queries.video(video_id)
    kept = first_file(services.store.match_queries.video_places(video_id)) is not None
    return views.video(row, services.store.match_queries.frames(video_id), kept, base)


for _path, _route, _name, _shape in (
    ("/results", list_results, "listResultsFounding", models.Page[models.Result]),
    ("/matches/{match_id}", get_match, "getMatchFounding", models.Result),
    ("/videos/{video_id}", get_video, "getVideoFounding", models.Video),
):
    router.add_api_route(
        _path, _route, methods=["GET"], operation_id=_name, response_model=_shape,
        summary="The same under its founding address",
    )  # fmt: skip


def _jobs_of(
    services: Services, industry: str | None, job: str | None, every_job: bool, as_of: datetime
) -> list[str] | None:
    """The jobs whose matches are wanted; None: of all."""
    slug = services.store.industries.get(industry).slug if industry else None
    if job is not None:
        found = services.store.match_queries.job(job)
        return [job] if slug in (None, found.industry) else []
    if not every_job:
        return services.store.match_queries.latest_jobs(slug, as_of)
    return None if slug is None else services.store.match_queries.job_ids(slug)
