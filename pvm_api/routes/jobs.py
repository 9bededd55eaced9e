"""Jobs: started, watched, cancelled, retried, archived, deleted."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import httpcore
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from pvm_api import json_body, models, uploads, views
from pvm_api.auth import Principal
from pvm_api.deps import Base, IndustryFilter, JobId, Reader, Runner, ServicesDep
from pvm_api.paging import Cursor, Limit, cut, next_url
from pvm_api.problems import ApiError
from pvm_api.request_spans import begin_job_trace
from pvm_api.services import Services
from pvm_core.errors import InputError
from pvm_core.run_estimate import plain
from pvm_jobs.catalogue_columns import parse_columns
from pvm_jobs.lifecycle import JobStatus, derive_phase
from pvm_jobs.request import JobRequest
from pvm_jobs.source_kinds import KINDS
from pvm_resources.estimates.estimator import estimate
from pvm_resources.sources.admission import check_configured, complete_request
from pvm_resources.store.inbox import Idempotency
from pvm_resources.store.records import Industry, StageShare

router: Final = APIRouter(tags=["jobs"])

#: Form fields that may hold JSON; the others are text, or numbers as text.
_JSON_FIELDS: Final = frozenset({"queries", "tops", "products", "videos", "platforms"})
_FORM_FIELDS: Final = 20
#: Seconds that a callback's name may take to resolve.
_RESOLVE_S: Final = 2.0
_EPOCH: Final = datetime.fromtimestamp(0, UTC)

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/JobBody"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["request", "catalogue"],
                    "properties": {
                        "request": {"type": "string", "description": "JobBody as JSON."},
                        "catalogue": {
                            "type": "string",
                            "format": "binary",
                            "description": f"Catalogue file: {', '.join(uploads.KINDS)}.",
                        },
                    },
                }
            },
        },
    }
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request answers with the same job, e.g. n8n's execution id.",
    ),
]


@dataclass(frozen=True)
class ParsedRequest:
    """A parsed and admitted request; its gaps are not filled yet."""

    industry: str
    request: JobRequest

    @property
    def digest(self) -> bytes:
        """SHA-256 of it: two bodies that mean the same are the same."""
        text = json.dumps([self.industry, self.request.to_json()], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@router.post(
    "/v1/jobs",
    operation_id="startJob",
    status_code=202,
    response_model=models.Accepted,
    openapi_extra=_BODY,
    summary="Start a job",
)
async def start_job(
    request: Request,
    response: Response,
    services: ServicesDep,
    base: Base,
    caller: Runner,
    idempotency_key: IdempotencyKey = None,
) -> models.Accepted:
    """Accepts a job; a run starts within seconds. Follow `status_url`, or name a `callback_url`."""
    body = await _body_of(request, services, caller)
    found = await run_in_threadpool(_submit, services, caller, body, idempotency_key, base)
    await begin_job_trace(request, services.store.job_traces, found.job_id)
    response.headers["Location"] = found.status_url
    return found


for _path, _name in (("/start-job", "startJobShort"), ("/orchestrator/start-job", "startJobFounding")):
    router.add_api_route(
        _path, start_job, methods=["POST"], operation_id=_name, status_code=202,
        response_model=models.Accepted, openapi_extra=_BODY, summary="Start a job (founding address)",
    )  # fmt: skip


@router.post("/v1/jobs/estimate", operation_id="estimateJob", summary="What a job would take")
async def estimate_job(body: models.JobBody, services: ServicesDep, caller: Reader) -> models.Estimate:
    """Products, videos, calls, what is left of each quota, time of each stage and space on disk, of a job
    with this body. Nothing is stored and no source is asked. A catalogue is uploaded before."""
    async with services.estimates.take():
        return await run_in_threadpool(_estimated, services, body)


@router.get("/v1/jobs", operation_id="listJobs", summary="List jobs, newest first")
def list_jobs(
    request: Request,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    industry: IndustryFilter = None,
    status: Annotated[list[JobStatus] | None, Query(max_length=10)] = None,
    archived: bool = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.Page[models.Job]:
    """Jobs of one industry or of all, newest first."""
    filters = {"industry": industry, "status": status, "archived": archived}
    after = services.cursors.read("jobs", filters, cursor) if cursor else None
    slug = services.store.industries.get(industry).slug if industry else None
    rows = services.store.match_queries.jobs(
        limit + 1,
        industry=slug,
        statuses=status or (),
        archived=archived,
        after=(datetime.fromisoformat(after[0]), after[1]) if after else None,
    )
    page, last = cut(rows, limit)
    follow = (
        services.cursors.write("jobs", filters, [last.created_at.isoformat(), last.job_id]) if last else None
    )
    progress = _progress(services, [row.job_id for row in page])
    return models.Page[models.Job](
        items=[views.job(row, base, progress) for row in page],
        next=next_url(request, base, follow),
    )


@router.get("/v1/jobs/{job_id}", operation_id="getJob", summary="How a job goes")
def get_job(job_id: JobId, services: ServicesDep, base: Base, caller: Reader) -> models.JobDetail:
    """Status, phase, per cent, counts, stages and sources of a job."""
    row = services.store.match_queries.job(job_id)
    job = views.job(row, base, _progress(services, [job_id]))
    return models.JobDetail(
        **job.model_dump(),
        request=_shown(services, services.store.jobs.get(job_id).request),
        counts=models.Counts(**vars(services.store.jobs.counts(job_id))),
        progress=[models.Progress(**vars(stage)) for stage in services.store.state.progress(job_id)],
        sources=[
            models.Source(**vars(state) | {"source": services.places.shown(state.source)})
            for state in services.store.source_runs.states(job_id)
        ],
    )


router.add_api_route(
    "/status/{job_id}", get_job, methods=["GET"], operation_id="getJobStatus",
    response_model=models.JobDetail, summary="How a job goes (founding address)",
)  # fmt: skip


@router.post("/v1/jobs/{job_id}/cancel", operation_id="cancelJob", status_code=202, summary="Cancel a job")
def cancel_job(job_id: JobId, services: ServicesDep, base: Base, caller: Runner) -> models.Job:
    """Ends the job. What is finished stays, and a retry goes on from there."""
    if not services.store.inbox.cancel(job_id, caller.caller):
        raise ApiError("job.ended", "the job has ended already", "Retry it, or delete it")
    return _one(services, base, job_id)


@router.post("/v1/jobs/{job_id}/retry", operation_id="retryJob", status_code=202, summary="Run a job again")
def retry_job(job_id: JobId, services: ServicesDep, base: Base, caller: Runner) -> models.Job:
    """Runs a job that has ended once more; finished items are reused."""
    services.store.inbox.retry(job_id, caller.caller)
    return _one(services, base, job_id)


@router.post("/v1/jobs/{job_id}/archive", operation_id="archiveJob", summary="Archive a job")
def archive_job(job_id: JobId, services: ServicesDep, base: Base, caller: Runner) -> models.Job:
    """Takes a job that has ended out of lists and out of Dagster; its results stay readable."""
    services.store.inbox.archive(job_id, caller.caller)
    return _one(services, base, job_id)


@router.delete("/v1/jobs/{job_id}", operation_id="deleteJob", status_code=204, summary="Delete a job")
def delete_job(job_id: JobId, services: ServicesDep, caller: Runner) -> None:
    """Removes a job that has ended, with its matches. Stored pictures and features stay for other jobs."""
    services.store.inbox.delete(job_id, caller.caller)


@router.get("/v1/jobs/{job_id}/events", operation_id="listJobEvents", summary="Events of a job, in order")
def list_events(
    request: Request, job_id: JobId, services: ServicesDep, base: Base, caller: Reader, limit: Limit = 100,
    cursor: Cursor = None,
) -> models.Page[models.Event]:  # fmt: skip
    """Phase events and per-item events of a job, in the order of writing."""
    services.store.match_queries.job(job_id)
    after = services.cursors.read("events", {"job": job_id}, cursor)[0] if cursor else 0
    page, last = cut(services.store.match_queries.events(job_id, limit + 1, after), limit)
    follow = services.cursors.write("events", {"job": job_id}, [last.seq]) if last else None
    items = [models.Event(**vars(event)) for event in page]
    return models.Page[models.Event](items=items, next=next_url(request, base, follow))


@router.get("/v1/jobs/{job_id}/problems", operation_id="listJobProblems", summary="What a job went without")
def list_problems(
    request: Request, job_id: JobId, services: ServicesDep, base: Base, caller: Reader, limit: Limit = 100,
    cursor: Cursor = None,
) -> models.Page[models.JobProblem]:  # fmt: skip
    """Failures of single items, by stage."""
    services.store.match_queries.job(job_id)
    after = services.cursors.read("problems", {"job": job_id}, cursor) if cursor else None
    rows = services.store.match_queries.problems(
        job_id, limit + 1, (after[0], after[1], after[2]) if after else None
    )
    page, last = cut(rows, limit)
    place = [last.stage, last.item_hash, last.code] if last else None
    follow = services.cursors.write("problems", {"job": job_id}, place) if place else None
    items = [models.JobProblem(**vars(problem)) for problem in page]
    return models.Page[models.JobProblem](items=items, next=next_url(request, base, follow))


# -- starting -----------------------------------------------------------------------------------------


async def _body_of(request: Request, services: Services, caller: Principal) -> models.JobBody:
    """The body, JSON or a form with a catalogue, which is kept at once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(
            max_files=1, max_fields=_FORM_FIELDS, max_part_size=json_body.BYTES_MAX
        ) as form:
            given = _fields(form)
            file = form.get("catalogue")
            if isinstance(file, UploadFile):
                given["products"] = [
                    *_listed(given.get("products")),
                    await _catalogue(file, services, caller, parse_columns(given.get("columns"))),
                ]
    elif kind == "application/json" or kind.endswith("+json"):
        given = _object(await request.body(), "body")
    else:
        raise ApiError("request.type", "the body is neither JSON nor a form", "Send application/json")
    try:
        return models.JobBody.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**one, "loc": ("body", *one["loc"])}
                for one in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from error


async def _catalogue(file: UploadFile, services: Services, caller: Principal, columns: dict[str, str]) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        while data := await file.read(64 * 1024):
            yield data

    if uploads.kind_of(file.filename) in uploads.VIDEOS:
        raise _bad("catalogue", "a video is uploaded by itself, with POST /v1/uploads")
    return (await services.uploads.take(chunks(), file.filename, caller.caller, columns)).source


def _fields(form: FormData) -> dict[str, Any]:
    """A form's fields: all of them as JSON in `request`, or one by one."""
    given: dict[str, Any] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str):
            if name != "catalogue":
                raise _bad(name, "a file belongs in the field catalogue")
        elif name == "request":
            given |= _object(value.encode("utf-8", "surrogatepass"), name)
        elif name in _JSON_FIELDS and value.lstrip()[:1] in ("[", "{"):
            given[name] = _json(value.encode("utf-8", "surrogatepass"), name)
        else:
            given[name] = value
    return given


def _object(data: bytes, name: str) -> dict[str, Any]:
    found = _json(data, name)
    if not isinstance(found, dict):
        raise _bad(name, "it is no JSON object")
    return found


def _json(data: bytes, name: str) -> Any:
    if (fault := json_body.fault_of(data)) is not None:
        raise _bad(name, fault)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(name, f"it is no JSON ({error})") from error


def _bad(name: str, reason: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", name), "msg": reason, "type": "request.json"}])


def _listed(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, list) else [given]


def _submit(
    services: Services, caller: Principal, body: models.JobBody, promised: str | None, base: str
) -> models.Accepted:
    asked = _parsed(services, body)
    industry = _industry_of(services, asked.industry)
    complete = complete_request(asked.request, industry or _blank(asked.industry), services.settings)
    industry = industry or services.store.industries.ensure(asked.industry)
    idempotency = None
    if promised is not None:
        key = hashlib.sha256(promised.encode("utf-8", "surrogatepass")).digest()
        idempotency = Idempotency(caller.caller, key, asked.digest)
    job_id, _ = services.store.inbox.submit(
        industry.slug, complete.to_json(), caller.caller, idempotency=idempotency
    )
    return models.Accepted(
        job_id=job_id,
        industry=industry.slug,
        status=services.store.match_queries.job(job_id).status,
        status_url=f"{base}/v1/jobs/{job_id}",
        results_url=f"{base}/v1/results?job={job_id}",
    )


def _estimated(services: Services, body: models.JobBody) -> models.Estimate:
    asked = _admitted(services, body, used=False)
    industry = services.store.industries.draft(asked.industry)
    request = complete_request(asked.request, industry, services.settings)
    try:
        found = plain(estimate(services.store, services.settings, industry, request))
    except InputError as error:
        # Paths of this machine are not shown to callers.
        raise InputError(
            error.code, services.places.shown(error.subject), error.reason, error.remedy
        ) from error
    for source in found["sources"]:
        source["source"] = services.places.shown(source["source"])
    return models.Estimate(**found)


def _parsed(services: Services, body: models.JobBody) -> ParsedRequest:
    found = _admitted(services, body)
    request = found.request
    if request.callback_url is not None:
        target = services.callback_addresses.check(request.callback_url)
        # A name that does not resolve now may do so when the job has ended.
        with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException):
            services.callback_addresses.addresses(target, _RESOLVE_S)
    return found


def _admitted(services: Services, body: models.JobBody, *, used: bool = True) -> ParsedRequest:
    """The request with its sources admitted and configured; uploads count as used by it where `used`."""
    name = " ".join(body.industry.split())
    if not name:
        raise InputError("industry.name", "industry", "its name is empty", "Give it a name")
    request = services.places.admit(JobRequest.parse(body.model_dump(exclude_defaults=True)), used=used)
    check_configured(request, services.settings)
    return ParsedRequest(name, request)


def _industry_of(services: Services, name: str) -> Industry | None:
    try:
        return services.store.industries.get(name)
    except InputError:
        return None


def _blank(name: str) -> Industry:
    return Industry("", name, {}, {}, "default", {}, _EPOCH, _EPOCH)


# -- reading ------------------------------------------------------------------------------------------


def _one(services: Services, base: str, job_id: str) -> models.Job:
    return views.job(services.store.match_queries.job(job_id), base, _progress(services, [job_id]))


def _progress(services: Services, job_ids: list[str]) -> views.JobProgress:
    """What the jobs have reached, also those that failed since."""
    names = services.store.match_queries.phase_events(job_ids)
    shares: dict[str, list[StageShare]] = {}
    for one in services.store.state.shares(job_ids):
        shares.setdefault(one.job_id, []).append(one)
    phases = {job: derive_phase(names.get(job, ())) for job in job_ids}
    return views.JobProgress(phases, shares, services.store.state.now())


def _shown(services: Services, request: Mapping[str, Any]) -> dict[str, Any]:
    """A request without places of this machine and without the callback's secrets."""
    found = JobRequest.parse(request)
    shown: dict[str, Any] = {kind: tuple(map(services.places.shown, getattr(found, kind))) for kind in KINDS}
    return found.model_copy(update={**shown, "callback_url": None}).to_json()
