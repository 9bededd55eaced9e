"""Rows as answers: links made absolute, phases as per cent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pvm_api import models
from pvm_resources.store.match_queries import JobRow, PictureRow, ProductRow, VideoRow
from pvm_resources.store.match_record import MatchView
from pvm_resources.store.records import Industry

#: Founding document 2: progress follows the phases. The share of a phase is done when it ends.
PERCENT: Final = {"collection": 0, "feature_extraction": 25, "matching": 60, "evidence": 85, "completed": 100}


#: All phases are through, and the run has not said so yet.
_ALMOST: Final = 99


def percent_of(row: JobRow, reached: str) -> int:
    """Per cent of a job; of one that failed or was cancelled, of the phase it had reached."""
    percent = PERCENT.get(row.phase, PERCENT.get(reached, 0))
    return percent if row.status == "completed" else min(percent, _ALMOST)


def job(row: JobRow, base: str, reached: str) -> models.Job:
    """A job; `reached` is the phase that its events tell."""
    return models.Job(
        **_but(vars(row), "error"),
        error=models.Fault(**_known(row.error)) if row.error else None,
        percent=percent_of(row, reached),
        status_url=f"{base}/v1/jobs/{row.job_id}",
        results_url=f"{base}/v1/results?job={row.job_id}",
    )


def result(row: MatchView, base: str) -> models.Result:
    """A match with its links."""
    match, best = f"{base}/v1/matches/{row.match_id}", row.best
    return models.Result(
        **row.row(),
        reason=row.reason.text(),
        evidence_url=f"{match}/evidence" if row.evidence_path else None,
        product_image_url=f"{base}/v1/images/{best.img_id}" if best.img_id else None,
        frame_url=f"{base}/v1/frames/{best.frame_id}" if best.frame_id else None,
        match_url=match,
    )


def product(row: ProductRow, pictures: list[PictureRow], base: str) -> models.Product:
    """A product with its pictures."""
    return models.Product(
        **vars(row),
        pictures=[_picture(one, f"{base}/v1/images") for one in pictures],
        matches_url=f"{base}/v1/results?product={row.product_id}",
    )


def video(row: VideoRow, frames: list[PictureRow], kept: bool, base: str) -> models.Video:
    """A video with its keyframes; `kept`: its file can be had."""
    return models.Video(
        **_but(vars(row), "sha256"),
        file_url=f"{base}/v1/videos/{row.video_id}/file" if kept else None,
        frames=[_picture(one, f"{base}/v1/frames") for one in frames],
        matches_url=f"{base}/v1/results?video={row.video_id}",
    )


def industry(row: Industry, every_hours: int | None, sources: dict[str, Any], base: str) -> models.Industry:
    """An industry; `sources` as callers may see them."""
    return models.Industry(
        slug=row.slug,
        name=row.name,
        queries=row.queries,
        sources=sources,
        rule_set=row.rule_set,
        every_hours=every_hours,
        jobs_url=f"{base}/v1/jobs?industry={row.slug}",
        results_url=f"{base}/v1/results?industry={row.slug}",
        rules_url=f"{base}/v1/industries/{row.slug}/rules",
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _picture(row: PictureRow, folder: str) -> models.Picture:
    return models.Picture(
        id=row.item_id, url=f"{folder}/{row.item_id}", width=row.width, height=row.height, ts=row.ts
    )


def _but(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _known(error: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in error.items() if name in models.Fault.model_fields}
