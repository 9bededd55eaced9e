"""XFeat as an ONNX graph, made from its state dict without PyTorch.

The network of Potje, Cadar, Araujo, Martins and Nascimento, "XFeat: Accelerated Features for Lightweight
Image Matching" (CVPR 2024): descriptors, keypoint scores and reliability. The part that refines semi-dense
matches is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pvm_core.arrays import F32
from pvm_core.graph_builder import GraphBuilder

#: Values of a descriptor.
DIM: Final = 64
#: The input's sides are multiples of this many pixels; descriptors lie this many pixels apart.
STEP: Final = 32
CELL: Final = 8
#: PyTorch's default for batch and instance normalisation, with which the network was trained.
_EPSILON: Final = 1e-5


class _Graph(GraphBuilder):
    def conv(self, source: str, name: str, stride: int = 1) -> str:
        """A plain convolution with its bias."""
        return self._conv(source, name, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride)

    def layers(self, source: str, name: str, strides: tuple[int, ...]) -> str:
        """Convolutions with their batch normalisation folded in, each with a ReLU behind it."""
        for i, stride in enumerate(strides):
            weight, bias = _folded(self.state, f"{name}.{i}.layer")
            source = self.node("Relu", [self._conv(source, f"{name}.{i}", weight, bias, stride)])
        return source

    def _conv(
        self, source: str, name: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any], stride: int
    ) -> str:
        pad = weight.shape[2] // 2
        inputs = [source, self.tensor(f"{name}.w", weight), self.tensor(f"{name}.b", bias)]
        return self.node("Conv", inputs, pads=[pad] * 4, strides=[stride] * 2)

    def enlarged(self, source: str, times: int) -> str:
        scales = self.tensor(f"times{times}", np.array([1, 1, times, times], np.float32))
        return self.node(
            "Resize", [source, "", scales], mode="linear", coordinate_transformation_mode="half_pixel"
        )


def build_graph(state: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An ONNX file: ``picture`` float32 (N, 1, H, W), grey, sides multiples of `STEP` ->

    ``features`` float32 (N, 64, H/8, W/8), not normalised; ``points`` float32 (N, 1, H, W), the chance that a
    pixel is its cell's keypoint; ``reliability`` float32 (N, 1, H/8, W/8), [0, 1].

    Args:
        state: the network's state dict.

    Raises:
        KeyError: it is another network's.
    """
    graph = _Graph(state)
    one, zero = graph.tensor("one", np.ones(1, np.float32)), graph.tensor("zero", np.zeros(1, np.float32))
    picture = graph.node("InstanceNormalization", ["picture", one, zero], epsilon=_EPSILON)
    _heads(graph, picture, _backbone(graph, picture))
    outputs = {
        "features": ("n", DIM, "rows", "columns"),
        "points": ("n", 1, "height", "width"),
        "reliability": ("n", 1, "rows", "columns"),
    }
    return graph.serialised("xfeat", {"picture": ("n", 1, "height", "width")}, outputs)


def _backbone(graph: _Graph, picture: str) -> str:
    """The fused pyramid, ``features``."""
    pooled = graph.node("AveragePool", [picture], kernel_shape=[4, 4], strides=[4, 4])
    skip = graph.conv(pooled, "skip1.1")
    x1 = graph.layers(picture, "block1", (1, 2, 1, 2))
    x2 = graph.layers(graph.node("Add", [x1, skip]), "block2", (1, 1))
    x3 = graph.layers(x2, "block3", (2, 1, 1))
    x4 = graph.layers(x3, "block4", (2, 1, 1))
    x5 = graph.layers(x4, "block5", (2, 1, 1, 1))
    fused = graph.node("Add", [x3, graph.enlarged(x4, 2)])
    fused = graph.layers(graph.node("Add", [fused, graph.enlarged(x5, 4)]), "block_fusion", (1, 1))
    return graph.node("Identity", [graph.conv(fused, "block_fusion.2")], "features")


def _heads(graph: _Graph, picture: str, features: str) -> None:
    """``reliability``, and ``points``: the 65th class of a cell is that it has no keypoint."""
    sure = graph.layers(features, "heatmap_head", (1, 1))
    graph.node("Sigmoid", [graph.conv(sure, "heatmap_head.2")], "reliability")
    cells = graph.node("SpaceToDepth", [picture], blocksize=CELL)
    logits = graph.conv(graph.layers(cells, "keypoint_head", (1, 1, 1)), "keypoint_head.3")
    chances = graph.node("Softmax", [logits], axis=1)
    bounds = [
        graph.tensor(n, np.array([v], np.int64)) for n, v in (("from", 0), ("to", CELL**2), ("axis", 1))
    ]
    graph.node("DepthToSpace", [graph.node("Slice", [chances, *bounds])], "points", blocksize=CELL)


def _folded(state: Mapping[str, npt.NDArray[Any]], name: str) -> tuple[F32, F32]:
    """Weight and bias of a convolution and the batch normalisation behind it, which only standardises."""
    weight = state[f"{name}.0.weight"].astype(np.float64)
    scale = 1.0 / np.sqrt(state[f"{name}.1.running_var"].astype(np.float64) + _EPSILON)
    bias = -scale * state[f"{name}.1.running_mean"]
    return (weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)
