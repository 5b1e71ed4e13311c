"""The weights in an ONNX file, in the order in which the file lists the operators that use them."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Weights:
    """One operator's: a convolution, a multiplication of matrices, or a layer normalisation."""

    name: str
    """Of its first tensor, or `LN`."""
    weight: Array
    bias: Array | None = None
    norm: tuple[Array, Array, Array, Array] | None = None
    """Gain, bias, mean and variance of the batch normalisation that follows; None if it is folded in."""
    epsilon: float = 1e-5
    """What that normalisation adds to the variance."""


_LAYER_NORM = "LN"
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "MatMul")


def weights_in_order(path: Path) -> list[Weights]:
    """Read an ONNX file of PP-OCR's.

    Biases that stand as an `Add` after their operator, and batch normalisations, are joined to it. A layer
    normalisation is known by its `Mul` and `Add` with as many numbers as the hidden size.
    """
    onnx: Any = importlib.import_module("onnx")
    graph = onnx.load(str(path)).graph
    return _Reading(graph, onnx.numpy_helper.to_array).weights


class _Reading:
    """One pass over a graph."""

    def __init__(self, graph: Any, to_array: Any) -> None:
        self.weights: list[Weights] = []
        self._constants: dict[str, Array] = {one.name: to_array(one) for one in graph.initializer}
        self._same: dict[str, str] = {}
        self._made_by: dict[str, Weights] = {}
        self._gains: dict[str, Array] = {}
        for node in graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = to_array(node.attribute[0].t)
            elif node.op_type in ("Identity", "Cast"):
                self._same[node.output[0]] = node.input[0]
        for node in graph.node:
            inputs = [self._origin(name) for name in node.input]
            constants = [name for name in inputs if name in self._constants]
            if constants:
                variable = next((name for name in inputs if name not in self._constants), "")
                self._take(node, constants, variable)

    def _origin(self, name: str) -> str:
        while name in self._same:
            name = self._same[name]
        return name

    def _take(self, node: Any, constants: Sequence[str], variable: str) -> None:
        values = [self._constants[name] for name in constants]
        output = node.output[0]
        if node.op_type in _WITH_WEIGHTS:
            made = Weights(constants[0], values[0], values[1] if len(values) > 1 else None)
            self.weights.append(made)
            self._made_by[output] = made
        elif node.op_type == "BatchNormalization":
            gain, bias, mean, variance = values
            made = self._made_by[variable]
            made.norm = (gain, bias, mean, variance)
            made.epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), made.epsilon)
        elif node.op_type == "Mul" and values[0].ndim and values[0].size > 1:
            self._gains[output] = values[0].reshape(-1)
        elif node.op_type == "Add" and variable:
            self._add(variable, values[0].reshape(-1))

    def _add(self, variable: str, values: Array) -> None:
        """A bias of its own, or the second half of a layer normalisation."""
        made = self._made_by.get(variable)
        if made is not None and made.bias is None and made.norm is None:
            made.bias = values
        elif variable in self._gains and self._gains[variable].shape == values.shape:
            self.weights.append(Weights(_LAYER_NORM, self._gains[variable], values))
