"""Rows as answers, with absolute links and progress as per cent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pvm_api import models
from pvm_assets.job_progress import eta_s, percent_of
from pvm_core import ids
from pvm_core.errors import public_dict
from pvm_core.links import at_second, fragment
from pvm_resources.store.match_queries import JobRow, PictureRow, VideoRow
from pvm_resources.store.match_record import MatchView
from pvm_resources.store.product_queries import ProductRow
from pvm_resources.store.records import Industry, StageShare


@dataclass(frozen=True)
class JobProgress:
    """What jobs have reached: the phase that their events state, the shares of their stages, and when."""

    phases: Mapping[str, str]
    shares: Mapping[str, Sequence[StageShare]]
    now: datetime


def job(row: JobRow, base: str, progress: JobProgress) -> models.Job:
    """A job, and how far it is."""
    reached, shares = progress.phases[row.job_id], progress.shares.get(row.job_id, ())
    return models.Job.of(
        row,
        error=public_dict(row.error) if row.error else None,
        percent=percent_of(row.status == "completed", reached, shares),
        eta_s=eta_s(reached, shares, progress.now) if row.status == "running" else None,
        status_url=f"{base}/v1/jobs/{row.job_id}",
        results_url=f"{base}/v1/results?job={row.job_id}",
    )


def result(row: MatchView, base: str) -> models.Result:
    """A match with its links."""
    match, best = f"{base}/v1/matches/{row.match_id}", row.best
    return models.Result(
        **row.row() | {"status": row.effective_status, "video_url": _video_at(row, base)},
        **_rival(row, base),
        scored_status=row.status,
        verdict=row.label,
        reason=row.reason.text(),
        evidence_url=f"{match}/evidence" if row.evidence_path else None,
        product_image_url=f"{base}/v1/images/{best.img_id}" if best.img_id else None,
        frame_url=f"{base}/v1/frames/{best.frame_id}" if best.frame_id else None,
        match_url=match,
        review_url=f"{base}/review/match/{row.match_id}",
    )


def _rival(row: MatchView, base: str) -> dict[str, Any]:
    """What is said of the rival; nulls where there is none."""
    rival = row.rival
    names = ("product_id", "product", "title", "score")
    found = {f"rival_{name}": getattr(rival, name) if rival else None for name in names}
    image = f"{base}/v1/images/{rival.img_id}" if rival and rival.img_id else None
    own = ids.match_id(row.job_id, rival.product_id, row.video_id) if rival else None
    match = f"{base}/v1/matches/{own}" if own else None
    return {**found, "rival_image_url": image, "rival_match_url": match}


def _video_at(row: MatchView, base: str) -> str:
    """The video's address at the second of the match; that of its kept file for a clip of a folder."""
    found = at_second(row.video_url, row.ts)
    if found is None and row.video_path:
        return f"{base}/v1/videos/{row.video_id}/file#{fragment(row.ts)}"
    return found or row.video_url


def product(row: ProductRow, pictures: list[PictureRow], base: str) -> models.Product:
    """A product with its pictures."""
    return models.Product.of(
        row,
        pictures=[_picture(one, f"{base}/v1/images") for one in pictures],
        matches_url=f"{base}/v1/results?product={row.product_id}",
    )


def listed_product(row: ProductRow, base: str, image: uuid.UUID | None = None) -> models.ListedProduct:
    """A product of a list; `image` is the picture to show, by default its first."""
    shown = image or row.image_id
    return models.ListedProduct.of(
        row,
        image_url=f"{base}/v1/images/{shown}" if shown else None,
        product_api_url=f"{base}/v1/products/{row.product_id}",
        matches_url=f"{base}/v1/results?product={row.product_id}",
    )


def video(row: VideoRow, frames: list[PictureRow], kept: bool, base: str) -> models.Video:
    """A video with its keyframes; `kept`: its file can be served."""
    return models.Video.of(
        row,
        file_url=f"{base}/v1/videos/{row.video_id}/file" if kept else None,
        frames=[_picture(one, f"{base}/v1/frames") for one in frames],
        matches_url=f"{base}/v1/results?video={row.video_id}",
    )


def industry(row: Industry, every_hours: int | None, sources: dict[str, Any], base: str) -> models.Industry:
    """An industry; `sources` as callers may see them."""
    return models.Industry.of(
        row,
        sources=sources,
        every_hours=every_hours,
        jobs_url=f"{base}/v1/jobs?industry={row.slug}",
        results_url=f"{base}/v1/results?industry={row.slug}",
        rules_url=f"{base}/v1/industries/{row.slug}/rules",
    )


def _picture(row: PictureRow, folder: str) -> models.Picture:
    return models.Picture.of(row, id=row.item_id, url=f"{folder}/{row.item_id}")
