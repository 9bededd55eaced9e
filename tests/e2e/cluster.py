"""A stand-in for a Kubernetes API server: holds each job to the API's schema, and runs its container's
command here, with the variables of the manifest and no others. No scheduler, no images, no pods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate


class Cluster:
    """Jobs of one namespace."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def kubeconfig(self, folder: Path) -> Path:
        """A file by which clients find it."""
        path = folder / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        user = {"name": "u", "user": {"token": "none"}}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [cluster], "contexts": [context], "users": [user],
        }  # fmt: skip
        path.write_text(json.dumps(config))
        return path

    def by_step(self) -> dict[str, dict[str, Any]]:
        """Manifests of steps' jobs."""
        return {_variables(one)["DAGSTER_RUN_STEP_KEY"]: one for one in self.jobs.values()}

    def create(self, job: dict[str, Any]) -> None:
        """Holds a job to the schema, then starts its command."""
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
        name = job["metadata"]["name"]
        self.jobs[name] = job
        container = _container(job)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._processes[name] = subprocess.Popen(
            [*container.get("command", []), *container.get("args", [])],
            env={"PATH": path, **_variables(job)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def read(self, name: str) -> dict[str, Any] | None:
        """A job with its status; None where there is none."""
        if name not in self.jobs:
            return None
        code = self._processes[name].poll()
        status = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return {**self.jobs[name], "status": status}

    def close(self) -> None:
        """Ends the server and what it started."""
        self._server.shutdown()
        self._server.server_close()
        for process in self._processes.values():
            process.kill()
            process.wait()


def _container(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _variables(job: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in _container(job)["env"] if "value" in one}


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.cluster.create(job)
        except kubernetes_validate.ValidationError as error:
            self._answer(422, {"kind": "Status", "message": str(error)})
        else:
            self._answer(201, job)

    def do_GET(self) -> None:
        name = self.path.split("?")[0].removesuffix("/status").rpartition("/")[2]
        found = self.cluster.read(name)
        self._answer(200 if found else 404, found or {"kind": "Status", "message": f"no job {name}"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
