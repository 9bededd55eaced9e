"""Product pictures: read or downloaded, made uniform, stored once, without near-copies in a gallery."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from pvm_assets.data_version import version_of
from pvm_assets.dead_letters import letter_of
from pvm_assets.retry_policy import NETWORK
from pvm_assets.sources import web_fetcher
from pvm_assets.stage import BATCH, Column, Report, Stage, job_asset
from pvm_assets.work.pictures import PictureTask, PictureWorkerState, StoredPicture, store_picture
from pvm_core.errors import InputError, MediaError, Problem
from pvm_core.near_duplicates import GalleryItem, near_duplicates
from pvm_resources.http import Fetcher
from pvm_resources.sources.base import PictureRef
from pvm_resources.sources.picture_reader import Pictures
from pvm_resources.store.catalogue import Catalogue
from pvm_resources.store.records import Image, ImageSource

#: What stands for the fingerprint of a URL: it is taken to name one picture for good. Catalogues give a
#: changed picture a new URL; asking every server again would cost what is saved.
_BY_URL: Final = "url"
#: Downloaded pictures stored together: all that a killed run has to ask for again.
_PORTION: Final = 16
_PORTION_BYTES: Final = 32_000_000


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
    code_version="2",
    retries=NETWORK,
)
def product_images(stage: Stage) -> Report:
    """Picture galleries: read or downloaded within limits, decoded, made uniform, stored once.

    Near-copies inside one gallery are left out. What the network does not give after all tries becomes a
    dead letter, which `pvm retry` asks for again.
    """
    kept, tasks = _plan(stage)
    stage.begin(len(kept) + len(tasks), reused=len(kept))
    _write_images(stage, kept, [])

    def write(pictures: list[StoredPicture]) -> None:
        kept.extend(images := [_image(p) for p in pictures])
        _write_images(stage, images, [_source(p) for p in pictures if p.fingerprint])

    desk = partial(PictureWorkerState, stage.services.media, Pictures())
    with web_fetcher(stage) as web:
        for some in _portions(_with_bytes(stage, web, tasks)):
            stage.settle(stage.services.pool.map(store_picture, some, desk), write)
    if not kept:
        raise _none_usable(stage)
    return _report(stage, kept)


def _plan(stage: Stage) -> tuple[list[Image], list[PictureTask]]:
    """Pictures that are stored already, and those that are to be read."""
    reader, known = Pictures(), stage.services.store.catalogue.known_sources(stage.job_id)
    tasks: list[PictureTask] = []
    held: list[tuple[PictureTask, ImageSource]] = []
    for picture in stage.services.store.galleries.pictures(stage.job_id):
        ref = PictureRef(picture.source_ref, Path(picture.file) if picture.file else None)
        mark = _BY_URL if ref.path is None else reader.fingerprint(ref)
        task = PictureTask(picture.product_id, ref, picture.position, mark)
        before = known.get((picture.product_id, picture.source_ref))
        if before is not None and mark and before.fingerprint == mark:
            held.append((task, before))
        else:
            tasks.append(task)
    return _keep_stored(stage, held, tasks), tasks


def _keep_stored(
    stage: Stage, held: list[tuple[PictureTask, ImageSource]], tasks: list[PictureTask]
) -> list[Image]:
    """Rows of pictures that are stored already; one whose file is gone, or that is older than its source
    allows, joins `tasks`."""
    ids = [source.img_id for _, source in held]
    stored, stale = stage.services.store.catalogue.images_of(ids), _too_old(stage, ids)
    kept: list[Image] = []
    for task, source in held:
        image = stored[source.img_id]
        if image.img_id not in stale and stage.services.media.exists(image.local_path):
            kept.append(replace(image, position=task.position))
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


def _with_bytes(stage: Stage, web: Fetcher, tasks: Sequence[PictureTask]) -> Iterator[PictureTask]:
    """The tasks as workers take them: files by their path, pictures of the net with their bytes.

    The net is asked by this process alone, so that what a server is asked at once is bounded in one place.
    """
    yield from (task for task in tasks if task.picture.path is not None)
    remote = [task for task in tasks if task.picture.path is None]
    for task, answer in web.fetch_many(remote, lambda task: task.picture.ref):
        if isinstance(answer, MediaError):
            _give_up(stage, task, answer)
        else:
            yield replace(task, data=answer.data)


def _portions(tasks: Iterable[PictureTask]) -> Iterator[list[PictureTask]]:
    """Tasks in small portions, each stored before the next is awaited: what has been downloaded is kept
    though the next server is slow, and the bytes held are bounded."""
    portion: list[PictureTask] = []
    held = 0
    for task in tasks:
        portion.append(task)
        held += len(task.data or b"")
        if held >= _PORTION_BYTES or len(portion) >= (_PORTION if task.data is not None else BATCH):
            yield portion
            portion, held = [], 0
    if portion:
        yield portion


def _give_up(stage: Stage, task: PictureTask, error: MediaError) -> None:
    ref = task.picture.ref
    stage.note([Problem.of(stage.name, error, ref)])
    stage.services.store.source_runs.bury(stage.job_id, [letter_of(stage.name, error, ref)])
    stage.advance(1)


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
    fetched = [source for source in sources if source.fingerprint == _BY_URL]
    renewed = [Catalogue.renewed_write([source.img_id for source in fetched])] if fetched else []
    stage.services.store.catalogue.write_images(stage.job_id, images, sources, events=events, also=renewed)
    asked = [source.source_ref for source in fetched]
    stage.services.store.source_runs.resolve(stage.job_id, stage.name, asked)


def _report(stage: Stage, stored: Sequence[Image]) -> Report:
    copies = _near_copies(stored)
    kept = [image for image in stored if image.img_id not in copies]
    found = {image.img_id for image in kept}
    stage.services.store.catalogue.keep_images(stage.job_id, found)
    events = (
        stage.event("products.images.ready.batch", total_images=len(found)),
        stage.event("products.collections.completed"),
    )
    preview = stage.preview([i.local_path for i in kept], "product pictures")
    return Report(
        len(found),
        version_of(sorted(found)),
        {"near_duplicates": len(copies), **preview},
        {"given": len(stored) + stage.problems, "near_duplicates": len(copies)},
        events,
    )


def _near_copies(stored: Sequence[Image]) -> set[uuid.UUID]:
    """Pictures that show what another of the same gallery shows: they would cost time and vote twice."""
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


def _image(p: StoredPicture) -> Image:
    return Image(p.img_id, p.product_id, p.sha256, p.key, p.ref, p.width, p.height, p.phash, p.position)


def _source(p: StoredPicture) -> ImageSource:
    return ImageSource(p.product_id, p.ref, p.fingerprint or "", p.img_id)


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
