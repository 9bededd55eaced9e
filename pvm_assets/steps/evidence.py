"""Evidence: one picture for each accepted or reviewable match."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Final

from pvm_assets.data_version import version_of
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.work.evidence import EvidenceDone, EvidenceTask, render_item, weights_of
from pvm_assets.work.picture_source import picture_source
from pvm_core.faces.blurring import require_networks
from pvm_resources.store.match_record import EvidenceItem
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.records import MatchStatus

#: Rejected pairs get no picture.
_SHOWN: Final[tuple[MatchStatus, ...]] = ("accepted", "review")


@job_asset(
    table="matches",
    columns=(
        Column("match_id", "uuid", "the match that the picture proves"),
        Column("evidence_path", "text", "key of the evidence picture in the media store"),
    ),
    kinds={"python", "postgres", "image"},
    code_version="1",
)
def evidence(stage: Stage) -> Report:
    """One picture for each accepted or reviewable match, by score or by verdict: product and frame, inlier
    lines, terms, second.

    A match that is the same as before keeps its picture; one whose pictures were purged stays without. Where
    the rules ask for it faces are blurred, and where they cannot be no picture is drawn.
    """
    services, blurs = stage.services, stage.rules.blur_faces
    _withdraw(stage)
    items = [i for i in services.store.matching.match_items(stage.job_id, statuses=_SHOWN) if _drawable(i)]
    todo = [item for item in items if not _made(stage, item)]
    if blurs and todo:
        require_networks(services.settings.models)
    stage.begin(len(items), reused=len(items) - len(todo))
    policies, weights = stage.policies, weights_of(asdict(stage.rules))
    tasks = (
        EvidenceTask(
            item,
            evidence_key(stage.job_id, item.match_id, blurred=blurs),
            weights,
            policies[item.source].attribution,
            rival_shown=item.rival is None or not policies[item.rival.source].restricted,
        )
        for item in todo
    )

    def write(done: list[EvidenceDone]) -> None:
        services.store.matching.set_evidence(stage.job_id, {d.match_id: d.key for d in done})

    source = partial(picture_source, services.media, services.settings.models, blurs=blurs)
    stage.settle(services.pool.map(render_item, tasks, source), write)
    return _report(stage)


def _withdraw(stage: Stage) -> None:
    """Deletes the pictures that the rules no longer allow or ask for, before any is drawn or refused."""
    matching, wanted = stage.services.store.matching, stage.rules.blur_faces
    other = {
        m.match_id: m.evidence_path
        for m in matching.with_pictures(stage.job_id)
        if m.evidence_path is not None
        and (m.evidence_path == evidence_key(stage.job_id, m.match_id, blurred=True)) != wanted
    }
    for key in other.values():
        stage.services.media.delete(key)
    if other:
        matching.withdraw_evidence(stage.job_id, list(other))


def _drawable(item: EvidenceItem) -> bool:
    return item.image_path is not None and item.frame_path is not None


def _made(stage: Stage, item: EvidenceItem) -> bool:
    path = item.evidence_path
    return path is not None and stage.services.media.exists(path)


def _report(stage: Stage) -> Report:
    rows = stage.services.store.matching.with_pictures(stage.job_id)
    best = sorted(rows, key=lambda m: (m.status != "accepted", -m.score))
    shown = [m.evidence_path for m in best if m.evidence_path]
    purged = sum(m.media_purged_at is not None for m in rows)
    metadata = {"purged": purged, **stage.pages(shown, "evidence of the best matches")}
    version = version_of(sorted(f"{m.match_id.hex}{m.evidence_path}{m.score:.9f}" for m in rows))
    return Report(len(rows), version, metadata, {}, (stage.event("evidences.generation.completed"),))
