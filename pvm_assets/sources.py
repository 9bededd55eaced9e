"""From a job's request to the sources it names."""

from __future__ import annotations

from pathlib import Path

from pvm_core.errors import InputError
from pvm_resources.repositories.rows import Industry, Job
from pvm_resources.sources.base import PictureReader, ProductSource, Query, VideoSource
from pvm_resources.sources.file_catalogue import FileCatalogue
from pvm_resources.sources.folder_videos import FolderVideos
from pvm_resources.sources.picture_reader import Pictures


def product_source(job: Job) -> ProductSource:
    """The source of the job's products: a catalogue file. Its namespace is the industry.

    Raises:
        InputError: ``source.missing``: the request names none.
    """
    return FileCatalogue(Path(_asked(job, "products")), namespace=job.industry)


def video_source(job: Job) -> VideoSource:
    """The source of the job's videos: a folder.

    Raises:
        InputError: ``source.missing``.
    """
    return FolderVideos(Path(_asked(job, "videos")))


def picture_reader() -> PictureReader:
    """Reads pictures by path or URL."""
    return Pictures()


def query_of(job: Job, industry: Industry) -> Query:
    """What the job asks its sources for."""
    terms = industry.queries if isinstance(industry.queries, dict) else {}
    return Query(
        industry.name,
        {language: tuple(phrases) for language, phrases in terms.items()},
        job.request.get("top"),
        job.request.get("recency_days"),
    )


def _asked(job: Job, kind: str) -> str:
    found = job.request.get(kind)
    if not isinstance(found, str) or not found:
        raise InputError(
            "source.missing",
            f"job {job.job_id}",
            f"its request names no {kind}",
            f"Run it with --{kind}, or set standing sources: pvm industries sources {job.industry}",
        )
    return found
