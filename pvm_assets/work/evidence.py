"""One match: its evidence picture."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pvm_assets.work.picture_source import PictureSource
from pvm_core.errors import StoreError
from pvm_core.evidence.contact_sheet import encode_within
from pvm_core.evidence.page import MAX_EVIDENCE_BYTES, EvidenceInput, Rival, render_evidence, render_portrait
from pvm_core.evidence.words import Language, say
from pvm_core.images import decode_mask
from pvm_core.scoring.verdict import Verdict
from pvm_core.verification import PairEvidence, evidence_from_row
from pvm_jobs.source_policy import Policies
from pvm_resources.store.match_record import EvidenceItem
from pvm_resources.store.matching import evidence_key

#: The terms of a score, as fields of a pair.
TERMS: Final = ("sim_deep", "sim_kp", "sim_edge")
#: Words named at most.
_WORDS: Final = 6


@dataclass(frozen=True)
class EvidenceTask:
    """A match whose evidence picture is wanted under `key`.

    Attributes:
        weights: of the terms, from the rules.
        attribution: what the product's source asks to be shown; "" for nothing.
        verdict: shown as standing over the score; None: the score alone is shown.
        language: of the picture; reason: why the score is what it is, in that language; "" in English.
        rival_shown: the terms of the rival's source let its name and picture be drawn.
        portrait: drawn for a narrow screen.
    """

    item: EvidenceItem
    key: str
    weights: tuple[tuple[str, float], ...]
    attribution: str = ""
    verdict: Verdict | None = None
    language: Language = "en"
    reason: str = ""
    rival_shown: bool = True
    portrait: bool = False

    def __str__(self) -> str:
        return match_label(self.item)


def match_label(item: EvidenceItem) -> str:
    """What messages call a match."""
    return f"{item.product} in {item.video}"


@dataclass(frozen=True)
class EvidenceDone:
    """A stored evidence picture."""

    match_id: uuid.UUID
    key: str


def render_item(source: PictureSource, task: EvidenceTask) -> EvidenceDone:
    """Renders and stores one evidence picture."""
    source.media.put(task.key, drawn(source, task))
    return EvidenceDone(task.item.match_id, task.key)


def drawn(source: PictureSource, task: EvidenceTask) -> bytes:
    """The evidence picture, JPEG of at most `MAX_EVIDENCE_BYTES`."""
    render = render_portrait if task.portrait else render_evidence
    return encode_within(render(evidence_input(source, task)), MAX_EVIDENCE_BYTES)


def is_current(item: EvidenceItem, *, blurs: bool) -> bool:
    """The stored evidence picture is of the kind that the rules ask for: with faces blurred, or as they are.

    Where faces need not be blurred any more, one that has them blurred still proves the match.
    """
    return not blurs or item.evidence_path == evidence_key(item.job_id, item.match_id, blurred=True)


def evidence_page(
    source: PictureSource,
    item: EvidenceItem,
    weights: tuple[tuple[str, float], ...],
    policies: Policies,
    *,
    language: Language,
    reason: str,
    portrait: bool = False,
) -> bytes:
    """The evidence picture of a match that has one, JPEG: the stored one where it says what is true now, in
    English, on a wide screen, and blurs faces where the source does; else drawn anew, with a verdict over
    the score.

    Raises:
        StoreError: ``media.missing``, or the store is out of reach.
    """
    assert item.evidence_path is not None
    current = is_current(item, blurs=source.blurs)
    same = language == "en" and item.effective_status == item.status and not portrait
    if item.image_path is None or item.frame_path is None or (same and current):
        if not current:
            raise StoreError(
                "media.missing",
                item.evidence_path,
                "its faces are not blurred, and what it was drawn of is gone",
                "Look at the match without it",
            )
        return source.media.get(item.evidence_path)
    rival = item.rival
    return drawn(source, EvidenceTask(
        item, item.evidence_path, weights, policies[item.source].attribution, item.label, language, reason,
        rival is None or not policies[rival.source].restricted, portrait,
    ))  # fmt: skip


def weights_of(rules: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Weight of each term, of rules as a job stores them."""
    names = (("sim_deep", "weight_deep"), ("sim_kp", "weight_kp"), ("sim_edge", "weight_edge"))
    return tuple((term, float(rules[name])) for term, name in names if name in rules)


def evidence_input(source: PictureSource, task: EvidenceTask) -> EvidenceInput:
    """What the evidence picture of a match shows."""
    item = task.item
    evidence = evidence_from_row(item.raw) if item.raw is not None else None
    # What carries the score is drawn.
    carries = evidence is not None and item.reason.code == "accepted.learned"
    shown = evidence.learned if evidence is not None and carries and evidence.learned else evidence
    assert item.image_path is not None
    assert item.frame_path is not None
    return EvidenceInput(
        product_rgb=source.picture(item.image_path),
        frame_rgb=source.picture(item.frame_path),
        transform=shown.transform if shown else None,
        inliers_product=shown.points_product if shown else (),
        inliers_frame=shown.points_frame if shown else (),
        inliers=shown.inliers if shown else None,
        differs=_differs(item, evidence),
        product_mask=decode_mask(source.media.get(item.product_mask)) if item.product_mask else None,
        score=item.score,
        status=item.status,
        verdict=task.verdict,
        best=item.best.score_pair,
        rival=_rival(source, task),
        language=task.language,
        terms={name: getattr(item.best, name) for name in TERMS},
        weights=dict(task.weights),
        accept=item.accept,
        ts=item.ts,
        product_title=item.title,
        product_ref=item.product,
        video_name=item.video,
        reason=task.reason or item.reason.text(),
        facts=_facts(item, evidence, task.language),
        small_print=(
            # First: what does not fit the line is cut at its end.
            *((task.attribution,) if task.attribution else ()),
            say(task.language, "model {name}", name=item.embed_model),
            say(task.language, "calibration {name}", name=item.calibration),
            say(task.language, "match {name}", name=item.match_id),
        ),
    )


def _differs(item: EvidenceItem, evidence: PairEvidence | None) -> tuple[float, ...] | None:
    """The place that decided, in product pixels: of another colour, of another print, or of another word."""
    if evidence is None:
        return None
    words = evidence.words.at if evidence.words is not None else None
    places = {
        "colour.differs": evidence.recolour_at,
        "print.differs": evidence.reprint_at,
        "word.differs": words,
    }
    return places.get(item.reason.code)


def _rival(source: PictureSource, task: EvidenceTask) -> Rival | None:
    found = task.item.rival
    if found is None:
        return None
    if not task.rival_shown:
        return Rival(found.product, found.score)
    name = f"{found.title} ({found.product})" if found.title else found.product
    rgb = None
    if found.path is not None:
        try:
            rgb = source.picture(found.path)
        except StoreError as error:
            # Its picture was purged a moment ago; the match's own are still there.
            if error.code != "media.missing":
                raise
    return Rival(name, found.score, rgb)


def _read(evidence: PairEvidence | None, language: Language) -> tuple[str, ...]:
    seen = evidence.words.seen if evidence is not None and evidence.words is not None else ()
    return (say(language, "words read in both: {words}", words=", ".join(seen[:_WORDS])),) if seen else ()


def _facts(match: EvidenceItem, evidence: PairEvidence | None, language: Language) -> tuple[str, ...]:
    tentative = evidence.tentative if evidence and evidence.inliers else 0
    return (
        *((say(language, "seen mirrored"),) if match.mirrored else ()),
        *((say(language, "framed: another colour"),) if match.reason.code == "colour.differs" else ()),
        *((say(language, "framed: another print"),) if match.reason.code == "print.differs" else ()),
        *((say(language, "framed: another word"),) if match.reason.code == "word.differs" else ()),
        *_read(evidence, language),
        *((say(language, "tentative: {count}", count=tentative),) if tentative else ()),
        say(language, "shots that reach the threshold: {count}", count=match.consistency),
        say(language, "catalogue pictures in them: {count}", count=match.coverage),
        *(
            (say(language, "listed more than once, first as {name}", name=match.listed_as),)
            if match.listed_as
            else ()
        ),
    )
