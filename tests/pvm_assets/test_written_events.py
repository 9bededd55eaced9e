"""Every event that a real job writes keeps its contract, as it is delivered."""

from __future__ import annotations

import json
from collections import defaultdict

from stand import Stand

from pvm_jobs import contracts
from pvm_jobs.events import ATTENTION, BATCH, PER_ITEM, PER_JOB
from pvm_jobs.lifecycle import BARRIERS
from pvm_jobs.payloads import BODY_MAX, Links, Outgoing, delivered, webhook_body
from pvm_resources.store.records import OutboxEvent
from tests.outbox import Outbox


def _outgoing(event: OutboxEvent) -> Outgoing:
    return Outgoing(event.event_id, event.job_id, event.seq, event.name, event.payload, event.created_at)


def test_every_event_of_a_job_keeps_its_contract(stand: Stand) -> None:
    job = stand.job()
    outcome = stand.run(job)
    assert outcome.status == "completed", outcome.error
    events = Outbox(stand.repos.database).events(job.job_id, limit=10_000)
    by_name: dict[str, list[int]] = defaultdict(list)
    for event in events:
        payload = json.loads(json.dumps(delivered(_outgoing(event))))
        contracts.validate(event.name, payload)
        assert payload["job_id"] == job.job_id
        body = json.loads(webhook_body(_outgoing(event), Links("http://pvm.example")))
        contracts.validate(body["type"], body["data"])
        assert len(webhook_body(_outgoing(event), Links("x"))) < BODY_MAX
        by_name[event.name].append(event.seq)

    expected = {*PER_ITEM, *BATCH, *PER_JOB} - {"job.failed", "job.cancelled", *_OF_PEOPLE, *ATTENTION}
    assert set(by_name) == expected, "the job writes every event there is"
    assert all(len(by_name[name]) == 1 for name in (*BATCH, *PER_JOB) if name in by_name)
    order = [max(by_name[name] for name in names)[0] for _, names in BARRIERS]
    assert order == sorted(order) < [*by_name["job.completed"]], "phases in their order, the end last"
    counts = stand.repos.jobs.counts(job.job_id)
    batches = {e.name: e.payload for e in events if e.name in BATCH}
    assert batches["products.images.ready.batch"]["total_images"] == counts.images
    assert batches["videos.keyframes.ready.batch"]["total_keyframes"] == counts.frames


def test_a_job_over_known_content_writes_the_same_events_once(stand: Stand) -> None:
    first, second = stand.job(), stand.job()
    for job in (first, second):
        assert stand.run(job).status == "completed"
    # Features and frames are keyed by content: the events of both jobs speak of the same items.
    expected, found = _features(stand, first.job_id), _features(stand, second.job_id)
    assert found == expected
    assert {name for name, _ in found} == _FEATURE_EVENTS
    progress = {p.stage: p for p in stand.repos.state.progress(second.job_id)}
    assert all(progress[s].reused == progress[s].total for s in ("masks", "embeddings", "keypoints"))
    ids = {
        e.event_id
        for job in (first, second)
        for e in Outbox(stand.repos.database).events(job.job_id, limit=10_000)
    }
    assert {event_id.version for event_id in ids} == {4}

    before = Outbox(stand.repos.database).events(second.job_id, limit=10_000)
    assert stand.run(second).status == "completed"
    assert Outbox(stand.repos.database).events(second.job_id, limit=10_000) == before, (
        "a rerun mints no second event"
    )


#: Written where a person judges, not by a job.
_OF_PEOPLE = {"match.verdict"}
_FEATURE_EVENTS = {*PER_ITEM} - {"products.image.ready", "match.result", *_OF_PEOPLE, *ATTENTION}


def _features(stand: Stand, job_id: str) -> dict[tuple[str, str], object]:
    events = Outbox(stand.repos.database).events(job_id, limit=10_000)
    for event in events:
        contracts.validate(event.name, json.loads(json.dumps(delivered(_outgoing(event)))))
    return {(e.name, e.item): e.payload for e in events if e.name in _FEATURE_EVENTS}


def test_a_job_that_fails_says_why_under_its_contract(stand: Stand) -> None:
    job = stand.job(products=str(stand.case / "none.csv"))
    assert stand.run(job).status == "failed"
    (failed,) = [e for e in Outbox(stand.repos.database).events(job.job_id) if e.name == "job.failed"]
    contracts.validate("job.failed", delivered(_outgoing(failed)))
    assert failed.payload["error"]["code"]
