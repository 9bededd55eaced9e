"""Events a second: written to the outbox, handed to endpoints, sent by webhook, published to a broker.

    python -m bench.bench_events [--events 5000] [--bus amqp://guest:guest@localhost:5672/]

Writers, relay, receiver and database share this machine. The database is a fresh embedded server in a folder
of its own, durable as in production.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from pvm_jobs.events import Event
from pvm_jobs.payloads import Links
from pvm_resources.events import signing
from pvm_resources.events.broker import BusSink
from pvm_resources.events.relay import Relay
from pvm_resources.events.webhooks import Sink, WebhookSink
from pvm_resources.http.address_policy import AllowList, PinnedTransport
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store
from pvm_resources.store.deliveries import Deliveries
from pvm_resources.store.endpoints import BUS_ID, Endpoints
from pvm_resources.store.job_changes import outbox_write
from tests.pvm_resources.receiver import Receiver

_JOBS = 4


def main() -> None:
    """Prints one line a measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--bus", default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        dsn = server.uri("pvm")
        migrate.upgrade(dsn)
        with Database(dsn, max_connections=20) as database:
            _writing(database, given.events)
            _sending(database, given.events // 5)
            if given.bus:
                _publishing(database, given.events, given.bus)


def _writing(database: Database, count: int) -> None:
    jobs = _new_jobs(database)
    _rate("written, one event a transaction, 1 writer", count, lambda: _write(database, jobs[0], count, 1))
    share = count // _JOBS

    def together() -> None:
        threads = [threading.Thread(target=_write, args=(database, job, share, 1)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    _rate(f"written, one event a transaction, {_JOBS} writers", share * _JOBS, together)
    _rate("written, 100 events a transaction", count, lambda: _write(database, jobs[0], count, 100))
    total = int(database.value("SELECT count(*) FROM outbox"))
    _rate("fanned out by the relay, no endpoint", total, lambda: _fan_out(database))


def _sending(database: Database, count: int) -> None:
    receiver = Receiver()
    made = Endpoints(database).add(receiver.url(), secret=signing.new_secret(), events=["*"])
    sink: Sink = WebhookSink(PinnedTransport(AllowList.parse("127.0.0.1")), Links("http://pvm.example"))
    _relay(f"sent by webhook, signed, {_JOBS} jobs", database, {"webhook": sink}, count)
    Endpoints(database).remove(made.endpoint_id)
    receiver.close()


def _publishing(database: Database, count: int, url: str) -> None:
    Endpoints(database).put(BUS_ID, "bus", "amqp://", ["*"])
    _relay(f"published, each confirmed, {_JOBS} jobs", database, {"bus": BusSink(url)}, count)


def _relay(what: str, database: Database, sinks: dict[str, Sink], count: int) -> None:
    for job in _new_jobs(database):
        _write(database, job, count // _JOBS, 100)
    relay = Relay(database, sinks)

    def deliver() -> None:
        thread = threading.Thread(target=relay.run)
        thread.start()
        deliveries = Deliveries(database)
        while (left := deliveries.backlog()).unseen or left.open:
            time.sleep(0.02)
        relay.stop()
        thread.join()

    _rate(what, count // _JOBS * _JOBS, deliver)


def _new_jobs(database: Database) -> list[str]:
    repos = Store.over(database)
    slug = repos.industries.ensure("bench").slug
    return [repos.jobs.create(slug, {}).job_id for _ in range(_JOBS)]


def _write(database: Database, job: str, count: int, at_once: int) -> None:
    for _ in range(count // at_once):
        events = []
        for _ in range(at_once):
            item = str(uuid.uuid4())
            events.append(Event(job, "image.embedding.ready", item, {"asset_id": item}))
        database.commit(outbox_write(events))


def _fan_out(database: Database) -> None:
    deliveries = Deliveries(database)
    while deliveries.fan_out():
        pass


def _rate(what: str, count: int, work: Callable[[], None]) -> None:
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    print(f"{what:55} {count / seconds:9,.0f} events/s  ({count:,} in {seconds:.1f} s)")


if __name__ == "__main__":
    main()
