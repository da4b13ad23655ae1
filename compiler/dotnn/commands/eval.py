"""`nn eval`: the figures of a trained net, on the rows of its spec or on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import BackendName, DeviceName, Format, Run, SpecNow, Threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnn.program import Program
    from dotnn.training.evaluate import Measured


def eval(
    run: Run,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="PART | DATA | FILE",
            help="A part of its data, other data of its spec (DATA or DATA.PART), or a table with answers.",
            show_default="all",
        ),
    ] = None,
    spec: SpecNow = None,
    device: DeviceName = "cpu",
    threads: Threads = None,
    backend: BackendName = "onnx",
    format: Annotated[Format, typer.Option(help="A table for people, or one JSON object.")] = Format.text,
) -> int:
    """Measure a trained net: loss, error and metrics of whole splits, or of a table of your own."""
    import json

    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.training.elsewhere import block_in, elsewhere, spec_of
    from dotnn.training.evaluate import CHANGED, chosen, dataset_of, labelled_rows, measure
    from dotnn.training.run import plain, read_program, read_weights
    from dotnn.training.started import read_started
    from dotnn_grammar.problems import ProblemError

    program, state = read_program(run), read_weights(run, desk.say)
    notes: list[str] = []
    if on is not None and on not in ("train", "val", "test") and Path(on).exists():
        rows = {on: labelled_rows(Path(on), program)}
    else:
        began = read_started(run)
        with desk.beside_spec("eval", run, spec) as folder:
            dataset, _ = dataset_of(run, program, folder)
        text, source = spec_of(run)
        if block_in(text, on) is not None and on is not None:
            try:
                program, rows = elsewhere(text, program, dataset, folder, on)
            except ProblemError as problem:
                problem.sources = {source.name: source}
                raise
        else:
            rows = chosen(dataset, on, [block.name for block in text.data])
        if dataset.fingerprint != began.facts.data:
            notes.append(CHANGED)
    found = measure(program, state, rows, plugins.backend(backend), desk.options(device, threads))
    for note in notes:
        desk.say(note)
    if format is Format.json:
        print(
            json.dumps({"run": str(run), **{n: {"rows": m.rows, **(plain(m.figures) or {})} for n, m in found.items()}})
        )
        return 0
    for line in table(program, found):
        print(line)
    return 0


def table(program: Program, found: Mapping[str, Measured]) -> list[str]:
    """The figures in columns, one line a split."""
    from dotnn.training.display import is_share, shown
    from dotnn.training.tables import tables

    first = {name: value for measured in found.values() for name, value in measured.figures.items()}
    names = [name for name in first if not isinstance(first[name], tuple)]
    heads = ["", "rows", *names]
    body: list[list[Any]] = [
        [split, f"{m.rows:,}", *(shown(m.figures.get(n), is_share(program, n)) for n in names)]
        for split, m in found.items()
    ]
    widths = [max(len(line[i]) for line in [heads, *body]) for i in range(len(heads))]
    lines = [
        f"{line[0]:<{widths[0]}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))
        for line in [heads, *body]
    ]
    return lines + [line for split, m in found.items() for line in tables(program, m.figures, split)]
