"""What every asset, check and executor of the graph must have."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest

from definitions import ASSETS, CHECKS, definitions, defs
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.execution.executors import EXECUTORS, SupervisedExecutor, pick_executor
from pvm_assets.graph import NODES, ancestors
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.stage import clear_failure
from pvm_assets.steps.features import FEATURES
from pvm_core.errors import InputError, StoreError
from pvm_jobs.job_ids import PARTITION_FORM, slugify, split_partition_key
from pvm_resources.gpu import GPU
from pvm_resources.settings import project_root

_HEAVY = ("dagster", "torch", "pandas", "httpx", "pydantic")
_GPU_ASSETS = {"embeddings"}
_NETWORK_ASSETS = {"products", "videos", "product_images"}
_GPU_CHECKS = {"vectors_reproducible"}


def _name(asset: dg.AssetsDefinition) -> str:
    return asset.key.to_user_string()


def test_definitions_load_and_hold_the_job() -> None:
    dg.Definitions.validate_loadable(defs)
    assert defs.resolve_job_def(JOB_NAME).partitions_def == JOB_PARTITIONS


def test_a_run_of_the_job_carries_its_industry() -> None:
    tags = defs.resolve_job_def(JOB_NAME).get_tags_for_partition_key("goi@job-1", selected_asset_keys=None)
    assert tags["pvm/industry"] == "goi"


def test_the_ten_assets_are_there_with_the_lineage_of_the_design() -> None:
    assert {_name(a) for a in ASSETS} == set(NODES)
    graph = defs.resolve_asset_graph()
    for name, node in NODES.items():
        parents = {k.to_user_string() for k in graph.get(dg.AssetKey(name)).parent_keys}
        assert parents == set(node.upstream)


@pytest.mark.parametrize("asset", ASSETS, ids=_name)
def test_every_asset_is_described(asset: dg.AssetsDefinition) -> None:
    (spec,) = asset.specs
    assert spec.owners
    assert spec.kinds
    assert spec.description
    assert not re.search(r"^\s{4}", spec.description, re.M), "indented Markdown is shown as code"
    assert PARTITION_FORM in spec.description
    assert spec.code_version
    assert spec.group_name == NODES[_name(asset)].group
    assert spec.partitions_def == JOB_PARTITIONS
    schema = spec.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns if not column.description] == []


def test_the_job_says_how_its_partitions_are_named() -> None:
    description = defs.resolve_job_def(JOB_NAME).description or ""
    assert PARTITION_FORM in description
    (example,) = re.findall(r"e\.g\. `([^`]+)`", description)
    slug, job = split_partition_key(example)
    assert slugify(slug) == slug
    assert job


@pytest.mark.parametrize("asset", ASSETS, ids=_name)
def test_every_asset_has_a_check_and_a_blocking_one(asset: dg.AssetsDefinition) -> None:
    mine = [c for c in CHECKS if next(iter(c.check_specs)).asset_key == asset.key]
    assert any(next(iter(c.check_specs)).blocking for c in mine)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: next(iter(c.check_specs)).name)
def test_every_check_is_partitioned_as_its_asset(check: dg.AssetChecksDefinition) -> None:
    (spec,) = check.check_specs
    assert spec.partitions_def == JOB_PARTITIONS
    assert spec.description
    assert not re.search(r"^\s{4}", spec.description, re.M)


def _step(definition: Any) -> tuple[str | None, dict[str, Any]]:
    return definition.op.pool, dict(definition.op.tags)


@pytest.mark.parametrize("definition", [*ASSETS, *CHECKS], ids=lambda d: d.op.name)
def test_exactly_the_gpu_steps_carry_the_gpu_constant(definition: Any) -> None:
    pool, tags = _step(definition)
    names = {_name(definition)} if definition in ASSETS else {next(iter(definition.check_specs)).name}
    wants = bool(names & (_GPU_ASSETS | _GPU_CHECKS))
    assert (pool == GPU["pool"]) is wants
    assert all((tag in tags) is wants for tag in GPU["op_tags"])


@pytest.mark.parametrize("asset", ASSETS, ids=_name)
def test_exactly_the_assets_that_ask_the_network_are_retried(asset: dg.AssetsDefinition) -> None:
    retried = "pvm/transport_retries" in asset.metadata_by_key[asset.key]
    assert retried == (_name(asset) in _NETWORK_ASSETS)
    assert asset.op.retry_policy is None, "Dagster would try a cancelled step again"


def test_a_passing_fault_of_the_network_is_tried_again_as_often_as_the_policy_says() -> None:
    policy = dg.RetryPolicy(max_retries=2, delay=1)
    for attempt, expected in ((0, dg.RetryRequested), (1, dg.RetryRequested), (2, dg.Failure)):
        with pytest.raises(expected), clear_failure(policy, attempt):
            raise InputError("products.none", "ebay", "why", "what to do", retryable=True)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_permanent_fault_is_not_retried(retryable: bool) -> None:
    with pytest.raises(dg.Failure) as caught, clear_failure():
        raise InputError("products.none", "ebay", "why", "what to do", retryable=retryable)
    assert caught.value.allow_retries is retryable


def test_a_store_that_is_gone_is_not_waited_for() -> None:
    with pytest.raises(dg.Failure) as caught, clear_failure():
        raise StoreError("store.unreachable", "the database", "why", "what to do", retryable=True)
    assert not caught.value.allow_retries


def test_ancestors_are_all_that_lie_upstream() -> None:
    assert set(ancestors("evidence")) == set(NODES) - {"evidence"}
    assert ancestors("products") == ()


@pytest.mark.parametrize("name", EXECUTORS)
def test_definitions_build_with_every_executor(name: str) -> None:
    module = {"docker": "dagster_docker", "k8s": "dagster_k8s", "celery": "dagster_celery"}.get(name)
    if module and importlib.util.find_spec(module) is None:
        with pytest.raises(InputError, match="extra"):
            definitions(name)
        return
    dg.Definitions.validate_loadable(definitions(name))


def test_workers_import_features_without_dagster() -> None:
    modules = ["pvm_assets.work.pairs", *(step.__module__ for step in FEATURES)]
    code = f"import sys; [__import__(m) for m in {modules}]; print([m for m in {_HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True)
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr


def test_definitions_import_without_what_single_steps_need() -> None:
    code = "import sys, definitions; print({'pandas', 'pandera', 'torch', 'httpx'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True)
    assert (found.returncode, found.stdout.strip()) == (0, "set()"), found.stderr


def test_an_executor_is_supervised() -> None:
    executor = pick_executor("in_process")
    create = executor.executor_creation_fn
    assert create is not None
    context = dg.InitExecutorContext(
        job=CodeLocation.of_workspace(project_root() / "workspace.yaml").job(JOB_NAME),
        executor_def=executor,
        executor_config={"retries": {"enabled": {}}},
        instance=dg.DagsterInstance.ephemeral(),
    )
    assert isinstance(create(context), SupervisedExecutor)


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(InputError, match="PVM_EXECUTOR"):
        pick_executor("slurm")
