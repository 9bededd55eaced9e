"""One trace from a request to its run, the run's steps and the deliveries, as a collector receives it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from collector import Collector
from fastapi.testclient import TestClient
from stand import Stand

from pvm_api.app import create_app
from pvm_core.errors import InputError
from pvm_resources.events.wiring import make_relay
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import load_settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.tracing import Tracing
from tests.pvm_resources.receiver import Receiver

_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where traces go."""
    made = Collector()
    yield made
    made.close()


def test_one_trace_from_the_request_to_its_deliveries(
    fresh: Stand, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = Receiver()
    for name, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "PVM_API_SOURCE_ROOTS": str(fresh.case),
        "CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
        "PVM_WEBHOOK_URL": hook.url(),
        "PVM_WEBHOOK_EVENTS": "job.completed",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(fresh.settings.home / "none.env")
    database = fresh.repos.database
    relay = make_relay(settings, database)
    headers = {
        "X-API-Key": Keys(database).create("n8n", ["run"])[1],
        "traceparent": f"00-{_TRACE}-{'1' * 16}-01",
    }
    sources = {"products": [str(fresh.case / "products.csv")], "videos": [str(fresh.case / "videos")]}
    body = {"industry": "Traced", **sources}
    with TestClient(create_app(settings, database, MediaStore(settings.media)), headers=headers) as client:
        job = client.post("/v1/jobs", json=body).raise_for_status().json()["job_id"]
        client.get("/healthz")
    assert fresh.run(fresh.repos.jobs.get(job)).status == "completed"
    assert relay.drain() == 1
    relay.close()
    hook.close()

    spans = {span.name: span for span in collector.spans}
    request, run = spans["POST /v1/jobs"], spans["run pvm_job_run"]
    assert {span.trace for span in spans.values()} == {_TRACE}, "a caller's trace goes on"
    assert request.parent == "1" * 16
    assert run.parent == request.span
    steps = [span for name, span in spans.items() if name.startswith("step ")]
    assert {"step products", "step matches", "step evidence"} <= {step.name for step in steps}
    assert {step.parent for step in steps} == {run.span}
    assert spans["deliver job.completed"].parent == request.span
    assert {span.service for span in spans.values()} == {"pvm-api", "pvm-run", "pvm-relay"}
    assert not [span for span in spans.values() if span.failed]
    assert not [name for name in spans if "healthz" in name]


def test_a_run_without_a_request_begins_its_trace_and_says_what_failed(
    fresh: Stand, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    job = fresh.job(videos=str(fresh.case / "none"))
    assert fresh.run(job).status == "failed"
    spans = {span.name: span for span in collector.spans}
    run = spans["run pvm_job_run"]
    assert run.parent == ""
    assert spans["step videos"].failed
    assert fresh.repos.job_traces.of(job.job_id).startswith(f"00-{run.trace}-{run.span}-")


def test_nothing_is_imported_or_written_where_traces_are_off(fresh: Stand) -> None:
    code = (
        "import sys; from pvm_resources.settings import Settings; from pvm_resources.tracing import Tracing\n"
        "with Tracing.of(Settings.model_construct(), 'x').span('a') as span: span.note({'b': 1})\n"
        "assert span.traceparent is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    job = fresh.job()
    assert fresh.repos.job_traces.of(job.job_id) is None


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(otlp_endpoint="http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError) as caught:
        Tracing.of(settings, "pvm-api")
    assert caught.value.code == "settings.tracing"
    assert "[otel]" in str(caught.value)
