"""Scans with torch tensors: the body is computed once for each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dotnn.feeds import sized
from dotnn.graph import Node, measure
from dotnn.ops.scan import Result, result_of, together

Tensor = Any
Compute = Callable[[Node, list[Tensor], Mapping[str, int]], Tensor]


class Runs:
    """The scans of one graph while it is computed: those that are one run are run once."""

    def __init__(self, compute: Compute, empty: Callable[[tuple[int, ...], str], Tensor]) -> None:
        self._compute = compute
        self._empty = empty
        self._made: dict[object, dict[Result, Tensor]] = {}

    def of(self, node: Node, inputs: list[Tensor], sizes: Mapping[str, int]) -> Tensor:
        key = together(node)
        if key not in self._made:
            self._made[key] = self._run(node, inputs, sizes)
        return self._made[key][result_of(node.attributes)]

    def _run(self, node: Node, inputs: list[Tensor], sizes: Mapping[str, int]) -> dict[Result, Tensor]:
        import torch

        facts: dict[str, Any] = sized(node.name, node.attributes, sizes)
        body, count, scanned, length = (facts[name] for name in ("body", "carried", "scanned", "dim"))
        carried, sequences, given = inputs[:count], inputs[count : count + scanned], inputs[count + scanned :]
        types = body.types()
        made: dict[str, dict[int, Tensor]] = {name: {} for name in types}
        for step in reversed(range(length)) if facts["back"] else range(length):
            values = [*carried, *(sequence[step] for sequence in sequences), *given]
            now = dict(zip((fed.name for fed in body.inputs), values, strict=True))
            inner = Runs(self._compute, self._empty)
            for one in body.nodes:
                operands = [now[name] for name in one.inputs]
                compute = inner.of if one.op == "scan" else self._compute
                now[one.name] = compute(one, operands, sizes)
            carried = [now[body.output(f"next.{number}").value] for number in range(count)]
            for name, value in now.items():
                made[name][step] = value
        run: dict[Result, Tensor] = {(f"carried.{number}", True): value for number, value in enumerate(carried)}
        for name, type in types.items():
            shape = (length, *(measure(dim, sizes) for dim in type.dims))
            whole = [made[name][step] for step in range(length)]
            run[name, False] = torch.stack(whole) if whole else self._empty(shape, type.dtype)
        return run
