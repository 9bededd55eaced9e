"""The image, built on a base of Debian's packages, and a whole job in it as the user that it names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Builds need neither a daemon nor rights beyond a chroot; files of both images are kept apart from others'.
_ENV = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
pytestmark = [pytest.mark.long, pytest.mark.timeout(1_500)]


def _buildah(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["buildah", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=_ENV, capture_output=True, text=True, check=check, timeout=1_200
    )


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The name of the built image."""
    if os.geteuid() or not shutil.which("buildah") or not shutil.which("mmdebstrap"):
        pytest.skip("it takes root, buildah and mmdebstrap: bash tools/images.sh")
    script = ["bash", str(ROOT / "tools" / "images.sh"), "base", "localhost/pvm-test-base"]
    subprocess.run(script, env=_ENV, check=True, timeout=900)
    # The registry of packages may stand behind an authority that this machine alone knows.
    mounts = [
        f"--volume={path}:{path}:ro" for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()
    ]
    built = _buildah(
        "bud", "--format=docker", "--network=host", *mounts, "--build-arg=BASE=localhost/pvm-test-base",
        f"--build-arg=SSL_CERT_FILE={_CERTIFICATES}", "--file=deploy/images/Dockerfile",
        "--tag=localhost/pvm-test", ".", check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout[-3_000:] + built.stderr[-3_000:]
    yield "localhost/pvm-test"
    _buildah("rmi", "--force", "localhost/pvm-test", "localhost/pvm-test-base", check=False)


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """A container of the image."""
    name = _buildah("from", image).stdout.strip()
    yield name
    _buildah("rm", name, check=False)


def test_it_runs_a_whole_job_as_its_own_user(container: str, image: str) -> None:
    config = json.loads(_buildah("inspect", "--type=image", image).stdout)["Docker"]["config"]
    assert config["User"] == "pvm"
    assert "pvm_cli.probe" in " ".join(config["Healthcheck"]["Test"])
    assert _buildah("run", container, "--", "id", "-u").stdout.strip() == "10001"
    assert "pvm 0." in _buildah("run", container, "--", "pvm", "--version").stdout
    probe = ("python", "-m", "pvm_cli.probe", "http://127.0.0.1:9/healthz")
    assert _buildah("run", container, "--", *probe, check=False).returncode == 1
    written = _buildah("run", container, "--", "find", "/app", "-writable", "-not", "-type", "l").stdout
    assert written.strip() == "", "its user changes no code"
    demo = _buildah("run", "--network=host", container, "--", "pvm", "demo", check=False)
    assert demo.returncode == 0, demo.stdout[-2_000:] + demo.stderr[-2_000:]
    assert "accepted" in demo.stdout
