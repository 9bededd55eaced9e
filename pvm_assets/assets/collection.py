"""Collection: what the sources answered, product pictures stored, keyframes cut."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from pvm_assets.items import announce
from pvm_assets.sources import picture_reader, product_source, query_of, video_source
from pvm_assets.stage import Column, Report, Stage, job_asset, timed_batches
from pvm_assets.versions import version_of
from pvm_assets.work import given
from pvm_assets.work.frames import CutFrame, CutTask, CutVideo, ReadVideo, VideoTask, cut_video, read_video
from pvm_assets.work.pictures import PictureDesk, PictureTask, StoredPicture, store_picture
from pvm_core import ids
from pvm_core.errors import InputError, MediaError, Problem
from pvm_core.events import Event
from pvm_core.keyframes import KeyframeParams
from pvm_resources.repositories.galleries import Galleries, GalleryPicture
from pvm_resources.repositories.rows import Frame, Image, ImageSource, JobVideo, KeyframeSet, Product, Video
from pvm_resources.sources.base import (
    Collected,
    PictureReader,
    PictureRef,
    ProductRecord,
    VideoRecord,
    VideoSource,
)


@job_asset(
    table="products",
    columns=(
        Column("product_id", "uuid", "uuid5 of the source's namespace and the id as given"),
        Column("src", "text", "the source"),
        Column("namespace", "text", "a file's namespace is its industry"),
        Column("asin_or_itemid", "text", "the id as given"),
        Column("title", "text"),
        Column("brand", "text"),
        Column("url", "text"),
    ),
    kinds={"python", "postgres"},
    code_version="1",
)
def products(stage: Stage) -> Report:
    """Products of the job's sources: rows with the references of their pictures, no pixels yet."""
    source = product_source(stage.job)
    answer = source.collect(query_of(stage.job, stage.bench.industries.get(stage.job.industry)))
    stage.begin(len(answer.records))
    stage.note(answer.problems)
    if not answer.records:
        raise _nothing("products.none", "products", answer)
    found = {ids.product_id(r.namespace, r.external_id): r for r in answer.records}
    rows = [
        Product(key, r.source, r.namespace, r.external_id, r.title, r.brand, r.url)
        for key, r in found.items()
    ]
    gallery = list(_gallery(found))
    stage.bench.catalogue.set_products(stage.job_id, rows, also=Galleries.writes(stage.job_id, gallery))
    stage.advance(len(answer.records))
    status = answer.status
    return Report(
        len(rows),
        version_of((*rows, *gallery)),
        {"pictures_referenced": len(gallery), "source": status.source, "source_state": status.state},
    )


def _gallery(found: dict[uuid.UUID, ProductRecord]) -> Iterator[GalleryPicture]:
    for key, record in found.items():
        for position, picture in enumerate(record.pictures):
            file = str(picture.path) if picture.path is not None else None
            yield GalleryPicture(key, position, picture.ref, file)


def _nothing(code: str, what: str, answer: Collected[ProductRecord] | Collected[VideoRecord]) -> InputError:
    status = answer.status
    reason = status.reason or (answer.problems[0].message if answer.problems else f"it holds no {what}")
    return InputError(
        code, status.source, f"no usable {what}: {reason}", status.remedy or f"Give a source with {what}"
    )


@job_asset(
    table="videos",
    columns=(
        Column("video_id", "uuid", "uuid5 of the file's SHA-256: a video is its content"),
        Column("given_name", "text", "its name in this job"),
        Column("platform", "text"),
        Column("duration_s", "float8", "seconds"),
        Column("width", "int4"),
        Column("height", "int4"),
        Column("sha256", "text"),
    ),
    kinds={"python", "postgres", "ffmpeg"},
    code_version="1",
)
def videos(stage: Stage) -> Report:
    """Videos of the job's sources, by their content; a file that has not changed is not read again."""
    bench, source = stage.bench, video_source(stage.job)
    answer = source.collect(query_of(stage.job, bench.industries.get(stage.job.industry)))
    stamps = {r.given_name: ((r.size or 0), (r.modified_ns or 0) / 1e9) for r in answer.records}
    known = bench.videos.known_files(list(stamps.values()))
    held = {
        r.given_name: known[(str(r.path), *stamps[r.given_name])]
        for r in answer.records
        if (str(r.path), *stamps[r.given_name]) in known
    }
    stage.begin(len(answer.records), reused=len(held))
    stage.note(answer.problems)
    fresh = _read_videos(stage, source, [r for r in answer.records if r.given_name not in held])
    found = held | {name: video.video_id for name, video in fresh.items()}
    records = [r for r in answer.records if r.given_name in found]
    if not records:
        raise _nothing("videos.none", "videos", answer)
    rows = [_video(r, fresh[r.given_name]) for r in records if r.given_name in fresh]
    members = [
        JobVideo(
            r.given_name, found[r.given_name], str(r.path or r.external_id), *stamps[r.given_name], position
        )
        for position, r in enumerate(records)
    ]
    bench.videos.set_videos(stage.job_id, rows, members)
    status = answer.status
    return Report(
        len(members),
        version_of((m.given_name, m.video_id) for m in members),
        {"source": status.source, "source_state": status.state},
        {"given": len(answer.records) + len(answer.problems)},
    )


def _read_videos(stage: Stage, source: VideoSource, records: list[VideoRecord]) -> dict[str, ReadVideo]:
    found: dict[str, ReadVideo] = {}
    folder = stage.bench.settings.home / "downloads"
    tasks = (VideoTask(path, r.given_name) for r in records if (path := _fetched(stage, source, r, folder)))
    for batch in timed_batches(stage.bench.pool.map(read_video, tasks), 64, 2.0):
        found |= {d.item.name: d.value for d in batch if d.value is not None}
        stage.note_failures(batch, lambda task: task.name)
        stage.advance(len(batch))
    return found


def _fetched(stage: Stage, source: VideoSource, record: VideoRecord, folder: Path) -> Path | None:
    try:
        return source.fetch(record, folder)
    except MediaError as error:
        stage.note([Problem.of(stage.name, error, record.given_name)])
        return None


def _video(record: VideoRecord, read: ReadVideo) -> Video:
    return Video(
        read.video_id,
        read.sha256,
        record.platform,
        record.url,
        record.title,
        read.duration_s,
        read.width,
        read.height,
        record.published_at,
    )


@job_asset(
    table="stored_images",
    columns=(
        Column("img_id", "uuid", "uuid5 of the product and the SHA-256 of the bytes given"),
        Column("product_id", "uuid"),
        Column("sha256", "text"),
        Column("local_path", "text", "key in the media store"),
        Column("source_ref", "text", "path or URL as given"),
        Column("width", "int4"),
        Column("height", "int4"),
        Column("phash", "int8", "perceptual hash, 64 bits"),
    ),
    kinds={"python", "postgres", "image"},
    code_version="1",
)
def product_images(stage: Stage) -> Report:
    """Picture galleries: read, decoded with limits, made uniform, stored once."""
    bench, galleries = stage.bench, Galleries(stage.bench.database)
    reader = picture_reader()
    known = bench.catalogue.known_sources(stage.job_id)
    tasks: list[PictureTask] = []
    held: list[tuple[PictureTask, ImageSource]] = []
    for picture in galleries.pictures(stage.job_id):
        ref = PictureRef(picture.source_ref, Path(picture.file) if picture.file else None)
        task = PictureTask(picture.product_id, ref, picture.position, _fingerprint(reader, ref))
        before = known.get((picture.product_id, picture.source_ref))
        if before is not None and task.fingerprint and before.fingerprint == task.fingerprint:
            held.append((task, before))
        else:
            tasks.append(task)
    kept = _keep_stored(stage, held, tasks)
    stage.begin(len(kept) + len(tasks), reused=len(kept))
    _write_images(stage, kept, [])

    def write(pictures: list[StoredPicture]) -> None:
        kept.extend(images := [_image(p) for p in pictures])
        _write_images(stage, images, [_source(p) for p in pictures if p.fingerprint])

    stage.settle(bench.pool.map(store_picture, tasks, partial(PictureDesk, bench.media, reader)), write)
    if not kept:
        raise InputError(
            "pictures.none", "product_images", "not one product picture can be used", "See the job's problems"
        )
    found = {image.img_id for image in kept}
    bench.catalogue.keep_images(stage.job_id, found)
    events = (
        stage.event("products.images.ready.batch", total_images=len(found)),
        stage.event("products.collections.completed"),
    )
    return Report(
        len(found),
        version_of(sorted(found)),
        stage.preview([i.local_path for i in kept], "product pictures"),
        {"given": len(kept) + stage.problems},
        events,
    )


def _fingerprint(reader: PictureReader, picture: PictureRef) -> str | None:
    """What tells whether a reference still means the same picture. A URL is taken to name one picture for
    good: catalogues give a changed picture a new URL; asking every server again would cost what is saved."""
    return "url" if picture.path is None else reader.fingerprint(picture)


def _keep_stored(
    stage: Stage, held: list[tuple[PictureTask, ImageSource]], tasks: list[PictureTask]
) -> list[Image]:
    """Rows of pictures that are stored already; one whose file is gone joins `tasks`."""
    stored = stage.bench.catalogue.images_of([source.img_id for _, source in held])
    kept: list[Image] = []
    for task, source in held:
        image = stored[source.img_id]
        if stage.bench.media.exists(image.local_path):
            kept.append(_at(image, task.position))
        else:
            tasks.append(task)
    return kept


def _at(image: Image, position: int) -> Image:
    return Image(
        image.img_id, image.product_id, image.sha256, image.local_path, image.source_ref,
        image.width, image.height, image.phash, position,
    )  # fmt: skip


def _image(p: StoredPicture) -> Image:
    return Image(p.img_id, p.product_id, p.sha256, p.key, p.ref, p.width, p.height, p.phash, p.position)


def _source(p: StoredPicture) -> ImageSource:
    return ImageSource(p.product_id, p.ref, p.fingerprint or "", p.img_id)


def _write_images(stage: Stage, images: list[Image], sources: list[ImageSource]) -> None:
    events = [
        stage.event(
            "products.image.ready",
            str(i.img_id),
            product_id=str(i.product_id),
            image_id=str(i.img_id),
            local_path=i.local_path,
        )
        for i in images
    ]
    stage.bench.catalogue.write_images(stage.job_id, images, sources, events=events)


@job_asset(
    table="stored_frames",
    columns=(
        Column("frame_id", "uuid", "uuid5 of the video, the parameters and the time"),
        Column("video_id", "uuid"),
        Column("ts", "float8", "seconds from the start, from pts"),
        Column("shot", "int4", "number of the shot in its video"),
        Column("local_path", "text", "key in the media store; null for a rejected frame"),
        Column("sharpness", "float8"),
        Column("status", "text", "kept or rejected"),
        Column("reason", "text", "why a frame was rejected"),
    ),
    kinds={"python", "postgres", "ffmpeg", "image"},
    code_version="1",
)
def keyframes(stage: Stage) -> Report:
    """The sharpest frames of each shot, with their seconds; rejected frames keep their reason."""
    bench, params = stage.bench, KeyframeParams.from_rules(stage.rules)
    bench.jobs.set_keys(stage.job_id, keyframes=params.key)
    listed = bench.videos.videos(stage.job_id)
    names = _names(stage)
    done = _intact_sets(stage, params)
    for video_id, kept in done.items():
        if kept.problem:
            stage.note([_ended_early(names[video_id].given_name, kept.problem)])
    stage.begin(len(listed), reused=len(done))
    todo = sorted((v for v in listed if v.video_id not in done), key=lambda v: -(v.duration_s or 0.0))
    tasks = (
        CutTask(v.video_id, Path(names[v.video_id].source_ref), names[v.video_id].given_name, params)
        for v in todo
    )
    # One video is one item: its frames are stored with the mark that it is done.
    stage.settle(
        bench.pool.map(cut_video, tasks, partial(given, bench.media)),
        partial(_write_frames, stage, params),
        lambda task: task.name,
        batch=1,
    )
    return _keyframe_report(stage, params, frozenset(done))


def _names(stage: Stage) -> dict[uuid.UUID, JobVideo]:
    found: dict[uuid.UUID, JobVideo] = {}
    for member in stage.bench.videos.members(stage.job_id):
        found.setdefault(member.video_id, member)
    return found


def _ended_early(name: str, code: str) -> Problem:
    return Problem(
        "keyframes", name, code, "it ended early; what was decoded before is kept. Convert it again"
    )


def _intact_sets(stage: Stage, params: KeyframeParams) -> dict[uuid.UUID, KeyframeSet]:
    """Videos whose keyframes are done and whose files are all there."""
    done = stage.bench.videos.sets(stage.job_id, params.key)
    lost = {
        frame.video_id
        for frame in stage.bench.videos.frames(stage.job_id, params.key)
        if frame.local_path is None or not stage.bench.media.exists(frame.local_path)
    }
    return {video: kept for video, kept in done.items() if video not in lost}


def _write_frames(stage: Stage, params: KeyframeParams, cut: list[CutVideo]) -> None:
    for video in cut:
        kept = [f for f in video.frames if f.key is not None]
        problem = video.problem.code if video.problem else ""
        rows = [_frame(video.video_id, params.key, f) for f in video.frames]
        done = KeyframeSet(video.video_id, params.key, len(kept), len(rows) - len(kept), problem)
        stage.bench.videos.write_frames(rows, [done], events=[_frames_ready(stage, video.video_id, kept)])
        if video.problem:
            stage.note([video.problem])


def _frame(video: uuid.UUID, params_key: str, f: CutFrame) -> Frame:
    if f.key is None:
        return Frame(f.frame_id, video, params_key, f.ts, "rejected", reason=f.reason)
    return Frame(
        f.frame_id, video, params_key, f.ts, "kept", f.shot, f.key, f.width, f.height, f.sharpness, f.phash
    )


def _frames_ready(stage: Stage, video: uuid.UUID, kept: Sequence[CutFrame | Frame]) -> Event:
    frames = [
        {
            "frame_id": str(f.frame_id),
            "ts": f.ts,
            "local_path": f.key if isinstance(f, CutFrame) else f.local_path,
        }
        for f in kept
    ]
    return stage.event("videos.keyframes.ready", str(video), video_id=str(video), frames=frames)


def _keyframe_report(stage: Stage, params: KeyframeParams, reused: frozenset[uuid.UUID]) -> Report:
    frame_ids: list[str] = []
    paths: list[str] = []
    known = stage.bench.videos.frames(stage.job_id, params.key)
    for video, group in groupby(known, key=lambda f: f.video_id):
        kept = list(group)
        frame_ids += [f.frame_id.hex for f in kept]
        paths += [f.local_path or "" for f in kept]
        if video in reused:
            announce(stage, [_frames_ready(stage, video, kept)])
    if not paths:
        raise InputError(
            "keyframes.none", "keyframes", "not one frame of any video can be used", "See the job's problems"
        )
    reasons = Counter(
        f.reason.partition(":")[0] for f in stage.bench.videos.frames(stage.job_id, params.key, "rejected")
    )
    preview = stage.preview(paths, "keyframes")
    events = (
        stage.event("videos.keyframes.ready.batch", total_keyframes=len(paths)),
        stage.event("videos.collections.completed"),
    )
    rejected = dict(reasons)
    metadata = {"rejected": rejected, **preview}
    return Report(len(paths), version_of(frame_ids), metadata, {"rejected": rejected}, events)
