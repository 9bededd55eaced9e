"""The calibration of one industry: fitted to its verdicts, compared, put in force and taken back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration, Sample
from pvm_core.verification import evidence_from_row
from pvm_core.verification.types import VERSION
from pvm_evaluation.label_fit import Comparison, LabelledPair, LabelSet, MeasuredPair, compare, fit_labels
from pvm_jobs.source_policy import Policies
from pvm_resources.models.calibrations import calibration_for, calibration_of
from pvm_resources.store.assembly import Store
from pvm_resources.store.calibrations import Calibrations, InstalledCalibration, JudgedPair
from pvm_resources.store.records import Industry, Job


@dataclass(frozen=True)
class Proposal:
    """A calibration fitted to the verdicts of an industry, not in force yet.

    Attributes:
        calibration: the fit; current: what is in force; version: of the fit.
        verdicts: right and wrong verdicts there are; the fit has learnt from `comparison.labels` of them.
        forbidden: left out because a source's terms forbid learning, by source.
        gone: left out because what was measured on their pictures is no longer kept, or was measured
            otherwise than the industry's latest job.
        news: whether the fit has learnt anything that the one in force has not.
    """

    industry: Industry
    job_id: str
    version: int
    calibration: Calibration
    current: Calibration
    comparison: Comparison
    verdicts: int
    forbidden: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    news: bool = True

    @property
    def mark(self) -> str:
        """Names what the fit was made of: another verdict, or another calibration before it, changes it."""
        said = self.calibration.provenance
        return f"{self.calibration.name} {said['labels']} {said['last_label']} {said['rules']}"

    @property
    def embedder(self) -> str:
        """The embedder it is of."""
        return self.calibration.embedder


def propose(store: Store, policies: Policies, models_dir: Path, rules: Rules, industry: Industry) -> Proposal:
    """Fits the industry's verdicts and compares the fit with the calibration in force.

    Verdicts count that say right or wrong, whose sources' terms allow learning, then and now, and whose pair
    is still measured as the industry's latest completed job measures.

    Args:
        rules: of the industry, as they are now.

    Raises:
        InputError: ``job.none``: no job has completed; ``calibration.labels``: no verdict can be learnt from;
            ``calibration.embedder``: the job's embedder is not calibrated.
    """
    job = _latest(store, industry)
    embedder, verify_key = job.embed_model or "", job.keys.get("verify", "")
    judged = store.calibrations.judged_pairs(industry.slug, embedder, verify_key)
    allowed, forbidden = _allowed(judged, policies)
    verdicts = store.calibrations.verdicts(industry.slug)
    gone = verdicts - len(judged)
    if not allowed:
        raise _nothing(industry, verdicts, forbidden, gone)
    given = label_set(store.calibrations, allowed, verify_key)
    prior = calibration_of(models_dir, embedder)
    current = calibration_for(store.calibrations, models_dir, industry.slug, embedder)
    version = store.calibrations.next_version(industry.slug, embedder)
    said = {
        "industry": industry.slug, "labels": len(given.labels), "last_label": given.last,
        "products": len(given.products), "verification": VERSION, "rules": rules.key,
    }  # fmt: skip
    name = f"{prior.name}+{industry.slug}.{version}"
    fitted = fit_labels(given.labels, prior, name, rules, given.scale, said)
    seen = {key: current.provenance.get(key) for key in ("prior", *said)}
    return Proposal(
        industry, job.job_id, version, fitted, current, compare(given, prior, current, fitted, rules),
        verdicts, forbidden, gone, seen != {"prior": prior.name, **said},
    )  # fmt: skip


def install(store: Store, proposal: Proposal, who: str) -> InstalledCalibration:
    """Puts a proposal in force for every later job of its industry.

    Raises:
        InputError: ``calibration.changed``: another was installed meanwhile.
    """
    return store.calibrations.install(
        proposal.industry.slug, proposal.version, proposal.calibration, proposal.comparison.figures(), who
    )


def revert(store: Store, industry: Industry) -> tuple[InstalledCalibration, InstalledCalibration | None]:
    """Takes back the industry's calibration of the embedder its latest job used.

    Returns:
        what was in force, and what is now; None: the machine's.

    Raises:
        InputError: ``job.none``, ``calibration.none``.
    """
    return store.calibrations.revert(industry.slug, _latest(store, industry).embed_model or "")


def label_set(calibrations: Calibrations, judged: Sequence[JudgedPair], verify_key: str) -> LabelSet:
    """Verdicts with everything measured on the videos they speak of."""
    pairs: list[MeasuredPair] = []
    for job_id in dict.fromkeys(one.job_id for one in judged):
        own = [one for one in judged if one.job_id == job_id]
        videos, products = ({getattr(one, name) for one in own} for name in ("video_id", "product_id"))
        measured = calibrations.pairs_of_videos(job_id, verify_key, sorted(videos), sorted(products))
        pairs += [
            MeasuredPair(job_id, pair, pair.sim_rgb, pair.sim_gray, evidence_from_row(raw), margin)
            for pair, raw, margin in measured
        ]
    found = {(one.job_id, one.pair.frame_id, one.pair.img_id): one for one in pairs}
    shown: dict[uuid.UUID, set[str]] = {}
    for one in judged:
        if one.verdict == "accept":
            shown.setdefault(one.video_id, set()).add(str(one.product_id))
    labels = [
        LabelledPair(
            one.seq,
            (one.job_id, one.product_id, one.video_id),
            Sample(
                seen.evidence, seen.sim_rgb, seen.sim_gray, one.verdict == "accept",
                str(one.product_id), frozenset(shown.get(one.video_id, ())), seen.margin,
            ),
        )
        for one in judged
        for seen in (found[one.job_id, one.frame_id, one.img_id],)
    ]  # fmt: skip
    return LabelSet(tuple(labels), tuple(pairs))


def _latest(store: Store, industry: Industry) -> Job:
    job = store.jobs.latest(industry.slug)
    if job is None:
        raise InputError(
            "job.none", industry.name, "no job of this industry has completed", "pvm status shows its jobs"
        )
    return job


def _allowed(judged: Sequence[JudgedPair], policies: Policies) -> tuple[list[JudgedPair], dict[str, int]]:
    allowed: list[JudgedPair] = []
    forbidden: dict[str, int] = {}
    for one in judged:
        source = policies.forbidding(one.source, one.platform, then=one.may_train)
        if source is None:
            allowed.append(one)
        else:
            forbidden[source] = forbidden.get(source, 0) + 1
    return allowed, forbidden


def _nothing(industry: Industry, verdicts: int, forbidden: dict[str, int], gone: int) -> InputError:
    reason = "nobody has judged a match right or wrong"
    if verdicts:
        parts = [f"the terms of {source} forbid learning from {n}" for source, n in sorted(forbidden.items())]
        if gone:
            parts.append(f"what was measured for {gone} is no longer kept, or was measured otherwise")
        reason = f"of {verdicts} verdicts none can be learnt from: {', '.join(parts)}"
    return InputError(
        "calibration.labels", industry.name, reason,
        "Judge matches of its latest job on the review page: /review",
    )  # fmt: skip
