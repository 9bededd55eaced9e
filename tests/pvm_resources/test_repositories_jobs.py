"""Industries, jobs, states: names, life cycle, verdicts, problems, progress."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import InputError, MediaError, Problem
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.records import AssetState, CheckVerdict, Progress
from tests.outbox import Outbox
from tests.pvm_resources import world

_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


def test_an_industry_by_name_or_slug(repos: Store) -> None:
    made = repos.industries.ensure("  gối   công thái học ")
    assert (made.name, made.slug) == ("gối công thái học", "goi-cong-thai-hoc")
    assert repos.industries.ensure("gối công thái học") == made
    assert repos.industries.get("goi-cong-thai-hoc") == repos.industries.get("gối công thái học") == made
    assert repos.industries.ensure("goi cong thai hoc").slug != made.slug
    with pytest.raises(InputError) as caught:
        repos.industries.get("other")
    assert caught.value.code == "industry.unknown"
    assert "gối công thái học" in caught.value.reason
    with pytest.raises(InputError):
        repos.industries.ensure(" \n ")


@given(st.lists(_names, min_size=1, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_gets_a_slug_of_its_own(repos: Store, names: list[str]) -> None:
    made = [repos.industries.ensure(name) for name in names if name.split()]
    assert len({i.slug for i in made}) == len({i.name for i in made})
    assert all(repos.industries.get(i.slug).slug == i.slug for i in made)


def test_industries_made_at_once(repos: Store) -> None:
    names = ["枕头", "枕 头", "gối", "goi", "Goi", "gôi"] * 3
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(repos.industries.ensure, names))
    assert len({i.slug for i in made}) == len(set(names)) == len(repos.industries.list())


def test_rules_queries_sources(repos: Store) -> None:
    slug = repos.industries.ensure("x").slug
    repos.industries.set_rules(slug, "founding", {"accept": 0.7})
    repos.industries.set_queries(slug, {"vi": ["gối"], "zh": ["枕头"]})
    repos.industries.set_sources(slug, {"products": "a.csv", "videos": "clips"})
    found = repos.industries.get(slug)
    assert (found.rule_set, found.rules, found.queries["zh"]) == ("founding", {"accept": 0.7}, ["枕头"])
    assert found.sources["videos"] == "clips"
    assert found.updated_at > found.created_at
    with pytest.raises(InputError):
        repos.industries.set_rules("nowhere", "default", {})


def test_an_industry_with_jobs_is_not_deleted(repos: Store) -> None:
    slug = repos.industries.ensure("x").slug
    job = repos.jobs.create(slug, {})
    with pytest.raises(InputError) as caught:
        repos.industries.delete(slug)
    assert caught.value.code == "industry.in_use"
    repos.inbox.delete(job.job_id, "test", force=True)
    assert repos.industries.delete(slug)
    assert not repos.industries.delete(slug)


def test_a_job_from_queued_to_completed(repos: Store) -> None:
    slug = repos.industries.ensure("x").slug
    job = repos.jobs.create(slug, {"products": "p.csv"})
    assert (job.status, job.phase, job.partition_key) == ("queued", "collection", f"{slug}@{job.job_id}")
    assert repos.jobs.create(slug, {"other": 1}, job.job_id) == job
    assert repos.jobs.by_partition(job.partition_key) == job
    assert repos.jobs.by_partition("x|y") is None
    repos.jobs.set_running(job.job_id, "run-1")
    repos.jobs.set_keys(job.job_id, keyframes="k", embed_model="classic")
    repos.jobs.set_keys(job.job_id, masks="m")
    running = repos.jobs.get(job.job_id)
    assert (running.status, running.keys, running.embed_model) == (
        "running",
        {"keyframes": "k", "masks": "m"},
        "classic",
    )
    assert [j.job_id for j in repos.jobs.by_run("run-1")] == [job.job_id]
    assert repos.jobs.latest(slug) is None
    assert repos.jobs.complete(job.job_id)
    done = repos.jobs.get(job.job_id)
    assert (done.status, done.phase, done.error) == ("completed", "completed", None)
    assert done.finished_at is not None
    assert repos.jobs.latest(slug) == done
    assert Outbox(repos.database).counts(job.job_id) == {"job.completed": 1}
    with pytest.raises(InputError):
        repos.jobs.get("nowhere")
    with pytest.raises(InputError):
        repos.jobs.set_running("nowhere", "r")


def test_failed_retried_cancelled_completed(repos: Store, database: Database) -> None:
    job = repos.jobs.create(repos.industries.ensure("x").slug, {}).job_id
    repos.jobs.set_running(job, "run-1")
    done = [Event(job, "products.collections.completed"), Event(job, "videos.collections.completed")]
    database.commit(outbox_write(done))
    assert repos.jobs.fail(job, MediaError("video.empty", "a.mp4", "it is empty", "Replace it"))
    failed = repos.jobs.get(job)
    assert (failed.status, failed.phase) == ("failed", "failed")
    assert failed.error is not None
    assert (failed.error["code"], failed.error["retryable"]) == ("video.empty", False)
    assert not repos.jobs.fail(job, {"code": "late"})
    assert not repos.jobs.cancel(job)
    repos.jobs.set_running(job, "run-2")
    again = repos.jobs.get(job)
    assert (again.status, again.phase, again.error, again.run_id) == (
        "running",
        "feature_extraction",
        None,
        "run-2",
    )
    assert repos.jobs.cancel(job)
    assert repos.jobs.get(job).phase == "cancelled"
    assert not repos.jobs.complete(job)
    repos.jobs.set_running(job, "run-3")
    assert repos.jobs.fail(job, RuntimeError("boom"))
    repos.jobs.set_running(job, "run-4")
    assert repos.jobs.complete(job)
    counts = Outbox(repos.database).counts(job)
    assert counts["job.failed"] == counts["job.cancelled"] == counts["job.completed"] == 1


def test_the_latest_completed_job_counts(repos: Store) -> None:
    slug, other = repos.industries.ensure("x").slug, repos.industries.ensure("y").slug
    jobs = [repos.jobs.create(slug, {}).job_id for _ in range(3)]
    repos.jobs.create(other, {})
    for job in (jobs[2], jobs[0], jobs[1]):
        repos.jobs.set_running(job, "r")
    repos.jobs.complete(jobs[2])
    repos.jobs.complete(jobs[0])
    repos.jobs.fail(jobs[1], {"code": "x"})
    latest = repos.jobs.latest(slug)
    assert latest is not None
    assert latest.job_id == jobs[0]
    assert [j.job_id for j in repos.jobs.list(slug, ["completed", "failed"])] == jobs[::-1]
    assert len(repos.jobs.list()) == 4
    assert len(repos.jobs.list(limit=2)) == 2
    assert repos.jobs.latest(other) is None


def test_counts(repos: Store) -> None:
    made = world.make(repos)
    world.write(repos, made)
    counts = repos.jobs.counts(made.job.job_id)
    assert (counts.products, counts.images, counts.videos, counts.frames) == (3, 6, 2, 6)
    assert (counts.candidates, counts.scores, counts.problems) == (36, 36, 1)
    assert (counts.accepted, counts.review, counts.rejected) == (1, 1, 1)


def test_deleting_a_job_leaves_the_stored_pictures(repos: Store, database: Database) -> None:
    first, second = world.make(repos, job_id="a"), world.make(repos, job_id="b")
    world.write(repos, first)
    world.write(repos, second)
    before = repos.jobs.counts("b")
    repos.inbox.delete("a", "test")
    with pytest.raises(InputError, match=r"job\.unknown"):
        repos.inbox.delete("a", "test")
    assert repos.jobs.counts("b") == before
    assert database.value("SELECT count(*) FROM stored_images") == 6
    assert database.value("SELECT count(*) FROM outbox WHERE job_id = 'a'") == 0


def test_problems_and_progress(repos: Store) -> None:
    job = repos.jobs.create(repos.industries.ensure("x").slug, {}).job_id
    long = "x" * 10_000 + "\0"
    first = Problem("keyframes", long, "video.truncated", "It ends early", True)
    repos.state.write_problems(job, [first, Problem("masks", "b", "mask.time", "m")])
    repos.state.write_problems(job, [Problem("keyframes", long, "video.truncated", "Still", True)])
    found = repos.state.problems(job)
    assert [(p.stage, len(p.item), p.message) for p in found] == [
        ("keyframes", 10_001, "Still"),
        ("masks", 1, "m"),
    ]
    repos.state.set_progress(job, Progress("keyframes", 3, 10, 1))
    repos.state.set_progress(job, Progress("keyframes", 4, 10, 1))
    assert repos.state.progress(job) == [Progress("keyframes", 4, 10, 1)]
    repos.state.start_stage(job, "keyframes", 12)
    assert repos.state.progress(job) == [Progress("keyframes", 0, 12, 0)]
    assert [p.stage for p in repos.state.problems(job)] == ["masks"]
    assert repos.state.problems(job, "keyframes") == []


def test_a_verdict_holds_for_its_data_version(repos: Store) -> None:
    job = repos.jobs.create(repos.industries.ensure("x").slug, {}).job_id
    repos.state.finish_asset(job, AssetState("masks", "v1", 5, {"n": 1}))
    bad = CheckVerdict("masks", "covered", "v1", False, True, "ERROR", {"seen": 0.1})
    repos.state.write_verdicts(job, [bad, CheckVerdict("masks", "warned", "v1", False, True, "WARN")])
    repos.state.write_verdicts(job, [CheckVerdict("masks", "loose", "v1", False, False)])
    assert repos.state.blocking_failures(job, ["masks", "videos"]) == [bad]
    assert repos.state.blocking_failures(job, ["videos"]) == []
    repos.state.write_verdicts(job, [CheckVerdict("masks", "covered", "v1", True, True)])
    assert repos.state.blocking_failures(job, ["masks"]) == []
    repos.state.write_verdicts(job, [bad])
    repos.state.finish_asset(job, AssetState("masks", "v2", 5))
    assert repos.state.blocking_failures(job, ["masks"]) == []
    assert repos.state.verdicts(job) == []
    state = repos.state.asset(job, "masks")
    assert state is not None
    assert (state.data_version, state.rows) == ("v2", 5)
    assert repos.state.asset(job, "videos") is None
