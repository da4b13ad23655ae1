"""What a column is for: read by the net, an answer that it is held against, or the weight of a row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

from dotnn.graph import Graph
from dotnn.inputs.weigh import read_by
from dotnn.program import RawColumn
from dotnn_grammar.source import Span

if TYPE_CHECKING:
    from dotnn.phase import Phase


def labelled(graph: Graph, read_by_net: set[str], weights: Collection[str]) -> Graph:
    """The graph with its columns' roles told apart."""
    inputs = tuple(
        fed.model_copy(update={"role": role_of(fed.name, read_by_net, weights)}) if fed.role == "data" else fed
        for fed in graph.inputs
    )
    return graph.model_copy(update={"inputs": inputs})


def role_of(name: str, read_by_net: Collection[str], weights: Collection[str]) -> Literal["data", "label", "weight"]:
    """`data` where the net reads it, `weight` of a row, else `label`."""
    return "data" if name in read_by_net else "weight" if name in weights else "label"


def raw_columns(phases: Sequence[Phase], read_by_net: set[str]) -> tuple[dict[str, RawColumn], dict[str, Span]]:
    """Everything that a host feeds, from all phases, and the line of the spec that it belongs to."""
    raws: dict[str, RawColumn] = {}
    spans: dict[str, Span] = {}
    for phase in phases:
        raws |= phase.columns.raws
        spans |= phase.columns.spans
    weights = weights_in(phases)
    ordered = {n: raws[n].model_copy(update={"role": role_of(n, read_by_net, weights)}) for n in raws}
    return ordered, spans


def weights_in(phases: Sequence[Phase]) -> set[str]:
    """The columns that are weights of rows in some phase, and nothing else in any."""
    found = {name for phase in phases for name in phase.only_weights()}
    return found - {name for phase in phases for name in read_by(phase.tape, phase.judging)}
