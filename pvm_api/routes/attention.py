"""Who looks where in a video, as its analysis has it, or why there is none."""

from __future__ import annotations

import uuid
from typing import Any, Final

from fastapi import APIRouter

from pvm_api import models
from pvm_api.deps import Base, JobFilter, Reader, ServicesDep
from pvm_core.errors import public_dict
from pvm_resources.code_sockets import ATTENTION, code_socket, has_died
from pvm_resources.store.attention import JobAttention, VideoAttention, VideoVariant, missing_reason

router: Final = APIRouter(tags=["results"])
_SECOND: Final = ("second", "score", "coverage", "pose", "gaze", "eyes")


@router.get(
    "/v1/videos/{video_id}/attention", operation_id="getVideoAttention", summary="Attention in a video"
)
def get_attention(
    video_id: uuid.UUID, services: ServicesDep, base: Base, caller: Reader, job: JobFilter = None
) -> models.VideoAttention:
    """The presenter's attention, each face's curve by second, blinks and PERCLOS; without `job` of the newest
    analysis of any job that holds the video. Where there is none, `status` and `reason` say why."""
    services.store.match_queries.video(video_id)
    analyses = services.store.attention.jobs_of(video_id)
    analysis = next((one for one in analyses if job in (None, one.job_id)), None)
    found = services.store.attention.of_video(video_id, analysis.job_id) if analysis else None
    variants = services.store.attention.variants(video_id, analysis.job_id) if analysis else []
    reason = None
    if found is None:
        died = has_died(code_socket(services.settings.home, ATTENTION))
        reason = missing_reason(analysis, location_died=died)
    return _answer(video_id, analysis, found, reason, [_variant(one) for one in variants], base)


def _answer(
    video_id: uuid.UUID,
    analysis: JobAttention | None,
    found: VideoAttention | None,
    reason: dict[str, Any] | None,
    variants: list[models.AttentionVariant],
    base: str,
) -> models.VideoAttention:
    return models.VideoAttention(
        video_id=video_id,
        job_id=analysis.job_id if analysis else None,
        status="complete" if found else _status(analysis),
        reason=public_dict(reason) if reason else None,
        score=found.score if found else None,
        coverage=found.coverage if found else None,
        confidence=found.confidence if found else None,
        presenter=found.presenter if found else None,
        tracks=[_track(track) for track in found.tracks] if found else [],
        variants=variants,
        matches_url=f"{base}/v1/results?video={video_id}",
    )


def _variant(one: VideoVariant) -> models.AttentionVariant:
    found, faces = one.found, one.faces
    left_out = found is None and one.status == "complete"
    return models.AttentionVariant(
        detector=one.detector,
        main=one.main,
        status="complete" if found else "missing" if left_out else one.status,
        reason=public_dict(one.reason) if one.reason else None,
        score=found.score if found else None,
        coverage=found.coverage if found else None,
        confidence=found.confidence if found else None,
        presenter=found.presenter if found else None,
        frames=faces.looked if faces else None,
        frames_with_face=faces.with_face if faces else None,
        seconds_cpu=faces.seconds_cpu if faces else None,
        tracks=[_track(track) for track in found.tracks] if found else [],
    )


def _status(analysis: JobAttention | None) -> Any:
    return analysis.status if analysis and analysis.status != "complete" else "missing"


def _track(track: dict[str, Any]) -> models.AttentionTrack:
    seconds = [models.AttentionSecond(**dict(zip(_SECOND, row, strict=True))) for row in track["seconds"]]
    return models.AttentionTrack(**{**track, "seconds": seconds})
