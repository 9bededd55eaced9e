"""A job over a clip that was re-uploaded mirrored."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from small_case import product_picture, write_clip
from stand import Stand

from tests.outbox import Outbox


def test_a_mirrored_clip_is_found_marked_and_not_looked_at_twice(stand: Stand, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(stand.case, case)
    write_clip(case / "videos" / "clip0.mp4", 0, np.ascontiguousarray(product_picture(0)[:, ::-1]))
    mirrored = replace(stand, case=case)
    job = mirrored.job()
    outcome = mirrored.run(job)
    assert outcome.status == "completed", outcome.error
    store = stand.repos.matching
    found = {(r.product, r.video): r for r in store.results(job.job_id)}
    flipped, plain = found["p0", "clip0"], found["p1", "clip1"]
    assert flipped.mirrored
    assert flipped.status in ("accepted", "review")
    assert flipped.score > 0.7
    assert not plain.mirrored
    told = Outbox(stand.repos.database).events(job.job_id, limit=10_000)
    said = {e.payload["match_id"]: e.payload["mirrored"] for e in told if e.name == "match.result"}
    assert said[str(flipped.match_id)] is True
    key = stand.repos.jobs.get(job.job_id).keys["verify"]
    before = [raw for _, raw in store.evidence(job.job_id, key)]
    assert any(raw.get("mirrored") for raw in before if raw)
    doubts = [doubt for _, doubt in store.mirror_doubts(job.job_id, key)]
    # A clip that reads plainly costs nothing; one without any product is tried on three frames.
    assert any(one.plain for one in doubts)
    assert not any(one.tried for one in doubts if one.plain)
    assert mirrored.run(job).status == "completed"
    assert [raw for _, raw in store.evidence(job.job_id, key)] == before
