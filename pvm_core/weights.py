"""Weights on disk: one folder a model under the model store, a manifest beside the file, its hash checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from pvm_core.errors import ModelError

#: Name of the manifest in a model's folder.
MANIFEST: Final = "model.json"
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What is known about a model's weights on this machine.

    Attributes:
        name: the model.
        file: name of the weights file in the model's folder.
        sha256: hash of the file when it came; 64 hex digits.
        size: bytes.
        source: where it came from (a URL, or the name of a file given by hand).
        licence: the licence it came under.
        accepted: whether the user accepted a licence that is not permissive.
        verified_by: what the hash was compared with when it came, or ``first use``: nothing to compare with.
    """

    name: str
    file: str
    sha256: str
    size: int
    source: str
    licence: str
    accepted: bool
    verified_by: str

    def to_json(self) -> str:
        """The manifest as the text of `MANIFEST`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def folder_of(models_dir: Path, name: str) -> Path:
    """The folder of a model; names such as ``timm:vit_small`` lose what folders cannot hold."""
    kept = "".join(c if c.isalnum() or c in "-_." else "--" for c in name).strip(".")
    return models_dir / (kept or "unnamed")


def read_manifest(models_dir: Path | None, name: str) -> Manifest | None:
    """The manifest of a model; None where there is none.

    Raises:
        ModelError: ``model.manifest`` where it cannot be read.
    """
    if models_dir is None or not (path := folder_of(models_dir, name) / MANIFEST).is_file():
        return None
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**{f.name: given[f.name] for f in fields(Manifest)})
        if Path(manifest.file).name != manifest.file or not manifest.file:
            raise ValueError("its file lies outside the model's folder")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "model.manifest", name, f"{path} cannot be read ({error})", f"Run `pvm models pull {name}` again"
        ) from error
    return manifest


def is_present(models_dir: Path | None, name: str) -> bool:
    """Whether the weights of a model lie on this machine; their hash is not checked."""
    manifest = read_manifest(models_dir, name)
    return (
        manifest is not None
        and models_dir is not None
        and (folder_of(models_dir, name) / manifest.file).is_file()
    )


def missing(name: str) -> ModelError:
    """The error for a model whose weights are not in the store."""
    return ModelError(
        "model.missing", name, "its weights are not on this machine", f"Run `pvm models pull {name}`"
    )


def unusable(name: str, path: Path, reason: str, error: Exception) -> ModelError:
    """The error for a weights file that its library cannot load."""
    detail = next(iter(str(error).splitlines()), type(error).__name__)
    return ModelError(
        "model.weights",
        name,
        f"{path} {reason} ({detail})",
        f"Run `pvm models verify {name}`, or pull it again",
    )


def weights_path(models_dir: Path | None, name: str, sha256: str | None) -> tuple[Path, Manifest]:
    """The weights file of a model, its content checked.

    Args:
        models_dir: the model store.
        name: the model.
        sha256: the hash the registry knows; None: the one recorded when the file came counts.

    Raises:
        ModelError: ``model.missing`` or ``model.hash``.
    """
    manifest = read_manifest(models_dir, name)
    path = folder_of(models_dir, name) / manifest.file if models_dir and manifest else None
    if manifest is None or path is None or not path.is_file():
        raise missing(name)
    found, expected = sha256_of(path), sha256 or manifest.sha256
    if found != expected:
        raise ModelError(
            "model.hash",
            name,
            f"{path} has SHA-256 {found}, not {expected}",
            f"Remove its folder and run `pvm models pull {name}`",
        )
    return path, manifest


def sha256_of(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 of a file, 64 hex digits; `progress` is called with (bytes done, bytes in all)."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()
