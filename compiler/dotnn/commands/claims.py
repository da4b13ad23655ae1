"""`nn claims`: whether what a spec claims of its net holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnn.commands.options import BackendName, DeviceName, Format, Run, Threads


def claims(
    run: Run,
    spec: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The spec as it is now: its claims are checked, its tables found beside it."),
    ] = None,
    device: DeviceName = "cpu",
    threads: Threads = None,
    backend: BackendName = "onnx",
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
    from dotnn.training.reclaim import claims_otherwise, reclaimed, said_since
    from dotnn.training.run import read_program, read_weights
    from dotnn.training.started import read_started
    from dotnn_grammar.problems import ProblemError

    program, state = read_program(run), read_weights(run, desk.say)
    began = read_started(run)
    text, source = spec_of(run)
    dataset, sources = None, {source.name: source}
    note = said_since(text, Path(began.spec), program.name) if spec is None else None
    if spec is not None and claims_otherwise(text, desk.spec_file(spec), program.name):
        now = reclaimed(run, program, text, spec)
        program, text, dataset, sources = now.program, now.spec, now.dataset, dict(now.sources)
    if note is None and not program.claims:
        note = f"note: the train block `{program.name}` of {spec or began.spec} has no claim below it"
    if note is not None:
        desk.say(note)
    with desk.beside_spec("claims", run, spec) as folder:
        try:
            dataset = dataset or dataset_of(run, program, folder)[0]
            rows = claimed_rows(program, text, folder, dataset)
        except ProblemError as problem:
            problem.sources = sources
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
