"""Numbers of half the length: `--target cuda` multiplies in them, where the portable files round and multiply in f32.

CUDA has matrix products of f16 and bf16, which add in f32 and give the sum in the narrow type; a processor has none of
bf16, and none that is quicker.
"""

from __future__ import annotations

from typing import cast

from dotnn.graph import Dtype, Node
from dotnn_onnx.spelling.rules import spelling
from dotnn_onnx.view import View
from dotnn_onnx.writer import Writer

MOVES = ("transpose", "reshape", "expand")
"""What a number that was rounded goes through as it is."""


@spelling("narrow")
def narrow(w: Writer, node: Node) -> None:
    if w.target == "cuda" and node.name in _for_products(w):
        w.alias(node.name, w[node.inputs[0]])  # the product rounds it as it takes it
        return
    short = w.cast(w[node.inputs[0]], dtype_of(node))
    w.cast(short, node.type.dtype, to=node.name)


def dtype_of(node: Node) -> Dtype:
    return cast("Dtype", node.attributes["dtype"])


def half(w: Writer, *values: str) -> Dtype | None:
    """The type in which a product of these takes them on this target; None: as they are."""
    if w.target != "cuda":
        return None
    makers = [_rounded(w.view, value) for value in values]
    kinds = {dtype_of(maker) if maker is not None and maker.name in _for_products(w) else None for maker in makers}
    return kinds.pop() if len(kinds) == 1 else None


def halved(w: Writer, name: str, dtype: Dtype) -> str:
    """What is called ``name`` in the ONNX graph, as numbers of that type; written once."""
    made = w.shared(("half", name, dtype))
    if made is None:
        made = (w.cast(name, dtype),)
        w.share(("half", name, dtype), *made)
    return made[0]


def _rounded(view: View, value: str) -> Node | None:
    """The node that rounds a value, through what only moves numbers."""
    maker = view.makers.get(value)
    while maker is not None and maker.op in MOVES:
        maker = view.makers.get(maker.inputs[0])
    return maker if maker is not None and maker.op == "narrow" else None


def _for_products(w: Writer) -> tuple[str, ...]:
    """The rounded values that nothing but products of two such values reads."""
    found = w.shared(("for products",))
    if found is not None:
        return found
    view = w.view
    rounded = {node.name: dtype_of(node) for node in w.graph.nodes if node.op == "narrow"}
    other = {output.value for output in w.graph.outputs}
    for node in w.graph.nodes:
        if node.op in MOVES:
            continue
        sources = [_rounded(view, name) for name in node.inputs]
        kinds = {dtype_of(source) if source is not None else None for source in sources}
        if node.op != "matmul" or len(kinds) != 1:
            other.update(source.name for source in sources if source is not None)
    for output in w.graph.outputs:
        source = _rounded(view, output.value)
        other.update([source.name] if source is not None else [])
    found = tuple(name for name in rounded if name not in other)
    w.share(("for products",), *found)
    return found
