"""Learned segmenters through rembg, from ONNX files in the model store; nothing is downloaded here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pvm_core.arrays import U8
from pvm_core.errors import ModelError
from pvm_core.ids import content_key
from pvm_core.masks.base import Kind, MaskResult
from pvm_core.weights import unusable, weights_path

if TYPE_CHECKING:
    from pvm_core.model_registry import ModelSpec

#: Soft mask value (0-255) from which a pixel counts as inside.
_INSIDE: Final = 128
#: Share of the picture a trustworthy region takes.
_COVERAGE: Final = (0.02, 0.97)


@dataclass(frozen=True)
class LearnedSegmenter:
    """The salient object of a picture; on frames, people are taken away where a second network finds them.

    Product pictures keep people's outlines out of it: clothes are sold on people.

    Attributes:
        name: as given, ``u2netp`` or ``isnet-general-use+u2net-human-seg``.
        identity: what its masks depend on: sessions and the hashes of their weights.
        salient: rembg session of the object.
        people: rembg session of people, or None.
    """

    name: str
    identity: tuple[str, ...]
    salient: Any = field(repr=False)
    people: Any = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Changes with the weights and the version."""
        return content_key("segmenter", self.name, "1", *self.identity)

    def segment(self, rgb: U8, kind: Kind) -> MaskResult:
        """The mask of one picture, uint8 (H, W, 3); none where the region is implausibly small or large."""
        region = _predict(self.salient, rgb) >= _INSIDE
        reason = "salient-object"
        if self.people is not None and kind == "frame":
            region &= _predict(self.people, rgb) < _INSIDE
            reason = "salient-without-people"
        coverage = float(region.mean())
        if coverage < _COVERAGE[0]:
            return MaskResult.none("too-small")
        if coverage > _COVERAGE[1]:
            return MaskResult.none("fills-picture")
        return MaskResult.of(np.where(region, 255, 0).astype(np.uint8), reason)


def load_rembg(
    name: str, specs: tuple[ModelSpec, ...], models_dir: Path | None, providers: tuple[str, ...]
) -> LearnedSegmenter:
    """The segmenter of one or two rembg sessions: the object's, then the people's.

    Args:
        name: as the user gave it.
        specs: registry entries of the sessions.
        models_dir: the model store.
        providers: ONNX Runtime execution providers, best first.

    Raises:
        ModelError: ``model.missing``, ``model.hash``, ``model.weights``.
    """
    found = [weights_path(models_dir, spec.name, spec.sha256) for spec in specs]
    sessions = [_session(spec, path, providers) for spec, (path, _) in zip(specs, found, strict=True)]
    identity = tuple(f"{s.architecture}:{m.sha256}" for s, (_, m) in zip(specs, found, strict=True))
    return LearnedSegmenter(name, identity, *sessions)


def session_class(architecture: str) -> Any:
    """rembg's session class of that name, or None where this rembg has none.

    Importing `rembg` itself brings alpha matting, which numba compiles for a minute the first time and which
    is not used here: the package is entered by its subpackage `sessions`.
    """
    if "rembg.sessions" not in sys.modules:
        _enter_sessions()
    found = sys.modules["rembg.sessions"].sessions_class
    return next((c for c in found if c.name() == architecture), None)


def _enter_sessions() -> None:
    spec = None if "rembg" in sys.modules else find_spec("rembg")
    if spec is not None:
        sys.modules["rembg"] = module_from_spec(spec)
    try:
        import_module("rembg.sessions")
    finally:
        if spec is not None:
            # A later `import rembg` runs the package as usual.
            del sys.modules["rembg"]


def _session(spec: ModelSpec, path: Path, providers: tuple[str, ...]) -> Any:
    """rembg's own session class of the architecture, with the path of its file instead of its download."""
    import onnxruntime

    base = session_class(spec.architecture)
    if base is None:
        raise ModelError(
            "model.weights", spec.name, "this rembg has no such session", "Install a newer rembg"
        )
    local = type(
        f"Local{base.__name__}", (base,), {"download_models": classmethod(lambda *_a, **_k: str(path))}
    )
    errors: tuple[type[Exception], ...] = (
        RuntimeError,
        ValueError,
        onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
        onnxruntime.capi.onnxruntime_pybind11_state.Fail,
        onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    )
    try:
        return local(spec.architecture, onnxruntime.SessionOptions(), providers=list(providers))
    except errors as error:
        raise unusable(spec.name, path, "is not a network ONNX Runtime can run", error) from error


def _predict(session: Any, rgb: U8) -> U8:
    """uint8 (H, W), 0-255."""
    from PIL import Image

    # rembg stretches the answer to its own range: a constant answer divides by zero and means no object.
    with np.errstate(invalid="ignore", divide="ignore"):
        answer = session.predict(Image.fromarray(rgb))[0]
    return np.asarray(answer.convert("L"), dtype=np.uint8)
