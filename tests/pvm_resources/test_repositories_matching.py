"""Candidates, evidence, scores, matches, results."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import StoreError
from pvm_core.rules import Rules
from pvm_core.scoring.margin import margins
from pvm_core.scoring.reason import Reason
from pvm_resources.store.assembly import Store
from pvm_resources.store.catalogue import ReviewedPicture
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import Candidate, CandidatePair, PairEvidenceRow
from tests.outbox import Outbox
from tests.pvm_resources import world


@pytest.fixture
def made(repos: Store) -> world.World:
    """A job with everything."""
    found = world.make(repos)
    world.write(repos, found)
    return found


def test_candidates_of_a_frame_are_replaced_as_a_whole(repos: Store, made: world.World) -> None:
    job, frame = made.job.job_id, made.frames[0].frame_id
    new = [
        Candidate(frame, made.images[4].img_id, 1, 0.7, 0.8, 0.8),
        Candidate(frame, made.images[1].img_id, 2, 0.1, None, 0.1),
    ]
    repos.matching.write_candidates(job, [frame], new)
    found = [c for c in repos.matching.candidates(job) if c.frame_id == frame]
    assert [(c.img_id, c.rank, c.similarity) for c in found] == [
        (c.img_id, c.rank, c.similarity) for c in new
    ]
    assert found[0].product_id == made.images[4].product_id
    assert (found[0].video_id, found[0].ts, found[0].shot) == (made.videos[0].video_id, 0.0, 0)
    assert len(list(repos.matching.candidates(job))) == 32
    repos.matching.write_candidates(job, [frame], [])
    assert len(list(repos.matching.candidates(job))) == 30


def test_evidence_is_shared_by_content_across_jobs(repos: Store, made: world.World) -> None:
    other = world.make(repos, "other", "b")
    assert {i.img_id for i in other.images}.isdisjoint(i.img_id for i in made.images)
    again = world.make(repos, job_id="again")
    repos.jobs.set_keys("again", **world.KEYS)
    repos.catalogue.set_products("again", again.products)
    repos.catalogue.write_images("again", again.images)
    repos.videos.set_videos("again", again.videos, again.members)
    repos.matching.write_candidates(
        "again",
        [made.frames[0].frame_id],
        [Candidate(made.frames[0].frame_id, made.images[0].img_id, 1, 0.5, None, 0.5)],
    )
    assert list(repos.matching.missing_evidence("again", "v1")) == []
    assert len(list(repos.matching.missing_evidence("again", "v2"))) == 1
    assert [raw for _, raw in repos.matching.evidence("again", "v1")] == [{"inliers": 19}]
    assert [raw for _, raw in repos.matching.evidence("again", "v2")] == [None]


def test_a_pair_compared_once_stays_compared(repos: Store, made: world.World) -> None:
    pair = next(repos.matching.candidates(made.job.job_id))
    repos.matching.write_evidence([PairEvidenceRow(pair.frame_id, pair.img_id, "v1", {"inliers": 99})])
    assert next(repos.matching.evidence(made.job.job_id, "v1"))[1] == {"inliers": 19}


def test_a_pair_looked_at_again_takes_the_clearer_look(repos: Store, made: world.World) -> None:
    job = made.job.job_id
    frame = made.frames[0].frame_id
    known = list(repos.matching.evidence_of_frames(job, "v1", [frame]))
    assert {pair.frame_id for pair, _ in known} == {frame}
    (first, raw), (second, _) = known[:2]
    assert raw == {"inliers": 19}
    again = [
        PairEvidenceRow(first.frame_id, first.img_id, "v1", {"inliers": 40, "mirrored": True}),
        PairEvidenceRow(
            second.frame_id, second.img_id, "v1", {"inliers": 30, "mirrored": False, "print_mid": 0.2}
        ),
    ]
    repos.matching.write_evidence(again, again=True)
    assert next(repos.matching.evidence_of_frames(job, "v1", [frame]))[1] == again[0].raw
    doubts = {doubt.frame: doubt for _, doubt in repos.matching.mirror_doubts(job, "v1")}
    assert len(doubts) == len(made.frames)
    one = doubts[frame]
    assert (one.shot, one.similarity, one.plain, one.tried, one.found) == (0, 0.9, False, True, True)
    assert not any(other.tried or other.found or other.plain for f, other in doubts.items() if f != frame)


def test_scores_are_replaced_as_a_whole(repos: Store, made: world.World) -> None:
    job = made.job.job_id
    before = list(repos.matching.scores(job))
    kept = [replace(s, sim_deep=None, score_pair=None) for s in before[:5]]
    repos.matching.replace_scores(job, iter(kept))
    assert list(repos.matching.scores(job)) == kept
    repos.matching.replace_scores(job, before)
    assert list(repos.matching.scores(job)) == before


def test_a_match_that_changed_loses_its_picture(repos: Store, made: world.World) -> None:
    job = made.job.job_id
    first, second, third = world.matches(made)
    paths = {m.match_id: f"evidence/{m.match_id}.jpg" for m in (first, second, third)}
    repos.matching.set_evidence(job, paths)
    repos.matching.replace_matches(
        job, [first, replace(second, score=0.61), replace(third, calibration="cal-2")]
    )
    found = {m.match_id: m.evidence_path for m in repos.matching.matches(job)}
    assert found == {
        first.match_id: paths[first.match_id],
        second.match_id: None,
        third.match_id: paths[third.match_id],
    }
    waiting = [item for item in repos.matching.match_items(job) if item.evidence_path is None]
    assert [item.match_id for item in waiting] == [second.match_id]
    repos.matching.replace_matches(job, [first])
    assert [m.match_id for m in repos.matching.matches(job)] == [first.match_id]
    assert Outbox(repos.database).counts(job)["match.result"] == 3


def test_what_an_evidence_picture_shows(repos: Store, made: world.World) -> None:
    item = next(repos.matching.match_items(made.job.job_id, statuses=["accepted"]))
    assert (item.product, item.title, item.video) == ("P0", "Gối 0", "clip0")
    assert item.image_path == made.images[0].local_path
    assert item.frame_path == made.frames[0].local_path
    assert item.raw == {"inliers": 19}
    assert len(list(repos.matching.match_items(made.job.job_id, min_score=0.5))) == 2


def test_results_by_score_and_status(repos: Store, made: world.World) -> None:
    job = made.job.job_id
    everything = list(repos.matching.results(job))
    assert [(r.product, r.video, r.score, r.status) for r in everything] == [
        ("P0", "clip0", 0.9, "accepted"), ("P1", "clip0", 0.6, "review"), ("P2", "clip0", 0.3, "rejected"),
    ]  # fmt: skip
    assert everything[0].evidence_path == f"evidence/{everything[0].match_id}.jpg"
    assert (everything[0].ts, everything[0].best.sim_edge, everything[0].embed_model) == (
        0.0,
        None,
        "classic",
    )
    assert [r.product for r in repos.matching.results(job, min_score=0.6)] == ["P0", "P1"]
    assert [r.product for r in repos.matching.results(job, statuses=["review", "rejected"])] == ["P1", "P2"]
    assert [r.product for r in repos.matching.results(job, limit=1)] == ["P0"]
    assert list(repos.matching.results("nowhere")) == []


def test_a_reason_is_stored_as_data_and_a_record_comes_back_whole(repos: Store, made: world.World) -> None:
    job, first = made.job.job_id, world.matches(made)[0]
    rival = str(made.products[1].product_id)
    values = {"rival": rival, "rival_score": 0.8312345678901234, "best": 0.85, "margin": 0.05}
    given = replace(first, reason=Reason("rival", values, alike=0.93), best=replace(first.best, shot=7))
    repos.matching.replace_matches(job, [given])
    (found,) = repos.matching.matches(job)
    assert found == given
    assert found.reason.text() == (
        "looks alike (0.93) without a geometric proof: another product fits the same place with 0.831 "
        "against 0.85, a lead of 0.05 is asked for"
    )
    (shown,) = repos.matching.results(job)
    assert (shown.reason, shown.best) == (given.reason, given.best)
    assert repos.match_queries.match(given.match_id) == shown
    card = repos.review_queries.card(given.match_id)
    assert card.row() == shown.row()


def test_a_job_keeps_the_rules_it_was_decided_under(repos: Store, made: world.World) -> None:
    job = made.job.job_id
    assert repos.jobs.get(job).rules is None
    rules = replace(Rules(), accept=0.83)
    repos.jobs.set_rules(job, rules)
    found = repos.jobs.get(job)
    assert found.rules is not None
    assert Rules(**found.rules) == rules
    assert found.keys["rules"] == rules.key


def _with_best(match: MatchRecord, **changes: Any) -> MatchRecord:
    return replace(match, best=replace(match.best, **changes))


_score = st.one_of(st.floats(0, 1), st.sampled_from([0.8, 0.79999999999, 0.80000000001, 0.0, 1.0]))


@given(score=_score, accept=_score, status=st.sampled_from(["accepted", "review", "rejected"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_accepted_if_and_only_if_the_score_says_so(
    repos: Store, score: float, accept: float, status: str
) -> None:
    made = world.make(repos, job_id="a")
    if repos.jobs.get("a").status == "queued":
        world.write(repos, made)
    match = replace(world.matches(made)[0], score=score, accept=accept, status=status)  # type: ignore[arg-type]
    if (status == "accepted") == (score >= accept):
        repos.matching.replace_matches("a", [match])
        found = repos.matching.matches("a")[0]
        assert (found.score, found.accept, found.status) == (score, accept, status)
    else:
        with pytest.raises(StoreError) as caught:
            repos.matching.replace_matches("a", [match])
        assert caught.value.code == "store.refused"


def test_a_match_of_another_jobs_picture_is_refused(repos: Store, made: world.World) -> None:
    with pytest.raises(StoreError):
        repos.matching.replace_matches(
            made.job.job_id, [_with_best(world.matches(made)[0], frame_id=uuid.uuid4())]
        )
    assert len(repos.matching.matches(made.job.job_id)) == 3


def test_a_review_of_the_catalogue_is_replaced_as_a_whole(repos: Store, made: world.World) -> None:
    job, (first, second, *_) = made.job.job_id, made.products
    rows = [
        ReviewedPicture(made.images[0].img_id, "chart", None),
        ReviewedPicture(made.images[1].img_id, "view", bytes(128)),
    ]
    groups = {first.product_id: first.product_id, second.product_id: first.product_id}
    repos.catalogue.write_review(job, rows, groups)
    found = {row.img_id: row for row in repos.catalogue.reviewed(job)}
    assert [found[row.img_id] for row in rows] == rows
    assert found[made.images[2].img_id].role == "view"
    assert repos.catalogue.listing_groups(job) == groups
    repos.catalogue.write_review(job, [], {})
    assert repos.catalogue.listing_groups(job) == {}


def test_a_match_names_the_first_listing_of_its_product(repos: Store, made: world.World) -> None:
    job, match = made.job.job_id, world.matches(made)[0]
    first = made.products[1]
    repos.matching.replace_matches(job, [replace(match, listing_group=first.product_id)])
    (shown,) = {(m.listing_group, m.listed_as) for m in repos.matching.results(job)}
    assert shown == (first.product_id, first.asin_or_itemid)


def test_measured_pairs_come_with_their_lead_over_other_products(repos: Store) -> None:
    made = world.make(repos)
    world.write(repos, made)
    job = made.job.job_id
    frames: dict[uuid.UUID | None, list[CandidatePair]] = {}
    for one in repos.matching.candidates(job):
        frames.setdefault(one.frame_id, []).append(one)
    expected = {
        (one.frame_id, one.img_id): margin
        for pairs in frames.values()
        for one, margin in zip(
            pairs, margins([p.product_id for p in pairs], [p.similarity for p in pairs]), strict=True
        )
    }
    videos = sorted({one.video_id for pairs in frames.values() for one in pairs})
    products = sorted({one.product_id for pairs in frames.values() for one in pairs})
    found = list(repos.calibrations.pairs_of_videos(job, world.KEYS["verify"], videos, products))
    assert found
    for pair, _, margin in found:
        wanted = expected[pair.frame_id, pair.img_id]
        assert margin == (None if wanted is None else pytest.approx(wanted))
