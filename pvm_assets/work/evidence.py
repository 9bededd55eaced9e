"""One match: its evidence picture."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pvm_core.evidence.contact_sheet import encode_within
from pvm_core.evidence.page import MAX_EVIDENCE_BYTES, EvidenceInput, render_evidence
from pvm_core.images import decode_mask, decode_stored
from pvm_core.verification import PairEvidence, evidence_from_row
from pvm_resources.media.store import MediaStore
from pvm_resources.store.match_record import EvidenceItem


@dataclass(frozen=True)
class EvidenceTask:
    """A match whose evidence picture is wanted under `key`.

    Attributes:
        product_mask: key of the product's mask, None without.
        weights: of the terms, from the rules.
        attribution: what the product's source asks to be shown; "" for nothing.
    """

    item: EvidenceItem
    key: str
    product_mask: str | None
    weights: tuple[tuple[str, float], ...]
    attribution: str = ""

    def __str__(self) -> str:
        return f"{self.item.product} in {self.item.video}"


@dataclass(frozen=True)
class EvidenceDone:
    """A stored evidence picture."""

    match_id: uuid.UUID
    key: str


def render_item(media: MediaStore, task: EvidenceTask) -> EvidenceDone:
    """Renders and stores one evidence picture."""
    media.put(task.key, encode_within(render_evidence(evidence_input(media, task)), MAX_EVIDENCE_BYTES))
    return EvidenceDone(task.item.match_id, task.key)


def evidence_input(media: MediaStore, task: EvidenceTask) -> EvidenceInput:
    """What the evidence picture of a match shows."""
    item = task.item
    evidence = evidence_from_row(item.raw) if item.raw is not None else None
    assert item.image_path is not None
    assert item.frame_path is not None
    return EvidenceInput(
        product_rgb=decode_stored(media.get(item.image_path)),
        frame_rgb=decode_stored(media.get(item.frame_path)),
        transform=evidence.transform if evidence else None,
        inliers_product=evidence.points_product if evidence else (),
        inliers_frame=evidence.points_frame if evidence else (),
        inliers=evidence.inliers if evidence else None,
        product_mask=decode_mask(media.get(task.product_mask)) if task.product_mask else None,
        score=item.score,
        status=item.status,
        terms={name: getattr(item.best, name) for name, _ in task.weights},
        weights=dict(task.weights),
        accept=item.accept,
        ts=item.ts,
        product_title=item.title,
        product_ref=item.product,
        video_name=item.video,
        reason=item.reason.text(),
        facts=_facts(item, evidence),
        small_print=(
            # First: what does not fit the line is cut at its end.
            *((task.attribution,) if task.attribution else ()),
            f"model {item.embed_model}",
            f"calibration {item.calibration}",
            f"match {item.match_id}",
        ),
    )


def _facts(match: EvidenceItem, evidence: PairEvidence | None) -> tuple[str, ...]:
    reach = "shot reaches" if match.consistency == 1 else "shots reach"
    shots = f"{match.consistency} independent {reach} the threshold"
    tentative = (f"{evidence.tentative} tentative",) if evidence and evidence.inliers else ()
    return (
        *tentative,
        shots,
        f"{match.coverage} catalogue picture{'' if match.coverage == 1 else 's'} in them",
    )
