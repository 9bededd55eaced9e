"""The estimate of a job: its files counted, its calls computed, its stages at the pace of earlier jobs.

Nothing is stored, and no request is sent.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pvm_core.errors import InputError
from pvm_core.keyframes import KeyframeParams
from pvm_core.run_estimate import (
    Pace,
    Quota,
    RunEstimate,
    SourceEstimate,
    Span,
    stages_of,
    total,
)
from pvm_jobs.request import JobRequest
from pvm_resources.estimates import paces
from pvm_resources.estimates.calls import (
    amazon_calls,
    ebay_calls,
    link_calls,
    most_products,
    site_calls,
)
from pvm_resources.estimates.local_files import (
    Clip,
    FileTask,
    clips_in,
    length_of,
    products_in,
    spread_out,
)
from pvm_resources.process_pool import WorkPool
from pvm_resources.settings import Settings
from pvm_resources.sources.confined import Confinement
from pvm_resources.sources.readiness import readiness, unconfigured
from pvm_resources.sources.registry import (
    PRODUCT_SOURCES,
    STORED,
    SourceSpec,
    is_url,
    product_specs,
    video_specs,
)
from pvm_resources.sources.search_terms import query_for
from pvm_resources.sources.ytdlp.search import DEFAULT_TOP
from pvm_resources.store.assembly import Store
from pvm_resources.store.past_runs import PastStage
from pvm_resources.store.records import Industry

T = TypeVar("T")

#: Seconds that counting one catalogue or one folder may take, and opening one clip.
_COUNT_S: Final = 60.0
_OPEN_S: Final = 5.0
#: A catalogue of at most so many bytes is counted in this process: the job that follows reads it here too,
#: with the same modules, whose loading in a process of its own takes longer than the counting.
_SMALL_BYTES: Final = 1_000_000
#: Clips of a folder whose length is read; opening one takes 5 to 20 ms. The others are taken for as long,
#: byte for byte, give or take `_GUESSED`.
_OPENED_MAX: Final = 200
_GUESSED: Final = Span(0.8, 1.25)
#: Bytes that one picture or keyframe leaves under the home. The case of docs/performance.md (378 of them)
#: left 174 kB each in the media store, and a database of 209 kB each.
_BYTES: Final = Span(100_000, 450_000)
#: Bytes of a second of a downloaded video: at most the 1 Mbit/s that 480 lines have on YouTube.
_VIDEO_BYTES_S: Final = Span(20_000, 125_000)
_NOTHING: Final = Span.of(0)


def estimate(store: Store, settings: Settings, industry: Industry, request: JobRequest) -> RunEstimate:
    """What a job of this request will take.

    Args:
        industry: stored, or a draft.
        request: completed.

    Raises:
        InputError: a source of the request cannot be used; ``request.*``, ``translator.*``.
    """
    rules = settings.rules_of(industry.rule_set, industry.rules)
    params = KeyframeParams.from_rules(rules)
    past = tuple(store.past_runs.stages(rules.video_max_s))
    with WorkPool(1) as pool:
        counting = _Counting(store, settings, industry, request, params, past, pool)
        sources = (
            *(counting.products(spec) for spec in product_specs(request.products)),
            *(counting.videos(spec) for spec in video_specs(request.videos)),
        )
    speeds = paces.paces_of(past, store.past_runs.rests(), request.embed_model)
    stages = stages_of(sources, speeds, paces.pages_of(past))
    return RunEstimate(
        sources=sources,
        stages=stages,
        disk_bytes=_disk(sources),
        disk_free=shutil.disk_usage(_existing(settings.home)).free,
        complete=all(one.records is not None for one in sources),
    )


def _disk(sources: Sequence[SourceEstimate]) -> Span:
    items = total(one.fresh_pictures + one.fresh_frames for one in sources)
    fetched = total(one.video_s for one in sources if one.downloads.most)
    return items * _BYTES + fetched * _VIDEO_BYTES_S


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


@dataclass
class _Counting:
    """Counts the sources of one request."""

    store: Store
    settings: Settings
    industry: Industry
    request: JobRequest
    params: KeyframeParams
    past: Sequence[PastStage]
    pool: WorkPool
    _share: Pace | None = field(default=None, init=False)

    # -- products ----------------------------------------------------------------------------------

    def products(self, spec: SourceSpec[Any]) -> SourceEstimate:
        """A source of products."""
        if (fault := unconfigured(spec.token, self.settings)) is not None:
            return SourceEstimate("products", spec.label, _NOTHING, remark=fault.reason)
        if spec.token in PRODUCT_SOURCES:
            return self._shop(spec)
        if spec.token == STORED:
            count = len(self.store.stored_material.products(self.industry.slug))
            return SourceEstimate("products", spec.label, Span.of(count), counted=True)
        if is_url(spec.token):
            remark = "how many products it lists is known once it is read"
            return SourceEstimate("products", spec.label, None, remark=remark)
        found = self._products_in(self._task(spec.token))
        pictures = [(product, ref) for product, refs in found for ref in refs]
        fresh = len(set(pictures)) - self.store.past_runs.stored_pictures(pictures)
        return SourceEstimate(
            "products", spec.label, Span.of(len(found)), counted=True, fresh=Span.of(len(found)),
            pictures=Span.of(len(pictures)), fresh_pictures=Span.of(max(0, fresh)),
        )  # fmt: skip

    def _shop(self, spec: SourceSpec[Any]) -> SourceEstimate:
        query = query_for(self.industry, self.request, self.settings, spec.token)
        calls = (ebay_calls if spec.token == "ebay" else amazon_calls)(query, self.settings)
        records = Span.of(most_products(spec.token, query, self.settings))
        pace = paces.pictures_of(self.past, spec.token)
        pictures = records * pace.each
        return SourceEstimate(
            "products", spec.label, records, fresh=records, pictures=pictures, fresh_pictures=pictures,
            calls=calls, quota=self._quota(spec.token), basis=pace.basis,
        )  # fmt: skip

    def _quota(self, name: str) -> Quota | None:
        ready = next(one for one in readiness(self.settings) if one.status.source == name)
        if ready.account is None:
            return None
        return Quota(self.store.quotas.used(name, ready.account), ready.daily_calls)

    # -- videos ------------------------------------------------------------------------------------

    def videos(self, spec: SourceSpec[Any]) -> SourceEstimate:
        """A source of videos."""
        if (fault := unconfigured(spec.name, self.settings)) is not None:
            return SourceEstimate("videos", spec.label, _NOTHING, remark=fault.reason)
        if spec.token == STORED:
            count = len(self.store.stored_material.videos(self.industry.slug))
            return SourceEstimate("videos", spec.label, Span.of(count), counted=True)
        if spec.name == "folder":
            return self._folder(spec)
        if spec.name == "links":
            links = self._links(spec.token)
            made = SourceEstimate("videos", spec.label, Span.of(links), counted=True)
            return self._fetched(replace(made, calls=link_calls(links, self.settings)), "links")
        query = query_for(self.industry, self.request, self.settings, spec.token)
        made = SourceEstimate("videos", spec.label, Span.of(query.limit or DEFAULT_TOP))
        return self._fetched(replace(made, calls=site_calls(spec.token, query, self.settings)), spec.token)

    def _fetched(self, made: SourceEstimate, platform: str) -> SourceEstimate:
        """The source with what its videos bring once they are here."""
        assert made.records is not None
        pace = paces.lengths_of(self.store.past_runs.lengths(platform))
        each = Span(*(min(one, self.params.max_s) for one in (pace.each.least, pace.each.most)))
        frames = made.records * Span(
            paces.budget(each.least, self.params), paces.budget(each.most, self.params)
        )
        length, frames = made.records * each, frames * self._frame_share.each
        return replace(
            made, downloads=made.records, video_s=length, fresh_video_s=length, frames=frames,
            fresh_frames=frames, basis=pace.basis,
        )  # fmt: skip

    def _links(self, token: str) -> int:
        from pvm_resources.sources.ytdlp.links import links_of

        return len(links_of(token)[0])

    def _folder(self, spec: SourceSpec[Any]) -> SourceEstimate:
        clips = self._count(clips_in, self._task(spec.token))
        known = self.store.videos.known_files([(clip.size, clip.mtime) for clip in clips])
        videos = self.store.past_runs.videos(list(known.values()), self.params.key)
        of_clip = {clip: videos.get(known[key]) for clip in clips if (key := _key(clip)) in known}
        cut = {clip: video for clip, video in of_clip.items() if video is not None}
        done = [(min(one.duration_s, self.params.max_s), one.frames) for one in cut.values()
                if one.frames is not None]  # fmt: skip
        waiting = [clip for clip in clips if clip not in cut or cut[clip].frames is None]
        fresh_s, allowed = self._lengths(waiting)
        fresh_frames = allowed * self._frame_share.each
        return SourceEstimate(
            "videos", spec.label, Span.of(len(clips)), counted=True, fresh=Span.of(len(waiting)),
            video_s=fresh_s + Span.of(sum(seconds for seconds, _ in done)), fresh_video_s=fresh_s,
            frames=fresh_frames + Span.of(sum(frames for _, frames in done)), fresh_frames=fresh_frames,
            basis=self._frame_share.basis,
        )  # fmt: skip

    def _lengths(self, clips: Sequence[Clip]) -> tuple[Span, Span]:
        """Seconds of the clips that are sampled, and the keyframes that the rules allow them."""
        opened: dict[Clip, float] = {}
        chosen = spread_out(clips, _OPENED_MAX)
        answers = self.pool.map(length_of, [clip.path for clip in chosen], timeout_s=_OPEN_S)
        for clip, done in zip(chosen, answers, strict=True):
            if done.error is None and done.value:
                opened[clip] = min(done.value, self.params.max_s)
        seconds = sum(opened.values())
        allowed = sum(paces.budget(one, self.params) for one in opened.values())
        rest = sum(clip.size for clip in clips if clip not in opened)
        if not rest:
            return Span.of(seconds), Span.of(allowed)
        if not opened:
            each = paces.lengths_of(()).each
            budgets = Span(paces.budget(each.least, self.params), paces.budget(each.most, self.params))
            return Span.of(len(clips)) * each, Span.of(len(clips)) * budgets
        more = Span.of(rest / sum(clip.size for clip in opened)) * _GUESSED
        return Span.of(seconds) + Span.of(seconds) * more, Span.of(allowed) + Span.of(allowed) * more

    @property
    def _frame_share(self) -> Pace:
        """Keyframes for each that the rules allow."""
        if self._share is None:
            cut = self.store.past_runs.cut_lengths(self.params.key)
            self._share = paces.keyframes_of(cut, self.params)
        return self._share

    # -- files -------------------------------------------------------------------------------------

    def _products_in(self, task: FileTask) -> list[tuple[uuid.UUID, tuple[str, ...]]]:
        if task.path.is_file() and task.path.stat().st_size <= _SMALL_BYTES:
            return products_in(None, task)
        return self._count(products_in, task)

    def _task(self, token: str) -> FileTask:
        confinement = Confinement.of(self.settings, anywhere=self.request.allow_outside)
        return FileTask(Path(token), confinement, self.industry.slug, dict(self.request.columns))

    def _count(self, work: Callable[[object, FileTask], list[T]], task: FileTask) -> list[T]:
        (done,) = self.pool.map(work, [task], timeout_s=_COUNT_S)
        if done.error is not None and done.error.code in ("worker.timeout", "worker.died"):
            reason = f"it could not be counted within {_COUNT_S:.0f} s"
            raise InputError("request.uncounted", task.path.name, reason, "Run the job without an estimate")
        return done.unwrap()


def _key(clip: Clip) -> tuple[str, int, float]:
    return str(clip.path), clip.size, clip.mtime
