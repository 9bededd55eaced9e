"""What earlier jobs of this machine took, for the estimate of the next one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvm_resources.store.base import Repository

#: Jobs of which each stage's figures are read, the newest first.
_JOBS: Final = 20
#: Videos from which lengths and keyframes are read, the newest first.
_VIDEOS: Final = 500


@dataclass(frozen=True)
class PastStage:
    """A stage of a completed job.

    Attributes:
        asset: its name.
        items, computed: that it had, and that it did not find done.
        seconds: they took.
        rows: it left.
        embed_model: the job's; None where it recorded none.
        products, videos: the sources that the job named.
        video_s: seconds of the job's videos, each counted up to the longest that is sampled.
        video_count: its videos.
    """

    asset: str
    items: int
    computed: int
    seconds: float
    rows: int
    embed_model: str | None
    products: tuple[str, ...]
    videos: tuple[str, ...]
    video_s: float
    video_count: int


@dataclass(frozen=True)
class PastVideo:
    """A stored video: its length, and its keyframes under the parameters asked for; None where not cut."""

    video_id: uuid.UUID
    duration_s: float
    frames: int | None


class PastRuns(Repository):
    """Reads `jobs`, `asset_states`, `videos`, `keyframe_sets`, `image_sources`; writes nothing."""

    def stages(self, longest_s: float) -> list[PastStage]:
        """The stages of the newest completed jobs.

        Args:
            longest_s: seconds of a video that are sampled.
        """
        rows = self._db.tuples(_STAGES, {"jobs": _JOBS, "longest": longest_s})
        return [
            PastStage(
                asset, int(items or 0), int(computed or 0), float(seconds or 0), rows_, model,
                _texts(request, "products"), _texts(request, "videos"), float(video_s or 0), videos or 0,
            )
            for asset, items, computed, seconds, rows_, model, request, video_s, videos in rows
        ]  # fmt: skip

    def rests(self) -> list[float]:
        """Seconds of the newest completed jobs that were no stage's: >= 0, sorted."""
        found = self._db.tuples(_RESTS, {"jobs": _JOBS})
        return sorted(max(0.0, float(rest)) for (rest,) in found)

    def lengths(self, platform: str) -> list[float]:
        """Seconds of the platform's newest stored videos, sorted."""
        rows = self._db.tuples(
            "SELECT duration_s FROM (SELECT duration_s FROM videos WHERE platform = %s AND duration_s > 0 "
            "ORDER BY created_at DESC LIMIT %s) v ORDER BY duration_s",
            [platform, _VIDEOS],
        )
        return [float(row[0]) for row in rows]

    def cut_lengths(self, params_key: str) -> list[tuple[float, int]]:
        """(seconds, keyframes) of the videos cut last under `params_key`."""
        rows = self._db.tuples(
            "SELECT duration_s, frames FROM keyframe_sets JOIN videos USING (video_id) "
            "WHERE params_key = %s AND duration_s > 0 ORDER BY keyframe_sets.finished_at DESC LIMIT %s",
            [params_key, _VIDEOS],
        )
        return [(float(seconds), int(frames)) for seconds, frames in rows]

    def videos(self, video_ids: Sequence[uuid.UUID], params_key: str) -> dict[uuid.UUID, PastVideo]:
        """The stored ones of these videos."""
        rows = self._db.tuples(
            "SELECT v.video_id, coalesce(v.duration_s, 0), k.frames FROM videos v LEFT JOIN keyframe_sets k "
            "ON k.video_id = v.video_id AND k.params_key = %s WHERE v.video_id = ANY(%s)",
            [params_key, list(video_ids)],
        )
        return {video: PastVideo(video, float(seconds), frames) for video, seconds, frames in rows}

    def stored_pictures(self, pictures: Sequence[tuple[uuid.UUID, str]]) -> int:
        """How many of these pictures (product, reference) were stored by an earlier job."""
        return int(
            self._db.value(
                "SELECT count(*) FROM (SELECT DISTINCT * FROM unnest(%s::uuid[], %s::text[]) "
                "p (product_id, source_ref)) p JOIN image_sources s USING (product_id, source_ref)",
                [[product for product, _ in pictures], [ref for _, ref in pictures]],
            )
        )


def _texts(request: Any, name: str) -> tuple[str, ...]:
    found = request.get(name) if isinstance(request, dict) else None
    return tuple(map(str, found)) if isinstance(found, list) else (str(found),) if found else ()


_NEWEST: Final = (
    "SELECT job_id, request, embed_model, started_at, finished_at FROM jobs WHERE status = 'completed' "
    "AND started_at IS NOT NULL ORDER BY finished_at DESC LIMIT %(jobs)s"
)
_STAGES: Final = (
    f"WITH j AS ({_NEWEST}), v AS (SELECT job_id, count(*) AS videos, "
    "sum(least(coalesce(duration_s, 0), %(longest)s)) AS seconds FROM "
    "(SELECT DISTINCT job_id, video_id FROM job_videos WHERE job_id IN (SELECT job_id FROM j)) d "
    "JOIN videos USING (video_id) GROUP BY job_id) "
    "SELECT s.asset, (s.metadata->>'items')::float8, (s.metadata->>'computed')::float8, "
    "(s.metadata->>'seconds')::float8, s.rows, j.embed_model, j.request, v.seconds, v.videos "
    "FROM j JOIN asset_states s USING (job_id) LEFT JOIN v USING (job_id)"
)
_RESTS: Final = (
    f"SELECT extract(epoch FROM j.finished_at - j.started_at) - s.seconds FROM ({_NEWEST}) j "
    "JOIN (SELECT job_id, sum((metadata->>'seconds')::float8) AS seconds FROM asset_states "
    "GROUP BY job_id) s USING (job_id) WHERE s.seconds IS NOT NULL"
)
