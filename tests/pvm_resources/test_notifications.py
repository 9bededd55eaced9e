"""Notifications through apprise itself to a mail server and an HTTP receiver on this machine."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_core.errors import InputError
from pvm_jobs.events import Event
from pvm_jobs.notices import JobNews, NewMatch, notice_of
from pvm_resources.events import notifications
from pvm_resources.events.wiring import keep_endpoints, make_relay
from pvm_resources.postgres.driver import Statement
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.job_news import JobNewsQueries
from tests.pvm_resources import world

_SECRET = "hunter2-secret"


class Told:
    """Receives what apprise posts as JSON; answers as `status` says."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if owner.status == 200:
                    owner.got.append(json.loads(body))
                self.send_response(owner.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"json://me:{_SECRET}@127.0.0.1:{self._server.server_address[1]}/{_SECRET}-path"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def told() -> Iterator[Told]:
    """A receiver."""
    made = Told()
    yield made
    made.close()


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs to hand a message over (RFC 5321)."""

    def handle(self) -> None:
        def say(line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                say("354 go on")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text)
                self.server.got.append(b"".join(lines))  # type: ignore[attr-defined]
            say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return


@pytest.fixture
def mailbox() -> Iterator[socketserver.ThreadingTCPServer]:
    """A mail server that keeps what it gets in `got`."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.got = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _machine(database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PVM_HOME": str(tmp_path), "PVM_DATABASE_URL": database_url, "COLUMNS": "160", "BUS_BROKER": "",
        "PVM_WEBHOOK_URL": "", "PVM_NOTIFY_URLS": "", "PVM_API_URL": "https://pvm.example",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


def _job(repos: Store, job_id: str, source: str = "cli") -> str:
    """A finished job with one accepted match of three."""
    made = world.make(repos, job_id=job_id)
    if source == "schedule":
        repos.inbox.submit(made.industry.slug, {}, source)
        with repos.database.transaction() as cursor:
            cursor.execute("UPDATE inbox SET job_id = %s", [job_id])
    world.write(repos, made)
    return job_id


def _end(repos: Store, job_id: str, *names: str) -> None:
    for name in names or ("job.completed",):
        repos.database.commit(outbox_write([Event(job_id, name)]))


def _relay(repos: Store) -> int:
    relay = make_relay(load_settings(), repos.database)
    return relay.drain()


def test_a_completed_job_is_told_with_its_new_matches(repos: Store, told: Told) -> None:
    notifications.add(repos.endpoints, told.url)
    _job(repos, "job-1")
    assert _relay(repos) == 1
    (message,) = told.got
    assert message["title"] == "gối công thái học: 1 new match"
    assert message["message"].splitlines() == [
        "Gối 0 in clip0, 0.900, at 00:00",
        "1 accepted match in all: https://pvm.example/review/job-1",
    ]


def test_mail_arrives_through_apprise(repos: Store, mailbox: Any) -> None:
    port = mailbox.server_address[1]
    url = f"mailto://127.0.0.1:{port}?from=pvm@shop.example&to=lan@shop.example&smtp=127.0.0.1&format=text"
    notifications.add(repos.endpoints, url)
    _job(repos, "job-1")
    assert _relay(repos) == 1
    (raw,) = mailbox.got
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == "gối công thái học: 1 new match"
    assert "lan@shop.example" in message["To"]
    body = message.get_body(("plain",))
    assert body is not None
    assert "Gối 0 in clip0" in body.get_content()


def test_a_standing_industry_is_told_of_new_matches_only(repos: Store, told: Told) -> None:
    notifications.add(repos.endpoints, told.url)
    _job(repos, "job-1", "schedule")
    _relay(repos)
    _job(repos, "job-2", "schedule")
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE jobs SET created_at = created_at + interval '1 day' WHERE job_id = 'job-2'")
    _relay(repos)
    assert [message["title"] for message in told.got] == ["gối công thái học: 1 new match"]
    assert {one.state for one in repos.deliveries.listed()} == {"delivered"}
    news = JobNewsQueries(repos.database).of("job-2")
    assert news is not None
    assert (news.accepted, news.new, news.scheduled) == (1, 0, True)


def test_a_receiver_that_is_away_is_tried_again_and_no_secret_is_shown(
    repos: Store, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    notifications.add(repos.endpoints, told.url, name="phone")
    _job(repos, "job-1")
    told.status = 500
    assert _relay(repos) == 1
    assert [one.state for one in repos.deliveries.listed()] == ["open"]
    told.status = 200
    repos.database.commit(Statement("UPDATE delivery_streams SET next_attempt_at = now()"))
    assert _relay(repos) == 1
    assert len(told.got) == 1
    shown = "".join(
        CliRunner().invoke(app, command).output
        for command in (["notify", "list"], ["endpoints", "list"], ["events", "list"], ["status", "--json"])
    )
    assert "phone" in shown
    assert "error=500" in caplog.text
    for text in (shown, caplog.text, repr(repos.endpoints.list())):
        assert _SECRET not in text


def test_ten_failures_are_a_dead_letter_that_can_be_replayed(repos: Store, told: Told) -> None:
    notifications.add(repos.endpoints, told.url)
    _job(repos, "job-1")
    told.status = 503
    for _ in range(10):
        _relay(repos)
        repos.database.commit(Statement("UPDATE delivery_streams SET next_attempt_at = now()"))
    assert [one.state for one in repos.deliveries.listed()] == ["dead"]
    told.status = 200
    assert repos.deliveries.replay() == 1
    _relay(repos)
    assert len(told.got) == 1


def test_the_setting_makes_receivers_and_takes_them_back(
    repos: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_NOTIFY_URLS", f"{told.url}, jsons://other.example/x")
    keep_endpoints(load_settings(), repos.endpoints)
    keep_endpoints(load_settings(), repos.endpoints)
    found = repos.endpoints.list()
    assert sorted((one.kind, one.url) for one in found) == [
        ("notification", "json://…"), ("notification", "jsons://…"),
    ]  # fmt: skip
    monkeypatch.setenv("PVM_NOTIFY_URLS", "jsons://other.example/x")
    keep_endpoints(load_settings(), repos.endpoints)
    assert {one.url: one.enabled for one in repos.endpoints.list()} == {"json://…": False, "jsons://…": True}
    assert _SECRET not in str(load_settings())


@pytest.mark.parametrize("url", ["nonsense://x", f"tgram://{_SECRET}", "", "not an address"])
def test_an_unknown_address_is_refused_without_repeating_it(repos: Store, url: str) -> None:
    with pytest.raises(InputError) as caught:
        notifications.add(repos.endpoints, url)
    assert caught.value.code == "notify.url"
    assert _SECRET not in str(caught.value)
    assert repos.endpoints.list() == []


def test_commands_from_adding_to_removing(repos: Store, told: Told) -> None:
    made = CliRunner().invoke(app, ["notify", "add", "-", "--name", "phone"], input=told.url + "\n")
    assert made.exit_code == 0, made.output
    assert _SECRET not in made.output
    (found,) = repos.endpoints.list()
    sent = CliRunner().invoke(app, ["notify", "test", str(found.endpoint_id)[:8]])
    assert sent.exit_code == 0, sent.output
    assert told.got[0]["message"] == "Notifications arrive here."
    told.status = 403
    failed = CliRunner().invoke(app, ["notify", "test", str(found.endpoint_id)[:8]])
    assert failed.exit_code == 4
    assert "[notify.test]" in failed.stderr
    assert _SECRET not in failed.output
    assert CliRunner().invoke(app, ["notify", "add", told.url, "--events", "match.result"]).exit_code == 2
    assert CliRunner().invoke(app, ["notify", "rm", str(found.endpoint_id)[:8]]).exit_code == 0
    assert repos.endpoints.list() == []


def _news(**more: Any) -> JobNews:
    return JobNews(**{"job_id": "j", "industry": "x", "scheduled": False, "accepted": 0, "new": 0, **more})


@pytest.mark.parametrize(
    ("event", "news", "title"),
    [
        ("job.completed", _news(), "x: 0 new matches"),
        ("job.completed", _news(scheduled=True, accepted=3), None),
        ("job.completed", _news(scheduled=True, accepted=3, new=2), "x: 2 new matches"),
        ("job.failed", _news(scheduled=True, error={"reason": "down"}), "x: the job failed"),
        ("job.cancelled", _news(), "x: the job was cancelled"),
        ("job.cancelled", _news(scheduled=True), None),
    ],
)
def test_what_is_worth_telling(event: str, news: JobNews, title: str | None) -> None:
    found = notice_of(event, news, "http://x")
    assert (found.title if found else None) == title


def test_many_new_matches_are_a_few_lines() -> None:
    best = tuple(NewMatch("p" * 500, "v\n" * 100, 0.79999, 61.0) for _ in range(5))
    found = notice_of("job.completed", _news(accepted=900, new=900, best=best), "http://x")
    assert found is not None
    lines = found.body.splitlines()
    assert len(lines) == 7
    assert "0.799, at 01:01" in lines[0]
    assert lines[5] == "and 895 more"
