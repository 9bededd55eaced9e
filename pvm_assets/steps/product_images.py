"""Product pictures: read or downloaded, made uniform, stored once, without near-duplicates in a gallery."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from pvm_assets.data_version import version_of
from pvm_assets.retry_policy import NETWORK
from pvm_assets.sources import web_fetcher
from pvm_assets.stage import BATCH, Column, Report, Stage, job_asset
from pvm_assets.work import given
from pvm_assets.work.pictures import VIEW_MARK, ref_of, store_picture_and_views
from pvm_core.errors import InputError, MediaError
from pvm_core.near_duplicates import GalleryItem, near_duplicates
from pvm_resources.sources.picture_reader import Pictures
from pvm_resources.store.catalogue import Catalogue
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.records import Image, ImageSource

if TYPE_CHECKING:
    from pvm_resources.http import Fetcher

#: What stands for the fingerprint of a URL: it is taken to name one picture for good. Catalogues give a
#: changed picture a new URL; asking every server again would cost what is saved.
_BY_URL: Final = "url"
#: What stands, before the id of the picture, for the fingerprint of a view.
_VIEW_OF: Final = "view of "
#: Downloaded pictures stored together: a killed run downloads at most these again.
_DOWNLOAD_BATCH: Final = 16
_DOWNLOAD_BATCH_BYTES: Final = 32_000_000


@job_asset(
    table="stored_images",
    columns=(
        Column("img_id", "uuid", "uuid5 of the product and the SHA-256 of the bytes given"),
        Column("product_id", "uuid", "the product it shows"),
        Column("sha256", "text", "of the bytes given; of a view, of that and its place"),
        Column("local_path", "text", "key in the media store"),
        Column("source_ref", "text", "path or URL as given; of a view, with #xywh= and its place"),
        Column("width", "int4", "pixels, as stored"),
        Column("height", "int4", "pixels, as stored"),
        Column("phash", "int8", "perceptual hash, 64 bits"),
    ),
    kinds={"python", "postgres", "image"},
    code_version="3",
    retries=NETWORK,
)
def product_images(stage: Stage) -> Report:
    """Picture galleries: read or downloaded within limits, decoded, made uniform, stored once.

    A collage or a long strip gives the views that it is put together from as pictures of their own.
    Near-duplicates inside one gallery are left out. A picture that no attempt could download becomes a dead
    letter, which `pvm retry` requests again.
    """
    kept, tasks = _plan(stage)
    stage.begin(len(kept) + len(tasks), reused=len(kept))
    _write_images(stage, kept, [])
    by_ref = {(task.product_id, task.source_ref): task for task in tasks}

    def write(stored: list[tuple[Image, ...]]) -> None:
        images = [image for pictures in stored for image in pictures]
        kept.extend(images)
        read = [by_ref[whole.product_id, whole.source_ref] for whole, *_ in stored]
        sources = [
            source
            for pictures, task in zip(stored, read, strict=True)
            if task.fingerprint
            for source in _sources(pictures, task.fingerprint)
        ]
        _write_images(stage, images, sources)
        downloaded = [str(task) for task in read if task.fingerprint == _BY_URL]
        stage.services.store.source_runs.resolve(stage.job_id, stage.name, downloaded)

    setup, limit = partial(given, stage.services.media), stage.rules.picture_timeout_s
    for some in _small_batches(_with_bytes(stage, web_fetcher(stage), tasks)):
        stage.settle(stage.services.pool.map(store_picture_and_views, some, setup, limit), write)
    if not kept:
        raise _none_usable(stage)
    return _report(stage, kept)


def _sources(pictures: Sequence[Image], fingerprint: str) -> Iterator[ImageSource]:
    """What each picture came from: the whole from its reference, a view from its part of that picture."""
    whole, *views = pictures
    yield ImageSource(whole.product_id, whole.source_ref, fingerprint, whole.img_id)
    for view in views:
        yield ImageSource(view.product_id, view.source_ref, f"{_VIEW_OF}{whole.img_id}", view.img_id)


def _plan(stage: Stage) -> tuple[list[Image], list[GalleryPicture]]:
    """Pictures that are stored already, and those that are to be read."""
    reader, known = Pictures(), stage.services.store.catalogue.known_sources(stage.job_id)
    views = _views(known.values())
    tasks: list[GalleryPicture] = []
    held: list[tuple[GalleryPicture, tuple[ImageSource, ...]]] = []
    for picture in stage.services.store.galleries.pictures(stage.job_id):
        mark = _BY_URL if picture.file is None else reader.fingerprint(ref_of(picture))
        task = replace(picture, fingerprint=mark)
        before = known.get((picture.product_id, picture.source_ref))
        if before is not None and mark and before.fingerprint == mark:
            held.append((task, (before, *views.get(before.img_id, ()))))
        else:
            tasks.append(task)
    return _keep_stored(stage, held, tasks), tasks


def _views(known: Iterable[ImageSource]) -> dict[uuid.UUID, list[ImageSource]]:
    """Views by the picture they are parts of."""
    found: dict[uuid.UUID, list[ImageSource]] = {}
    for source in known:
        if source.fingerprint.startswith(_VIEW_OF):
            found.setdefault(uuid.UUID(source.fingerprint.removeprefix(_VIEW_OF)), []).append(source)
    return found


def _keep_stored(
    stage: Stage,
    held: list[tuple[GalleryPicture, tuple[ImageSource, ...]]],
    tasks: list[GalleryPicture],
) -> list[Image]:
    """Rows of pictures that are stored already, with their views; one whose file is gone, or that is older
    than its source allows, joins `tasks`."""
    ids = [source.img_id for _, sources in held for source in sources]
    stored, stale = stage.services.store.catalogue.images_of(ids), _too_old(stage, ids)
    kept: list[Image] = []
    for task, sources in held:
        images = [stored[source.img_id] for source in sources]
        if all(i.img_id not in stale and stage.services.media.exists(i.local_path) for i in images):
            kept.extend(replace(image, position=task.position) for image in images)
        else:
            tasks.append(task)
    return kept


def _too_old(stage: Stage, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    policies, now = stage.policies, datetime.now(UTC)
    return {
        img_id
        for img_id, (source, stored_at) in stage.services.store.catalogue.ages(ids).items()
        if policies.expired(source, stored_at, now)
    }


def _with_bytes(stage: Stage, web: Fetcher, tasks: Sequence[GalleryPicture]) -> Iterator[GalleryPicture]:
    """The tasks as workers take them: files by their path, URLs with their bytes.

    Only this process downloads, so that the requests to a server are bounded in one place.
    """
    yield from (task for task in tasks if task.file is not None)
    remote = [task for task in tasks if task.file is None]
    for task, answer in web.fetch_many(remote, lambda task: task.source_ref):
        if isinstance(answer, MediaError):
            stage.give_up(str(task), answer, dead_letter=True)
            stage.advance(1)
        else:
            yield replace(task, data=answer.data)


def _small_batches(tasks: Iterable[GalleryPicture]) -> Iterator[list[GalleryPicture]]:
    """Tasks in small batches. Each is stored before the next is awaited, so a slow server does not delay the
    storing of what was downloaded, and the bytes held are bounded."""
    batch: list[GalleryPicture] = []
    held = 0
    for task in tasks:
        batch.append(task)
        held += len(task.data or b"")
        if held >= _DOWNLOAD_BATCH_BYTES or len(batch) >= (
            _DOWNLOAD_BATCH if task.data is not None else BATCH
        ):
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


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
    fetched = {source.img_id for source in sources if source.fingerprint == _BY_URL}
    parts = {view.img_id for img_id, views in _views(sources).items() if img_id in fetched for view in views}
    renewed = [Catalogue.renewed_write([*fetched, *parts])] if fetched else []
    stage.services.store.catalogue.write_images(stage.job_id, images, sources, events=events, also=renewed)


def _report(stage: Stage, stored: Sequence[Image]) -> Report:
    copies = _near_duplicates(stored)
    kept = [image for image in stored if image.img_id not in copies]
    found = {image.img_id for image in kept}
    views = sum(VIEW_MARK in image.source_ref for image in stored)
    stage.services.store.catalogue.keep_images(stage.job_id, found)
    events = (
        stage.event("products.images.ready.batch", total_images=len(found)),
        stage.event("products.collections.completed"),
    )
    preview = stage.preview([i.local_path for i in kept], "product pictures")
    return Report(
        len(found),
        version_of(sorted(found)),
        {"near_duplicates": len(copies), "views": views, **preview},
        {"given": len(stored) - views + stage.problems, "near_duplicates": len(copies)},
        events,
    )


def _near_duplicates(stored: Sequence[Image]) -> set[uuid.UUID]:
    """Pictures that show the same as another of their gallery: they cost time and count twice."""
    galleries: dict[uuid.UUID, dict[uuid.UUID, Image]] = {}
    for image in stored:
        galleries.setdefault(image.product_id, {})[image.img_id] = image
    return {
        copy
        for gallery in galleries.values()
        for copy in near_duplicates(
            [GalleryItem(i.img_id, i.position, i.phash, i.width * i.height) for i in gallery.values()]
        )
    }


def _none_usable(stage: Stage) -> InputError:
    problems = stage.services.store.state.problems(stage.job_id, stage.name)
    codes = Counter(problem.code for problem in problems).most_common(3)
    said = ", ".join(f"{count} x {code}" for code, count in codes)
    return InputError(
        "pictures.none",
        "product_images",
        "not one product picture can be used" + (f" ({said})" if said else ""),
        "See the job's problems",
        retryable=bool(problems) and all(problem.retryable for problem in problems),
    )
