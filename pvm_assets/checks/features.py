"""Checks of segmentation and features: nothing left out, vectors sound, files readable."""

from __future__ import annotations

from itertools import islice
from typing import Final

import numpy as np

from pvm_assets.checks.factory import CheckContext, Verdict, job_check
from pvm_assets.gpu import GPU
from pvm_assets.keys import MASKS_OFF
from pvm_core.embedders import EmbedInput, embed_views, load_embedder
from pvm_core.errors import StoreError
from pvm_core.images import decode_mask, decode_stored
from pvm_core.keypoints import from_npz
from pvm_resources.store.features import Feature
from pvm_resources.store.records import Item, Kind

_KINDS: Final[tuple[Kind, Kind]] = ("product", "frame")
#: Files opened by a check that looks into files.
_SAMPLE: Final = 25
#: Pictures of each kind embedded again, and the cosine they must reach; a GPU rounds other than a CPU.
_AGAIN: Final = 4
_SAME_COSINE: Final = 0.995


def _left_out(inquiry: CheckContext, feature: Feature, key: str) -> tuple[int, int]:
    """Pictures without the feature, and all pictures of the job."""
    counts = [inquiry.services.store.features.covered(inquiry.job_id, kind, feature, key) for kind in _KINDS]
    total = sum(all_ for _, all_ in counts)
    return total - sum(has for has, _ in counts), total


@job_check("masks", blocking=True)
def masks_accounted(inquiry: CheckContext) -> Verdict:
    """Every picture has a mask, or the reason why it has none."""
    key = inquiry.key("masks")
    if key == MASKS_OFF:
        return Verdict(True, "segmentation is off by rule")
    missing, total = _left_out(inquiry, "masks", key)
    return Verdict(
        missing == 0, f"{total - missing} of {total} pictures have an outcome", metadata={"missing": missing}
    )


@job_check("masks", blocking=False)
def masks_in_time(inquiry: CheckContext) -> Verdict:
    """Segmentation kept its time limit (rule mask_timeout_s); a picture over it goes on unmasked."""
    late = int(inquiry.state.metadata.get("unmasked_for", {}).get("timeout", 0))
    limit = inquiry.rules.mask_timeout_s
    return Verdict(
        late == 0, f"{late} pictures took longer than {limit:g} s", "WARN", {"late": late, "limit_s": limit}
    )


@job_check("embeddings", blocking=True)
def vectors_sound(inquiry: CheckContext) -> Verdict:
    """Every picture has vectors of the job's one model, of its dimension and of unit length."""
    key = inquiry.key("embeddings")
    faults = inquiry.services.store.features.vector_faults(inquiry.job_id, key)
    missing, total = _left_out(inquiry, "embeddings", key)
    summary = f"{total - missing} of {total} pictures have vectors, {len(faults)} of them unsound"
    metadata = {
        "missing": missing,
        "unsound": [str(f) for f in faults[:20]],
        "model": inquiry.job.embed_model or "",
    }
    return Verdict(not faults and missing == 0 and total > 0, summary, metadata=metadata)


@job_check("embeddings", blocking=False, placement=GPU)
def vectors_reproducible(inquiry: CheckContext) -> Verdict:
    """A few pictures embedded again give the stored vectors: this machine's model is the one of the rows."""
    settings, features = inquiry.services.settings, inquiry.services.store.features
    embedder = load_embedder(inquiry.job.embed_model or "", settings.models)
    worst = 1.0
    for kind in _KINDS:
        items = list(islice(features.items(inquiry.job_id, kind, mask_key=inquiry.key("masks")), _AGAIN))
        stored = _stored_vectors(inquiry, kind, items)
        views = embed_views(embedder, [_load(inquiry, item) for item in items], kind, False)
        for item, view in zip(items, views, strict=True):
            worst = min(worst, float(np.dot(view.rgb[0], stored[item.item_id.hex])))
    return Verdict(
        worst >= _SAME_COSINE,
        f"least cosine of stored and fresh vectors {worst:.4f}; wanted {_SAME_COSINE}",
        "WARN",
        {"cosine": worst, "threshold": _SAME_COSINE, "device": embedder.device},
    )


def _load(inquiry: CheckContext, item: Item) -> EmbedInput:
    media = inquiry.services.media
    mask = decode_mask(media.get(item.mask_path)) if item.mask_path else None
    return EmbedInput(decode_stored(media.get(item.local_path)), mask)


def _stored_vectors(inquiry: CheckContext, kind: Kind, items: list[Item]) -> dict[str, np.ndarray]:
    wanted = {item.item_id for item in items}
    found: dict[str, np.ndarray] = {}
    for batch in inquiry.services.store.features.iter_embeddings(
        inquiry.job_id, kind, inquiry.key("embeddings"), 100
    ):
        for row, (item, view) in enumerate(zip(batch.ids, batch.views, strict=True)):
            if view == 0 and item in wanted:
                found[item.hex] = batch.rgb[row]
        if len(found) == len(wanted):
            break
    return found


@job_check("keypoints", blocking=True)
def keypoints_accounted(inquiry: CheckContext) -> Verdict:
    """Every picture has keypoints or is excused, and their files can be read."""
    key, media = inquiry.key("keypoints"), inquiry.services.media
    missing, total = _left_out(inquiry, "keypoints", key)
    unreadable: list[str] = []
    excused = 0
    for kind in _KINDS:
        for n, found in enumerate(inquiry.services.store.features.keypoints(inquiry.job_id, kind, key)):
            excused += found.status == "excused"
            if found.kp_blob_path is None or n >= _SAMPLE:
                continue
            try:
                from_npz(media.get(found.kp_blob_path))
            except StoreError as error:
                unreadable.append(f"{found.kp_blob_path}: {error.reason}")
    summary = f"{total - missing} of {total} pictures accounted for, {excused} of them excused"
    if unreadable:
        summary += f", {len(unreadable)} files unreadable"
    metadata = {"missing": missing, "excused": excused, "unreadable": unreadable[:20]}
    return Verdict(missing == 0 and not unreadable, summary, metadata=metadata)


CHECKS = (masks_accounted, masks_in_time, vectors_sound, vectors_reproducible, keypoints_accounted)
