"""The images, built on a base of Debian's packages, and a whole job in each as the user that it names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BASE = "localhost/pvm-test-base"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
#: What the build of the image with CUDA's libraries writes, where layers are not copied.
_MODELS_BYTES = 50e9
pytestmark = [pytest.mark.long, pytest.mark.timeout(2_400)]


@dataclass(frozen=True)
class Builder:
    """Buildah with a store of its own. It needs neither a daemon nor rights beyond a chroot."""

    store: Path

    def environment(self) -> dict[str, str]:
        """What the programs see: which files images and containers are kept in, apart from others'."""
        # Where layers can be laid over each other none is copied.
        driver = "overlay" if "overlay" in Path("/proc/filesystems").read_text() else "vfs"
        places = (
            f'driver = "{driver}"\ngraphroot = "{self.store / "images"}"\nrunroot = "{self.store / "run"}"\n'
        )
        settings = self.store / "storage.conf"
        settings.write_text(f"[storage]\n{places}")
        work = {"TMPDIR": str(self.store), "BUILDAH_ISOLATION": "chroot"}
        return {**os.environ, **work, "CONTAINERS_STORAGE_CONF": str(settings)}

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command."""
        command = ["buildah", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=check,
            timeout=1_800,
        )  # fmt: skip

    def build(self, tag: str, *options: str) -> None:
        """Builds an image of the Dockerfile."""
        # The registry of packages may stand behind an authority that this machine alone knows.
        mounts = [
            f"--volume={path}:{path}:ro"
            for path in ("/etc/ssl/certs", "/etc/pip.conf")
            if Path(path).exists()
        ]
        built = self(
            "bud", "--format=docker", "--network=host", *mounts, f"--build-arg=BASE={_BASE}",
            f"--build-arg=SSL_CERT_FILE={_CERTIFICATES}", "--file=deploy/images/Dockerfile", f"--tag={tag}",
            *options, ".", check=False,
        )  # fmt: skip
        assert built.returncode == 0, built.stdout[-3_000:] + built.stderr[-3_000:]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Buildah and a base to build on."""
    if os.geteuid() or not shutil.which("buildah") or not shutil.which("mmdebstrap"):
        pytest.skip("it takes root, buildah and mmdebstrap: bash tools/images.sh")
    made = Builder(tmp_path_factory.mktemp("images"))
    script = ["bash", str(ROOT / "tools" / "images.sh"), "base", _BASE]
    subprocess.run(script, env=made.environment(), check=True, timeout=900)
    yield made
    made("rm", "--all", check=False)
    made("rmi", "--all", "--force", check=False)


@contextmanager
def container(builder: Builder, image: str) -> Iterator[str]:
    """A container of an image."""
    name = builder("from", image).stdout.strip()
    try:
        yield name
    finally:
        builder("rm", name, check=False)


def test_it_runs_a_whole_job_as_its_own_user(builder: Builder) -> None:
    builder.build("localhost/pvm-test", "--build-arg=EXTRA=k8s,otel")
    config = json.loads(builder("inspect", "--type=image", "localhost/pvm-test").stdout)["Docker"]["config"]
    assert config["User"] == "pvm"
    assert "pvm_cli.probe" in " ".join(config["Healthcheck"]["Test"])
    with container(builder, "localhost/pvm-test") as name:
        assert builder("run", name, "--", "id", "-u").stdout.strip() == "10001"
        assert "pvm 0." in builder("run", name, "--", "pvm", "--version").stdout
        extras = "import dagster_k8s, opentelemetry.sdk, pvm_core; print(pvm_core.__file__)"
        assert "/app/pvm_core" in builder("run", name, "--", "python", "-c", extras).stdout
        probe = ("python", "-m", "pvm_cli.probe", "http://127.0.0.1:9/healthz")
        assert builder("run", name, "--", *probe, check=False).returncode == 1
        _holds(builder, name)


def test_the_one_with_learned_models_has_them_and_onnx_runtime_for_a_gpu(builder: Builder) -> None:
    if not os.environ.get("PVM_TEST_MODELS_IMAGE"):
        pytest.skip("it takes up to half an hour and 40 GB of disk: PVM_TEST_MODELS_IMAGE=1 asks for it")
    if shutil.disk_usage(builder.store).free < _MODELS_BYTES:
        pytest.skip(f"CUDA's libraries take {_MODELS_BYTES / 1e9:.0f} GB of disk while the image is built")
    builder.build("localhost/pvm-test-models", "--target=models")
    seen = (
        "import importlib.util as found, onnxruntime, open_clip, timm, torch; "
        "assert 'CUDAExecutionProvider' in onnxruntime.get_available_providers(); "
        "assert torch.version.cuda; assert not found.find_spec('pytest'); "
        "print(torch.ones(2).sum().item())"
    )
    with container(builder, "localhost/pvm-test-models") as name:
        assert builder("run", name, "--", "python", "-c", seen).stdout.strip() == "2.0"
        _holds(builder, name)


def _holds(builder: Builder, name: str) -> None:
    """Its user changes no code, and a whole job runs."""
    written = builder("run", name, "--", "find", "/app", "-writable", "-not", "-type", "l").stdout
    assert written.strip() == ""
    demo = builder("run", "--network=host", name, "--", "pvm", "demo", check=False)
    assert demo.returncode == 0, demo.stdout[-2_000:] + demo.stderr[-2_000:]
    assert "accepted" in demo.stdout
