"""Checks of segmentation and features: nothing left out, vectors sound, files readable."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

import numpy as np

from pvm_assets.checks.factory import CheckContext, CheckOutcome, job_check
from pvm_assets.keys import MASKS_OFF
from pvm_assets.work.decoded import decode
from pvm_core.embedders import EmbedInput, embed_views, load_embedder
from pvm_core.errors import StoreError
from pvm_core.keypoints import from_npz
from pvm_resources.gpu import GPU
from pvm_resources.store.features import Feature
from pvm_resources.store.records import Item, Kind

#: Files opened by a check that looks into files.
_SAMPLE: Final = 25
#: Pictures of each kind embedded again, and the cosine they must reach; a GPU rounds other than a CPU.
_AGAIN: Final = 4
_SAME_COSINE: Final = 0.995


def _left_out(context: CheckContext, feature: Feature, key: str) -> tuple[int, int]:
    """Pictures without the feature, and all pictures of the job."""
    counts = context.store.features.covered(context.job_id, feature, key).values()
    total = sum(all_ for _, all_ in counts)
    return total - sum(has for has, _ in counts), total


@job_check("masks", blocking=True)
def masks_accounted(context: CheckContext) -> CheckOutcome:
    """Every picture has a mask, or the reason why it has none."""
    key = context.key("masks")
    if key == MASKS_OFF:
        return CheckOutcome(True, "segmentation is off by rule", metadata={"missing": 0, "pictures": 0})
    missing, total = _left_out(context, "masks", key)
    return CheckOutcome(
        missing == 0,
        f"{total - missing} of {total} pictures have an outcome",
        metadata={"missing": missing, "pictures": total},
    )


@job_check("masks", blocking=False)
def masks_in_time(context: CheckContext) -> CheckOutcome:
    """Segmentation kept its time limit (rule mask_timeout_s); a picture over it goes on unmasked."""
    late = int(context.state.metadata.get("unmasked_for", {}).get("timeout", 0))
    limit = context.rules.mask_timeout_s
    return CheckOutcome(
        late == 0, f"{late} pictures took longer than {limit:g} s", "WARN", {"late": late, "limit_s": limit}
    )


@job_check("embeddings", blocking=True)
def vectors_sound(context: CheckContext) -> CheckOutcome:
    """Every picture has vectors of the job's one model, of its dimension and of unit length."""
    key = context.key("embeddings")
    faults = context.store.features.vector_faults(context.job_id, key)
    missing, total = _left_out(context, "embeddings", key)
    summary = f"{total - missing} of {total} pictures have vectors, {len(faults)} of them unsound"
    metadata = {
        "missing": missing,
        "pictures": total,
        "unsound_vectors": len(faults),
        "unsound": [str(f) for f in faults[:20]],
        "model": context.job.embed_model or "",
    }
    return CheckOutcome(not faults and missing == 0 and total > 0, summary, metadata=metadata)


@job_check("embeddings", blocking=False, placement=GPU)
def vectors_reproducible(context: CheckContext) -> CheckOutcome:
    """A few pictures embedded again give the stored vectors: this machine's model is the one of the rows."""
    settings, features = context.services.settings, context.store.features
    embedder = load_embedder(context.job.embed_model or "", settings.models)
    worst = 1.0
    kinds: tuple[Kind, Kind] = ("product", "frame")
    for kind in kinds:
        items = list(islice(features.items(context.job_id, kind, mask_key=context.key("masks")), _AGAIN))
        stored = _stored_vectors(context, kind, items)
        pictures = [decode(context.services.media, item) for item in items]
        views = embed_views(embedder, [EmbedInput(p.rgb, p.mask) for p in pictures], kind, False)
        for item, view in zip(items, views, strict=True):
            worst = min(worst, float(np.dot(view.rgb[0], stored[item.item_id.hex])))
    return CheckOutcome(
        worst >= _SAME_COSINE,
        f"least cosine of stored and fresh vectors {worst:.4f}; wanted {_SAME_COSINE}",
        "WARN",
        {"cosine": worst, "threshold": _SAME_COSINE, "device": embedder.device},
    )


def _stored_vectors(context: CheckContext, kind: Kind, items: list[Item]) -> dict[str, np.ndarray]:
    wanted = {item.item_id for item in items}
    found: dict[str, np.ndarray] = {}
    for batch in context.store.features.iter_embeddings(context.job_id, kind, context.key("embeddings"), 100):
        for row, (item, view) in enumerate(zip(batch.ids, batch.views, strict=True)):
            if view == 0 and item in wanted:
                found[item.hex] = batch.rgb[row]
        if len(found) == len(wanted):
            break
    return found


@job_check("keypoints", blocking=True)
def keypoints_accounted(context: CheckContext) -> CheckOutcome:
    """Every picture has keypoints or is excused, and their files can be read."""
    key, media = context.key("keypoints"), context.services.media
    missing, total = _left_out(context, "keypoints", key)
    unreadable: list[str] = []
    excused = 0
    opened = Counter[Kind]()
    for found in context.store.features.keypoints(context.job_id, key):
        excused += found.status == "excused"
        opened[found.kind] += 1
        if found.kp_blob_path is None or opened[found.kind] > _SAMPLE:
            continue
        try:
            from_npz(media.get(found.kp_blob_path))
        except StoreError as error:
            unreadable.append(f"{found.kp_blob_path}: {error.reason}")
    summary = f"{total - missing} of {total} pictures accounted for, {excused} of them excused"
    if unreadable:
        summary += f", {len(unreadable)} files unreadable"
    metadata = {
        "missing": missing, "pictures": total, "excused": excused, "unreadable_files": len(unreadable),
        "unreadable": unreadable[:20],
    }  # fmt: skip
    return CheckOutcome(missing == 0 and not unreadable, summary, metadata=metadata)


CHECKS = (masks_accounted, masks_in_time, vectors_sound, vectors_reproducible, keypoints_accounted)
