"""Delivery over HTTP: real PostgreSQL, a real receiver, signatures checked by the reference package."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from pvm_core.errors import InputError
from pvm_jobs import contracts
from pvm_jobs.delivery_policy import ATTEMPTS_S, CONFLICTS_S, DeliveryAnswer, next_delivery
from pvm_jobs.events import PER_JOB, Event
from pvm_jobs.lifecycle import BARRIERS
from pvm_jobs.payloads import BODY_MAX, Links, Outgoing, webhook_body
from pvm_resources.events import signing
from pvm_resources.events.relay import Relay
from pvm_resources.events.webhooks import Sink, WebhookSink
from pvm_resources.events.wiring import keep_endpoints
from pvm_resources.http.address_policy import AllowList, PinnedTransport
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.endpoints import BUS_ID, SETTINGS_ID, Endpoint, Endpoints
from pvm_resources.store.job_changes import emit, outbox_write
from tests.outbox import Outbox
from tests.pvm_resources.receiver import Received, Receiver, Reply

SECRET = signing.new_secret()
_LINKS = Links("http://pvm.example")
_PHASES = tuple(name for _, names in BARRIERS for name in names)


class Post:
    """What a test of delivery works with."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.repos = Store.over(database)
        self.endpoints = Endpoints(database)
        self.deliveries = Deliveries(database)
        self._slug = self.repos.industries.ensure("pillow").slug

    def job(self, job_id: str, **request: Any) -> str:
        """A job."""
        return self.repos.jobs.create(self._slug, request, job_id).job_id

    def write(self, job_id: str, *names: str, item: str = "") -> list[str]:
        """Writes events, a transaction each; their ids."""
        events = [Event(job_id, name, item) for name in names]
        for event in events:
            self.database.commit(outbox_write([event]))
        return [str(event.event_id) for event in events]

    def hook(self, receiver: Receiver, *events: str, path: str = "/hook") -> Endpoint:
        """A webhook to the receiver."""
        asked = {"events": events} if events else {}
        return self.endpoints.add(receiver.url(path), secret=SECRET, **asked)

    def relay(self, *allowed: Receiver, timeout_s: float = 5.0, **options: Any) -> Relay:
        """A relay that may reach those receivers."""
        allow = AllowList.parse(",".join(f"127.0.0.1:{one.port}" for one in allowed))
        sink: Sink = WebhookSink(PinnedTransport(allow), _LINKS, timeout_s=timeout_s)
        return Relay(self.database, {"webhook": sink, "callback": sink}, **options)

    def hurry(self) -> None:
        """What waits for a later attempt is due now."""
        self.database.commit(Statement("UPDATE delivery_streams SET next_attempt_at = now()"))

    def states(self) -> list[str]:
        """States of all deliveries, oldest event first."""
        return [one.state for one in reversed(self.deliveries.listed())]


@pytest.fixture
def post(database: Database) -> Post:
    """Delivery over a fresh database."""
    return Post(database)


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Makes receivers, closed after the test."""
    made: list[Receiver] = []

    def make(script: Callable[[Received, int], Reply] | None = None) -> Receiver:
        made.append(Receiver(script) if script else Receiver())
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextmanager
def running(relay: Relay) -> Iterator[Relay]:
    """The relay at work in the background."""
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(30)
        assert not thread.is_alive()


def _answers(*statuses: int) -> Callable[[Received, int], Reply]:
    """These statuses in turn, then 200."""
    return lambda _request, count: Reply(statuses[count] if count < len(statuses) else 200)


# -- what arrives -------------------------------------------------------------------------------------


def test_a_webhook_is_signed_and_keeps_the_contract(post: Post, receivers: Any) -> None:
    receiver = receivers()
    post.hook(receiver)
    job = post.job("job-1")
    ids = post.write(job, "products.collections.completed", "job.completed")
    assert post.relay(receiver).drain() == 2
    assert [one.event_id for one in receiver.got] == ids
    for one in receiver.got:
        assert Webhook(SECRET).verify(one.body, dict(one.headers))
        assert one.headers["content-type"] == "application/json"
        assert set(one.json) == {"type", "timestamp", "data"}
        contracts.validate(one.json["type"], one.json["data"])
        assert one.json["data"]["urls"]["job"] == "http://pvm.example/v1/jobs/job-1"
        with pytest.raises(WebhookVerificationError):
            Webhook(signing.new_secret()).verify(one.body, dict(one.headers))
    assert post.states() == ["delivered", "delivered"]


def test_two_secrets_sign_while_one_takes_the_others_place(post: Post, receivers: Any) -> None:
    receiver = receivers()
    endpoint, new = post.hook(receiver), signing.new_secret()
    post.endpoints.rotate(endpoint.endpoint_id, new)
    post.write(post.job("job-1"), "job.completed")
    post.relay(receiver).drain()
    one = receiver.got[0]
    assert len(one.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, new):
        assert Webhook(secret).verify(one.body, dict(one.headers))
    post.endpoints.rotate(endpoint.endpoint_id, new, timedelta(0))
    assert post.endpoints.get(str(endpoint.endpoint_id)).secrets(datetime.now(UTC)) == (new,)


def test_only_what_was_asked_for_is_sent(post: Post, receivers: Any) -> None:
    usual, pictures = receivers(), receivers()
    post.hook(usual)
    post.hook(pictures, "image.*.ready")
    job = post.job("job-1")
    post.write(job, "image.embedding.ready", "match.result", item=str(uuid.uuid4()))
    post.write(job, "products.images.ready.batch", "matchings.process.completed")
    post.relay(usual, pictures).drain()
    assert [one.json["type"] for one in usual.got] == ["match.result", "matchings.process.completed"]
    assert [one.json["type"] for one in pictures.got] == ["image.embedding.ready"]


def test_an_endpoint_is_told_of_what_comes_after_it(post: Post, receivers: Any) -> None:
    receiver = receivers()
    job = post.job("job-1")
    post.write(job, "products.collections.completed")
    post.hook(receiver)
    (late,) = post.write(job, "videos.collections.completed")
    post.relay(receiver).drain()
    assert [one.event_id for one in receiver.got] == [late]


def test_a_large_event_is_made_thin() -> None:
    frames = [{"frame_id": str(uuid.uuid4()), "ts": n / 10, "local_path": "x" * 60} for n in range(400)]
    event = Outgoing(
        uuid.uuid4(),
        "job-1",
        1,
        "videos.keyframes.ready",
        {"video_id": "v", "frames": frames},
        datetime.now(UTC),
    )
    body = webhook_body(event, _LINKS)
    assert len(body) < BODY_MAX
    assert b'"omitted":["frames"]' in body
    assert b'"video_id":"v"' in body


# -- what goes wrong ----------------------------------------------------------------------------------


def test_failures_follow_the_schedule_and_end_as_dead(post: Post, receivers: Any) -> None:
    receiver = receivers(_answers(*[500] * 20))
    post.hook(receiver)
    post.write(post.job("job-1"), "job.failed")
    relay = post.relay(receiver)
    waits = []
    for _ in ATTEMPTS_S:
        assert relay.drain() == 1
        (one,) = post.deliveries.listed()
        if one.next_attempt_at is not None and one.last_attempt_at is not None:
            waits.append((one.next_attempt_at - one.last_attempt_at).total_seconds())
        post.hurry()
    assert waits == list(ATTEMPTS_S[1:])
    assert (post.states(), one.attempts, one.last_status) == (["dead"], 10, 500)
    assert relay.drain() == 0
    assert len({r.event_id for r in receiver.got}) == 1
    assert len(post.deliveries.listed("dead")) == 1


def test_a_later_event_waits_for_an_earlier_and_a_dead_one_lets_it_pass(post: Post, receivers: Any) -> None:
    receiver = receivers(lambda r, _n: Reply(500 if r.json["type"].startswith("products") else 200))
    post.hook(receiver)
    first, second = post.write(post.job("job-1"), *_PHASES[:2])
    (other,) = post.write(post.job("job-2"), "videos.collections.completed")
    relay = post.relay(receiver)
    for _ in ATTEMPTS_S:
        relay.drain()
        post.hurry()
    order = [one.event_id for one in receiver.got]
    assert order.index(other) < order.index(second), "another job does not wait"
    assert [i for i in order if i != other] == [first] * 10 + [second]
    assert post.states() == ["dead", "delivered", "delivered"]


def test_dead_events_are_replayed_on_demand(post: Post, receivers: Any) -> None:
    receiver = receivers(_answers(410))
    endpoint = post.hook(receiver)
    job = post.job("job-1")
    ids = post.write(job, *_PHASES[:3])
    relay = post.relay(receiver)
    assert relay.drain() == 1
    kept = post.endpoints.get(str(endpoint.endpoint_id))
    assert (kept.enabled, kept.disabled_reason) == (False, "it answered 410 Gone")
    assert post.states() == ["dead"] * 3
    assert relay.drain() == 0
    post.endpoints.enable(endpoint.endpoint_id)
    assert post.deliveries.replay(job_id=job) == 3
    assert relay.drain() == 3
    assert [one.event_id for one in receiver.got[1:]] == ids
    assert post.deliveries.replay(job_id=job) == 0
    assert post.deliveries.replay(event_id=uuid.UUID(ids[1]), everything=True) == 1
    assert relay.drain() == 1
    assert receiver.got[-1].event_id == ids[1]


def test_a_servers_own_wish_to_wait_is_kept(post: Post, receivers: Any) -> None:
    receiver = receivers(lambda _r, n: Reply(503, {"Retry-After": "120"}) if n == 0 else Reply())
    post.hook(receiver)
    post.write(post.job("job-1"), "job.completed")
    post.relay(receiver).drain()
    (one,) = post.deliveries.listed()
    assert one.next_attempt_at is not None
    assert one.last_attempt_at is not None
    assert (one.next_attempt_at - one.last_attempt_at).total_seconds() == 120


def test_redirects_are_not_followed(post: Post, receivers: Any) -> None:
    goal = receivers()
    receiver = receivers(lambda _r, _n: Reply(307, {"Location": goal.url()}))
    post.hook(receiver)
    post.write(post.job("job-1"), "job.completed")
    post.relay(receiver, goal).drain()
    (one,) = post.deliveries.listed()
    assert (one.state, one.last_status, goal.got) == ("open", 307, [])


def test_a_slow_receiver_is_given_up_in_time(post: Post, receivers: Any) -> None:
    receiver = receivers(lambda _r, _n: Reply(wait=5.0))
    post.hook(receiver)
    post.write(post.job("job-1"), "job.completed")
    began = time.monotonic()
    post.relay(receiver, timeout_s=0.5).drain()
    assert time.monotonic() - began < 3
    (one,) = post.deliveries.listed()
    assert (one.state, one.last_status, one.last_error) == ("open", None, "no answer within 0.5 s")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0x7f000001/",
        "http://[::ffff:10.0.0.1]/",
        "ftp://example.org/",
        "no address",
    ],
)
def test_a_callback_into_the_inner_network_is_never_sent(post: Post, url: str) -> None:
    post.write(post.job("job-1", callback_url=url), "job.completed")
    post.relay().drain()
    (one,) = post.deliveries.listed()
    assert (one.state, one.last_status) == ("dead", None)
    assert "fetch." in (one.last_error or "")


def test_a_receiver_that_is_away_is_tried_again(post: Post, receivers: Any) -> None:
    gone = Receiver()
    gone.close()
    post.hook(gone)
    post.write(post.job("job-1"), "job.completed")
    post.relay(gone).drain()
    (one,) = post.deliveries.listed()
    assert (one.state, one.attempts, one.last_status) == ("open", 1, None)
    assert one.last_error


# -- callbacks ----------------------------------------------------------------------------------------


def test_a_callback_is_told_the_end_under_its_very_url(post: Post, receivers: Any) -> None:
    receiver = receivers(_answers(409, 409))
    path = "/webhook-waiting/12?signature=a%2Fb%3D&x=%C4%91+y"
    job = post.job("job-1", callback_url=receiver.url(path))
    post.write(job, "products.collections.completed", "job.completed")
    post.write(post.job("job-2"), "job.completed")
    relay = post.relay(receiver)
    delays = []
    for _ in range(3):
        assert relay.drain() == 1
        (one,) = post.deliveries.listed()
        if one.next_attempt_at is not None and one.last_attempt_at is not None:
            delays.append((one.next_attempt_at - one.last_attempt_at).total_seconds())
        post.hurry()
    assert delays == list(CONFLICTS_S[:2])
    assert {r.path for r in receiver.got} == {path}
    assert [r.json["type"] for r in receiver.got] == ["job.completed"] * 3
    assert (one.state, one.conflicts, one.attempts, one.name) == ("delivered", 2, 1, "job.completed")
    assert "webhook-signature" not in receiver.got[0].headers
    assert [e.kind for e in post.endpoints.list(callbacks=True)] == ["callback"]
    assert post.endpoints.list() == []


def test_a_callback_that_has_been_answered_already_is_given_up(post: Post, receivers: Any) -> None:
    receiver = receivers(_answers(*[409] * 50))
    post.write(post.job("job-1", callback_url=receiver.url()), "job.completed")
    relay = post.relay(receiver)
    for _ in range(20):
        relay.drain()
        post.hurry()
    assert len(receiver.got) == len(CONFLICTS_S) + 1
    assert post.states() == ["dead"]


def test_a_conflict_of_a_webhook_is_an_ordinary_failure() -> None:
    assert next_delivery("webhook", 0, 0, DeliveryAnswer(409)).delay_s == ATTEMPTS_S[1]
    assert next_delivery("callback", 0, 0, DeliveryAnswer(409)).delay_s == CONFLICTS_S[0]


# -- relays -------------------------------------------------------------------------------------------


def test_an_event_leaves_within_a_second_of_its_commit(post: Post, receivers: Any) -> None:
    receiver = receivers()
    post.hook(receiver, "*")
    job = post.job("job-1")
    with running(post.relay(receiver)):
        time.sleep(1.5)
        for n, name in enumerate(_PHASES):
            began = time.monotonic()
            post.write(job, name)
            receiver.wait_for(n + 1)
            assert receiver.got[n].began - began < 1.0


def test_two_relays_send_each_event_once_and_in_order(post: Post, receivers: Any) -> None:
    receiver = receivers(lambda _r, _n: Reply(wait=0.005))
    post.hook(receiver, "*")
    jobs = [post.job(f"job-{n}") for n in range(6)]
    with running(post.relay(receiver)), running(post.relay(receiver)):
        sent = {job: post.write(job, *PER_JOB) for job in jobs}
        receiver.wait_for(6 * len(PER_JOB), 40)
        time.sleep(0.3)
    assert receiver.overlaps == 0
    assert _by_job(receiver.got) == sent


def test_a_relay_outlives_its_connections(post: Post, receivers: Any) -> None:
    receiver = receivers()
    post.hook(receiver, "*")
    job, sent = post.job("job-1"), []
    others = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with running(post.relay(receiver, lease_s=1.0)):
        for n, name in enumerate(_PHASES):
            sent += post.write(job, name)
            if n in (2, 5):
                with Database(post.database.dsn) as another:
                    another.tuples(others)
        # One that was sent as its connection ended may come twice: distinct ones are waited for.
        deadline = time.monotonic() + 30
        while len(_by_job(receiver.got).get(job, [])) < len(sent) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
    assert _by_job(receiver.got) == {job: sent}
    assert set(post.states()) == {"delivered"}


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_relay_that_is_killed_again_and_again_loses_nothing(
    post: Post, receivers: Any, tmp_path: Path, kills: int
) -> None:
    receiver = receivers(lambda _r, n: Reply(500 if n % 17 == 3 else 200, wait=0.01))
    post.hook(receiver, "*")
    jobs = [post.job(f"job-{n}") for n in range(6)]
    sent: dict[str, list[str]] = defaultdict(list)
    random = Random(4)
    for n in range(kills):
        for name in PER_JOB[n * len(PER_JOB) // kills : (n + 1) * len(PER_JOB) // kills]:
            for job in jobs:
                sent[job] += post.write(job, name)
        process = _relay_process(post, receiver, tmp_path)
        # Somewhere in the middle of the work, with attempts under way.
        receiver.wait_for(len(receiver.got) + random.randint(3, 14))
        process.kill()
        process.wait()
    process = _relay_process(post, receiver, tmp_path)
    deadline = time.monotonic() + 40
    while "open" in post.states() or post.deliveries.backlog().unseen:
        assert time.monotonic() < deadline, post.states()
        time.sleep(0.05)
        post.hurry()
    process.terminate()
    assert process.wait(15) == 0
    arrived = [one for one in receiver.got if one.status == 200]
    assert set(post.states()) == {"delivered"}
    assert _by_job(arrived) == dict(sent), "each at least once, first times in order, none invented"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_fails_each_job_is_told_in_order(post: Post, data: st.DataObject) -> None:
    """Any interleaving of writes, passes and failures: per endpoint and job the order of `seq`."""
    tag = uuid.uuid4().hex[:8]
    fails = data.draw(st.lists(st.sampled_from([200, 200, 500, 503]), max_size=30))
    receiver = Receiver(_answers(*fails))
    try:
        endpoint = post.hook(receiver, "*")
        jobs = [post.job(f"{tag}-{n}") for n in range(2)]
        relay, sent = post.relay(receiver), defaultdict[str, list[str]](list)
        steps = data.draw(st.permutations([(job, name) for job in jobs for name in _PHASES]))
        for job, name in steps:
            sent[job] += post.write(job, name)
            if data.draw(st.booleans()):
                relay.drain()
                post.hurry()
        for _ in range(40):
            relay.drain()
            post.hurry()
        assert _by_job([one for one in receiver.got if one.status == 200]) == dict(sent)
        for job in jobs:
            assert post.repos.jobs.get(job).phase == "completed"
        post.endpoints.remove(endpoint.endpoint_id)
    finally:
        receiver.close()


def test_a_transaction_that_commits_late_is_not_missed(post: Post, receivers: Any) -> None:
    receiver = receivers()
    post.hook(receiver, "*")
    slow, fast = post.job("job-1"), post.job("job-2")
    late = Event(slow, "job.completed")
    with post.database.transaction() as cursor:
        emit(cursor, [late])
        (early,) = post.write(fast, "job.completed")
        relay = post.relay(receiver)
        assert relay.drain() == 1
    assert relay.drain() == 1
    assert [one.event_id for one in receiver.got] == [early, str(late.event_id)]


def test_two_stages_of_a_job_that_end_at_once_are_told_in_order_and_move_the_phase(post: Post) -> None:
    job = post.job("job-1")
    barrier = threading.Barrier(len(_PHASES))

    def end(name: str) -> None:
        barrier.wait()
        # A row that refers to the job, as stages write them, beside the event.
        problem = "INSERT INTO progress (job_id, stage, done) VALUES (%s, %s, 1)"
        post.database.commit(Statement(problem, [job, name]), outbox_write([Event(job, name)]))

    threads = [threading.Thread(target=end, args=(name,)) for name in _PHASES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert post.repos.jobs.get(job).phase == "completed"
    assert {e.name for e in Outbox(post.repos.database).events(job)} == set(_PHASES)


# -- endpoints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [[], [""], ["job.unknown"], ["job.completed; DROP"], ["%"], ["*.nothing"]])
def test_a_pattern_that_no_event_has_is_refused(post: Post, events: list[str]) -> None:
    with pytest.raises(InputError, match=r"endpoint\.events"):
        post.endpoints.add("http://example.org/", secret=SECRET, events=events)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "secret", "whsec_" + "A" * 200, "whsec_ü"])
def test_a_secret_in_another_form_is_refused(secret: str) -> None:
    with pytest.raises(InputError) as caught:
        signing.key_of(secret)
    assert caught.value.code == "webhook.secret"
    assert len(secret) < 8 or secret not in str(caught.value)


def test_settings_make_endpoints_and_take_them_back(post: Post, tmp_path: Path) -> None:
    given_ = {"bus_url": "amqp://user:pass@bus.example:5672/x", "webhook_url": "https://example.org/"}
    keep_endpoints(load_settings(tmp_path / "none.env", **given_), post.endpoints)
    by_id = {one.endpoint_id: one for one in post.endpoints.list()}
    assert by_id[BUS_ID].events == ["*"]
    assert by_id[BUS_ID].url == "amqp://bus.example/x"
    assert by_id[SETTINGS_ID].enabled
    keep_endpoints(load_settings(tmp_path / "none.env"), post.endpoints)
    assert [one.enabled for one in post.endpoints.list()] == [False, False]


def _by_job(got: Sequence[Received]) -> dict[str, list[str]]:
    """Ids per job in the order in which each came for the first time."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in got:
        job = one.json["data"]["job_id"]
        if one.event_id not in found[job]:
            found[job].append(one.event_id)
    return dict(found)


def _relay_process(post: Post, receiver: Receiver, home: Path) -> subprocess.Popen[bytes]:
    """`pvm events relay` as a process of its own."""
    env = {
        **os.environ,
        "PVM_HOME": str(home),
        "PVM_DATABASE_URL": post.database.dsn,
        "CALLBACK_ALLOWED_HOSTS": f"127.0.0.1:{receiver.port}",
        "BUS_BROKER": "",
    }
    command = [sys.executable, "-m", "pvm_cli.main", "events", "relay", "--lease", "1"]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# -- events of the catalogue -----------------------------------------------------------------------------


def test_events_of_the_catalogue_come_in_order_and_name_no_job(
    post: Post, receivers: Callable[..., Receiver], tmp_path: Path
) -> None:
    receiver = receivers()
    post.hook(receiver, "product.*")
    post.write(post.job("job-a"), "job.completed")
    catalogue = LivingCatalogue(post.repos, MediaStore(str(tmp_path)))
    catalogue.take(
        {"event_type": kind, "product_id": name, "version": version, "data": data}
        for version, (kind, data) in enumerate(
            (
                ("create", {"title": "One"}),
                ("update", {"price": "2"}),
                ("update", {"price": "2"}),
                ("delete", None),
            )
        )
        for name in ("a", "b")
    )
    post.relay(receiver).drain()
    bodies = [one.json for one in receiver.got]
    names = ("product.created", "product.updated", "product.deleted")
    assert [body["type"] for body in bodies] == [name for name in names for _ in "ab"]
    for body in bodies:
        assert "job_id" not in body["data"]
        assert body["data"]["urls"]["product"].endswith(f"/v1/products/{body['data']['product_id']}")
        urls = body["data"].pop("urls")
        assert set(urls) == {"product", "results"}
        contracts.validate(body["type"], body["data"])
    assert post.states()[-1] == "delivered"
    assert post.deliveries.listed("open") == []


def test_streams_of_a_deleted_job_go_with_it(post: Post, receivers: Callable[..., Receiver]) -> None:
    post.hook(receivers())
    post.write(post.job("job-a"), "job.completed")
    post.deliveries.fan_out()
    assert post.database.value("SELECT count(*) FROM delivery_streams") == 1
    post.database.commit(Statement("DELETE FROM jobs"))
    assert post.database.value("SELECT count(*) FROM delivery_streams") == 0
