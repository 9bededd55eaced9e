"""A home of an earlier release, with its Dagster history, goes on under this one.

`tests/data/home_2122bb6_*.sql.xz` are dumps (pg_dump) of both databases of that commit's home: one completed
job of `pvm run`, one failed job, a finished backfill of both partitions. Pictures and paths were taken out.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import tiny
from harness import Pvm

from pvm_assets.execution.bootstrap import bootstrap, dagster_instance
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.graph import FINAL
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import PARTITION_TAG
from pvm_core.errors import StoreError
from pvm_resources.postgres import dagster_history
from pvm_resources.postgres.dagster_history import migrate_partition_keys
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings, project_root

_DATA = Path(__file__).resolve().parents[1] / "data"
COMPLETED = "01m8avrkxkshkk4k"
FAILED = "founding_7"
KEYS = {COMPLETED: f"goi-cong-thai-hoc@{COMPLETED}", FAILED: f"hop-giay@{FAILED}"}
_OLD = {key.replace("@", "|"): key for key in KEYS.values()}


@dataclass(frozen=True)
class Upgraded:
    """The home after this release's first start."""

    pvm: Pvm
    dagster_url: str
    instance: dg.DagsterInstance


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """The dumps restored into an embedded server, then upgraded as `pvm run` does it."""
    folder = tmp_path_factory.mktemp("old")
    pvm, server = Pvm(folder / "home"), EmbeddedServer(folder / "home", durable=False)
    tiny.write_case(folder / "case2", products=2, clips=1)
    server.up(keep=True)
    before = dict(os.environ)
    try:
        _restore(server.uri("pvm"), "pvm", {"/srv/pvm/case2": str(folder / "case2")})
        _restore(server.uri("dagster"), "dagster", {})
        os.environ["PVM_HOME"] = str(pvm.home)
        # Which exports what its children need to this process.
        platform = bootstrap(load_settings(folder / "none.env"))
        with dagster_instance() as instance:
            yield Upgraded(pvm, server.uri("dagster"), instance)
        platform.close()
    finally:
        os.environ.clear()
        os.environ.update(before)
        pvm.torn_down()


def _restore(url: str, name: str, changes: dict[str, str]) -> None:
    text = lzma.decompress((_DATA / f"home_2122bb6_{name}.sql.xz").read_bytes()).decode()
    for old, new in changes.items():
        text = text.replace(old, new)
    with psycopg.connect(url) as connection:
        connection.execute(text.encode())


def test_partitions_go_by_their_new_keys(upgraded: Upgraded) -> None:
    assert set(upgraded.instance.get_dynamic_partitions(PARTITIONS_NAME)) == set(KEYS.values())


def test_no_old_key_is_left_anywhere_in_dagsters_tables(upgraded: Upgraded) -> None:
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type IN ('text', 'character varying')"
    )
    with psycopg.connect(upgraded.dagster_url) as connection:
        for table, column in connection.execute(columns).fetchall():
            for old in _OLD:
                query = f'SELECT count(*) FROM "{table}" WHERE "{column}" LIKE %s'  # our own schema
                assert connection.execute(query, [f"%{old}%"]).fetchone() == (0,), (table, column, old)


def test_jobs_and_results_are_as_before(upgraded: Upgraded) -> None:
    status = json.loads(upgraded.pvm("status", "--json").stdout)
    found = {job["job"]: (job["status"], job["counts"]["accepted"]) for job in status["jobs"]}
    results = json.loads(upgraded.pvm("results", "--job", COMPLETED, "--format", "json").stdout)

    assert found == {COMPLETED: ("completed", 1), FAILED: ("failed", 0)}
    assert "p0" in json.dumps(results)


def test_materialisations_and_checks_are_there_under_the_new_keys(upgraded: Upgraded) -> None:
    storage = upgraded.instance.event_log_storage
    for asset in ("products", FINAL):
        wanted = set(KEYS.values()) if asset == "products" else {KEYS[COMPLETED]}
        assert storage.get_materialized_partitions(dg.AssetKey(asset)) == wanted
    made = upgraded.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(FINAL), asset_partitions=[KEYS[COMPLETED]]), 5
    )
    checks = upgraded.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("keyframes"), "enough_frames"), 10
    )

    assert [
        record.asset_materialization.partition for record in made.records if record.asset_materialization
    ] == [KEYS[COMPLETED]]
    assert {check.partition for check in checks} == set(KEYS.values())


def test_runs_and_backfills_are_found_by_the_new_keys(upgraded: Upgraded) -> None:
    runs = {
        job: upgraded.instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: key})) for job, key in KEYS.items()
    }
    (backfill,) = upgraded.instance.get_backfills()
    location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
    origins = {
        run.remote_job_origin.location_name
        for found in runs.values()
        for run in found
        if run.remote_job_origin
    }

    assert [run.status for run in runs[COMPLETED]] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert [run.status for run in runs[FAILED]] == [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    assert all(run.tags[PARTITION_TAG] == KEYS[job] for job, found in runs.items() for run in found)
    assert backfill.asset_backfill_data is not None
    subset = backfill.asset_backfill_data.target_subset.get_partitions_subset(dg.AssetKey("products"))
    assert set(subset.get_partition_keys()) == set(KEYS.values())
    # The module behind the location has another name since; runs name the location, which has not.
    assert origins == {location.origin_of(JOB_NAME).location_name}


def test_it_is_done_once(upgraded: Upgraded) -> None:
    assert migrate_partition_keys(upgraded.dagster_url) == 0


def test_killed_halfway_it_leaves_all_as_it_was(upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(upgraded.pvm.home)
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE killed")
    _restore(server.uri("killed"), "dagster", {})
    monkeypatch.setitem(dagster_history._COLUMNS, "daemon_heartbeats", ("no_such_column",))

    with pytest.raises(StoreError):
        migrate_partition_keys(server.uri("killed"))
    with psycopg.connect(server.uri("killed")) as connection:
        left = {key for (key,) in connection.execute("SELECT partition FROM dynamic_partitions")}
    assert left == set(_OLD)

    monkeypatch.undo()
    assert migrate_partition_keys(server.uri("killed")) > 100


@pytest.mark.slow
def test_the_failed_job_is_run_again(upgraded: Upgraded) -> None:
    assert upgraded.pvm("rules", "unset", "-i", "Hộp giấy").returncode == 0
    ran = upgraded.pvm("retry", FAILED)

    assert ran.returncode == 0, ran.stderr
    latest = upgraded.instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: KEYS[FAILED]}), limit=1)
    assert [run.status for run in latest] == [dg.DagsterRunStatus.SUCCESS]
    made = upgraded.instance.event_log_storage.get_materialized_partitions(dg.AssetKey(FINAL))
    assert made == set(KEYS.values())
