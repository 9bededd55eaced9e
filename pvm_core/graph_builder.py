"""ONNX graphs built node by node from a network's state dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

#: ONNX operator set and file format that OpenCV and every ONNX Runtime since 2021 read.
_OPSET: Final = 13
_IR_VERSION: Final = 7


@dataclass
class GraphBuilder:
    """A graph in the making.

    Attributes:
        state: the network's state dict.
    """

    state: Mapping[str, npt.NDArray[Any]]
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Adds an operator; returns the name of its output."""
        from onnx import helper

        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def tensor(self, name: str, values: npt.NDArray[Any]) -> str:
        """Adds a constant; returns its name."""
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def serialised(
        self,
        name: str,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, Sequence[int | str]],
        kinds: Mapping[str, int] = MappingProxyType({}),
    ) -> bytes:
        """The ONNX file; inputs and outputs are of these shapes, float32 unless `kinds` says otherwise."""
        from onnx import TensorProto, helper

        given, made = (
            [
                helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), shape)
                for n, shape in values.items()
            ]
            for values in (inputs, outputs)
        )
        model = helper.make_model(
            helper.make_graph(self.nodes, name, given, made, self.tensors),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data
