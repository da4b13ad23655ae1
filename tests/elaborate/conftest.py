"""A bench: a few lines of the language, some numbers, and what the reference backend computes from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.build import Builder
from dotnn.compiler import lower
from dotnn.graph import Graph
from dotnn.inputs.block import DataBlock
from dotnn.inputs.fit import no_fit
from dotnn.plan import params_of
from dotnn.plugins import Options, backend
from dotnn.program import Pass
from dotnn.read import read_file
from dotnn.simplify import simplify
from dotnn_grammar.problems import Problem, ProblemError

TRAIN = """
train N on d {
  loss      LOSS
  optimizer OPTIMIZER
  batch 4
  epochs 10
}
"""


class Bench:
    """Writes a spec around definitions, with a table that has the columns that are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seed = 0

    def builder(
        self,
        text: str,
        columns: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        loss: str = "mean(y)",
        optimizer: str = "sgd(lr = 1)",
    ) -> Builder:
        """For a spec whose net is `N`; ``columns`` are arrays whose first dim is the row."""
        arrays = {name: np.asarray(array) for name, array in (columns or {"x": np.zeros((4, 3))}).items()}
        spec = self.folder / "spec.nn"
        block = TRAIN.replace("LOSS", loss).replace("OPTIMIZER", optimizer)
        spec.write_text("\n".join([self._data(arrays), text, "" if "train " in text else block]), encoding="utf-8")
        made, _ = read_file(spec)
        return Builder(
            made, made.trains[0], DataBlock(made.data[0], self.folder), params_of(made, params or {}), no_fit
        )

    def _data(self, arrays: dict[str, np.ndarray[Any, Any]]) -> str:
        heads, cells, lines = [], [], []
        for name, array in arrays.items():
            flat = array.reshape(len(array), -1)
            names = [f"{name}_{i}" for i in range(flat.shape[1])]
            whole = array.dtype.kind in "iub"
            dims = list(array.shape[1:])
            form = f" as int < {array.max() + 1}" if whole and not dims else f" as {dims}" if len(dims) > 1 else ""
            read = f"columns {names[0]} to {names[-1]}" if dims else f"column {names[0]}"
            lines.append(f"  {name} = {read}{form}")
            heads += names
            cells.append(flat.astype(str))
        table = [",".join(heads), *(",".join(row) for row in np.concatenate(cells, axis=1))]
        (self.folder / "d.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
        return "\n".join(["data d {", '  source table "d.csv"', *lines, "}"])

    def graphs(self, text: str, columns: dict[str, Any] | None = None, after: Pass = "simplify", **words: Any) -> Any:
        """Every graph of the spec, as after the pass ``after``. An epoch has 5 steps, and there are 50."""
        builder = self.builder(text, columns, **words)
        return lower(builder, builder.train, 50, 5, after)

    def run(self, graph: Graph, feeds: dict[str, Any], float64: bool = False) -> dict[str, np.ndarray[Any, Any]]:
        reference = backend("reference")
        options = Options(float64=float64)
        kinds = {"f32": np.float32, "i64": np.int64, "u64": np.uint64, "bool": np.bool_, "f64": np.float64}
        typed: dict[str, Any] = {i.name: np.asarray(feeds[i.name], kinds[i.type.dtype]) for i in graph.inputs}
        for fed in graph.inputs:  # a table has rows of single numbers
            if fed.role in ("data", "label"):
                typed[fed.name] = typed[fed.name].reshape(-1, *(int(d) for d in fed.type.dims[1:]))
        made = reference.start(reference.lower(graph, options), options).run(typed)
        return {name: np.asarray(value) for name, value in made.items()}

    def predict(self, text: str, columns: dict[str, Any] | None = None, **words: Any) -> dict[str, Any]:
        """The net's results for these columns, with its weights as `init` makes them."""
        columns = columns or {"x": np.zeros((4, 3))}
        builder = self.builder(text, columns, **words)
        state = self.run(simplify(builder.init().tape.graph()), {"seed": self.seed})
        graph = builder.prediction().tape.graph()
        return self.run(graph, {**state, "key": 1, "step": 0, **columns})

    def value(self, expression: str, columns: dict[str, Any] | None = None, before: str = "", **words: Any) -> Any:
        """What one expression is, in a net that reads the columns under their own names (`x`: four rows of three)."""
        columns = columns or {"x": np.zeros((4, 3))}
        takes = ", ".join(f"{name}: {_type(np.asarray(array))}" for name, array in columns.items())
        text = f"{before}\nnet N({takes}) -> y: [...] {{\n  y = {expression}\n}}\n"
        return self.predict(text, columns, **words)["y"]

    def problem(self, text: str, columns: dict[str, Any] | None = None, **words: Any) -> Problem:
        """What is wrong with the spec."""
        with pytest.raises(ProblemError) as caught:
            self.graphs(text, columns, **words)
        assert all(problem.span is not None for problem in caught.value.problems)
        return caught.value.problems[0]


def _type(array: np.ndarray[Any, Any]) -> str:
    word = "int" if array.dtype.kind in "iub" else ""
    return f"{word}[{', '.join(['b', *map(str, array.shape[1:])])}]"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
