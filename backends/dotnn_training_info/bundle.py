"""A program as files: one ONNX file that holds the net and its training, and a manifest that says what to feed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dotnn.graph import dump
from dotnn.plugins import Arrays, Options
from dotnn.program import Program
from dotnn_grammar.problems import Problem
from dotnn_onnx.bundle import TooLarge, put
from dotnn_onnx.lower import serialize
from dotnn_onnx.manifest import Manifest, manifest_of
from dotnn_onnx.writer import OPSET
from dotnn_training_info.join import results
from dotnn_training_info.model import assemble

if TYPE_CHECKING:
    import onnx

FILE = "training.onnx"


class OnlyPortable(Problem):
    code = "N003"
    title = "the training-info backend writes nothing for {target} alone"
    help = "leave --target away: its one file holds standard operators only, for every device"
    target: str


def model_of(program: Program, state: Arrays | None = None) -> onnx.ModelProto:
    """The whole program in one model. ``state``: what its variables hold; without, 0 until its initialization ran."""
    graphs = program.graphs
    model = assemble(graphs["predict"], graphs["train"], graphs["init"], program.plan.seed, state)
    model.graph.name = program.name
    for key, value in (("dotnn", program.dotnn), ("spec", program.spec), ("sha256", program.sha256)):
        model.metadata_props.add(key=key, value=value)
    return model


def manifest(program: Program) -> Manifest:
    """As that of a bundle of several files; both of its graphs, `predict` and `train`, are in the one file."""
    whole = manifest_of(program, OPSET)
    renamed = results(program.graphs["predict"], program.graphs["train"])
    graphs = {}
    for name in ("predict", "train"):
        graph = whole.graphs[name]
        names = renamed if name == "train" else {}
        outputs = tuple(o.model_copy(update={"name": names.get(o.name, o.name)}) for o in graph.outputs)
        graphs[name] = graph.model_copy(update={"file": FILE, "outputs": outputs})
    return whole.model_copy(update={"graphs": graphs, "claims": (), "claimed_on": ()})


def write(program: Program, source: str, folder: Path, options: Options) -> list[Path]:
    """Writes the files into ``folder`` and returns their paths; the same program gives the same bytes.

    Raises ``ProblemError`` where a file cannot be written, where the weights are more than one file holds, or where
    another than the portable target is asked for.
    """
    if options.target != "portable":
        raise OnlyPortable(target=options.target).error()
    paths = []
    for name, content in _files(program, source):
        put(folder / name, content)
        paths.append(folder / name)
    return paths


def _files(program: Program, source: str) -> Iterator[tuple[str, bytes]]:
    """The manifest comes last: where it is, all is."""
    model = model_of(program)
    if model.ByteSize() >= 2**31:
        raise TooLarge(gigabytes=model.ByteSize() / 1e9).error()
    yield FILE, serialize(model)
    yield "spec.nn", source.encode()
    yield "manifest.json", dump(manifest(program)).encode()
