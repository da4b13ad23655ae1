"""The register of spelling rules, and what rules share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dotnn.graph import Dtype, Node
from dotnn.plugins import lowering
from dotnn_grammar.problems import Problem

if TYPE_CHECKING:
    from dotnn_onnx.writer import Writer

Rule = Callable[["Writer", Node], None]

_rules: dict[str, Rule] = {}


class NotInOnnx(Problem):
    code = "X001"
    title = "the ONNX backend cannot write the operation `{op}`{where}"
    help = "whoever brings an operation gives it a spelling; `--backend reference` may run it"
    op: str
    where: str = ""


def spelling(*ops: str) -> Callable[[Rule], Rule]:
    """Registers a rule: it writes the ONNX nodes that make ``node``'s value."""

    def register(rule: Rule) -> Rule:
        for op in ops:
            _rules[op] = rule
        return rule

    return register


def rule_of(node: Node) -> Rule:
    """The rule for a node's operation. Raises ``ProblemError`` where there is none."""
    rule = _rules.get(node.op) or lowering(node.op, "onnx")
    if rule is None:
        where = f" ({node.at})" if node.at else ""
        raise NotInOnnx(op=node.op, where=where).error()
    return rule


def by_way_of(w: Writer, node: Node, op: str, ways: dict[Dtype, Dtype], *inputs: str) -> None:
    """Writes ``op`` on all inputs; where a build has no kernel for their type, by way of another and back."""
    have = w.view.types[node.inputs[0]].dtype
    way = ways.get(have)
    if way is None:
        w.emit(op, *inputs, to=node.name)
        return
    made = w.emit(op, *(w.cast(name, way) for name in inputs))
    w.cast(made, node.type.dtype, to=node.name)


def inputs(w: Writer, node: Node) -> list[str]:
    return [w[name] for name in node.inputs]
