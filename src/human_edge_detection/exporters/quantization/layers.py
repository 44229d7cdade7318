"""Which nodes of an exported graph are quantised, and in which blocks it is tried what they cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import onnx

CONVOLUTION: Final = "Conv"
KINDS: Final = (CONVOLUTION, "Relu", "Clip", "Add", "Mul", "Sigmoid")
"""Operators that are quantised. Relu and Clip become part of the convolution before. Resize and Concat stay float: in
ONNX Runtime they were not quicker in int8."""
_QUANTIZED: Final = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"})
_BLOCK: Final = 4
"""Convolutions that are tried together."""


class Block(NamedTuple):
    """Neighbours in the graph that are quantised, or stay float, together.

    Attributes:
        convolutions: Names of its layers with weights, in the order of the graph.
        nodes: These and the operators behind them.
    """

    convolutions: tuple[str, ...]
    nodes: tuple[str, ...]


def is_quantized(graph: onnx.GraphProto) -> bool:
    """Whether a part of the graph computes in integers already."""
    return any(node.op_type in _QUANTIZED for node in graph.node)


def blocks_of(graph: onnx.GraphProto) -> list[Block]:
    """The nodes that can be quantised, in the order of the graph.

    They are convolutions, and the operators between two of them. What comes before the first is arithmetic of boxes,
    and what comes after the last makes probabilities: both need all their digits.

    Args:
        graph: Of a traced model, whose nodes have names.
    """
    between = _between_convolutions(graph)
    blocks: list[list[onnx.NodeProto]] = []
    for node in graph.node:
        if node.name not in between or node.op_type not in KINDS:
            continue
        if node.op_type == CONVOLUTION and (not blocks or _count(blocks[-1]) == _BLOCK):
            blocks.append([])
        blocks[-1].append(node)
    return [
        Block(
            tuple(node.name for node in block if node.op_type == CONVOLUTION),
            tuple(node.name for node in block),
        )
        for block in blocks
    ]


def has_gates(graph: onnx.GraphProto) -> bool:
    """Whether there is a sigmoid between convolutions: SiLU, or squeeze-excitation."""
    between = _between_convolutions(graph)
    return any(node.op_type == "Sigmoid" and node.name in between for node in graph.node)


def _count(block: Iterable[onnx.NodeProto]) -> int:
    return sum(node.op_type == CONVOLUTION for node in block)


def _between_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions, and of the nodes with one before and one behind them."""
    makers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    convolutions = [node for node in graph.node if node.op_type == CONVOLUTION]
    behind = _reached(convolutions, lambda node: (user for name in node.output for user in users[name]))
    before = _reached(convolutions, lambda node: (makers[name] for name in node.input if name in makers))
    return (behind & before) | {node.name for node in convolutions}


def _reached(
    start: Iterable[onnx.NodeProto], following: Callable[[onnx.NodeProto], Iterable[onnx.NodeProto]]
) -> set[str]:
    """Names of all nodes that lead on from ``start``."""
    names: set[str] = set()
    waiting = list(start)
    while waiting:
        for node in following(waiting.pop()):
            if node.name not in names:
                names.add(node.name)
                waiting.append(node)
    return names
