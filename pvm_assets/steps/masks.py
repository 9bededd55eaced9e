"""Segmentation: the product region of each picture, where one can be trusted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from pvm_assets.data_version import version_of
from pvm_assets.items import Names, announce, lost_files, stored_items
from pvm_assets.keys import MASKS_OFF
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.work.features import MaskDone, Stored, mask_picture, mask_worker_state
from pvm_core.errors import Problem
from pvm_core.masks import load_segmenter
from pvm_jobs.events import Event
from pvm_resources.process_pool import Done
from pvm_resources.store.records import Kind, Mask

#: Frame -> its video and second.
Places = Mapping[uuid.UUID, tuple[uuid.UUID, float]]

_KINDS: tuple[Kind, Kind] = ("product", "frame")


@job_asset(
    table="masks",
    columns=(
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("method_key", "text", "segmenter with its parameters and version"),
        Column("has_mask", "bool"),
        Column("mask_path", "text", "key in the media store"),
        Column("coverage", "float8", "share of the picture inside the mask"),
        Column("reason", "text", "how the mask came about, or why there is none"),
    ),
    kinds={"python", "postgres", "image"},
    code_version="1",
)
def masks(stage: Stage) -> Report:
    """The product region of each picture, people and background masked out.

    A picture without a trustworthy mask, or whose segmentation exceeds its time limit, goes on unmasked.
    """
    if not stage.rules.segmentation:
        stage.services.store.jobs.set_keys(stage.job_id, masks=MASKS_OFF)
        stage.begin(0)
        return Report(
            0, version_of([MASKS_OFF]), {"segmentation": "off by rule"}, events=_batches(stage, 0, 0)
        )
    settings = stage.services.settings
    segmenter = load_segmenter(segmenter_name(settings.segmenter), settings.models)
    key = segmenter.key
    stage.services.store.jobs.set_keys(stage.job_id, masks=key)
    todo, totals = _todo(stage, key)
    stage.begin(sum(totals.values()), reused=sum(totals.values()) - len(todo))
    places = {
        i.item_id: (i.parent_id, i.ts or 0.0)
        for i in stage.services.store.features.items(stage.job_id, "frame")
    }
    _announce_known(stage, key, places)
    answers = stage.services.pool.map(
        mask_picture,
        todo,
        partial(mask_worker_state, stage.services.media, segmenter.name, settings.models),
        timeout_s=stage.rules.mask_timeout_s,
    )
    stage.settle(_unmasked(stage, answers), partial(_write, stage, key, places))
    return _report(stage, key, segmenter.name, totals)


def segmenter_name(setting: str) -> str:
    """The segmenter a setting stands for."""
    return "classic" if setting == "auto" else setting


def _todo(stage: Stage, key: str) -> tuple[list[Stored], dict[str, int]]:
    features, names = stage.services.store.features, Names(stage)
    todo: list[Stored] = []
    totals: dict[str, int] = {}
    for kind in _KINDS:
        known = ((m.item_id, m.mask_path) for m in features.masks(stage.job_id, kind, key))
        lost = lost_files(stage.services.media, known)
        todo += stored_items(features.missing(stage.job_id, kind, "masks", key), names)
        if lost:
            todo += (s for s in stored_items(features.items(stage.job_id, kind), names) if s.item_id in lost)
        totals[kind] = features.covered(stage.job_id, kind, "masks", key)[1]
    return todo, totals


def _unmasked(stage: Stage, answers: Iterable[Done[Stored, MaskDone]]) -> Iterator[Done[Stored, MaskDone]]:
    """Answers in which a picture that ran out of time is one that goes on unmasked, and says so."""
    for answer in answers:
        if answer.error is None or not answer.error.code.startswith("worker."):
            yield answer
            continue
        stage.note([Problem.of(stage.name, answer.error, answer.item.name)])
        reason = answer.error.code.removeprefix("worker.")
        done = MaskDone(answer.item.item_id, answer.item.kind, None, 1.0, reason)
        yield Done(answer.item, done, None, answer.seconds)


def _write(stage: Stage, key: str, places: Places, done: list[MaskDone]) -> None:
    rows = [Mask(d.item_id, d.kind, key, d.key is not None, d.key, d.coverage, d.reason) for d in done]
    stage.services.store.features.write_masks(rows, events=[_event(stage, row, places) for row in rows])


def _event(stage: Stage, row: Mask, places: Places) -> Event:
    item, mask = str(row.item_id), {"has_mask": row.has_mask, "mask_path": row.mask_path}
    if row.kind == "product":
        return stage.event("products.image.masked", item, image_id=item, **mask)
    video, ts = places[row.item_id]
    frames = [{"frame_id": item, "ts": ts, **mask}]
    return stage.event("video.keyframes.masked", item, video_id=str(video), frames=frames)


def _announce_known(stage: Stage, key: str, places: Places) -> None:
    for kind in _KINDS:
        known = stage.services.store.features.masks(stage.job_id, kind, key)
        announce(stage, (_event(stage, mask, places) for mask in known))


def _batches(stage: Stage, images: int, frames: int) -> tuple[Event, Event]:
    return (
        stage.event("products.images.masked.batch", total_images=images),
        stage.event("video.keyframes.masked.batch", total_keyframes=frames),
    )


def _report(stage: Stage, key: str, method: str, totals: dict[str, int]) -> Report:
    masked, reasons = 0, dict[str, int]()
    rows: list[str] = []
    for kind in _KINDS:
        for mask in stage.services.store.features.masks(stage.job_id, kind, key):
            rows.append(f"{mask.item_id.hex}{mask.has_mask}{mask.coverage:.6f}")
            masked += mask.has_mask
            if mask.mask_path is None:
                reasons[mask.reason] = reasons.get(mask.reason, 0) + 1
    metadata = {"method": method, "masked": masked, "unmasked_for": reasons, **_preview(stage, key)}
    events = _batches(stage, totals["product"], totals["frame"])
    return Report(len(rows), version_of([key, *rows]), metadata, {"unmasked_for": reasons}, events)


def _preview(stage: Stage, key: str) -> dict[str, Any]:
    items = (
        i for kind in _KINDS for i in stage.services.store.features.items(stage.job_id, kind, mask_key=key)
    )
    shown = [(i.local_path, i.mask_path) for i in items if i.mask_path is not None]
    return stage.preview(
        [path for path, _ in shown], "masks: what is dimmed is left out", [m for _, m in shown]
    )
