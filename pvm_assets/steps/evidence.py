"""Evidence: one picture for each accepted or reviewable match."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

from pvm_assets.data_version import version_of
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_assets.work.evidence import EvidenceDone, EvidenceTask, match_label, render_item, weights_of
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
    _draw(stage, _begin(stage))
    return _report(stage)


def begin_evidence(stage: Stage) -> list[uuid.UUID]:
    """States how many pictures there are; the matches whose picture is to be drawn."""
    return [item.match_id for item in _begin(stage)]


def draw_evidence(stage: Stage) -> None:
    """Draws the pictures of the stage's shard."""
    known = stage.services.store.matching.matches(stage.job_id)
    mine = [match.match_id for match in known if stage.mine(match.match_id, "")]
    _draw(stage, [item for item in _drawable(stage, mine) if not _made(stage, item)])


def _begin(stage: Stage) -> list[EvidenceItem]:
    _withdraw(stage)
    total, todo = 0, []
    for item in _drawable(stage):
        total += 1
        if not _made(stage, item) and stage.mine(item.match_id, match_label(item)):
            todo.append(item)
    if stage.rules.blur_faces and todo:
        require_networks(stage.services.settings.models)
    stage.begin(total, reused=total - len(todo))
    return todo


def _draw(stage: Stage, todo: Sequence[EvidenceItem]) -> None:
    services, blurs = stage.services, stage.rules.blur_faces
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


def _drawable(stage: Stage, only: Sequence[uuid.UUID] | None = None) -> Iterator[EvidenceItem]:
    """The matches that get a picture, or those of `only` among them, whose own pictures are there."""
    found = stage.services.store.matching.match_items(stage.job_id, statuses=_SHOWN, only=only)
    return (item for item in found if item.image_path is not None and item.frame_path is not None)


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
