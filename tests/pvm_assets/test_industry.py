"""What an industry has as a whole, materialised through Dagster and a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from stand import LOCATION, Stand

from definitions import defs
from pvm_assets.graph import INDUSTRY_NODES, NODES, of_industry
from pvm_assets.industry.asset import INDUSTRY_PARTITIONS, PARTITIONS_NAME
from pvm_assets.industry.assets import ASSETS
from pvm_assets.industry.checks import CHECKS
from pvm_assets.jobs import INDUSTRY_JOB_NAME, JOB_NAME
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.text_index import TextIndex
from sensors.catalogue import Changed, catalogue, read_cursor, run_industry

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance(fresh: Stand) -> Iterator[dg.DagsterInstance]:
    """Dagster's runs and partitions, of this test alone."""
    with dg.instance_for_test() as found:
        yield found


def _materialise(instance: dg.DagsterInstance, slug: str) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(PARTITIONS_NAME, [slug])
    job = LOCATION.job(INDUSTRY_JOB_NAME).get_definition()
    return job.execute_in_process(
        instance=instance, partition_key=slug, run_config=QUIET, raise_on_error=False
    )


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def _tick(instance: dg.DagsterInstance, cursor: str | None) -> Any:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
    return catalogue(context)


def test_jobs_and_industries_share_no_asset() -> None:
    jobs = {key.to_user_string() for key in defs.resolve_job_def(JOB_NAME).asset_layer.selected_asset_keys}
    industry = defs.resolve_job_def(INDUSTRY_JOB_NAME)
    assert jobs == set(NODES)
    assert {key.to_user_string() for key in industry.asset_layer.selected_asset_keys} == set(INDUSTRY_NODES)
    assert industry.partitions_def == INDUSTRY_PARTITIONS
    assert of_industry({"similarity_index", "similarity_index_recall_against_exact"})
    assert not of_industry({"products", "similarity_index"})
    assert not of_industry(set())


@pytest.mark.parametrize("asset", ASSETS, ids=lambda one: one.key.to_user_string())
def test_every_asset_of_an_industry_is_described_and_checked(asset: dg.AssetsDefinition) -> None:
    (spec,) = asset.specs
    assert spec.owners
    assert spec.kinds
    assert "industry" in (spec.description or "")
    assert spec.partitions_def == INDUSTRY_PARTITIONS
    assert any(next(iter(check.check_specs)).asset_key == asset.key for check in CHECKS)


def test_a_completed_job_is_materialised_once_and_a_change_again(
    fresh: Stand, instance: dg.DagsterInstance
) -> None:
    job = fresh.job()
    assert fresh.run(job).status == "completed"
    first = _tick(instance, None)
    assert [request.partition_key for request in first.run_requests] == [job.industry]
    result = _materialise(instance, job.industry)
    assert result.success
    assert _checks(result) == dict.fromkeys((
        "index_complete", "no_stale_vector", "recall_against_exact", "recommendations_sound",
        "report_readable",
    ), True)  # fmt: skip
    report = fresh.repos.appearances.report(job.industry)
    media = MediaStore(fresh.settings.media)
    assert report is not None
    assert job.job_id in media.get(report).decode()
    trend = result.asset_materializations_for_node("industry_report")[0].metadata["trend"].value
    assert str(trend).count("\n") == 2, "a header and one job"
    assert isinstance(_tick(instance, first.cursor), dg.SkipReason)

    product = fresh.repos.catalogue.products(job.job_id)[0]
    living = LivingCatalogue(fresh.repos, media)
    for n in range(40):
        event = {"event_type": "update", "product_id": str(product.product_id), "data": {"title": f"T{n}"}}
        assert living.take([event])[0].error is None
    changed = _tick(instance, first.cursor)
    assert len(changed.run_requests) == 1, "one run for forty changes"
    assert _materialise(instance, job.industry).success
    assert isinstance(_tick(instance, changed.cursor), dg.SkipReason)

    # Faces are to be blurred and cannot be: no report is made, and the one before is not left.
    fresh.repos.industries.set_rules(job.industry, "default", {"blur_faces": True})
    refused = _materialise(instance, job.industry)
    assert not refused.success
    (failed,) = refused.get_step_failure_events()
    assert "evidence.faces" in str(failed.step_failure_data.user_failure_data.metadata)
    assert not media.exists(report)
    fresh.repos.industries.set_rules(job.industry, "default", {})
    assert _materialise(instance, job.industry).success
    assert media.exists(report)

    living.take([{"event_type": "delete", "product_id": str(product.product_id)}])
    assert not media.exists(report), "it showed the product"
    assert fresh.repos.appearances.report(job.industry) is None


def test_the_checks_find_what_is_missing(fresh: Stand, instance: dg.DagsterInstance) -> None:
    slug = fresh.repos.industries.ensure("pillows").slug
    living = LivingCatalogue(fresh.repos, MediaStore(fresh.settings.media))
    living.take([
        {"event_type": "create", "product_id": f"p{n}", "industry": slug, "data": {"title": f"Pillow {n}"}}
        for n in range(3)
    ])  # fmt: skip
    assert _materialise(instance, slug).success
    fresh.repos.database.commit(
        lambda cursor: (
            cursor.execute(
                "DELETE FROM product_text_embeddings WHERE product_id = (SELECT min(product_id::text)::uuid "
                "FROM product_text_embeddings)"
            ).rowcount
        )
    )
    living.take(
        [{"event_type": "update", "product_id": f"p{n}", "industry": slug, "data": {"title": "New"}}
         for n in range(3)]
    )  # fmt: skip
    state = TextIndex(fresh.repos, fresh.settings).state(
        TextIndex(fresh.repos, fresh.settings).serving().model_key, slug
    )
    assert (state.missing, state.stale) == (1, 2)
    job = LOCATION.job(INDUSTRY_JOB_NAME).get_definition()
    only = job.get_subset(asset_check_selection={
        dg.AssetCheckKey(dg.AssetKey("product_text_embeddings"), name)
        for name in ("index_complete", "no_stale_vector")
    })  # fmt: skip
    found = only.execute_in_process(
        instance=instance, partition_key=slug, run_config=QUIET, raise_on_error=False
    )
    assert _checks(found) == {"index_complete": False, "no_stale_vector": False}


def test_a_partition_that_is_no_industry_says_so(fresh: Stand, instance: dg.DagsterInstance) -> None:
    result = _materialise(instance, "nothing-of-this")
    assert not result.success
    failed = [event for event in result.all_events if event.is_step_failure]
    assert "no industry" in str(failed[0].step_failure_data.error)


def test_a_busy_industry_waits_and_a_cursor_of_nonsense_starts_anew(
    fresh: Stand, instance: dg.DagsterInstance
) -> None:
    slug = fresh.repos.industries.ensure("lamps").slug
    LivingCatalogue(fresh.repos, MediaStore(fresh.settings.media)).take([
        {"event_type": "create", "product_id": "l", "industry": slug, "data": {"title": "Lamp"}},
        {"event_type": "create", "product_id": "m", "data": {"title": "Of no industry"}},
    ])  # fmt: skip
    found = dict(Changed(fresh.repos, instance, {}).look())
    assert found.keys() == {slug, "_unassigned"}
    tags = {"dagster/partition": slug}
    instance.create_run_for_job(
        LOCATION.job(INDUSTRY_JOB_NAME).get_definition(), tags=tags, status=dg.DagsterRunStatus.STARTED
    )
    assert dict(Changed(fresh.repos, instance, {}).look()).keys() == {"_unassigned"}
    assert read_cursor("{") == read_cursor(None) == read_cursor("[1]") == {}
    assert read_cursor(json.dumps({slug: "x"})) == {slug: "x"}


def test_an_industry_is_run_by_its_name(fresh: Stand, instance: dg.DagsterInstance) -> None:
    slug = fresh.repos.industries.ensure("yoga mats").slug

    def run() -> dg.ExecuteInProcessResult:
        config = {"ops": {"start_standing_sources": {"config": {"industry": "yoga mats"}}}}
        return run_industry.execute_in_process(
            instance=instance, run_config={**QUIET, **config}, raise_on_error=False
        )

    assert not run().success, "it has no standing sources"
    sources = {"products": str(fresh.case / "products.csv"), "videos": str(fresh.case / "videos")}
    fresh.repos.industries.set_sources(slug, sources)
    assert run().success
    (job,) = fresh.repos.match_queries.jobs(10, industry=slug)
    assert job.status == "queued"
