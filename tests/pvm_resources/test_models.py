"""The model store: fetched on request, hashed, under a licence, from a hub that may fail."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pvm_core.errors import InputError, ModelError, StoreError
from pvm_core.model_registry import MODELS, ModelSpec
from pvm_resources.models.weights_store import FETCHERS, Fetched, ModelStore, Progress, fetch_from_hub

DATA = b"weights" * 5000
HASH = hashlib.sha256(DATA).hexdigest()


def fetch_data(spec: ModelSpec, room: Path, progress: Progress | None) -> Fetched:
    path = room / "w.safetensors"
    path.write_bytes(DATA)
    if progress is not None:
        progress(len(DATA), len(DATA))
    return Fetched(path, f"memory:{spec.name}", "first use")


def make(tmp_path: Path, fetch: object = fetch_data, **changed: object) -> ModelStore:
    specs = {**MODELS, "clip-vit-b32": replace(MODELS["clip-vit-b32"], **changed)}  # type: ignore[arg-type]
    fetchers = dict.fromkeys(("open_clip", "timm", "rembg"), fetch)
    return ModelStore(tmp_path / "models", specs, fetchers)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is tested here is the store; whether torch is installed is another matter.
    monkeypatch.setattr("pvm_resources.models.weights_store.require_library", lambda spec: None)


def test_lists_every_model_of_the_registry(tmp_path: Path) -> None:
    states = {s.spec.name: s.status for s in make(tmp_path).list()}
    assert states.keys() == MODELS.keys()
    assert states.pop("classic") == states.pop("efficientnet-lite0") == "builtin"
    assert set(states.values()) == {"absent"}
    assert not (tmp_path / "models").exists()


def test_pull_keeps_file_hash_and_licence(tmp_path: Path) -> None:
    store, told = make(tmp_path), []
    state = store.pull("clip-vit-b32", progress=lambda done, total: told.append((done, total)))
    assert state.status == "present"
    assert state.manifest is not None
    assert (state.manifest.sha256, state.manifest.size) == (HASH, len(DATA))
    assert (state.manifest.licence, state.manifest.verified_by) == ("MIT", "first use")
    assert told[-1] == (len(DATA), len(DATA))
    assert (store.folder / "clip-vit-b32" / "w.safetensors").read_bytes() == DATA
    assert [p.name for p in store.folder.iterdir()] == ["clip-vit-b32"]
    again = store.verify("clip-vit-b32")
    assert (again.ok, again.sha256) == (True, HASH)
    assert "first use" in again.note


def test_a_second_pull_fetches_nothing(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.pull("clip-vit-b32")

    def never(*_: object) -> Fetched:
        raise AssertionError("fetched again")

    assert make(tmp_path, never).pull("clip-vit-b32").status == "present"
    assert make(tmp_path, never).pull("classic").status == "builtin"


def test_a_hash_the_registry_knows_is_compared(tmp_path: Path) -> None:
    good = make(tmp_path, sha256=HASH)
    assert good.pull("clip-vit-b32").manifest.verified_by == "the hash the registry knows"  # type: ignore[union-attr]
    bad = make(tmp_path / "other", sha256="0" * 64)
    with pytest.raises(ModelError) as caught:
        bad.pull("clip-vit-b32")
    assert caught.value.code == "model.hash"
    assert bad.state("clip-vit-b32").status == "absent"


def test_verify_sees_a_changed_file(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.pull("clip-vit-b32")
    (store.folder / "clip-vit-b32" / "w.safetensors").write_bytes(DATA[:-1] + b"!")
    outcome = store.verify("clip-vit-b32")
    assert not outcome.ok
    assert outcome.note.startswith("differs")
    with pytest.raises(ModelError, match="pvm models pull dinov2-small"):
        store.verify("dinov2-small")
    assert store.verify("classic").ok
    shipped = store.verify("efficientnet-lite0")
    assert (shipped.ok, shipped.sha256) == (True, MODELS["efficientnet-lite0"].sha256)


def test_a_licence_that_is_not_permissive_is_accepted_first(tmp_path: Path) -> None:
    store = make(tmp_path)
    with pytest.raises(ModelError, match="--accept-licence") as caught:
        store.pull("bria-rmbg")
    assert caught.value.code == "model.licence"
    assert "non-commercial" in caught.value.reason
    state = store.pull("bria-rmbg", accept_licence=True)
    assert state.manifest is not None
    assert state.manifest.accepted
    with pytest.raises(ModelError, match="--accept-licence"):
        store.install("timm:vit_tiny_patch16_224", tmp_path / "x")


@pytest.mark.parametrize(
    "error",
    [
        OSError("Network is unreachable"),
        ValueError("MD5 hash of downloaded file differs"),
        RuntimeError("no"),
    ],
)
def test_a_failed_download_is_said_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    def fail(spec: ModelSpec, room: Path, progress: Progress | None) -> Fetched:
        (room / "half").write_bytes(b"half")
        raise error

    store = make(tmp_path, fail)
    with pytest.raises(ModelError) as caught:
        store.pull("clip-vit-b32")
    assert caught.value.code == "model.download"
    assert caught.value.retryable
    assert str(error) in caught.value.reason
    assert list(store.folder.iterdir()) == []


def test_a_file_brought_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(DATA)
    store = make(tmp_path)
    state = store.install("dinov2-small", file)
    assert state.manifest is not None
    assert (state.manifest.file, state.manifest.source) == ("mine.safetensors", "file mine.safetensors")
    assert file.read_bytes() == DATA
    with pytest.raises(InputError):
        store.install("dinov2-small", tmp_path / "none")
    assert store.remove("dinov2-small")
    assert not store.remove("dinov2-small")
    assert store.state("dinov2-small").status == "absent"


def test_a_broken_manifest_shows_in_the_list_and_a_pull_mends_it(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.pull("clip-vit-b32")
    (store.folder / "clip-vit-b32" / "model.json").write_text("{")
    assert store.state("clip-vit-b32").status == "broken"
    assert store.pull("clip-vit-b32").status == "present"


def test_unknown_models_and_unwritable_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        make(tmp_path).pull("nonsense")
    assert caught.value.code == "model.unknown"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as refused:
        make(tmp_path / "file").pull("clip-vit-b32")
    assert refused.value.code == "models.write"


class Hub(BaseHTTPRequestHandler):
    """As much of a Hugging Face hub as a download asks for."""

    files: dict[str, tuple[bytes, str]] = {}  # noqa: RUF012 - set per test by the fixture

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        found = self.files.get(self.path.partition("?")[0])
        if found is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data, etag = found
        self.send_response(200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("huggingface_hub")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Hub.files = {
        "/owner/good/resolve/main/model.safetensors": (DATA, HASH),
        "/owner/pickle/resolve/main/pytorch_model.bin": (DATA, HASH),
        "/owner/wrong/resolve/main/model.safetensors": (DATA, "0" * 64),
        "/owner/small/resolve/main/model.safetensors": (DATA, "b" * 40),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


NAMES = ("model.safetensors", "pytorch_model.bin")


@pytest.mark.parametrize(
    ("repository", "verified_by"),
    [
        ("owner/good", "the hub's SHA-256"),
        ("owner/pickle", "the hub's SHA-256"),
        ("owner/small", "first use"),
    ],
)
def test_a_hub_file_comes_and_is_checked(tmp_path: Path, hub: str, repository: str, verified_by: str) -> None:
    told: list[tuple[int, int | None]] = []
    fetched = fetch_from_hub(repository, NAMES, tmp_path, lambda *seen: told.append(seen), endpoint=hub)
    assert fetched.path.read_bytes() == DATA
    assert fetched.verified_by == verified_by
    assert fetched.source.startswith(hub)
    assert told[-1][0] == len(DATA)


def test_a_hub_file_of_other_content_is_refused(tmp_path: Path, hub: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        fetch_from_hub("owner/wrong", NAMES, tmp_path, None, endpoint=hub)


def test_a_hub_without_the_files_is_said(tmp_path: Path, hub: str) -> None:
    with pytest.raises(OSError, match="none of"):
        fetch_from_hub("owner/empty", NAMES, tmp_path, None, endpoint=hub)


def test_a_hub_file_ends_in_the_store(tmp_path: Path, hub: str) -> None:
    def fetch(spec: ModelSpec, room: Path, progress: Progress | None) -> Fetched:
        return fetch_from_hub("owner/good", NAMES, room, progress, endpoint=hub)

    store = make(tmp_path, fetch)
    state = store.pull("clip-vit-b32")
    assert state.manifest is not None
    assert state.manifest.verified_by == "the hub's SHA-256"
    file = store.folder / "clip-vit-b32" / state.manifest.file
    assert file.read_bytes() == DATA
    assert not file.is_symlink()


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("clip-vit-b32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("clip-vit-l14", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"),
        ("dinov2-small", "timm/vit_small_patch14_dinov2.lvd142m"),
        ("dinov2-large", "timm/vit_large_patch14_dinov2.lvd142m"),
    ],
)
def test_the_libraries_name_the_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, repository: str
) -> None:
    pytest.importorskip("open_clip")
    pytest.importorskip("timm")
    asked = []

    def record(where: str, files: tuple[str, ...], room: Path, progress: Progress | None) -> Fetched:
        asked.append((where, files[0].endswith(".safetensors")))
        return fetch_data(MODELS[name], room, progress)

    monkeypatch.setattr("pvm_resources.models.weights_store.fetch_from_hub", record)
    FETCHERS[MODELS[name].library](MODELS[name], tmp_path, None)
    assert asked == [(repository, True)]


@pytest.mark.models
@pytest.mark.parametrize("name", [n for n, s in MODELS.items() if s.library == "rembg"])
def test_rembg_brings_its_own_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pooch = pytest.importorskip("pooch")
    pytest.importorskip("rembg")
    asked = []

    def retrieve(url: str, known_hash: str, fname: str, path: str, **_: object) -> str:
        asked.append((url, known_hash))
        (Path(path) / fname).write_bytes(DATA)
        return str(Path(path) / fname)

    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    fetched = FETCHERS["rembg"](MODELS[name], tmp_path, None)
    assert fetched.path.read_bytes() == DATA
    ((url, known),) = asked
    assert url.startswith("https://")
    assert known.startswith(("md5:", "sha256:"))
