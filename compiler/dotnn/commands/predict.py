"""`nn predict`: gives a trained net what a person has, and prints its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import BackendName

if TYPE_CHECKING:
    import numpy as np

    from dotnn.plugins import Arrays, Backend, Options
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
        list[str] | None,
        typer.Argument(
            metavar="FILE… | VALUE…",
            help="Pictures, e-mails, texts, tables; or a sentence; or the values of one row.",
            show_default="nothing, where the answer is drawn at random",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Other draws, where the answer is drawn at random.")
    ] = None,
    backend: BackendName = "onnx",
    format: Annotated[Format, typer.Option(help="How answers are printed.")] = Format.text,
) -> int:
    """Ask a trained net: one answer for each row, picture, e-mail or sentence."""
    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.data import asked
    from dotnn.data.lengths import in_order
    from dotnn.generate.texts import others_of
    from dotnn.training.run import read_program, read_weights

    folder = run.parent if run.is_file() and run.suffix == ".onnx" else run
    program, state = read_program(folder), read_weights(folder, desk.say)
    graph = program.graphs["predict"]
    wanted = {fed.name for fed in graph.inputs}
    weights = {name: array for name, array in state.items() if name in wanted}
    chosen, options = plugins.backend(backend), plugins.Options()
    executor = chosen.start(chosen.lower(graph, options), options)
    if seed is not None and "key" in weights:
        weights["key"] = key_of(seed)
    headed = False
    if not any(fed.role in ("data", "label") for fed in graph.inputs):
        if rows:
            raise typer.BadParameter(f"This answer is drawn, and reads nothing: leave {rows[0]} away.")
        _head(program, format, named=False)
        for answer in answers(program, executor.run(weights), {}):
            print(_line(answer, format))
        return 0
    if not rows:
        raise typer.BadParameter("Say what it is asked about: a table, a file, or the values of one row.")
    said = _translator(program, chosen, options, state)
    for given in asked(rows, program.inputs if said is None else others_of(program)):
        if not headed:
            _head(program, format, given.names is not None)
            headed = True
        if said is not None:
            for number, answer in enumerate(said(given.columns)):
                print(_line({**_named(given.names, number), **answer}, format), flush=True)
            continue
        columns = {name: array for name, array in given.columns.items() if name in wanted}
        made = in_order(program.inputs, columns, AT_ONCE, lambda fed: executor.run({**weights, **fed}))
        for row, part, out in made:
            for number, answer in enumerate(answers(program, out, part), row):
                print(_line({**_named(given.names, number), **answer}, format))
    return 0


def _translator(
    program: Program, backend: Backend, options: Options, state: Arrays
) -> Callable[[Arrays], Iterator[dict[str, Any]]] | None:
    """What the net writes for the rows that it reads, where that is what it has learned."""
    from dotnn.generate.answers import translates, translations
    from dotnn.generate.writer import Writer

    if not translates(program):
        return None
    writer = Writer(program, backend, options, state)
    return lambda columns: translations(program, writer, columns)


def _named(names: Sequence[str] | None, number: int) -> dict[str, str]:
    return {} if names is None else {"file": names[number]}


def key_of(seed: int) -> np.ndarray[Any, Any]:
    """The generator's key of a seed."""
    import numpy as np

    from dotnn.squares import derive_key

    return np.asarray(derive_key(seed), np.uint64)


def answers(
    program: Program, out: Mapping[str, np.ndarray[Any, Any]], given: Mapping[str, np.ndarray[Any, Any]]
) -> Iterator[dict[str, Any]]:
    """Each row's answer: the class and its probability, the text, what comes next, or the net's outputs as they are."""
    from dotnn.data.given_windows import spoken
    from dotnn.generate.answers import goes_on, what_comes_next

    plan = program.answer
    if goes_on(program):
        yield from what_comes_next(program, out, given)
        return
    if plan is None or "answer" not in out:
        for row in range(len(out[program.outputs[0]])):
            yield {name: out[name][row].tolist() for name in program.outputs}
        return
    shares = out.get(plan.shares) if plan.shares else None
    for row, value in enumerate(out["answer"]):
        text = spoken(program, given, row, value, None if shares is None else shares[row])
        if text is not None:
            yield text
            continue
        answer: dict[str, Any] = {"answer": value.tolist()}
        if plan.classes is not None:
            answer["answer"] = plan.classes[int(value)]
        if shares is not None:
            answer["probability"] = float(shares[row][int(value)])
        yield answer


def _head(program: Program, format: Format, named: bool) -> None:
    if format is not Format.csv:
        return
    plan = program.answer
    names = list(program.outputs) if plan is None else ["answer", *(["probability"] if plan.shares else [])]
    if plan is None and program.generation is not None:
        names = ["answer", "probability"]
    print(",".join(["file", *names] if named else names))


def _line(answer: Mapping[str, Any], format: Format) -> str:
    import json

    if format is Format.json:
        return json.dumps(answer)
    if format is Format.csv:
        return ",".join(_cell(value) for value in answer.values())
    if "file" in answer:
        rest = {name: value for name, value in answer.items() if name != "file"}
        return f"{_short(answer['file'])}  {_line(rest, format)}"
    if "answer" not in answer:
        return "  ".join(f"{name} {_short(value)}" for name, value in answer.items())
    sure = f"  {100 * answer['probability']:5.1f} %" if "probability" in answer else ""
    return f"{_short(answer['answer'])}{sure}"


def _short(value: Any) -> str:
    import json

    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str) and value.strip() != value:
        value = json.dumps(value, ensure_ascii=False)  # else a space or the end of a line would not be seen
    # A class's name comes from the data, and may hold what moves a terminal's cursor.
    return "".join(c if c.isprintable() else "\ufffd" for c in str(value))


def _cell(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and text.lstrip()[:1] in FORMULA:
        text = "'" + text  # a spreadsheet would take it for a formula
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
