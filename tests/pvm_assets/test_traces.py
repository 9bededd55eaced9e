"""One trace from a request to its run, the run's steps and the deliveries, as a collector receives it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from collector import Collector
from dagster._core.execution.api import execute_run_iterator
from fastapi.testclient import TestClient
from stand import LOCATION, Stand

from pvm_api.app import create_app
from pvm_assets.graph import INDUSTRY_NODES
from pvm_assets.industry.asset import PARTITIONS_NAME
from pvm_assets.jobs import INDUSTRY_JOB_NAME
from pvm_assets.run_tags import PARTITION_TAG
from pvm_cli.product_streams import consuming
from pvm_core.errors import InputError
from pvm_resources.events.wiring import make_relay
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import Settings, load_settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.tracing import Tracing
from sensors.catalogue import run_industry
from tests.pvm_resources.receiver import Receiver

_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where traces go."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def instance(fresh: Stand) -> Iterator[dg.DagsterInstance]:
    """Dagster's runs and partitions, of this test alone."""
    with dg.instance_for_test() as found:
        yield found


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


def _traced_on(monkeypatch: pytest.MonkeyPatch, collector: Collector, place: Stand) -> Settings:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    return load_settings(place.settings.home / "none.env")


def test_a_materialised_industry_is_a_trace_of_its_own(
    fresh: Stand, instance: dg.DagsterInstance, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    _traced_on(monkeypatch, collector, fresh)
    slug = fresh.repos.industries.ensure("Traced").slug
    instance.add_dynamic_partitions(PARTITIONS_NAME, [slug])
    pointer = LOCATION.job(INDUSTRY_JOB_NAME)
    run = instance.create_run_for_job(pointer.get_definition(), tags={PARTITION_TAG: slug})
    list(execute_run_iterator(pointer, run, instance))
    spans = {span.name: span for span in collector.spans}
    whole = spans.pop(f"run {INDUSTRY_JOB_NAME}")
    assert whole.parent == ""
    assert {f"step {name}" for name in INDUSTRY_NODES} <= spans.keys()
    assert {span.parent for span in spans.values()} == {whole.span}
    assert not [span for span in spans.values() if span.failed]


def test_the_job_that_run_industry_orders_is_of_its_trace(
    fresh: Stand, instance: dg.DagsterInstance, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    _traced_on(monkeypatch, collector, fresh)
    slug = fresh.repos.industries.ensure("Traced").slug
    sources = {"products": [str(fresh.case / "products.csv")], "videos": [str(fresh.case / "videos")]}
    fresh.repos.industries.set_sources(slug, sources)
    config = {"ops": {"start_standing_sources": {"config": {"industry": slug}}}}
    assert run_industry.execute_in_process(instance=instance, run_config=config).success
    (job,) = fresh.repos.jobs.list()
    (ordered,) = collector.spans
    assert (ordered.name, ordered.parent) == ("run run_industry", "")
    assert fresh.run(job).status == "completed"
    run = next(span for span in collector.spans if span.name == "run pvm_job_run")
    assert (run.trace, run.parent) == (ordered.trace, ordered.span)


def test_a_product_is_traced_from_its_request_until_it_is_searchable(
    fresh: Stand, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _traced_on(monkeypatch, collector, fresh)
    database = fresh.repos.database
    headers = {"X-API-Key": Keys(database).create("shop", ["run"])[1]}
    app = create_app(settings, database, MediaStore(settings.media))
    with TestClient(app, headers=headers) as client:
        posted = [
            client.post("/v1/products", json={"id": f"lamp-{n}", "title": f"Đèn bàn {n}"}).raise_for_status()
            for n in range(2)
        ]
        client.patch("/v1/products/lamp-0", json={"price": 5, "currency": "EUR"}).raise_for_status()
        assert app.state.services.text_follower.wait(30)
    requests = {span.span: span for span in collector.spans if span.name == "POST /v1/products"}
    searchable = [span for span in collector.spans if span.name == "product searchable"]
    assert {span.parent for span in searchable} == requests.keys()
    assert len(searchable) == len(posted), "a price is no word"
    assert all(span.trace == requests[span.parent].trace for span in searchable)


def test_changes_from_a_stream_are_traced_by_the_batch(
    fresh: Stand, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _traced_on(monkeypatch, collector, fresh)
    with consuming(settings, fresh.repos.database) as processor:
        assert processor.publish_product_created({"id": "lamp-9", "title": "Đèn bàn"}) is not None
        deadline = time.monotonic() + 60
        while not fresh.repos.database.tuples("SELECT FROM products WHERE asin_or_itemid = 'lamp-9'"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    spans = {span.name: span for span in collector.spans}
    batch, searchable = spans["apply product changes"], spans["product searchable"]
    assert (batch.parent, searchable.parent) == ("", batch.span)
    assert {span.service for span in spans.values()} == {"pvm-consumer"}


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
