"""`nn claims`: whether what a spec claims of its net holds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    text = "text"
    json = "json"


def claims(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    spec: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the spec lies now, if it has moved: tables are found from there."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where to compute: auto, cpu, cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Threads.", show_default="one a core")
    ] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="What runs the net: onnx, reference.")] = "onnx",
    format: Annotated[Format, typer.Option(help="Lines for people, or one JSON object.")] = Format.text,
) -> int:
    """Check what a spec claims of its net, each claim with its figure. Ends with 1 where one fails."""
    import json

    from dotnn import plugins
    from dotnn.claims.verdict import record
    from dotnn.commands import desk
    from dotnn.training.claims import check_claims, claimed_rows, lines
    from dotnn.training.elsewhere import spec_of
    from dotnn.training.evaluate import CHANGED, dataset_of
    from dotnn.training.run import read_program, read_weights
    from dotnn.training.started import read_started
    from dotnn_grammar.problems import ProblemError

    program, state = read_program(run), read_weights(run, desk.say)
    began = read_started(run)
    text, source = spec_of(run)
    if not program.claims:
        desk.say(f"note: the train block `{program.name}` of {began.spec} has no claim below it")
    with desk.beside_spec("claims", run, spec) as folder:
        try:
            dataset, _ = dataset_of(run, program, folder)
            rows = claimed_rows(program, text, folder, dataset)
        except ProblemError as problem:
            problem.sources = {source.name: source}
            raise
    verdicts = check_claims(program, state, rows, plugins.backend(backend), desk.options(device, threads))
    if dataset.fingerprint != began.facts.data:
        desk.say(CHANGED)
    if format is Format.json:
        print(json.dumps({"run": str(run), "claims": record(verdicts)}))
    else:
        for line in lines(verdicts):
            print(line.removeprefix("  "))
    return 0 if all(verdict.holds for verdict in verdicts) else 1
