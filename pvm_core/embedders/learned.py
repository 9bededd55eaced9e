"""What the learned embedders share: batches, mixed precision, views; torch is imported when one is loaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pvm_core.arrays import F32, U8
from pvm_core.embedders.base import EmbedInput, Kind, Views, unit_rows
from pvm_core.embedders.fitting import BatchLimit, passes
from pvm_core.embedders.views import FRAME_VIEWS, Box, boxes_for, crop_to_content
from pvm_core.errors import ModelError
from pvm_core.ids import content_key

if TYPE_CHECKING:
    from torch import Tensor, nn

#: What stands in for masked-out pixels: ImageNet's mean colour, which normalisation turns into about zero.
_NEUTRAL: Final = (124, 116, 104)
#: What torch raises for a weights file that is broken or another network's.
LOAD_ERRORS: Final = (RuntimeError, ValueError, KeyError, OSError, EOFError, UnpicklingError)
#: Pictures a forward pass takes at first.
_BATCH: Final = 64
#: Threads that transform pictures, and batches they may be ahead of the forward pass: PIL resizes without the
#: interpreter's lock, and a tensor of 224 pixels takes 0.6 MB.
_THREADS: Final = 4
_BATCHES_AHEAD: Final = 2


@dataclass(frozen=True)
class LearnedEmbedder:
    """A vision network behind the embedder protocol.

    Attributes:
        name: the model's name in the registry.
        identity: what its vectors depend on: library, architecture, weights hash, input size.
        dim: length of a vector.
        device: ``cpu`` or ``cuda``.
        network: picture tensor (N, 3, S, S) -> features (N, dim).
        transform: PIL picture -> tensor (3, S, S), the library's own.
        limit: pictures a forward pass takes; shrinks where the GPU's memory ends.
    """

    name: str
    identity: tuple[str, ...]
    dim: int
    device: str
    network: nn.Module = field(repr=False)
    transform: Callable[[Any], Tensor] = field(repr=False)
    limit: BatchLimit = field(default_factory=lambda: BatchLimit(_BATCH), compare=False)

    @property
    def batch_size(self) -> int:
        """Pictures a forward pass takes at first."""
        return _BATCH

    @property
    def key(self) -> str:
        """Changes with the weights, the input size, the views and the version."""
        return content_key("embedder", self.name, "1", repr(FRAME_VIEWS), *self.identity)

    def embed_views(self, inputs: Sequence[EmbedInput], kind: Kind, gray: bool) -> list[Views]:
        """One view of a product picture, four of a frame; gray doubles the work."""
        pictures: list[U8] = []
        counts: list[int] = []
        for item in inputs:
            rgb, shape = _masked(item)
            parts = [_part(rgb, box) for box in boxes_for(kind, *shape)]
            pictures += parts
            counts.append(len(parts))
        colour = self._forward(pictures)
        grey = self._forward([_grey(p) for p in pictures]) if gray else None
        ends = np.cumsum(counts)
        return [
            Views(colour[e - n : e], None if grey is None else grey[e - n : e])
            for e, n in zip(ends, counts, strict=True)
        ]

    def _forward(self, pictures: Sequence[U8]) -> F32:
        import torch

        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="transform") as threads:
            tensors = self._transformed(pictures, threads)
            try:
                rows += passes(
                    tensors, self._pass, self.limit, torch.OutOfMemoryError, torch.cuda.empty_cache
                )
            except torch.OutOfMemoryError as error:
                raise ModelError(
                    "model.memory",
                    self.name,
                    f"the memory of {self.device} does not hold one picture beside the network",
                    "End what else uses it, or take a smaller model",
                ) from error
        return unit_rows(np.concatenate(rows))

    def _transformed(self, pictures: Sequence[U8], threads: ThreadPoolExecutor) -> Iterator[Tensor]:
        """The tensor of each picture, made by threads while the network works on those before."""
        waiting = iter(pictures)
        made = deque(
            threads.submit(self._tensor, p) for p in islice(waiting, _BATCHES_AHEAD * self.limit.size)
        )
        while made:
            yield made.popleft().result()
            made.extend(threads.submit(self._tensor, p) for p in islice(waiting, 1))

    def _tensor(self, picture: U8) -> Tensor:
        from PIL import Image

        tensor = self.transform(Image.fromarray(picture))
        # A copy out of pinned memory runs beside the computation.
        return tensor if self.device == "cpu" else tensor.pin_memory()

    def _pass(self, tensors: list[Tensor]) -> F32:
        import torch

        amp = torch.autocast(self.device, dtype=torch.float16, enabled=self.device != "cpu")
        with torch.inference_mode(), amp:
            batch = torch.stack([tensor.to(self.device, non_blocking=True) for tensor in tensors])
            rows: F32 = self.network(batch).float().cpu().numpy()
        return rows


def pick_device(name: str, device: str) -> str:
    """``cuda`` or ``cpu`` for ``auto``; a named device must be there.

    Raises:
        ModelError: ``model.device``.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("model.device", name, f"{device} is not available", "Use device `auto` or `cpu`")
    return device


def _masked(item: EmbedInput) -> tuple[U8, tuple[int, int]]:
    rgb, mask = crop_to_content(item)
    if mask is not None:
        rgb = np.where(mask[..., None] > 0, rgb, np.array(_NEUTRAL, dtype=np.uint8))
    return rgb, (rgb.shape[0], rgb.shape[1])


def _part(rgb: U8, box: Box) -> U8:
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = round(box[0] * w), round(box[1] * h), round(box[2] * w), round(box[3] * h)
    part = rgb[y0:y1, x0:x1]
    return np.ascontiguousarray(part if part.size else rgb)


def _grey(rgb: U8) -> U8:
    from pvm_core.images import to_gray_clahe

    return np.repeat(to_gray_clahe(rgb)[..., None], 3, axis=2)
