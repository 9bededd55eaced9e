"""Routes of the review page."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from pvm_api.deps import ServicesDep
from pvm_api.paging import cut
from pvm_api.problems import ApiError, public_texts
from pvm_api.review.access import AnyVisitor, SignedIn, SignIn, Visitor, sessions_of
from pvm_api.review.attention_curve import AttentionCurve, curves_of
from pvm_api.review.filters import STATUSES, Filters
from pvm_api.review.i18n import LANGUAGES, Language
from pvm_api.review.links import at_second, web, within
from pvm_api.review.view import (
    LANGUAGE,
    THEME,
    THEMES,
    assets,
    fragment,
    here_of,
    language_of,
    page,
    version,
)
from pvm_api.services import Services
from pvm_api.serving import first_file, not_modified, serve_bytes
from pvm_api.thumbnails import small
from pvm_core import ids
from pvm_core.errors import InputError, PvmError, public_dict
from pvm_core.scoring.composition import composition
from pvm_resources.store.match_queries import JobRow
from pvm_resources.store.records import Industry
from pvm_resources.store.review_queries import COUNTED, SAID, SORTS, Card

#: Matches of one page; further ones follow as it is scrolled.
PAGE: Final = 60
_JOBS: Final = 10
_YEAR_S: Final = 31_536_000
_KEEP: Final = "private, max-age=3600"


class PageRoute(APIRoute):
    """A route whose refusals are pages too, and whose first answer sets the session."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, wrapped."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                response: Response = await handler(request)
            except SignIn:
                response = _sign_in_first(request)
            except PvmError as error:
                response = _refused(request, error)
            except RequestValidationError:
                response = _refused(request, _no_page("the address is not complete"))
            visitor: Visitor | None = getattr(request.state, "visitor", None)
            if visitor is not None and visitor.fresh and "set-cookie" not in response.headers:
                sessions_of(request).set(request, response, visitor.session)
            return response

        return answered


router: Final = APIRouter(prefix="/review", include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Shown:
    """What a page may show of a match, by the terms of its sources.

    Attributes:
        pictures: they may be shown and are there.
        missing: why they are not: ``purged``, ``restricted`` (the terms never let them be kept), ``none``.
        version: changes with what a thumbnail shows.
        attributions: what the terms require beside the material.
        product_url, video_url: None where there is no address of the web; the video's is at the second
            where its site takes one (`video_seeks`).
        rival_picture, rival_match: the rival's picture may be shown and is there; its own match in the video.
    """

    pictures: bool
    missing: str
    version: str
    attributions: tuple[str, ...]
    product_url: str | None
    video_url: str | None
    video_seeks: bool
    rival_picture: bool
    rival_match: uuid.UUID | None


def shown_of(card: Card, services: Services) -> Shown:
    """What may be shown of a match."""
    terms = (services.policies[card.source], services.policies.of_platform(card.platform))
    purged, restricted = card.media_purged_at is not None, not all(one.store_media for one in terms)
    there = bool(card.evidence_path) or (
        any((card.best.img_id, card.best.frame_id)) and not services.evidence.blurs(card.industry)
    )
    best, status, rival = card.best, card.effective_status, card.rival
    drawn = f"{card.evidence_path}|{best.img_id}|{best.frame_id}|{card.ts}|{card.score}|{status}"
    video, plain = at_second(card.video_url, card.ts), web(card.video_url)
    return Shown(
        pictures=there and not restricted and not purged,
        missing="purged" if purged else "restricted" if restricted else "none",
        version=hashlib.sha256(drawn.encode()).hexdigest()[:12],
        attributions=tuple(dict.fromkeys(one.attribution for one in terms if one.attribution)),
        product_url=web(card.product_url),
        video_url=video,
        video_seeks=video != plain,
        rival_picture=rival is not None
        and rival.img_id is not None
        and services.policies[rival.source].store_media,
        rival_match=ids.match_id(card.job_id, rival.product_id, card.video_id) if rival else None,
    )


# -- sessions -----------------------------------------------------------------------------------------


@router.get("/session/in")
def sign_in_page(request: Request, visitor: AnyVisitor, back: str = "/review") -> Response:
    """The sign-in page."""
    if visitor.principal is not None:
        return RedirectResponse(within(back), 303)
    return page(request, "login.html", back=within(back), wrong=False)


@router.post("/session/in")
def sign_in(
    request: Request,
    visitor: AnyVisitor,
    key: Annotated[str, Form(max_length=500)] = "",
    back: Annotated[str, Form()] = "/review",
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Exchanges a key for a session."""
    sessions = sessions_of(request)
    sessions.check(visitor, request, csrf_token)
    session = sessions.sign_in(request, key)
    if session is None:
        return page(request, "login.html", 403, back=within(back), wrong=True)
    response = RedirectResponse(within(back), 303)
    sessions.set(request, response, session)
    return response


@router.post("/session/out")
def sign_out(request: Request, visitor: AnyVisitor, csrf_token: Annotated[str, Form()] = "") -> Response:
    """Ends the session of this browser."""
    sessions_of(request).check(visitor, request, csrf_token)
    response = RedirectResponse("/review/session/in", 303)
    sessions_of(request).end(visitor.session, response)
    return response


@router.get("/session/look")
def appearance(request: Request, lang: str = "", theme: str = "", back: str = "/review") -> Response:
    """Keeps language and colours in cookies; a link may do so because this browser alone is concerned."""
    response = RedirectResponse(within(back), 303)
    for name, value, known in ((LANGUAGE, lang, tuple(LANGUAGES)), (THEME, theme, THEMES)):
        if value in known:
            response.set_cookie(name, value, max_age=_YEAR_S, httponly=True, samesite="lax", path="/review")
    return response


# -- files --------------------------------------------------------------------------------------------


@router.get("/static/{_version}/{name}")
def static_file(_version: str, name: str) -> Response:
    """A file of the page itself."""
    if name not in assets():
        raise _no_page("no such file")
    data, kind = assets()[name]
    keep = f"public, max-age={_YEAR_S}, immutable" if _version == version() else "no-store"
    return Response(data, media_type=kind, headers={"Cache-Control": keep})


@router.get("/thumb/{match_id}")
def thumbnail(request: Request, match_id: uuid.UUID, services: ServicesDep, visitor: SignedIn) -> Response:
    """A match's evidence, small."""
    pictures = services.store.review_queries.pictures(match_id)
    terms = (services.policies[pictures.source], services.policies.of_platform(pictures.platform))
    blurs = services.evidence.blurs(pictures.industry)
    # Product and frame as they are do not stand in for evidence whose faces are blurred.
    shown = all(one.store_media for one in terms) and (pictures.evidence is not None or not blurs)
    tag = services.thumbnails.tag(pictures) if shown else None
    if tag is None:
        raise ApiError("evidence.unknown", "there is no picture of it", "Open the match")
    # Material that the terms limit is cached nowhere: not here, not in the browser.
    limited = any(one.restricted for one in terms)
    item = services.evidence.item(match_id) if pictures.evidence and (pictures.overruled or blurs) else None
    if item is not None and not pictures.overruled and services.evidence.current(item):
        item = None
    tag = tag if item is None else services.evidence.tag(item, "en")
    if not limited and (same := not_modified(request, tag, _KEEP)):
        return same
    if item is None:
        data = services.thumbnails.make(pictures, tag, keep=not limited)
    else:
        data = small(services.evidence.make(item, "en", tag, keep=not limited))
    return serve_bytes(data, f"evidence-{match_id}.jpg", "no-store" if limited else _KEEP, tag)


# -- matches ------------------------------------------------------------------------------------------


@router.get("")
def overview(request: Request, services: ServicesDep, visitor: SignedIn) -> Response:
    """Industries with their precision and their jobs."""
    latest = {job.industry: job for job in services.latest_jobs(None)}
    listed = [
        (one, latest.get(one.slug), services.store.match_queries.jobs(_JOBS, industry=one.slug))
        for one in services.store.industries.list()
    ]
    ids = {job.job_id for _, last, jobs in listed for job in [*jobs, *([last] if last else [])]}
    tallies = services.labels.tallies(sorted(ids))
    industries = [
        {
            "slug": one.slug, "name": one.name, "latest": last,
            "tally": tallies[last.job_id] if last else None,
            "jobs": [(job, tallies[job.job_id]) for job in jobs],
        }
        for one, last, jobs in listed
    ]  # fmt: skip
    return page(request, "overview.html", industries=industries)


def _curves(services: Services, card: Card) -> list[AttentionCurve]:
    """The attention of the match's video under the analyses of its job."""
    return curves_of(services.store.attention.variants(card.video_id, card.job_id), card.ts)


@router.get("/match/{match_id}")
def match(
    request: Request,
    match_id: uuid.UUID,
    services: ServicesDep,
    visitor: SignedIn,
    last: uuid.UUID | None = None,
) -> Response:
    """One match, large."""
    card = services.store.review_queries.card(match_id)
    # Before the curve is read: an event that comes in between is sent again, none is missed.
    live_after = services.store.attention.place(card.job_id)
    filters = Filters.parse(request.query_params)
    wanted, place = filters.wanted(card.job_id), card.place(filters.sort)
    following = services.store.review_queries.cards(wanted, 1, place)
    before = services.store.review_queries.cards(wanted, 1, place, backwards=True)
    judged = services.store.review_queries.card(last) if last is not None else None
    reason = language_of(request).reason(card.reason)
    return page(
        request, "match.html", card=card, shown=shown_of(card, services), filters=filters,
        curves=_curves(services, card), live_after=live_after,
        industry=services.store.industries.get(card.industry), reason=reason,
        next=following[0].match_id if following else None,
        next_pictures=any(one.evidence_path and shown_of(one, services).pictures for one in following),
        previous=before[0].match_id if before else None,
        last=judged if judged is not None and judged.label else None,
        parts=composition(card.score, card.best.score_pair),
        kept=first_file(services.store.match_queries.video_places(card.video_id)) is not None,
        history=services.labels.history(match_id),
    )  # fmt: skip


@router.get("/match/{match_id}/attention")
def attention(request: Request, match_id: uuid.UUID, services: ServicesDep, visitor: SignedIn) -> Response:
    """The attention of the match's video as its page shows it, for the page to show it anew."""
    card = services.store.review_queries.card(match_id)
    return HTMLResponse(fragment(request, "attention_of", _curves(services, card), card.ts))


@router.post("/match/{match_id}/verdict")
def judge(
    request: Request,
    match_id: uuid.UUID,
    services: ServicesDep,
    visitor: SignedIn,
    verdict: Annotated[Literal["accept", "reject", "unsure", "undo"], Form()],
    csrf_token: Annotated[str, Form()] = "",
    back: Annotated[str, Form(max_length=4_000)] = "/review",
    advance: Annotated[bool, Form()] = False,
) -> Response:
    """Stores a verdict or its undo; a script gets what changed, a form the next page."""
    sessions_of(request).check(visitor, request, csrf_token)
    assert visitor.principal is not None
    services.judge(match_id, verdict, visitor.principal.name)
    card = services.store.review_queries.card(match_id)
    back = within(back)
    filters = Filters.parse(QueryParams(urlsplit(back).query))
    if request.headers.get("x-requested-with") == "review":
        return JSONResponse(_changed(request, services, visitor, card, verdict, filters, back))
    if not advance:
        return RedirectResponse(f"{back}#m-{match_id}", 303)
    if verdict == "undo":
        return RedirectResponse(f"/review/match/{match_id}{filters.query()}", 303)
    following = _next_open(services, card, filters)
    if following is None:
        return RedirectResponse(f"/review/{card.job_id}{filters.query(done='1')}", 303)
    return RedirectResponse(f"/review/match/{following}{filters.query(last=match_id)}", 303)


@router.get("/{place}")
def grid(
    request: Request,
    place: str,
    services: ServicesDep,
    visitor: SignedIn,
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
    done: str = "",
) -> Response:
    """Matches of a job, or of an industry's latest completed one."""
    industry, job = _place(services, place)
    filters = Filters.parse(request.query_params)
    # Later pages are of the same job as the first one, whatever completes meanwhile.
    given = {"filters": filters.query()}
    at = services.cursors.read("review", given, cursor) if cursor else None
    if at is not None:
        job = services.store.match_queries.job(at[0])
    wanted = filters.wanted(job.job_id)
    rows = services.store.review_queries.cards(wanted, limit + 1, at[1] if at else None)
    cards, last = cut(rows, limit)
    follow = services.cursors.write("review", given, [job.job_id, last.place(filters.sort)]) if last else None
    size = {"limit": limit} if limit != PAGE else {}
    count = services.store.review_queries.count(wanted)
    return page(
        request, "grid.html", industry=industry, job=job, filters=filters,
        path=request.url.path, cards=[(card, shown_of(card, services)) for card in cards],
        next=f"{request.url.path}{filters.query(cursor=follow, **size)}" if follow else None,
        found=_found(language_of(request), count), first_page=at is not None,
        tally=services.labels.tallies([job.job_id])[job.job_id], done=bool(done),
        statuses=STATUSES, saids=SAID, sorts=SORTS,
        only_product=cards[0].title or cards[0].product if cards else "–",
        only_video=cards[0].video_title or cards[0].video if cards else "–",
    )  # fmt: skip


def _found(spoken: Language, count: int) -> str:
    shown = spoken.number(min(count, COUNTED))
    if count > COUNTED:
        return spoken.gettext("More than %(count)s matches", count=shown)
    return spoken.ngettext("%(count)s match", "%(count)s matches", count, count=shown)


def _place(services: Services, place: str) -> tuple[Industry, JobRow]:
    try:
        job = services.store.match_queries.job(place)
    except InputError:
        industry = services.store.industries.get(place)
        found = services.latest_jobs(industry.slug)
        if not found:
            reason = "no job of it has completed"
            raise InputError("job.none", industry.name, reason, "See its jobs") from None
        return industry, found[0]
    return services.store.industries.get(job.industry), job


def _changed(
    request: Request,
    services: Services,
    visitor: Visitor,
    card: Card,
    verdict: str,
    filters: Filters,
    back: str,
) -> dict[str, Any]:
    tally = services.labels.tallies([card.job_id])[card.job_id]
    names = {"product": card.title or card.product, "video": card.video_title or card.video}
    return {
        "card": fragment(request, "card_of", card, shown_of(card, services), visitor, filters, back),
        "tally": fragment(request, "tally_of", tally),
        "said": language_of(request).label("said", verdict, **names),
        "label": card.label,
    }


def _next_open(services: Services, card: Card, filters: Filters) -> uuid.UUID | None:
    """The next match without a verdict, in the order of the list; from its beginning after its end."""
    cards, place = services.store.review_queries.cards, card.place(filters.sort)
    if filters.said and "open" not in filters.said:
        found = cards(filters.wanted(card.job_id), 1, place)
    else:
        opened = filters.model_copy(update={"said": ("open",)}).wanted(card.job_id)
        found = cards(opened, 1, place) or cards(opened, 1)
    return found[0].match_id if found else None


def _sign_in_first(request: Request) -> Response:
    if request.method in ("GET", "HEAD") and "/thumb/" not in request.url.path:
        return RedirectResponse(f"/review/session/in?back={quote(here_of(request), safe='')}", 303)
    return page(
        request, "error.html", 401, kind="refused", code="auth.missing", detail="you are signed out",
        remedy="Sign in, then do it again",
    )  # fmt: skip


def _no_page(reason: str) -> ApiError:
    return ApiError("review.address", reason, "Begin at the overview")


def _refused(request: Request, error: PvmError) -> Response:
    status = error.http_status
    if request.headers.get("x-requested-with") == "review":
        reason = public_dict(error.to_dict())["reason"]
        return JSONResponse({"reason": reason, "code": error.code}, status)
    kind = "missing" if status == 404 else "refused" if status < 500 else "ours"
    detail, remedy = public_texts(error)
    response = page(request, "error.html", status, kind=kind, code=error.code, detail=detail, remedy=remedy)
    response.headers.update(getattr(error, "headers", {}))
    return response
