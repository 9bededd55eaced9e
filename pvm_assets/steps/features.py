"""Features: vectors of each picture (a GPU asset) and its keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pvm_assets.data_version import version_of
from pvm_assets.gpu import GPU
from pvm_assets.items import Names, announce, lost_files, stored_items
from pvm_assets.keys import key_of
from pvm_assets.stage import Column, Report, Stage, job_asset, timed_batches
from pvm_assets.work.features import (
    EmbedDone,
    EmbedTask,
    KeypointsDone,
    Stored,
    embed_pictures,
    embed_worker_state,
    keypoint_picture,
    keypoint_worker_state,
)
from pvm_core.embedders import EmbedInput, choose_embedder, load_embedder
from pvm_core.ids import content_key
from pvm_core.keypoints import KeypointParams
from pvm_core.model_registry import MODELS
from pvm_jobs.events import Event
from pvm_resources.models.calibrations import calibrated
from pvm_resources.process_pool import Done
from pvm_resources.store.features import Feature
from pvm_resources.store.records import Embedding, KeypointSet, Kind, Model

if TYPE_CHECKING:
    from pvm_core.embedders import Embedder
    from pvm_resources.media.store import MediaStore

_KINDS: Final[tuple[Kind, Kind]] = ("product", "frame")
_EMBEDDED: Final = {"product": "image.embedding.ready", "frame": "video.embedding.ready"}
_POINTED: Final = {"product": "image.keypoint.ready", "frame": "video.keypoint.ready"}
#: Pictures a worker decodes and embeds at once; bounds what it holds.
_CHUNK: Final = 8


@job_asset(
    table="embeddings",
    columns=(
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("model_key", "text", "embedder, masks and flags it was computed under"),
        Column("model", "text", "the embedder's name"),
        Column("view", "int2", "0 is the whole picture, the rest are parts"),
        Column("emb_rgb", "vector", "unit length"),
        Column("emb_gray", "vector", "of the grey picture with evened contrast, unit length"),
    ),
    kinds={"python", "postgres", "pytorch"},
    code_version="1",
    placement=GPU,
)
def embeddings(stage: Stage) -> Report:
    """Vectors of each picture: emb_rgb, and emb_gray of the grey picture with evened contrast.

    The embedder is the one asked for, or the best on this machine that is calibrated; every row says which.
    """
    settings = stage.services.settings
    asked = str(stage.job.request.get("embed_model") or settings.embed_model)
    name = choose_embedder(asked, settings.models, calibrated(settings.models))
    embedder = load_embedder(name, settings.models)
    mask_key = key_of(stage, "masks")
    model = _model(embedder, mask_key, stage.rules.grey_clahe)
    stage.services.store.features.register_model(model)
    stage.services.store.jobs.set_keys(stage.job_id, embed_model=name, embeddings=model.model_key)
    todo, total = _missing(stage, "embeddings", model.model_key, mask_key)
    stage.begin(total, reused=total - len(todo))
    stage.log.info(f"embeddings: {name} on {embedder.device}, {embedder.dim} numbers a vector")
    _announce_embedded(stage, model.model_key)
    for kind in _KINDS:
        items = [item for item in todo if item.kind == kind]
        answers = _embed(stage, embedder, items)
        for batch in timed_batches(answers, 64 // _CHUNK, 2.0):
            done = [one for answer in batch for one in answer.unwrap()]
            _write_embeddings(stage, model, done)
            stage.advance(len(done))
    return _embedding_report(stage, model, embedder)


def _model(embedder: Embedder, mask_key: str, gray: bool) -> Model:
    key = content_key("embeddings", embedder.key, mask_key, f"gray={gray}")
    spec = {
        "embedder": embedder.key,
        "masks": mask_key,
        "gray": gray,
        "library": MODELS[embedder.name].library,
    }
    return Model(key, embedder.name, "embedder", embedder.dim, spec, active=True)


def _missing(
    stage: Stage,
    feature: Feature,
    key: str,
    mask_key: str,
    known: Callable[[Kind], Iterable[Any]] | None = None,
) -> tuple[list[Stored], int]:
    """Pictures without the feature, and how many pictures the job has."""
    features, names = stage.services.store.features, Names(stage)
    todo: list[Stored] = []
    total = 0
    for kind in _KINDS:
        todo += stored_items(features.missing(stage.job_id, kind, feature, key, mask_key=mask_key), names)
        total += features.covered(stage.job_id, kind, feature, key)[1]
        lost = lost_files(stage.services.media, known(kind)) if known else set()
        if lost:
            again = stored_items(features.items(stage.job_id, kind, mask_key=mask_key), names)
            todo += (item for item in again if item.item_id in lost)
    return todo, total


def _chunks(items: Iterable[Stored], size: int) -> Iterator[EmbedTask]:
    waiting = iter(items)
    while chunk := tuple(islice(waiting, size)):
        yield EmbedTask(chunk)


def _embed(
    stage: Stage, embedder: Embedder, items: list[Stored]
) -> Iterator[Done[EmbedTask, list[EmbedDone]]]:
    gray, media = stage.rules.grey_clahe, stage.services.media
    if MODELS[embedder.name].library == "builtin":
        desk = partial(embed_worker_state, media, embedder.name, stage.services.settings.models, gray)
        yield from stage.services.pool.map(embed_pictures, _chunks(items, _CHUNK), desk)
        return
    # A learned embedder spreads its own work over GPU or cores: one copy, in this process, fed by threads.
    for task, inputs in _decoded(media, _chunks(items, max(_CHUNK, embedder.batch_size))):
        views = embedder.embed_views(inputs, task.items[0].kind, gray)
        done = [EmbedDone(i.item_id, i.kind, v.rgb, v.gray) for i, v in zip(task.items, views, strict=True)]
        yield Done(task, done, None, 0.0)


def _decoded(media: MediaStore, tasks: Iterable[EmbedTask]) -> Iterator[tuple[EmbedTask, list[EmbedInput]]]:
    """Each task with its pictures, the next one decoded while this one is worked on."""
    waiting = iter(tasks)
    with ThreadPoolExecutor(2, thread_name_prefix="decode") as threads:
        ahead = [(t, threads.submit(_inputs, media, t)) for t in islice(waiting, 2)]
        while ahead:
            task, inputs = ahead.pop(0)
            yield task, inputs.result()
            ahead += [(t, threads.submit(_inputs, media, t)) for t in islice(waiting, 1)]


def _inputs(media: MediaStore, task: EmbedTask) -> list[EmbedInput]:
    return [EmbedInput(item.rgb(media), item.mask(media)) for item in task.items]


def _write_embeddings(stage: Stage, model: Model, done: list[EmbedDone]) -> None:
    rows = (
        Embedding(
            d.item_id,
            d.kind,
            model.model_key,
            model.name,
            view,
            rgb,
            None if d.gray is None else d.gray[view],
        )
        for d in done
        for view, rgb in enumerate(d.rgb)
    )
    events = [_ready(stage, _EMBEDDED[d.kind], d.item_id) for d in done]
    stage.services.store.features.write_embeddings(rows, events=events)


def _ready(stage: Stage, name: str, item: object) -> Event:
    return stage.event(name, str(item), asset_id=str(item))


def _announce_embedded(stage: Stage, model_key: str) -> None:
    for kind in _KINDS:
        items = embedded_items(stage, kind, model_key)
        announce(stage, (_ready(stage, _EMBEDDED[kind], item) for item in items))


def embedded_items(stage: Stage, kind: Kind, model_key: str) -> Iterator[object]:
    """Ids of the job's pictures of a kind that have vectors."""
    query = (
        "SELECT i.item_id FROM job_items i WHERE i.job_id = %s AND i.kind = %s AND EXISTS "
        "(SELECT 1 FROM embeddings e WHERE e.item_id = i.item_id AND e.model_key = %s) ORDER BY i.item_id"
    )
    return stage.services.database.stream(_one, query, [stage.job_id, kind, model_key])


def _one(item_id: object) -> object:
    return item_id


def _embedding_report(stage: Stage, model: Model, embedder: Embedder) -> Report:
    ids = [item for kind in _KINDS for item in embedded_items(stage, kind, model.model_key)]
    facts = {
        "model": model.name,
        "device": embedder.device,
        "learned": MODELS[embedder.name].library != "builtin",
        "dimensions": embedder.dim,
    }
    events = (stage.event("image.embeddings.completed"), stage.event("video.embeddings.completed"))
    return Report(len(ids), version_of([model.model_key, *ids]), facts, facts, events)


@job_asset(
    table="keypoint_sets",
    columns=(
        Column("item_id", "uuid", "product picture or frame"),
        Column("kind", "text", "product or frame"),
        Column("method_key", "text", "detector, parameters and masks"),
        Column("n_keypoints", "int4"),
        Column("kp_blob_path", "text", "npz in the media store"),
        Column("status", "text", "ok or excused"),
        Column("reason", "text", "why a picture is excused"),
    ),
    kinds={"python", "postgres", "opencv"},
    code_version="1",
)
def keypoints(stage: Stage) -> Report:
    """Keypoints and descriptors of each picture, inside its mask, spread over the picture."""
    params, mask_key = KeypointParams.from_rules(stage.rules), key_of(stage, "masks")
    key = content_key("keypoints", params.key, mask_key)
    stage.services.store.jobs.set_keys(stage.job_id, keypoints=key)
    features = stage.services.store.features

    def known(kind: Kind) -> Iterator[tuple[Any, str | None]]:
        return ((k.item_id, k.kp_blob_path) for k in features.keypoints(stage.job_id, kind, key))

    todo, total = _missing(stage, "keypoints", key, mask_key, known)
    stage.begin(total, reused=total - len(todo))
    for kind in _KINDS:
        announce(stage, (_ready(stage, _POINTED[kind], item) for item, _ in known(kind)))
    desk = partial(keypoint_worker_state, stage.services.media, params, key)
    stage.settle(stage.services.pool.map(keypoint_picture, todo, desk), partial(_write_keypoints, stage, key))
    return _keypoint_report(stage, params, key)


def _write_keypoints(stage: Stage, key: str, done: list[KeypointsDone]) -> None:
    rows = [
        KeypointSet(d.item_id, d.kind, key, d.count, d.key, "ok" if d.key else "excused", d.reason)
        for d in done
    ]
    events = [_ready(stage, _POINTED[d.kind], d.item_id) for d in done]
    stage.services.store.features.write_keypoints(rows, events=events)


def _keypoint_report(stage: Stage, params: KeypointParams, key: str) -> Report:
    rows: list[str] = []
    points = excused = 0
    for kind in _KINDS:
        for found in stage.services.store.features.keypoints(stage.job_id, kind, key):
            rows.append(f"{found.item_id.hex}{found.n_keypoints}")
            points += found.n_keypoints
            excused += found.status == "excused"
    metadata = {
        "detector": params.detector,
        "keypoints_per_picture": round(points / max(1, len(rows)), 1),
        "excused": excused,
    }
    events = (stage.event("image.keypoints.completed"), stage.event("video.keypoints.completed"))
    return Report(len(rows), version_of([key, *rows]), metadata, {}, events)
