"""Products like a picture, and videos that show it: the one embedder of the platform, the one index."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool

from pvm_api import models
from pvm_api.deps import Base, IndustryFilter, Reader, ServicesDep
from pvm_api.problems import ApiError
from pvm_api.services import Services
from pvm_api.unknown_names import EXTRA
from pvm_core.errors import InputError, ModelError
from pvm_core.links import at_second, fragment
from pvm_resources.store.records import Model

if TYPE_CHECKING:
    from pvm_assets.work.picture_search import FoundVideo
    from pvm_core.embedders import Embedder
    from pvm_core.masks import Segmenter

_log: Final = logging.getLogger("pvm.api")
router: Final = APIRouter(tags=["search"])

Found = TypeVar("Found", models.SimilarList, models.VideoHits)

Count = Annotated[int, Query(ge=1, le=100, description="Most pictures wanted.")]
_PICTURE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["picture"],
                    "properties": {"picture": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.get("/v1/products/similar", operation_id="findSimilar", summary="Products like a stored picture")
def similar(
    services: ServicesDep,
    base: Base,
    caller: Reader,
    image_id: Annotated[uuid.UUID, Query(description="A product picture of any job.")],
    limit: Count = 20,
) -> models.SimilarList:
    """Product pictures of all jobs, most alike first; the picture itself is left out."""
    if services.store.match_queries.image_key(image_id) is None:
        raise InputError("image.unknown", str(image_id), "there is no such image", "Take an id from a result")
    model = active_model(services)
    vector = services.store.match_queries.image_of(image_id, model.model_key)
    if vector is None:
        raise ModelError(
            "model.other", str(image_id), f"{model.name} has not seen it", "Run its job again with that model"
        )
    return _answer(services, base, model, vector, limit, image_id)


@router.post(
    "/v1/products/similar",
    operation_id="findSimilarToPicture",
    openapi_extra=_PICTURE,
    summary="Products like a picture of yours",
)
async def similar_to_picture(
    request: Request, response: Response, services: ServicesDep, base: Base, caller: Reader, limit: Count = 20
) -> models.SimilarList:
    """Product pictures of all jobs, most alike first. The picture is not kept; formats as in a catalogue."""
    return await _searched(request, services, partial(_by_picture, request, services, base, limit))


@router.post(
    "/v1/videos/similar",
    operation_id="findVideosOfPicture",
    openapi_extra=_PICTURE,
    summary="Videos that show a picture of yours",
)
async def videos_of_picture(
    request: Request,
    response: Response,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    industry: IndustryFilter = None,
    limit: Count = 20,
) -> models.VideoHits:
    """Videos whose stored keyframes show the product of the picture, best first, verified and decided like a
    match, but without rivals. JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC; it is not kept."""
    return await _searched(request, services, partial(_videos, request, services, base, industry, limit))


async def _searched(request: Request, services: Services, search: Callable[[bytes], Found]) -> Found:
    """What a search finds for the file of the field `picture`; searches take turns."""
    from pvm_core.images import PictureLimits

    async with request.form(max_files=1, max_fields=1) as form:
        if other := [name for name in form if name != "picture"]:
            raise RequestValidationError(
                [{"loc": ("body", name), "msg": "", "type": EXTRA} for name in other]
            )
        file = form.get("picture")
        if file is None or isinstance(file, str):
            raise ApiError("picture.missing", "the field picture holds no file", "Send it as a form")
        # Before its bytes are in memory: a picture of forty million pixels is a third of a gigabyte.
        async with services.searches.take():
            # One byte more than allowed is enough to be refused.
            data = await file.read(PictureLimits().max_bytes + 1)
            return await run_in_threadpool(search, data)


def _videos(
    request: Request, services: Services, base: str, industry: str | None, limit: int, data: bytes
) -> models.VideoHits:
    from pvm_assets.work.picture_search import search_picture, search_videos
    from pvm_resources.models.calibrations import calibration_for

    chosen = services.store.industries.get(industry) if industry else None
    rules = services.settings.rules_of(*((chosen.rule_set, chosen.rules) if chosen else ("default", {})))
    model = active_model(services)
    embedder = _embedder(request, services, model)
    picture = search_picture(
        data, "the picture", embedder, _segmenter(services, model), model, services.store, services.media
    )
    slug = chosen.slug if chosen else None
    found = search_videos(
        services.store, services.media, model, picture, rules,
        calibration_for(services.store.calibrations, services.settings.models, slug, model.name),
        industry=slug,
    )  # fmt: skip
    shown = [one for one in found.videos if one.decision.status != "rejected"][:limit]
    return models.VideoHits(
        embed_model=model.name, frames=found.frames, unknown=found.unknown,
        items=[_hit(one, base) for one in shown],
    )  # fmt: skip


def _hit(one: FoundVideo, base: str) -> models.VideoHit:
    frame, decision = one.frame, one.decision
    url = at_second(frame.url, frame.ts)
    if url is None and frame.video_path:
        url = f"{base}/v1/videos/{frame.video_id}/file#{fragment(frame.ts)}"
    return models.VideoHit(
        video_id=frame.video_id, video=frame.video, platform=frame.platform, video_title=frame.title,
        channel=frame.channel, published_at=frame.published_at, video_url=url or frame.url, ts=frame.ts,
        score=decision.score, status=decision.status, reason=decision.reason.text(),
        sim_deep=decision.best.sim_deep, sim_kp=decision.best.sim_kp, sim_edge=decision.best.sim_edge,
        mirrored=decision.mirrored, consistency=decision.consistency, frame_id=frame.frame_id,
        frame_url=f"{base}/v1/frames/{frame.frame_id}",
        video_api_url=f"{base}/v1/videos/{frame.video_id}",
    )  # fmt: skip


def _by_picture(
    request: Request, services: Services, base: str, limit: int, data: bytes
) -> models.SimilarList:
    from pvm_assets.work.picture_search import search_picture

    model = active_model(services)
    embedder = _embedder(request, services, model)
    found = search_picture(
        data, "the picture", embedder, _segmenter(services, model), model, services.store, services.media
    )
    return _answer(services, base, model, found.views.rgb[0].tolist(), limit, None)


def active_model(services: Services) -> Model:
    """The model that product pictures are known under."""
    found = next((model for model in services.store.features.models("embedder") if model.active), None)
    if found is None:
        raise ModelError("model.none", "search", "no picture was embedded yet", "Run a job first")
    return found


def _embedder(request: Request, services: Services, model: Model) -> Embedder:
    """One embedder stays loaded: a learned one is hundreds of megabytes. Searches take turns (`Services`)."""
    loaded: tuple[str, Embedder] | None = getattr(request.app.state, "embedder", None)
    if loaded is not None and loaded[0] == model.model_key:
        return loaded[1]
    from pvm_core.embedders import load_embedder

    fresh = load_embedder(model.name, services.settings.models)
    request.app.state.embedder = (model.model_key, fresh)
    return fresh


def _segmenter(services: Services, model: Model) -> Segmenter | None:
    from pvm_assets.work.picture_search import stored_segmenter

    try:
        return stored_segmenter(model, services.settings.segmenter, services.settings.models)
    except ModelError as error:
        _log.warning("the picture that is searched for goes on unmasked: %s", error)
        return None


def _answer(
    services: Services, base: str, model: Model, vector: list[float], limit: int, itself: uuid.UUID | None
) -> models.SimilarList:
    import numpy as np

    near = services.store.features.ann_search(model.model_key, np.array(vector, np.float32), limit + 1)
    near = [one for one in near if one.img_id != itself][:limit]
    listed = services.store.product_queries.of([one.product_id for one in near])
    products = {product.product_id: product for product in listed}
    items = [
        models.Similar.of(
            products[one.product_id],
            image_id=one.img_id,
            image_url=f"{base}/v1/images/{one.img_id}",
            product_api_url=f"{base}/v1/products/{one.product_id}",
            similarity=one.similarity,
        )
        for one in near
        if one.product_id in products
    ]
    return models.SimilarList(embed_model=model.name, items=items)
