"""Labels: what counts, undoing, reruns, precision, versions, people at the same moment."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core import ids
from pvm_core.errors import InputError
from pvm_jobs import contracts
from pvm_jobs.source_policy import parse_policies
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Labels, Tally
from pvm_resources.store.match_queries import ResultFilter
from pvm_resources.store.review_queries import Wanted
from tests.pvm_resources import world
from tests.pvm_resources.world import World


@pytest.fixture
def labels(repos: Store) -> Labels:
    """Labels under the shipped policies."""
    return Labels(repos.database, parse_policies(""))


@pytest.fixture
def done(repos: Store) -> World:
    """A finished job."""
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    return made


def _ids(done: World) -> list[uuid.UUID]:
    return [match.match_id for match in world.matches(done)]


def test_a_verdict_says_who_when_and_on_what_version(labels: Labels, done: World) -> None:
    first = world.matches(done)[0]
    label = labels.give(first.match_id, "accept", "  Lan\n Anh ")
    assert (label.verdict, label.who, label.match_id, label.job_id) == (
        "accept", "Lan Anh", first.match_id, "job-1",
    )  # fmt: skip
    told = (label.score, label.status, label.calibration, label.embed_model, label.rules_key)
    assert told == (0.9, "accepted", "cal-1", "classic", "r1")
    assert (label.img_id, label.frame_id, label.ts) == (first.best.img_id, first.best.frame_id, first.ts)
    assert (label.source, label.platform, label.may_train) == ("file", "folder", True)
    assert (label.product, label.title, label.video) == ("P0", "Gối 0", "clip0")


def test_terms_of_either_side_forbid_learning(repos: Store, done: World) -> None:
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE videos SET platform = 'youtube'")
    shipped = Labels(repos.database, parse_policies(""))
    assert not shipped.give(_ids(done)[0], "accept", "Lan").may_train
    own = Labels(repos.database, parse_policies('{"youtube": {"may_train": true}}'))
    assert own.give(_ids(done)[2], "accept", "Lan").may_train
    never = Labels(repos.database, parse_policies('{"file": {"may_train": false}}'))
    assert not never.give(_ids(done)[1], "accept", "Lan").may_train


def test_the_newest_counts_and_saying_it_again_adds_nothing(labels: Labels, done: World) -> None:
    match = _ids(done)[0]
    first = labels.give(match, "accept", "Lan")
    assert labels.give(match, "accept", "Lan") == first
    labels.give(match, "accept", "Minh")
    labels.give(match, "unsure", "Minh")
    assert [(label.verdict, label.who) for label in labels.history(match)] == [
        ("unsure", "Minh"), ("accept", "Minh"), ("accept", "Lan"),
    ]  # fmt: skip
    assert [label.superseded_at is None for label in labels.history(match)] == [True, False, False]
    assert [label.verdict for label in labels.list(10)] == ["unsure"]


def test_undo_goes_back_step_by_step(labels: Labels, done: World) -> None:
    match = _ids(done)[0]
    labels.give(match, "accept", "Lan")
    labels.give(match, "reject", "Minh")
    back = labels.undo(match, "Minh")
    assert back is not None
    assert back.verdict == "accept"
    assert labels.undo(match, "Minh") is None
    with pytest.raises(InputError, match="no verdict"):
        labels.undo(match, "Minh")
    assert [label.verdict for label in labels.history(match)] == ["none", "accept", "reject", "accept"]
    assert labels.list(10) == []
    assert [label.verdict for label in labels.list(10, history=True)] == [
        "none", "accept", "reject", "accept",
    ]  # fmt: skip
    again = labels.give(match, "unsure", "Lan")
    assert again.verdict == "unsure"
    assert labels.undo(match, "Lan") is None


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(steps=st.lists(st.sampled_from(["accept", "reject", "unsure", "undo"]), max_size=8))
def test_any_order_of_saying_and_undoing(labels: Labels, done: World, steps: list[str]) -> None:
    match = _ids(done)[1]
    said = labels.of_match(match)
    while said is not None:
        said = labels.undo(match, "x")
    stack: list[str] = []
    for step in steps:
        if step != "undo":
            labels.give(match, step, "Lan")  # type: ignore[arg-type]
            # Saying what counts already, of the same version, is no second step.
            stack += [step] if not stack or stack[-1] != step or _who(labels, match) != "Lan" else []
        elif stack:
            stack.pop()
            labels.undo(match, "Lan")
        counts = labels.of_match(match)
        assert (counts.verdict if counts else None) == (stack[-1] if stack else None)


def _who(labels: Labels, match: uuid.UUID) -> str:
    return labels.history(match, 1)[0].who


def test_a_rerun_and_a_later_job_find_the_verdict(repos: Store, labels: Labels, done: World) -> None:
    matches = world.matches(done)
    labels.give(matches[0].match_id, "accept", "Lan")
    repos.matching.replace_matches("job-1", [])
    repos.matching.replace_matches("job-1", [replace(matches[0], score=0.85, calibration="cal-2")])
    found = labels.of_match(matches[0].match_id)
    assert found is not None
    assert (found.score, found.calibration) == (0.9, "cal-1")
    labels.give(matches[0].match_id, "accept", "Lan")
    assert [label.calibration for label in labels.history(matches[0].match_id)] == ["cal-2", "cal-1"]
    later = world.make(repos, job_id="job-2")
    world.write(repos, later)
    match = ids.match_id("job-2", matches[0].product_id, matches[0].video_id)
    assert [r.label for r in repos.matching.results("job-2")] == ["accept", None, None]
    repos.inbox.delete("job-1", "test", force=True)
    kept = labels.of_match(match)
    assert kept is not None
    assert (kept.job_id, kept.product, kept.video) == ("job-1", "P0", "clip0")
    assert labels.tallies(["job-1", "job-2"])["job-2"].right == 1


def _changes(repos: Store, job: str = "job-1") -> list[tuple[str, str, str]]:
    """(verdict, status before, status now) of the events that changed a match, in order; each keeps its
    contract."""
    found = [e for e in repos.match_queries.events(job, 1_000) if e.name == "match.verdict"]
    for event in found:
        contracts.validate("match.verdict", {**event.payload, "job_id": job, "event_id": str(event.event_id)})
    return [(e.payload["verdict"], e.payload["previous_status"], e.payload["status"]) for e in found]


def test_a_verdict_stands_over_the_score_everywhere(repos: Store, labels: Labels, done: World) -> None:
    accepted, review, rejected = _ids(done)
    labels.give(accepted, "reject", "Lan")
    labels.give(rejected, "accept", "Lan")
    labels.give(review, "unsure", "Lan")
    assert [(r.status, r.effective_status) for r in repos.matching.results("job-1")] == [
        ("accepted", "rejected"), ("review", "review"), ("rejected", "accepted"),
    ]  # fmt: skip
    found = [r.match_id for r in repos.matching.results("job-1", statuses=["accepted"])]
    assert found == [rejected]
    pages = repos.match_queries.results(ResultFilter(statuses=["rejected"]), 10)
    assert [r.match_id for r in pages] == [accepted]
    said = repos.match_queries.results(ResultFilter(jobs=["job-1"], verdicts=["unsure", "reject"]), 10)
    assert [r.match_id for r in said] == [accepted, review]
    assert repos.match_queries.results(ResultFilter(jobs=["job-1"], verdicts=["none"]), 10) == []
    cards = repos.review_queries.cards(Wanted("job-1", statuses=["accepted"]), 10)
    assert [card.match_id for card in cards] == [rejected]
    counts = repos.jobs.counts("job-1")
    assert (counts.accepted, counts.review, counts.rejected) == (1, 1, 1)
    tally = labels.tallies(["job-1"])["job-1"]
    # The precision is of the score: what a person overruled is its fault.
    assert (tally.accepted, tally.wrong, tally.precision, tally.missed) == (1, 1, 0.0, 1)
    assert (tally.shown_accepted, tally.shown_review, tally.shown_rejected) == (1, 1, 1)
    drawn = {item.match_id for item in repos.matching.match_items("job-1", statuses=["accepted"])}
    assert drawn == {accepted, rejected}, "accepted by the score or by a person: both are proven"


def test_an_event_tells_who_listens_that_a_status_changed(repos: Store, labels: Labels, done: World) -> None:
    accepted, review, _ = _ids(done)
    labels.give(accepted, "accept", "Lan")
    labels.give(accepted, "unsure", "Lan")
    assert _changes(repos) == [], "what the score says already is no change"
    labels.give(accepted, "reject", "Lan")
    labels.give(accepted, "reject", "Lan")
    labels.give(review, "accept", "Lan")
    labels.undo(review, "Lan")
    labels.undo(accepted, "Lan")
    assert _changes(repos) == [
        ("reject", "accepted", "rejected"), ("accept", "review", "accepted"),
        ("none", "accepted", "review"), ("unsure", "rejected", "accepted"),
    ]  # fmt: skip


def test_a_verdict_on_an_old_job_is_told_of_the_latest_one_too(
    repos: Store, labels: Labels, done: World
) -> None:
    for job in ("job-2", "job-3"):
        world.write(repos, world.make(repos, job_id=job))
    labels.give(_ids(done)[0], "reject", "Lan")
    assert [len(_changes(repos, job)) for job in ("job-1", "job-2", "job-3")] == [1, 0, 1]


def test_a_verdict_survives_a_rerun_under_other_rules(repos: Store, labels: Labels, done: World) -> None:
    match = world.matches(done)[0]
    labels.give(match.match_id, "reject", "Lan")
    for accept, score, status in ((0.95, 0.9, "review"), (0.7, 0.9, "accepted")):
        again = replace(match, accept=accept, score=score, status=status, rules_key="r2")
        repos.matching.replace_matches("job-1", [again])
        (found,) = repos.matching.results("job-1")
        assert (found.status, found.effective_status, found.label) == (status, "rejected", "reject")
    assert list(repos.matching.results("job-1", statuses=["accepted"])) == []


def test_another_industry_with_the_same_video_is_not_judged(
    repos: Store, labels: Labels, done: World
) -> None:
    labels.give(_ids(done)[0], "reject", "Lan")
    other = world.make(repos, name="giày", job_id="job-9")
    world.write(repos, other)
    assert {r.label for r in repos.matching.results("job-9")} == {None}
    assert labels.list(10, industry=other.industry.slug) == []


def test_precision_and_its_bound(labels: Labels, done: World) -> None:
    accepted, review, rejected = _ids(done)
    assert labels.tallies(["job-1", "none"]) == {
        "job-1": Tally("job-1", accepted=1, review=1, rejected=1), "none": Tally("none"),
    }  # fmt: skip
    labels.give(accepted, "accept", "Lan")
    labels.give(review, "accept", "Lan")
    labels.give(rejected, "reject", "Lan")
    tally = labels.tallies(["job-1"])["job-1"]
    assert (tally.right, tally.wrong, tally.missed, tally.judged, tally.total) == (1, 0, 1, 3, 3)
    assert tally.precision == 1.0
    assert tally.bound == pytest.approx(0.05)
    assert Tally("x", right=59).bound == pytest.approx(0.9505, abs=1e-3)
    assert (Tally("x", unsure=3).precision, Tally("x").bound) == (None, None)


def test_pages_of_labels_and_filters(labels: Labels, done: World) -> None:
    for match, verdict in zip(_ids(done), ("accept", "reject", "unsure"), strict=True):
        labels.give(match, verdict, "Lan")  # type: ignore[arg-type]
    first = labels.list(2)
    rest = labels.list(2, after=first[-1].seq)
    assert [label.verdict for label in (*first, *rest)] == ["unsure", "reject", "accept"]
    assert [label.verdict for label in labels.list(9, verdict="reject")] == ["reject"]
    assert labels.list(9, job="other") == []


def test_people_who_judge_at_the_same_moment(labels: Labels, done: World) -> None:
    match = _ids(done)[0]
    said = ["accept", "reject", "unsure"] * 4
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: labels.give(match, said[n], f"p{n}"), range(12)))  # type: ignore[arg-type]
    rows = labels.history(match, 50)
    assert len(rows) == 12
    assert [label.superseded_at is None for label in rows] == [True] + [False] * 11


def test_a_match_that_is_none(labels: Labels) -> None:
    for act in (lambda: labels.give(uuid.uuid4(), "accept", "x"), lambda: labels.undo(uuid.uuid4(), "x")):
        with pytest.raises(InputError, match="no such match"):
            act()
