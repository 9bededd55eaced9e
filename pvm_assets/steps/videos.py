"""Videos: what the job's video sources answered, each as a file on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pvm_assets.data_version import version_of
from pvm_assets.retry_policy import NETWORK
from pvm_assets.sources import Gathered, gather, records, request_of, source_facts, web_fetcher
from pvm_assets.stage import Column, Report, Stage, job_asset, timed_batches
from pvm_assets.work.frames import VideoTask, read_video
from pvm_core.errors import InputError, MediaError
from pvm_core.keyframes import KeyframeParams
from pvm_core.shown_url import HIDDEN, shown_url
from pvm_resources.sources.base import VideoRecord, VideoSource
from pvm_resources.sources.registry import video_specs
from pvm_resources.store.records import JobVideo, Video
from pvm_resources.store.source_runs import SourceRuns, VideoFile

#: Downloads at once. A platform's own source keeps its distance between requests; two hide the pauses.
_DOWNLOADS: Final = 2
#: Files opened together; a batch waits for its slowest, which a hash of one short clip is not.
_BATCH: Final = 64
_Found = Gathered[VideoRecord]


@dataclass(frozen=True)
class _Listed:
    """A video of the answer under the name it has in this job."""

    name: str
    record: VideoRecord
    source: VideoSource


@job_asset(
    table="videos",
    columns=(
        Column("video_id", "uuid", "uuid5 of the file's SHA-256: a video is its content"),
        Column("given_name", "text", "its name in this job"),
        Column("platform", "text", "the site, or file"),
        Column("duration_s", "float8", "seconds"),
        Column("width", "int4", "pixels, as it is shown"),
        Column("height", "int4", "pixels, as it is shown"),
        Column("sha256", "text", "of the file"),
    ),
    kinds={"python", "postgres", "ffmpeg"},
    code_version="2",
    retries=NETWORK,
)
def videos(stage: Stage) -> Report:
    """Videos of the job's sources, by their content: searched, downloaded where they are elsewhere, opened.

    A file that has not changed is not read again; a video that is here is not downloaded again.
    """
    specs = video_specs(request_of(stage).videos)
    gathered: list[_Found] = gather(stage, "videos", specs, web_fetcher(stage))
    listed = _listed(gathered)
    held = _held(stage, listed)
    stage.begin(len(listed), reused=len(held))
    fresh = _read_videos(stage, [one for one in listed if one.name not in held])
    stage.services.store.source_runs.resolve(stage.job_id, stage.name, [*held, *fresh])
    members = [
        _member(one, position, held.get(one.name), fresh.get(one.name))
        for position, one in enumerate(one for one in listed if one.name in held or one.name in fresh)
    ]
    if not members:
        raise _none_usable(stage, gathered)
    stage.services.store.videos.set_videos(stage.job_id, [], members)
    given = len(listed) + sum(len(one.answer.problems) for one in gathered)
    return Report(
        len(members),
        version_of((m.given_name, m.video_id) for m in members),
        source_facts(gathered),
        {"given": given},
    )


def _listed(gathered: Sequence[_Found]) -> list[_Listed]:
    """All videos with names that are unique in the job."""
    found = [(one, record) for one, record in records(gathered) if one.source is not None]
    counts = Counter(record.given_name for _, record in found)
    listed: dict[str, _Listed] = {}
    for one, record in found:
        name = record.given_name
        if counts[name] > 1 and len(gathered) > 1:
            name = f"{name} ({record.platform} {record.external_id})"
        assert isinstance(one.source, VideoSource)
        listed.setdefault(name, _Listed(name, record, one.source))
    return list(listed.values())


def _held(stage: Stage, listed: Sequence[_Listed]) -> dict[str, JobVideo]:
    """Videos that need no reading: unchanged files, and downloads of before whose keyframes are cut already
    or whose file is still here."""
    stored = {
        one.name: JobVideo(one.name, one.record.video_id, one.record.source_ref, *_stored_stamp(one.record))
        for one in listed
        if one.record.video_id is not None
    }
    listed = [one for one in listed if one.name not in stored]
    files = {one.name: one.record for one in listed if one.record.path is not None}
    stamps = {name: _stamp(record) for name, record in files.items()}
    known = stage.services.store.videos.known_files(list(stamps.values()))
    held = {
        name: JobVideo(name, known[key], str(record.path), *stamps[name])
        for name, record in files.items()
        if (key := (str(record.path), *stamps[name])) in known
    }
    return stored | held | _held_downloads(stage, [one for one in listed if one.record.path is None])


def _stamp(record: VideoRecord) -> tuple[int, float]:
    return (record.size or 0), (record.modified_ns or 0) / 1e9


def _stored_stamp(record: VideoRecord) -> tuple[int | None, float | None]:
    return record.size, None if record.modified_ns is None else record.modified_ns / 1e9


def _held_downloads(stage: Stage, listed: Sequence[_Listed]) -> dict[str, JobVideo]:
    collecting, params = stage.services.store.source_runs, KeyframeParams.from_rules(stage.rules)
    held: dict[str, JobVideo] = {}
    for platform in {one.record.platform for one in listed}:
        of_platform = [one for one in listed if one.record.platform == platform]
        known = collecting.video_files(platform, [one.record.external_id for one in of_platform])
        cut = stage.services.store.videos.cut_already([file.video_id for file in known.values()], params.key)
        for one in of_platform:
            file = known.get(one.record.external_id)
            if file is not None and (file.video_id in cut or _is_whole(file)):
                held[one.name] = JobVideo(one.name, file.video_id, file.path, file.size)
    return held


def _is_whole(file: VideoFile) -> bool:
    try:
        return file.deleted_at is None and Path(file.path).stat().st_size == file.size
    except OSError:
        return False


def _read_videos(stage: Stage, listed: Sequence[_Listed]) -> dict[str, tuple[Video, Path]]:
    """Fetches and opens videos; each is stored as soon as it is open, so that a run killed keeps it."""
    found: dict[str, tuple[Video, Path]] = {}
    by_name = {one.name: one for one in listed}
    for tasks in timed_batches(_fetched(stage, listed), _BATCH, 2.0):
        batch = list(stage.services.pool.map(read_video, tasks))
        good = {d.item.name: (d.value, d.item.path) for d in batch if d.value is not None}
        _store(stage, {name: by_name[name] for name in good}, good)
        found |= good
        stage.note_failures(batch)
        stage.advance(len(batch))
    return found


def _fetched(stage: Stage, listed: Sequence[_Listed]) -> Iterator[VideoTask]:
    """The videos' files: those on this machine at once, then downloads as they end."""
    yield from _on_this_machine(stage, listed)
    remote = [one for one in listed if one.record.path is None]
    folder = stage.services.settings.home / "downloads"
    with ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="download") as pool:
        futures = {pool.submit(one.source.fetch, one.record, folder): one for one in remote}
        try:
            for future in as_completed(futures):
                one = futures[future]
                try:
                    yield VideoTask(future.result(), one.name)
                except MediaError as error:
                    stage.give_up(one.name, error, dead_letter=True)
        except BaseException:
            # A cancelled run does not wait for the transfers.
            pool.shutdown(wait=False, cancel_futures=True)
            for one in remote:
                one.source.cancel()
            raise


def _store(stage: Stage, listed: Mapping[str, _Listed], read: Mapping[str, tuple[Video, Path]]) -> None:
    rows = [_described(read[name][0], one.source.details(one.record)) for name, one in listed.items()]
    files = [
        SourceRuns.video_file_write(
            VideoFile(record.platform, record.external_id, video.video_id, str(path), path.stat().st_size)
        )
        for name, (video, path) in read.items()
        if (record := listed[name].record).path is None
    ]
    stage.services.store.videos.add_videos(rows, also=files)


def _member(one: _Listed, position: int, held: JobVideo | None, fresh: tuple[Video, Path] | None) -> JobVideo:
    if held is not None:
        return JobVideo(one.name, held.video_id, held.source_ref, held.size, held.mtime, position)
    assert fresh is not None
    video, path = fresh
    if one.record.path is None:
        return JobVideo(one.name, video.video_id, str(path), path.stat().st_size, None, position)
    return JobVideo(one.name, video.video_id, str(path), *_stamp(one.record), position)


def _on_this_machine(stage: Stage, listed: Sequence[_Listed]) -> Iterator[VideoTask]:
    for one in listed:
        if one.record.path is not None:
            try:
                yield VideoTask(one.source.fetch(one.record, one.record.path.parent), one.name)
            except MediaError as error:
                stage.give_up(one.name, error)


def _described(video: Video, record: VideoRecord) -> Video:
    return replace(
        video,
        platform=record.platform,
        # A row is read by everyone who may read results; the record keeps what the download needs.
        url=shown_url(record.url).removesuffix(HIDDEN),
        title=record.title,
        published_at=record.published_at,
        channel=record.channel,
    )


def _none_usable(stage: Stage, gathered: Sequence[_Found]) -> InputError:
    problems = stage.services.store.state.problems(stage.job_id, stage.name)
    first = f"; the first: {problems[0].item}: {problems[0].message}" if problems else ""
    return InputError(
        "videos.none",
        ", ".join(one.spec.label for one in gathered),
        f"not one video can be used{first}",
        "See the job's problems",
        retryable=any(problem.retryable for problem in problems),
    )
