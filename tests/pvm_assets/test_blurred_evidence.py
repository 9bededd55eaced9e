"""The rule `blur_faces`: refused without the networks, drawn anew with them, no match touched."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import av
import cv2
import pytest
from small_case import product_picture, write_case
from stand import Stand

from pvm_core.faces.finding import NETWORKS, FaceFinder
from pvm_core.images import decode_stored
from pvm_core.video import iter_frames
from pvm_core.weights import folder_of
from pvm_resources.media.store import MediaStore
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import Job


def _matches(stand: Stand, job: Job) -> list[MatchRecord]:
    return list(stand.repos.matching.matches(job.job_id))


def _decided(stand: Stand, job: Job) -> list[MatchRecord]:
    """The matches without their pictures."""
    return [replace(one, evidence_path=None) for one in _matches(stand, job)]


def _evidence(stand: Stand, job: Job) -> dict[str, bytes]:
    media = MediaStore(stand.settings.media)
    return {key: media.get(key) for one in _matches(stand, job) if (key := one.evidence_path) is not None}


def _stored(stand: Stand, job: Job) -> set[str]:
    return set(MediaStore(stand.settings.media).keys(f"evidence/{job.job_id}"))


def test_without_the_networks_no_picture_is_drawn_or_left_and_no_match_changes(fresh: Stand) -> None:
    job = fresh.job()
    assert fresh.run(job).status == "completed"
    decided, drawn = _decided(fresh, job), _evidence(fresh, job)
    assert drawn
    fresh.repos.industries.set_rules(job.industry, "default", {"blur_faces": True})
    outcome = fresh.run(job)
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["code"] == "evidence.faces"
    assert outcome.error["stage"] == "evidence"
    assert "make attention" in outcome.error["remedy"]
    assert _decided(fresh, job) == decided
    assert (_evidence(fresh, job), _stored(fresh, job)) == ({}, set())
    fresh.repos.industries.set_rules(job.industry, "default", {})
    assert fresh.run(job).status == "completed"
    assert _evidence(fresh, job) == drawn


@pytest.fixture
def presented(fresh: Stand, real_faces: Path, tmp_path: Path) -> Stand:
    """The small case with another clip: a person beside a product, whose lines do not cross the face."""
    case = write_case(tmp_path / "presented")
    pack = cv2.resize(product_picture(2), (280, 280))
    with av.open(str(case / "videos" / "person.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for frame in islice(iter_frames(real_faces / "single_face.mp4"), 0, 160, 8):
            rgb = cv2.resize(frame.to_rgb(960), (960, 540))
            rgb[240:520, 10:290] = pack
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return replace(fresh, case=case)


@pytest.mark.attention
def test_faces_go_with_the_rule_and_come_back_without_it(presented: Stand, face_models: Path) -> None:
    job, find = presented.job(), FaceFinder(face_models)
    assert presented.run(job).status == "completed"
    decided, drawn = _decided(presented, job), _evidence(presented, job)
    with_face = {key for key, data in drawn.items() if find(decode_stored(data))}
    assert with_face

    presented.repos.industries.set_rules(job.industry, "default", {"blur_faces": True})
    assert presented.run(job).error["code"] == "evidence.faces"  # type: ignore[index]
    for name in NETWORKS:
        there = folder_of(presented.settings.models, name)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(folder_of(face_models, name))
    assert presented.run(job).status == "completed"
    blurred = _evidence(presented, job)
    assert len(blurred) == len(drawn)
    assert not set(blurred) & set(drawn)
    assert _stored(presented, job) == set(blurred)
    assert not [key for key, data in blurred.items() if find(decode_stored(data))]
    # What shows no face is the same picture to the byte.
    assert {drawn[key] for key in set(drawn) - with_face} & set(blurred.values())
    assert _decided(presented, job) == decided

    presented.repos.industries.set_rules(job.industry, "default", {})
    assert presented.run(job).status == "completed"
    assert _evidence(presented, job) == drawn
    assert _stored(presented, job) == set(drawn)
