"""A container engine of the tests' own that speaks Docker's API: podman and runc as root, host network."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from pvm_resources.settings import project_root

IMAGE = "localhost/pvm-tests:1"
_READY_S = 60.0
_NOFILE, _NPROC = 65_536, 16_384
#: Folders of an image that processes expect, and those that are links on a merged system.
_FOLDERS = ("tmp", "proc", "sys", "dev", "usr", "etc", "root", "run", "var/tmp")
_LINKS = ("bin", "sbin", "lib", "lib64")
_FILES = ("etc/passwd", "etc/group", "etc/ld.so.cache")


class Engine:
    """`podman system service` with storage below `folder`; the machine's own containers are not seen."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0 or shutil.which("podman") is None or _runc() is None:
            pytest.skip(
                "no podman and runc on this machine, or not root (Debian, as root: bash tools/containers.sh)"
            )
        self._folder = folder
        self._socket = folder / "docker.sock"
        # Podman refuses a path of more than 50 characters.
        self._state = Path(tempfile.mkdtemp(prefix="pvm-engine-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={_least(resource.RLIMIT_NOFILE, _NOFILE)}", '
            f'"nproc={_least(resource.RLIMIT_NPROC, _NPROC)}"]\n'
            'netns = "host"\nlog_driver = "k8s-file"\n'
            f'[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )

    @property
    def url(self) -> str:
        """For ``DOCKER_HOST``."""
        return f"unix://{self._socket}"

    @property
    def client(self) -> docker.DockerClient:
        """A client of the engine."""
        return docker.DockerClient(base_url=self.url, timeout=120)

    @property
    def volumes(self) -> list[str]:
        """What the image lacks: libraries, interpreter, project and its packages, all read-only."""
        places = {"/usr", sys.base_prefix, sys.prefix, str(project_root())}
        return [f"{place}:{place}:ro" for place in sorted(places) if not _inside_another(place, places)]

    def start(self) -> None:
        """Starts the service and imports the image; skips the test where containers do not start here."""
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self._podman("system", "service", "--time", "0", self.url),
                env=self._environment, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._give_up((self._folder / "out").read_text(errors="replace")[-500:])
            time.sleep(0.1)
        self._import()
        try:
            self.client.containers.run(IMAGE, ["true"], volumes=["/usr:/usr:ro"], remove=True)
        except docker.errors.DockerException as error:
            self._give_up(str(error))

    def close(self) -> None:
        """Ends all containers, then the service."""
        if self._process is None:
            return
        if self._process.poll() is None:
            for container in self.client.containers.list(all=True):
                container.remove(force=True)
            self._process.terminate()
        self._process.wait()
        self._process = None
        shutil.rmtree(self._state, ignore_errors=True)

    def _give_up(self, reason: str) -> None:
        self.close()
        pytest.skip(f"no container starts here: {reason}")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (docker.errors.DockerException, requests.RequestException, OSError):
            return False

    def _podman(self, *arguments: str) -> list[str]:
        at = self._folder
        return [
            "podman", "--root", f"{at}/root", "--runroot", str(self._state), "--tmpdir", f"{at}/tmp",
            "--storage-driver", "vfs", *arguments,
        ]  # fmt: skip

    @property
    def _environment(self) -> dict[str, str]:
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, "CONTAINERS_CONF": str(self._folder / "containers.conf")}

    def _import(self) -> None:
        """A root file tree without programs: they come from volumes, as none can be fetched."""
        change = f"ENV PATH={Path(sys.prefix, 'bin')}:/usr/bin:/bin"
        subprocess.run(
            self._podman("import", "--change", change, "-", IMAGE),
            input=_tree(), env=self._environment, check=True, capture_output=True,
        )  # fmt: skip


def _tree() -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tree:
        for name in _FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tree.addfile(folder)
        for name in _LINKS:
            if Path("/", name).is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tree.addfile(link)
        for name in _FILES:
            if Path("/", name).exists():
                tree.add(f"/{name}", name)
    return found.getvalue()


def _runc() -> str | None:
    return shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _least(limit: int, wanted: int) -> str:
    hard = resource.getrlimit(limit)[1]
    number = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return f"{number}:{number}"


def _inside_another(place: str, places: Sequence[str] | set[str]) -> bool:
    return any(place != other and Path(place).is_relative_to(other) for other in places)
