"""Pictures and videos, by the row they belong to: no caller names a file."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from pvm_api.deps import Reader, ServicesDep
from pvm_api.problems import ApiError
from pvm_api.review.i18n import language
from pvm_api.services import Services
from pvm_api.serving import first_file, not_modified, serve_bytes, serve_file, serve_stored
from pvm_core.errors import InputError
from pvm_core.evidence.words import Language

router: Final = APIRouter(tags=["media"])

#: The content of a stored picture never changes; evidence is drawn again where its match changed.
_FOREVER: Final = "private, max-age=31536000, immutable"
_REVALIDATE: Final = "private, no-cache"
#: Material that a source's terms limit in time must not stay in the caller's cache.
_RESTRICTED: Final = "no-store"


Layout = Annotated[
    Literal["wide", "portrait"], Query(description="`portrait`: the pictures under each other, for a phone.")
]
Lang = Annotated[Language, Query(description="Language of the texts in it.")]


def _binary(kind: str) -> dict[int | str, dict[str, Any]]:
    body = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "The whole.", "content": body},
        206: {"description": "The range requested.", "content": body},
        304: {"description": "Unchanged: If-None-Match named it."},
        416: {"description": "The range lies outside."},
    }


_JPEG: Final[dict[str, Any]] = {"response_class": Response, "responses": _binary("image/jpeg")}


@router.get(
    "/v1/matches/{match_id}/evidence",
    operation_id="getEvidence",
    summary="The picture that proves a match",
    **_JPEG,
)
def evidence(
    request: Request,
    match_id: uuid.UUID,
    services: ServicesDep,
    caller: Reader,
    lang: Lang = "en",
    layout: Layout = "wide",
) -> Response:
    """Product and frame side by side, or under each other for a narrow screen, with the points that agree,
    the score and why. A verdict of people stands over the score. Faces are blurred where the industry's rules
    ask for it (`blur_faces`)."""
    key = services.store.match_queries.evidence_key(match_id)
    if key is None:
        raise _unknown("evidence", match_id)
    item = services.evidence.item(match_id)
    portrait = layout == "portrait"
    same = lang == "en" and item.effective_status == item.status and not portrait
    if same and services.evidence.current(item):
        return _picture(request, services, key, "evidence", match_id, _REVALIDATE)
    rule, tag = (
        cache_rule(services, match_id, _REVALIDATE),
        services.evidence.tag(item, lang, portrait=portrait),
    )
    if (unchanged := not_modified(request, tag, rule)) is not None:
        return unchanged
    reason = language(lang).reason(item.reason) or ""
    drawn = services.evidence.make(
        item, lang, tag, keep=rule == _REVALIDATE, reason=reason, portrait=portrait
    )
    return serve_bytes(drawn, f"evidence-{match_id}.jpg", rule, tag)


@router.get("/v1/images/{image_id}", operation_id="getImage", summary="A product picture", **_JPEG)
def image(request: Request, image_id: uuid.UUID, services: ServicesDep, caller: Reader) -> Response:
    """A product picture as stored, longest side 1,024 pixels at most."""
    key = services.store.match_queries.image_key(image_id)
    return _picture(request, services, key, "image", image_id, _FOREVER)


@router.get("/v1/frames/{frame_id}", operation_id="getFrame", summary="A keyframe", **_JPEG)
def frame(request: Request, frame_id: uuid.UUID, services: ServicesDep, caller: Reader) -> Response:
    """A keyframe as stored, longest side 960 pixels at most."""
    key = services.store.match_queries.frame_key(frame_id)
    return _picture(request, services, key, "frame", frame_id, _FOREVER)


@router.get(
    "/v1/videos/{video_id}/file",
    operation_id="getVideoFile",
    response_class=Response,
    responses=_binary("video/mp4"),
    summary="A video's file, where it is kept",
)
def video_file(request: Request, video_id: uuid.UUID, services: ServicesDep, caller: Reader) -> Response:
    """The file with ranges, so that a player can seek."""
    row = services.store.match_queries.video(video_id)
    path = first_file(services.store.match_queries.video_places(video_id))
    if path is not None:
        try:
            cache = cache_rule(services, video_id, _FOREVER)
            return serve_file(request, path, f"{video_id}{path.suffix[:8]}", cache, row.sha256)
        except OSError:
            path = None
    raise ApiError("video.not_kept", "its file is not kept here", "Open the video's own address")


def _picture(
    request: Request, services: Services, key: str | None, kind: str, item: uuid.UUID, cache: str
) -> Response:
    if key is None:
        raise _unknown(kind, item)
    rule = cache_rule(services, item, cache)
    return serve_stored(request, services.media, key, f"{kind}-{item}.jpg", rule)


def _unknown(kind: str, item: uuid.UUID) -> InputError:
    return InputError(
        f"{kind}.unknown", str(item), f"there is no such {kind}", "Take the address from a result"
    )


def cache_rule(services: Services, item: uuid.UUID, free: str) -> str:
    """`free`, or no caching where the terms of the item's source limit how long it may be kept."""
    sources, platforms = services.store.match_queries.origins(item)
    restricted = any(services.policies.restricted(source) for source in sources) or any(
        services.policies.of_platform(platform).restricted for platform in platforms
    )
    return _RESTRICTED if restricted else free
