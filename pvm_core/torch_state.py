"""Reads a PyTorch state dict without PyTorch, and without running what a pickle may ask to be run."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: How a zip archive begins.
_ZIP: Final = b"PK\x03\x04"
#: First object of a file written by ``torch.save`` before its zip format (torch/serialization.py).
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
#: Storage classes of a state dict of weights and counters.
_STORAGES: Final[Mapping[str, np.dtype[Any]]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype[Any]
    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, flat: npt.NDArray[Any]) -> npt.NDArray[Any]:
        reach = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.strides, *self.shape)) < 0 or reach >= len(flat):
            raise ValueError("a tensor reaches beyond its storage")
        steps = tuple(step * flat.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps, writeable=False)
        return np.ascontiguousarray(view)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _StateUnpickler(pickle.Unpickler):
    """Knows the names that a state dict needs; every other name is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a state dict")

    def persistent_load(self, pid: Any) -> _Storage:
        # The older format adds whether the storage is a view of another.
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view not in ([], [None]):
            raise pickle.UnpicklingError(f"a reference to {kind} is no part of a state dict")
        return _Storage(dtype, str(key), int(count))


def read_state_dict(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Tensors by name: read-only float32 or int64 arrays of the tensors' shapes.

    Args:
        data: a file as ``torch.save`` writes it: a zip archive since PyTorch 1.6, pickles in a row before.

    Raises:
        ValueError: it is none, or holds anything but tensors.
    """
    if data.startswith(_ZIP):
        return _read_archive(data)
    stream = io.BytesIO(data)
    try:
        # Three headers: magic number, protocol, and sizes on the machine that wrote it.
        magic, protocol, machine, state = (_StateUnpickler(stream).load() for _ in range(4))
        if magic != _MAGIC or protocol != _PROTOCOL or not machine["little_endian"]:
            raise ValueError("its header is another format's")
        keys = _StateUnpickler(stream).load()
        types = {t.storage.key: t.storage for t in state.values()}
        flat = {str(key): _storage(stream, types[str(key)]) for key in keys}
        return {str(name): tensor.array(flat[tensor.storage.key]) for name, tensor in state.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not a PyTorch state dict ({error})") from error


def _read_archive(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """One pickle, which names the tensors, and a member of raw values for each storage."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (pickled,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
            state = _StateUnpickler(io.BytesIO(archive.read(pickled))).load()
            folder, flat = pickled.removesuffix("data.pkl"), {}
            for storage in {t.storage.key: t.storage for t in state.values()}.values():
                flat[storage.key] = np.frombuffer(archive.read(f"{folder}data/{storage.key}"), storage.dtype)
                if len(flat[storage.key]) != storage.count:
                    raise ValueError("a storage is cut short")
        return {str(name): tensor.array(flat[tensor.storage.key]) for name, tensor in state.items()}
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, TypeError, AttributeError, IndexError
    ) as error:  # fmt: skip
        raise ValueError(f"not a PyTorch state dict ({error})") from error


def _storage(stream: io.BytesIO, storage: _Storage) -> npt.NDArray[Any]:
    count = int.from_bytes(stream.read(8), "little", signed=True)
    raw = stream.read(count * storage.dtype.itemsize) if count == storage.count else b""
    if len(raw) != storage.count * storage.dtype.itemsize:
        raise ValueError("a storage is cut short")
    return np.frombuffer(raw, storage.dtype)
