"""Forward passes on a device whose memory ends: a counted allocator stands for the GPU's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.embedders import EmbedInput, embed_views
from pvm_core.embedders.fitting import BatchLimit, passes
from pvm_core.errors import ModelError


class FullError(RuntimeError):
    """The memory's end."""


@dataclass
class Memory:
    """Holds so many inputs at once, and counts."""

    holds: int
    refused: int = 0
    released: int = 0
    passed: list[int] = field(default_factory=list)

    def forward(self, batch: list[int]) -> list[int]:
        if len(batch) > self.holds:
            self.refused += 1
            raise FullError
        self.passed.append(len(batch))
        return [2 * value for value in batch]

    def release(self) -> None:
        self.released += 1


@given(st.lists(st.integers(), max_size=90), st.integers(1, 40), st.integers(1, 70))
def test_every_input_passes_once_in_order_in_batches_that_fit(
    inputs: list[int], holds: int, size: int
) -> None:
    memory, limit = Memory(holds), BatchLimit(size)
    found = [v for rows in passes(inputs, memory.forward, limit, FullError, memory.release) for v in rows]
    assert found == [2 * value for value in inputs]
    assert all(n <= holds for n in memory.passed)
    assert memory.refused == memory.released == limit.halvings <= size.bit_length()
    again = Memory(holds)
    list(passes(inputs, again.forward, limit, FullError, again.release))
    assert again.refused == 0, "the size that fits was forgotten"


def test_at_least_half_of_what_fits_is_used() -> None:
    memory, limit = Memory(40), BatchLimit(64)
    list(passes(range(200), memory.forward, limit, FullError, memory.release))
    assert limit.size == 32


def test_an_input_that_never_fits_is_said() -> None:
    memory = Memory(0)
    with pytest.raises(FullError):
        list(passes([1, 2], memory.forward, BatchLimit(8), FullError, memory.release))


@pytest.mark.models
class TestEmbedder:
    """`LearnedEmbedder` with a network that takes so many pictures at once."""

    def embedder(self, holds: int, transformed_by: set[str] | None = None) -> Any:
        torch = pytest.importorskip("torch")
        from pvm_core.embedders.learned import LearnedEmbedder

        class Network(torch.nn.Module):  # type: ignore[misc]
            def forward(self, batch: Any) -> Any:
                if len(batch) > holds:
                    raise torch.OutOfMemoryError
                return batch.mean(dim=(2, 3))

        def transform(picture: Any) -> Any:
            if transformed_by is not None:
                transformed_by.add(threading.current_thread().name)
            return torch.from_numpy(np.asarray(picture.resize((8, 8)), np.float32)).permute(2, 0, 1)

        return LearnedEmbedder("tiny", ("tiny",), 3, "cpu", Network(), transform)

    def pictures(self) -> list[EmbedInput]:
        rng = np.random.default_rng(3)
        return [EmbedInput(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)) for _ in range(30)]

    def test_vectors_do_not_depend_on_the_memory(self) -> None:
        small, large = self.embedder(5), self.embedder(1000)
        found, wanted = (embed_views(e, self.pictures(), "frame", gray=True) for e in (small, large))
        for one, other in zip(found, wanted, strict=True):
            assert np.allclose(one.rgb, other.rgb, atol=1e-6)
        assert small.limit.size == 4
        assert large.limit.halvings == 0
        halvings = small.limit.halvings
        embed_views(small, self.pictures(), "frame", gray=True)
        assert small.limit.halvings == halvings

    def test_a_picture_that_never_fits_is_said_with_its_remedy(self) -> None:
        with pytest.raises(ModelError, match="does not hold one picture") as caught:
            embed_views(self.embedder(0), self.pictures(), "product", gray=False)
        assert caught.value.code == "model.memory"

    def test_pictures_are_transformed_off_the_thread_that_computes(self) -> None:
        names: set[str] = set()
        embed_views(self.embedder(1000, names), self.pictures(), "frame", gray=False)
        assert names
        assert threading.current_thread().name not in names
