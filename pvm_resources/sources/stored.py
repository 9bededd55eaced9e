"""Products and videos that are here already, as sources: a job of them crawls nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pvm_core.errors import MediaError
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.sources.base import (
    Collected,
    PictureRef,
    ProductRecord,
    Query,
    SourceStatus,
    VideoRecord,
)
from pvm_resources.sources.context import SourceContext


class StoredProducts:
    """The industry's products: of its catalogue, of changes, of its latest job. What a shop's terms limit is
    left out: it is asked for again by a job of its source.

    Args:
        context: names the industry, and reads what is stored.
    """

    name = "stored"
    policy = SourcePolicy()

    def __init__(self, context: SourceContext) -> None:
        self._stored = context.stored
        self._industry = context.namespace

    def collect(self, query: Query) -> Collected[ProductRecord]:
        """All products with a picture; what the query asks is for other sources."""
        found = self._stored.products(self._industry) if self._stored is not None else []
        records = tuple(
            ProductRecord(
                "file", one.namespace, one.external_id, one.title, "", "",
                tuple(PictureRef(ref, Path(file) if file else None) for ref, file in one.pictures),
                product_id=one.product_id,
            )
            for one in found
        )  # fmt: skip
        reason = "" if records else "the industry has no product with a picture"
        return Collected(SourceStatus(self.name, "ok" if records else "failed", reason), records)


class StoredVideos:
    """The industry's videos whose keyframes are stored."""

    name = "stored"
    policy = SourcePolicy()

    def __init__(self, context: SourceContext) -> None:
        self._stored = context.stored
        self._industry = context.namespace

    def collect(self, query: Query) -> Collected[VideoRecord]:
        """All of them; what the query asks is for other sources."""
        found = self._stored.videos(self._industry) if self._stored is not None else []
        names = Counter(one.given_name for one in found)
        records = tuple(
            VideoRecord(
                self.name, one.platform, str(one.video_id),
                one.given_name if names[one.given_name] == 1 else f"{one.given_name} ({one.video_id})",
                one.title, one.url, None, one.size,
                None if one.mtime is None else round(one.mtime * 1e9), published_at=one.published_at,
                channel=one.channel, video_id=one.video_id, source_ref=one.source_ref,
            )
            for one in found
        )  # fmt: skip
        reason = "" if records else "no job of the industry has stored keyframes"
        return Collected(SourceStatus(self.name, "ok" if records else "failed", reason), records)

    def fetch(self, record: VideoRecord, folder: Path) -> Path:
        """Never reached for what is stored.

        Raises:
            MediaError: ``video.missing``.
        """
        raise MediaError("video.missing", record.given_name, "it is not stored", "Run its source again")

    def details(self, record: VideoRecord) -> VideoRecord:
        """The record itself."""
        return record

    def cancel(self) -> None:
        """Nothing to end."""
