"""`nn predict`: gives rows to a trained net and prints its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from dotnn.program import Program

AT_ONCE = 4096
SETTINGS = {"ignore_unknown_options": True}
"""A value may begin with a minus."""
FORMULA = ("=", "+", "-", "@")
"""How a spreadsheet knows a formula, white space before it or not."""


class Format(StrEnum):
    text = "text"
    csv = "csv"
    json = "json"


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or the predict.onnx in it.")],
    rows: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.csv | VALUE…", help="A table, or the values of one row (a sentence, where texts are read)."
        ),
    ],
    backend: Annotated[str, typer.Option(metavar="NAME", help="What runs the net: onnx, reference.")] = "onnx",
    format: Annotated[Format, typer.Option(help="How answers are printed.")] = Format.text,
) -> int:
    """Ask a trained net: one answer for each row."""
    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.data import read_rows, read_values
    from dotnn.training.run import read_program, read_weights

    folder = run.parent if run.is_file() and run.suffix == ".onnx" else run
    program, state = read_program(folder), read_weights(folder, desk.say)
    graph = program.graphs["predict"]
    wanted = {fed.name for fed in graph.inputs}
    speaks = any(raw.tokens is not None for raw in program.inputs if raw.role == "data")
    one = len(rows) == 1 and (_names_a_file(rows[0]) if speaks else _is_table(rows[0]))
    given = read_rows(Path(rows[0]), program.inputs) if one else read_values(rows, program.inputs)
    columns = {name: array for name, array in given.items() if name in wanted}
    weights = {name: array for name, array in state.items() if name in wanted}
    chosen, options = plugins.backend(backend), plugins.Options()
    executor = chosen.start(chosen.lower(graph, options), options)
    count = max((len(array) for array in columns.values()), default=0)
    _head(program, format)
    for first in range(0, count, AT_ONCE):
        part = {name: array[first : first + AT_ONCE] for name, array in columns.items()}
        for answer in answers(program, executor.run({**weights, **part})):
            print(_line(answer, format))
    return 0


def _names_a_file(text: str) -> bool:
    """Of a net that reads sentences: a file that is there, or a word that ends as a table's name does."""
    ends = (".csv", ".tsv", ".jsonl", ".parquet", ".gz", ".xz", ".bz2", ".npz")
    return (len(text) < 4096 and Path(text).is_file()) or (text.endswith(ends) and not any(c.isspace() for c in text))


def _is_table(text: str) -> bool:
    """A word that names a file, rather than a value of one."""
    try:
        float(text)
    except ValueError:
        return "=" not in text or Path(text).exists()
    return Path(text).is_file()


def answers(program: Program, out: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[dict[str, Any]]:
    """Each row's answer: the class and its probability, or the net's outputs as they are."""
    plan = program.answer
    if plan is None or "answer" not in out:
        for row in range(len(out[program.outputs[0]])):
            yield {name: out[name][row].tolist() for name in program.outputs}
        return
    shares = out.get(plan.shares) if plan.shares else None
    for row, value in enumerate(out["answer"]):
        answer: dict[str, Any] = {"answer": value.tolist()}
        if plan.classes is not None:
            answer["answer"] = plan.classes[int(value)]
        if shares is not None:
            answer["probability"] = float(shares[row][int(value)])
        yield answer


def _head(program: Program, format: Format) -> None:
    if format is not Format.csv:
        return
    plan = program.answer
    names = list(program.outputs) if plan is None else ["answer", *(["probability"] if plan.shares else [])]
    print(",".join(names))


def _line(answer: Mapping[str, Any], format: Format) -> str:
    import json

    if format is Format.json:
        return json.dumps(answer)
    if format is Format.csv:
        return ",".join(_cell(value) for value in answer.values())
    if "answer" not in answer:
        return "  ".join(f"{name} {_short(value)}" for name, value in answer.items())
    sure = f"  {100 * answer['probability']:5.1f} %" if "probability" in answer else ""
    return f"{_short(answer['answer'])}{sure}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    # A class's name comes from the data, and may hold what moves a terminal's cursor.
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def _cell(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and text.lstrip()[:1] in FORMULA:
        text = "'" + text  # a spreadsheet would take it for a formula
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
