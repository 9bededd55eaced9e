"""`pvm events` and `pvm endpoints`, against a real database and a real receiver."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from pvm_cli.main import app
from pvm_jobs import contracts
from pvm_jobs.events import Event
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from tests.pvm_resources.receiver import Receiver, Reply


@pytest.fixture
def receiver(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[Receiver]:
    """A receiver that refuses what it gets first; the commands may reach it."""
    found = Receiver(lambda request, count: Reply(410 if count == 1 else 200))
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("CALLBACK_ALLOWED_HOSTS", f"127.0.0.1:{found.port}")
    monkeypatch.setenv("COLUMNS", "250")
    for name in ("BUS_BROKER", "PVM_WEBHOOK_URL"):
        monkeypatch.setenv(name, "")
    yield found
    found.close()


def _pvm(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done


def test_an_endpoint_from_its_making_to_its_end(receiver: Receiver, repos: Store) -> None:
    made = _pvm("endpoints", "add", receiver.url(), "--name", "shop", "--events", "job.*").output
    found = re.search(r"id\s+(\S+)\s+secret\s+(whsec_\S+)", made)
    assert found is not None, made
    endpoint, secret = found[1], found[2]
    assert secret not in _pvm("endpoints", "list").output, "the secret is shown once"

    _pvm("endpoints", "test", endpoint[:8])
    sent = receiver.got[0]
    assert sent.json["type"] == "pvm.test"
    assert Webhook(secret).verify(sent.body, dict(sent.headers))

    job = repos.jobs.create(repos.industries.ensure("pillow").slug, {}, "job-1").job_id
    event = Event(job, "job.completed")
    repos.database.commit(outbox_write([event, Event(job, "evidences.generation.completed")]))
    assert "1 attempt\n" in _pvm("events", "relay", "--once").output
    assert str(event.event_id) in _pvm("events", "dead").output
    assert "it answered 410 Gone" in _pvm("endpoints", "list").output
    _pvm("endpoints", "enable", endpoint)
    assert "1 delivery is" in _pvm("events", "replay", "--endpoint", endpoint).output
    _pvm("events", "relay", "--once")
    assert [one.event_id for one in receiver.got[1:]] == [str(event.event_id)] * 2
    assert "delivered" in _pvm("events", "list", "--job", job).output

    rotated = re.search(r"whsec_\S+", _pvm("endpoints", "rotate", endpoint).output)
    assert rotated is not None
    assert rotated[0] != secret
    _pvm("endpoints", "test", endpoint)
    for one in (secret, rotated[0]):
        assert Webhook(one).verify(receiver.got[-1].body, dict(receiver.got[-1].headers))
    _pvm("endpoints", "rm", endpoint)
    assert "no endpoints yet" in _pvm("endpoints", "list").output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["endpoints", "add", "ftp://example.org"], "fetch.url"),
        (["endpoints", "add", "https://example.org", "--events", "no.such"], "endpoint.events"),
        (["endpoints", "add", "https://example.org", "--secret", "short"], "webhook.secret"),
        (["endpoints", "rm", "abcd"], "endpoint.unknown"),
        (["events", "replay", "--all"], "events.replay"),
        (["events", "replay", "--event", "x"], "events.id"),
        (["events", "list", "--state", "x"], "events.state"),
        (["events", "schema", "no.such"], "contract.unknown"),
        (["events", "declare"], "bus.none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_is_wrong_is_told(receiver: Receiver, arguments: list[str], code: str) -> None:
    assert code in CliRunner().invoke(app, arguments).output


def test_a_schema_is_printed_as_it_is(receiver: Receiver) -> None:
    assert json.loads(_pvm("events", "schema", "match.result").output) == contracts.load("match.result")
    assert _pvm("events", "names").output.split() == list(contracts.NAMES)
