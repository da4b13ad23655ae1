"""manifest.json: everything that a host program needs to know of a bundle."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from dotnn.graph import Dim, Dtype, Graph, Role, Type
from dotnn.program import AnswerPlan, Claim, ClaimRows, Figure, Generation, Plan, Program, RawColumn

FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tensor(_Frozen):
    """An input or output of a graph. A size is a number, or a name for what the host decides (`b`)."""

    name: str
    dtype: Dtype
    shape: tuple[Dim, ...]
    role: Role


class GraphFile(_Frozen):
    """One .onnx file."""

    file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[tuple[str, str], ...] = ()
    """Pairs: the output `NAME.next` is what input `NAME` gets in the next run."""


class SpecFile(_Frozen):
    """The text that the bundle was made of."""

    name: str
    sha256: str


class DataPart(_Frozen):
    """What a host feeds: raw columns of the table."""

    name: str
    inputs: tuple[RawColumn, ...]


class Objective(_Frozen):
    """What is made small and what counts, as the spec says it."""

    loss: str
    error: str | None = None
    metrics: dict[str, str] = {}


class Manifest(_Frozen):
    """All of `manifest.json`."""

    format: Literal[1] = 1
    name: str
    spec: SpecFile
    dotnn: str
    language: int
    opset: int
    parameters: int
    graphs: dict[str, GraphFile]
    data: DataPart
    objective: Objective
    figures: tuple[Figure, ...]
    """What eval.onnx measures: the total over the count of all batches; or, where a figure has `totals` of its own,
    these of all batches taken together (by their `fold`) and given to figures.onnx."""
    claims: tuple[Claim, ...] = ()
    """What the author says holds: claims.onnx makes of the figures of ``claimed_on`` whether it does."""
    claimed_on: tuple[ClaimRows, ...] = ()
    """The rows that claims speak of, each with the graph that measures them as eval.onnx does; the `totals` of their
    figures are given to claims.figures.onnx."""
    plan: Plan
    outputs: tuple[str, ...]
    answer: AnswerPlan | None = None
    generation: Generation | None = None
    """How texts are written, with start.onnx, next.onnx and choose.onnx."""


def manifest_of(program: Program, opset: int) -> Manifest:
    """The manifest of a program's bundle."""
    texts = {role: {f.name: f.text for f in program.figures if f.role == role} for role in ("loss", "error", "metric")}
    return Manifest(
        name=program.name,
        spec=SpecFile(name=program.spec, sha256=program.sha256),
        dotnn=program.dotnn,
        language=program.language,
        opset=opset,
        parameters=program.parameters,
        graphs={name: _file(name, graph) for name, graph in program.graphs.items()},
        data=DataPart(name=program.data, inputs=program.inputs),
        objective=Objective(
            loss="; ".join(text if name == "loss" else f"{name}: {text}" for name, text in texts["loss"].items()),
            error=next(iter(texts["error"].values()), None),
            metrics=texts["metric"],
        ),
        figures=program.figures,
        claims=program.claims,
        claimed_on=program.claimed_on,
        plan=program.plan,
        outputs=program.outputs,
        answer=program.answer,
        generation=program.generation,
    )


def _file(name: str, graph: Graph) -> GraphFile:
    types = graph.types()
    return GraphFile(
        file=f"{name}.onnx",
        inputs=tuple(_tensor(fed.name, fed.type, fed.role) for fed in graph.inputs),
        outputs=tuple(_tensor(made.name, types[made.value], made.role) for made in graph.outputs),
        state=tuple((fed.name, made.name) for fed, made in graph.states()),
    )


def _tensor(name: str, type: Type, role: Role) -> Tensor:
    return Tensor(name=name, dtype=type.dtype, shape=type.dims, role=role)
