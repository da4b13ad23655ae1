"""A step with less to do in its loop: sums and products are taken together first where no step has to be waited for.

    (x + h) + b          becomes  (x + b) + h          where h waits for the step before, and x and b do not
    (h * x) * y          becomes  h * (x * y)
    h - h * x            becomes  h * (1 - x)
    [h * x, k * y]       becomes  [h, k] * [x, y]

So of what flows back through a gate, what is known beforehand is one factor. Real numbers change by rounding alone.
"""

from __future__ import annotations

from collections.abc import Collection

from dotnn.graph import Attribute, Node
from dotnn.tape import Tape, Value


class Eased:
    """The operations of a step, written anew."""

    def __init__(self, tape: Tape, waiting: Collection[str]) -> None:
        self.tape = Tape(tape.name)
        self.known: dict[str, Value] = {}
        """By the name on the tape as it was."""
        self._waits = set(waiting)
        for fed in tape.inputs:
            self.known[fed.name] = self.tape.input(fed.name, fed.type, fed.role)
        for node in tape.nodes:
            with self.tape.at(node.at):
                made = self._less_a_part(node, tape)
                inputs = [self.known[name] for name in node.inputs]
                self.known[node.name] = self._written(node.op, inputs, node.attributes) if made is None else made

    def _written(self, op: str, inputs: list[Value], attributes: dict[str, Attribute]) -> Value:
        made = self._sooner(op, *inputs) if len(inputs) == 2 and not attributes else None
        made = self._side_by_side(inputs, attributes) if op == "concat" else made
        return self._add(op, *inputs, **attributes) if made is None else made

    def _add(self, op: str, *inputs: Value, **attributes: Attribute) -> Value:
        made = self.tape.add(op, *inputs, **attributes)
        if any(value.name in self._waits for value in inputs):
            self._waits.add(made.name)
        return made

    def _sooner(self, op: str, a: Value, b: Value) -> Value | None:
        if op not in ("add", "mul") or not a.type.is_float:
            return None
        for pair, free in ((a, b), (b, a)):
            node = self.tape.node(pair)
            if node is None or node.op != op or pair.name not in self._waits or free.name in self._waits:
                continue
            p, q = (self.tape.values[name] for name in node.inputs)
            for late, early in ((p, q), (q, p)):
                if late.name in self._waits and early.name not in self._waits:
                    return self._written(op, [self._add(op, early, free), late], {})
        return None

    def _side_by_side(self, parts: list[Value], attributes: dict[str, Attribute]) -> Value | None:
        pairs: list[tuple[Value, Value]] = []
        for part in parts:
            node = self.tape.node(part)
            if node is None or node.op != "mul" or not part.type.is_float:
                return None
            p, q = (self.tape.values[name] for name in node.inputs)
            late, early = (p, q) if p.name in self._waits else (q, p)
            if late.name not in self._waits or early.name in self._waits or not late.dims == early.dims == part.dims:
                return None
            pairs.append((late, early))
        if len(pairs) < 2:
            return None
        late, early = (self._add("concat", *side, **attributes) for side in zip(*pairs, strict=True))
        return self._add("mul", late, early)

    def _less_a_part(self, node: Node, tape: Tape) -> Value | None:
        """h - h * x, as it was written."""
        part = tape.node(tape.values[node.inputs[1]]) if node.op == "sub" and node.type.is_float else None
        if part is None or part.op != "mul" or node.inputs[0] not in part.inputs:
            return None
        whole = self.known[node.inputs[0]]
        share = self.known[part.inputs[1 - part.inputs.index(node.inputs[0])]]
        if whole.name not in self._waits or share.name in self._waits:
            return None
        rest = self._add("sub", self.tape.literal(1, share.dtype), share)
        return self._written("mul", [whole, rest], {})
