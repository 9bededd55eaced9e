"""The same job on every executor: the same rows, also where a step's container or worker is killed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import dagster as dg
import docker.errors
import psycopg
import pytest
import tiny
import yaml
from cluster import Cluster
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster_docker.container_context import DockerContainerContext
from engine import IMAGE, Engine
from harness import Pvm, free_port

from pvm_assets.execution.bootstrap import bootstrap, dagster_instance
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.execution.docker import RUN_LABEL, TaggedDockerStepHandler
from pvm_assets.jobs import JOB_NAME
from pvm_assets.partitions import PARTITIONS_NAME
from pvm_assets.run_tags import JOB_TAG, PARTITION_TAG
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings, project_root
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Job
from tests.pvm_resources.broker import Broker

_INDUSTRY = "Hộp giấy"
#: What names the home or the machine.
_OWN = {"evidence", "evidence_url", "review_url"}
_PATIENCE_S = 800.0
# A job starts some thirty processes that load the graph.
pytestmark = pytest.mark.long

Rows = list[dict[str, str]]


def _rows(pvm: Pvm, **more: str) -> Rows:
    done = pvm.cold("results", "--industry", _INDUSTRY, "--min-score", "0", "--format", "csv", **more)
    assert done.returncode == 0, done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout))
    return [{name: value for name, value in row.items() if name not in _OWN} for row in rows]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """Three products, two clips."""
    return tiny.write_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def reference(case: tiny.Tiny, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of a job whose steps all run in one process."""
    pvm = Pvm(tmp_path_factory.mktemp("reference") / "home")
    _ended(_started(pvm, case, PVM_EXECUTOR="in_process"))
    rows = _rows(pvm)
    assert {row["video"]: row["product"] for row in rows if row["status"] == "accepted"} == dict(case.shown)
    return rows


def _started(pvm: Pvm, case: tiny.Tiny, **settings: str) -> subprocess.Popen[str]:
    given = ("--industry", _INDUSTRY, "--products", case.products, "--videos", case.videos)
    return subprocess.Popen(
        pvm.command("run", *given), env=pvm.environment(**settings),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _ended(process: subprocess.Popen[str]) -> str:
    try:
        told, _ = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, told
    return told


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the image of the tests."""
    made = Engine(tmp_path_factory.mktemp("engine"))
    made.start()
    yield made
    made.close()


def test_steps_in_processes_find_the_same(pvm: Pvm, case: tiny.Tiny, reference: Rows) -> None:
    _ended(_started(pvm, case, PVM_EXECUTOR="multiprocess"))
    assert _rows(pvm) == reference


class Killer(threading.Thread):
    """Kills the first container of a step while it works, and counts the step's containers."""

    def __init__(self, engine: Engine, step: str) -> None:
        super().__init__(daemon=True)
        self._client = engine.client
        self._step = step
        self.seen: set[str] = set()
        self.steps: set[str] = set()
        self.killed = False
        self.done = threading.Event()

    def run(self) -> None:
        """Watches until told to stop."""
        while not self.done.wait(0.1):
            try:
                for container in self._client.containers.list():
                    self._look(container)
            except docker.errors.NotFound:
                continue

    def _look(self, container: docker.models.containers.Container) -> None:
        variables = dict(one.partition("=")[::2] for one in container.attrs["Config"]["Env"])
        step = variables.get("DAGSTER_RUN_STEP_KEY", "")
        self.steps.add(step)
        if step != self._step:
            return
        self.seen.add(container.id)
        if not self.killed:
            time.sleep(1.0)
            container.kill("SIGKILL")
            self.killed = True


def _docker(pvm: Pvm, case: tiny.Tiny, engine: Engine) -> dict[str, str]:
    folders = {str(pvm.home.parent), str(case.products.parent)}
    return {
        "DOCKER_HOST": engine.url, "PVM_DOCKER_IMAGE": IMAGE, "PVM_DOCKER_NETWORKS": "host",
        "PVM_POSTGRES_LISTEN": f"127.0.0.1:{free_port()}",
        "PVM_DOCKER_VOLUMES": ",".join([*engine.volumes, *(f"{one}:{one}" for one in folders)]),
    }  # fmt: skip


def test_steps_in_containers_find_the_same_though_one_is_killed(
    pvm: Pvm, case: tiny.Tiny, reference: Rows, engine: Engine
) -> None:
    settings = {"PVM_EXECUTOR": "docker", "PVM_SHARDS": "false", **_docker(pvm, case, engine)}
    killer = Killer(engine, "keyframes")
    killer.start()
    try:
        _ended(_started(pvm, case, **settings))
    finally:
        killer.done.set()
        killer.join()

    assert {"products", "keyframes", "matches", "evidence"} <= killer.steps
    assert killer.killed
    assert len(killer.seen) == 2
    assert _rows(pvm, **settings) == reference
    assert engine.client.containers.list(all=True) == [], "containers of ended steps are removed"


def test_containers_of_a_run_are_removed_as_they_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    handler = TaggedDockerStepHandler(IMAGE, DockerContainerContext())
    for run in ("mine", "another's"):
        engine.client.containers.run(
            IMAGE, ["sleep", "2"], detach=True, volumes=["/usr:/usr:ro"], labels={RUN_LABEL: run}
        )
    handler.remove_ended("mine")
    (left,) = engine.client.containers.list(all=True)
    assert left.labels[RUN_LABEL] == "another's"
    left.remove(force=True)


def _queued_run(instance: dg.DagsterInstance, job: Job) -> dg.DagsterRun:
    location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
    pointer = location.job(JOB_NAME)
    instance.add_dynamic_partitions(PARTITIONS_NAME, [job.partition_key])
    return instance.create_run_for_job(
        pointer.get_definition(),
        tags={PARTITION_TAG: job.partition_key, JOB_TAG: job.job_id},
        remote_job_origin=location.origin_of(JOB_NAME),
        job_code_origin=pointer.get_python_origin(),
    )


def test_a_run_in_a_container_finds_the_same(
    pvm: Pvm, case: tiny.Tiny, reference: Rows, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"PVM_RUN_LAUNCHER": "docker", **_docker(pvm, case, engine)}
    for name, value in pvm.environment(**settings).items():
        monkeypatch.setenv(name, value)
    platform = bootstrap(load_settings(pvm.home / "none.env"))
    with Database(platform.dsn, max_connections=2) as database, dagster_instance() as instance:
        store = Store.over(database)
        slug = store.industries.ensure(_INDUSTRY).slug
        job = store.jobs.create(slug, {"products": str(case.products), "videos": str(case.videos)}, "one")
        run = _queued_run(instance, job)
        instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
        launched = instance.get_run_by_id(run.run_id)
        assert launched is not None
        assert instance.run_launcher.check_run_worker_health(launched).status == WorkerStatus.RUNNING
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := instance.get_run_by_id(run.run_id)).is_finished:  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        (container,) = engine.client.containers.list(all=True)
        assert found is not None
        assert found.status == dg.DagsterRunStatus.SUCCESS, container.logs().decode()[-2000:]
        assert store.jobs.get("one").status == "completed"
    platform.close()
    assert container.labels["dagster/run_id"] == run.run_id
    container.remove(force=True)
    assert _rows(pvm, **settings) == reference


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A stand-in for a Kubernetes API server."""
    made = Cluster()
    yield made
    made.close()


def test_jobs_for_kubernetes_are_valid_and_find_the_same(
    pvm: Pvm, case: tiny.Tiny, reference: Rows, cluster: Cluster
) -> None:
    pvm.kept_up()
    server = EmbeddedServer(pvm.home)
    settings = {
        "PVM_EXECUTOR": "k8s", "PVM_SHARDS": "false",
        "PVM_DATABASE_URL": server.uri("pvm"), "DAGSTER_PG_URL": server.uri("dagster"),
    }  # fmt: skip
    launcher = {
        "module": "dagster_k8s", "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "pvm", "instance_config_map": "dagster-instance", "job_namespace": "pvm",
            "dagster_home": str(pvm.home / "dagster"), "job_image": "pvm:1", "load_incluster_config": False,
            "kubeconfig_file": str(cluster.kubeconfig(pvm.home.parent)),
            "env_vars": ["PVM_HOME", "PVM_WORKERS", "EMBED_MODEL", "PVM_SEGMENTER", *settings],
        },
    }  # fmt: skip
    base = yaml.safe_load((project_root() / "dagster.yaml").read_text())
    (pvm.home / "dagster").mkdir()
    (pvm.home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump({**base, "run_launcher": launcher}))

    _ended(_started(pvm, case, **settings))

    assert _rows(pvm, **settings) == reference
    steps = cluster.by_step()
    assert {"products", "keyframes", "embeddings", "matches", "evidence"} <= {*steps}
    pod = steps["embeddings"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert pod["nodeSelector"] == {"pvm/gpu": "true"}
    assert pod["tolerations"] == [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "nodeSelector" not in steps["keyframes"]["spec"]["template"]["spec"]


def _worker(pvm: Pvm, name: str, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    log = (pvm.home.parent / f"{name}.log").open("ab")
    return subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "pvm_assets.execution.celery:app", "worker",
            "-n", f"{name}@tests", "-Q", "dagster,gpu", "-c", "1",
        ],
        env=pvm.environment(**settings), stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


def _worker_of(server: EmbeddedServer, step: str) -> str:
    """The worker that has begun the step."""
    query = "SELECT event FROM event_logs WHERE step_key = %s AND dagster_event_type IN ('ENGINE_EVENT', %s)"
    deadline = time.monotonic() + _PATIENCE_S
    with psycopg.connect(server.uri("dagster"), autocommit=True) as connection:
        while time.monotonic() < deadline:
            try:
                rows = connection.execute(query, [step, "STEP_START"]).fetchall()
            except psycopg.errors.UndefinedTable:
                # The run makes Dagster's tables.
                rows = []
            events = [json.loads(row[0]) for row in rows]
            kinds = {one["dagster_event"]["event_type_value"] for one in events}
            told = [one["dagster_event"]["message"] for one in events]
            names = [text.rpartition(" ")[2] for text in told if text.startswith("Executing in Celery")]
            if "STEP_START" in kinds and names:
                return names[0].partition("@")[0]
            time.sleep(0.05)
    raise AssertionError(f"no worker began {step}")


def test_shards_on_celery_workers_find_the_same_though_one_is_killed(
    pvm: Pvm, case: tiny.Tiny, reference: Rows, broker: Broker
) -> None:
    pvm.kept_up()
    server = EmbeddedServer(pvm.home)
    settings = {
        "PVM_EXECUTOR": "celery", "PVM_CELERY_BROKER": broker.url,
        "PVM_DATABASE_URL": server.uri("pvm"), "DAGSTER_PG_URL": server.uri("dagster"),
    }  # fmt: skip
    assert pvm.cold("industries", "add", _INDUSTRY).returncode == 0
    assert pvm.cold("rules", "set", "-i", _INDUSTRY, "shard_items=1").returncode == 0
    workers = {name: _worker(pvm, name, settings) for name in ("one", "two")}
    shard = "keyframes_shards.keyframes_shard[1_of_2]"
    try:
        run = _started(pvm, case, **settings)
        os.killpg(workers[_worker_of(server, shard)].pid, signal.SIGKILL)
        _ended(run)
    finally:
        for worker in workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    with psycopg.connect(server.uri("dagster")) as connection:
        begun = dict(
            connection.execute(
                "SELECT step_key, count(*) FROM event_logs WHERE dagster_event_type = 'STEP_START' GROUP BY 1"
            ).fetchall()
        )
    assert begun[shard] == 2, "the shard was handed to the other worker"
    assert begun["keyframes_shards.keyframes_shard[0_of_2]"] in (1, 2)
    assert sum(step.startswith("masks_shards.masks_shard[") for step in begun) > 2
    assert _rows(pvm, **settings) == reference
