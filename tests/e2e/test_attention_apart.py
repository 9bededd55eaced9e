"""The attention analysis fails apart: its services, the analysis itself and its code server are killed (the
first two also hung or answering nonsense) while a job of matching runs. The job's rows are those of an
undisturbed run.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import grpc
import httpx
import numpy as np
import psutil
import pytest
import tiny
from harness import Pvm, Started, free_port

from pvm_attention.services.contracts import CONTRACTS
from pvm_cli.processes import ServiceFolder
from pvm_cli.services import CONSUMER, SERVICES
from pvm_core.weights import is_present
from pvm_resources.code_sockets import ATTENTION, code_socket, listens
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import attention_python, load_settings
from pvm_resources.store.assembly import Store

pytestmark = [pytest.mark.long, pytest.mark.attention, pytest.mark.timeout(900)]
_WAIT_S = 240.0
#: What differs between homes without a difference in what was found.
_OF_THE_HOME = {"evidence", "evidence_url", "review_url"}
_PICTURE = cv2.imencode(".png", np.full((90, 160, 3), 120, np.uint8))[1].tobytes()


def until(true: Callable[[], Any], what: str) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@dataclass
class Service:
    """One gRPC service as a process of its own."""

    name: str
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)
    impostor: grpc.Server | None = None

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "pvm_attention.services", self.name, "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)

    def strike(self, fault: str) -> None:
        """Kills it, hangs it, or puts one in its place that answers nonsense."""
        assert self.process.poll() is None, self.name
        self.process.send_signal(signal.SIGSTOP if fault == "hung" else signal.SIGKILL)
        if fault == "nonsense":
            self.process.wait()
            self.impostor = _impostor(self.port)

    def end(self) -> None:
        """Ends it, hung or not."""
        self.process.kill()
        self.process.wait()
        if self.impostor is not None:
            self.impostor.stop(0)


def _impostor(port: int) -> grpc.Server:
    """A server that answers every call of any service with bytes that are no message of it."""

    class Nonsense(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\xff\xfe nonsense")

    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Nonsense(),))
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    return server


@pytest.fixture
def services(tmp_path: Path, models: Path) -> Iterator[list[Service]]:
    """All seven, each a process; the orchestrator knows where the others are."""
    ports = {name: free_port() for name in CONTRACTS}
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PVM_")},
        "PVM_HOME": str(tmp_path / "services"),
        "PVM_MODELS_DIR": str(models),
        "PVM_ATTENTION_SERVICES_AT": ",".join(f"{name}=127.0.0.1:{port}" for name, port in ports.items()),
    }
    made = [Service(name, port, environment) for name, port in ports.items()]
    for one in made:
        with grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel:
            grpc.channel_ready_future(channel).result(_WAIT_S)
    yield made
    for one in made:
        one.end()


class Caller:
    """Sends pictures to the orchestrator all the time, whatever it answers."""

    def __init__(self, port: int) -> None:
        self.answers = self.failures = 0
        self._over = threading.Event()
        self._port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        method = CONTRACTS["orchestrator"].methods["Analyse"]
        request = method.request()
        request.picture.data = _PICTURE
        with grpc.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            call = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.reply.FromString,
            )
            while not self._over.wait(0.2):
                try:
                    call(request, timeout=5)
                    self.answers += 1
                except grpc.RpcError:
                    self.failures += 1

    def end(self) -> None:
        """Ends it."""
        self._over.set()
        self._thread.join(30)


@pytest.fixture(scope="module")
def models() -> Path:
    """The model store with the face networks; skips where `make attention` was not run."""
    found = load_settings().models
    if attention_python() is None or not is_present(found, "face-mesh"):
        pytest.skip("the attention analysis is not installed (make attention)")
    return found


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    return tiny.write_case(tmp_path_factory.mktemp("case"), products=4, clips=3)


@contextlib.contextmanager
def home(folder: Path) -> Iterator[tuple[Pvm, Store, Database]]:
    """A home of its own with its server up."""
    pvm = Pvm(folder / "home")
    pvm.kept_up()
    try:
        with Database(database_dsn(load_settings(folder / "none.env", home=pvm.home))) as database:
            yield pvm, Store.over(database), database
    finally:
        pvm.torn_down()


def _matching(pvm: Pvm, case: tiny.Tiny) -> subprocess.Popen[bytes]:
    given = ("run", "-i", "Hộp", "--products", case.products, "--videos", case.videos)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(pvm.command(*given), env=pvm.environment(), **quiet)  # type: ignore[call-overload,no-any-return]


def _has_videos(database: Database) -> bool:
    made = database.tuples("SELECT to_regclass('job_videos') IS NOT NULL")
    return made == [(True,)] and bool(database.tuples("SELECT 1 FROM job_videos LIMIT 1"))


def _rows(pvm: Pvm) -> list[dict[str, str]]:
    done = pvm("results", "-i", "Hộp", "--min-score", "0", "--format", "csv")
    assert done.returncode == 0, done.stderr
    rows = [
        {name: value for name, value in row.items() if name not in _OF_THE_HOME}
        for row in csv.DictReader(io.StringIO(done.stdout))
    ]
    assert rows
    return sorted(rows, key=lambda row: (row["product"], row["video"]))


@pytest.fixture(scope="module")
def undisturbed(case: tiny.Tiny, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The rows of a run beside which nothing happens."""
    with home(tmp_path_factory.mktemp("undisturbed")) as (pvm, _, _):
        assert _matching(pvm, case).wait(_WAIT_S) == 0
        return _rows(pvm)


def _strike_analysis(
    fault: str, analysis: subprocess.Popen[bytes], store: Store, database: Database, media: MediaStore
) -> None:
    """The process that analyses is killed or hung, or what it stored becomes nonsense."""
    if fault == "nonsense":
        assert analysis.wait(_WAIT_S) == 0
        for key in media.keys("faces"):
            media.put(key, b"nonsense")
        database.commit(lambda cursor: cursor.execute("DELETE FROM attention_videos").rowcount)
        return
    workers = [one for one in psutil.Process(analysis.pid).children() if "pvm_attention.run" in one.cmdline()]
    for one in workers:
        one.send_signal(signal.SIGSTOP if fault == "hung" else signal.SIGKILL)
    assert workers
    if fault == "killed":
        analysis.wait(_WAIT_S)


@pytest.mark.parametrize("fault", ["killed", "hung", "nonsense"])
def test_matching_finds_the_same(
    fault: str, undisturbed: list[dict[str, str]], case: tiny.Tiny, services: list[Service], models: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    caller = Caller(next(one.port for one in services if one.name == "orchestrator"))
    with home(tmp_path) as (pvm, store, database):
        media = MediaStore(str(pvm.home / "media"))
        matching = _matching(pvm, case)
        until(lambda: _has_videos(database), "the job has no videos")
        # Held until the analysis is at work, so that it is struck in the midst of the job.
        matching.send_signal(signal.SIGSTOP)
        ((job_id,),) = database.tuples("SELECT job_id FROM jobs")
        again = pvm.command("attention", "--job", job_id, "--run")
        environment = pvm.environment(PVM_MODELS_DIR=str(models))
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        analysis = subprocess.Popen(again, env=environment, **quiet)
        until(lambda: store.attention.job(job_id), "the analysis did not begin")
        _strike_analysis(fault, analysis, store, database, media)
        matching.send_signal(signal.SIGCONT)
        for one in services:
            one.strike(fault)
            time.sleep(0.2)
        assert matching.poll() is None, "all were struck while it ran"
        assert store.jobs.get(job_id).status == "running"
        assert matching.wait(_WAIT_S) == 0
        assert _rows(pvm) == undisturbed
        _missing_then_filled(fault, job_id, pvm, store, analysis, environment)
    caller.end()
    assert caller.answers
    assert caller.failures or fault == "hung"


def _missing_then_filled(
    fault: str,
    job_id: str,
    pvm: Pvm,
    store: Store,
    analysis: subprocess.Popen[bytes],
    environment: dict[str, str],
) -> None:
    """The job says why it has no attention, and a rerun gives it one."""
    run = pvm.command("attention", "--job", job_id, "--run")
    if fault == "hung":
        state = store.attention.job(job_id)
        assert state is not None
        assert state.status == "running"
        shown = pvm("attention", "--job", job_id)
        assert "attention.running" in shown.stderr
        for one in psutil.Process(analysis.pid).children(recursive=True):
            one.kill()
        analysis.wait(_WAIT_S)
    if fault == "nonsense":
        subprocess.run(run, env=environment, capture_output=True, timeout=_WAIT_S, check=False)
    state = store.attention.job(job_id)
    assert state is not None
    assert state.status == "failed"
    assert state.reason is not None
    assert state.reason["code"] == ("attention.nonsense" if fault == "nonsense" else "attention.broken")
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=_WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    filled = store.attention.job(job_id)
    assert filled is not None
    assert (filled.status, filled.reason) == ("complete", None)
    assert len(store.attention.videos(job_id, filled.attention_key)) == 3


@dataclass(frozen=True)
class Platform:
    """A home after `pvm up`, with the analysis installed, and a caller who may run jobs."""

    started: Started
    client: httpx.Client
    folder: ServiceFolder

    def server(self) -> psutil.Process:
        """The code server of the attention analysis: the child of what starts it again."""
        keeper = self.folder.find(ATTENTION)
        assert keeper is not None
        (server,) = psutil.Process(keeper.pid).children()
        return server

    def answers(self) -> bool:
        """Whether the code server answers."""
        return listens(code_socket(self.started.pvm.home, ATTENTION))

    def loaded(self, location: str) -> bool:
        """Whether the Dagster UI has the location, and no error in its place."""
        query = "{workspaceOrError{...on Workspace{locationEntries{name locationOrLoadError{__typename}}}}}"
        url = f"http://127.0.0.1:{self.started.ui_port}/graphql"
        answer = httpx.post(url, json={"query": query}, trust_env=False, timeout=60).raise_for_status().json()
        entries = answer["data"]["workspaceOrError"]["locationEntries"]
        kinds = {entry["name"]: (entry["locationOrLoadError"] or {}).get("__typename") for entry in entries}
        return kinds[location] == "RepositoryLocation"

    def pids(self) -> dict[str, int | None]:
        """Every service but the analysis's, with its process."""
        found = {name: self.folder.find(name) for name in SERVICES if name not in (ATTENTION, CONSUMER)}
        return {name: service.pid if service else None for name, service in found.items()}


@pytest.fixture
def platform(tmp_path: Path, case: tiny.Tiny, models: Path) -> Iterator[Platform]:
    started = Started(Pvm(tmp_path / "home"), free_port(), free_port(), case.products.parent)
    try:
        started.up(PVM_MODELS_DIR=str(models))
        key = started.pvm("keys", "create", "caller", "--scope", "run").stdout.strip()
        base = f"http://127.0.0.1:{started.api_port}"
        with httpx.Client(base_url=base, headers={"X-API-Key": key}, trust_env=False, timeout=60) as client:
            yield Platform(started, client, ServiceFolder(started.pvm.home))
    finally:
        started.pvm.torn_down()


def test_matching_goes_on_while_the_code_server_is_gone(
    undisturbed: list[dict[str, str]], case: tiny.Tiny, models: Path, platform: Platform
) -> None:
    until(lambda: platform.loaded("pvm_attention"), "the UI has no attention")
    body = {"industry": "Hộp", "products": [str(case.products)], "videos": [str(case.videos)]}
    job = platform.client.post("/v1/jobs", json=body).raise_for_status().json()["job_id"]
    until(lambda: _status(platform, job) == "running", "the job did not start")
    others = platform.pids()
    assert None not in others.values()
    # With what would start it again: it stays away.
    keeper = platform.folder.find(ATTENTION)
    assert keeper is not None
    os.killpg(keeper.pid, signal.SIGKILL)
    assert _status(platform, job) == "running"
    until(lambda: _status(platform, job) != "running", "the job did not end")
    assert _status(platform, job) == "completed"
    assert _rows(platform.started.pvm) == undisturbed
    until(lambda: not platform.loaded("pvm_attention"), "the UI does not notice that the analysis is away")
    assert platform.loaded("pvm")
    assert platform.pids() == others
    (video, *_) = {row["video_id"] for row in _results(platform)}
    missing = platform.client.get(f"/v1/videos/{video}/attention").raise_for_status().json()
    assert (missing["status"], missing["reason"]["code"]) == ("missing", "attention.away")
    assert "attention.away" in platform.started.pvm("attention", "--job", job).stderr
    platform.started.up(PVM_MODELS_DIR=str(models))
    assert platform.pids() == others, "only what was missing is started"
    until(lambda: platform.loaded("pvm_attention"), "the UI does not notice that the analysis is back")
    # Nobody asks: the analysis looks for jobs that have none.
    until(lambda: _filled(platform, video), "the analysis does not follow")
    assert _rows(platform.started.pvm) == undisturbed


def test_a_killed_code_server_is_started_again(platform: Platform) -> None:
    until(lambda: platform.loaded("pvm_attention"), "the UI has no attention")
    server = platform.server()
    server.kill()
    server.wait(_WAIT_S)
    assert not platform.answers()
    until(platform.answers, "it is not started again")
    assert platform.server().pid != server.pid
    until(lambda: platform.loaded("pvm_attention"), "the UI does not notice that the analysis is back")
    platform.started.pvm.torn_down()
    assert not platform.answers()
    assert not [one for one in psutil.pids() if _is_server(one, platform.started.pvm.home)]


def _is_server(pid: int, home: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(code_socket(home, ATTENTION)) in psutil.Process(pid).cmdline()
    return False


def _status(platform: Platform, job: str) -> str:
    return str(platform.client.get(f"/v1/jobs/{job}").raise_for_status().json()["status"])


def _results(platform: Platform) -> list[dict[str, Any]]:
    found = platform.client.get("/results", params={"industry": "Hộp", "min_score": 0}).raise_for_status()
    return list(found.json()["items"])


def _filled(platform: Platform, video: str) -> bool:
    found = platform.client.get(f"/v1/videos/{video}/attention").raise_for_status().json()
    return bool(found["status"] == "complete")
