"""`nn compile`: writes the bundle of ONNX files that any host can train, or what another backend makes of a spec."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dotnn.commands.options import Format


class Target(StrEnum):
    portable = "portable"
    cpu = "cpu"
    cuda = "cuda"


class Host(StrEnum):
    python = "python"


def compile(
    file: Annotated[str, typer.Argument(metavar="FILE[:NAME]", help="The spec, and one train block of it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the bundle goes.")],
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a param or a line.")] = None,
    host: Annotated[Host | None, typer.Option(help="Write a training loop in this language too.")] = None,
    target: Annotated[Target, typer.Option(help="Which runtime builds must run it.")] = Target.portable,
    backend: Annotated[str, typer.Option(metavar="NAME", help="Who writes: onnx, torch, training-info, ….")] = "onnx",
    format: Annotated[Format, typer.Option(help="How the files are told.")] = Format.text,
) -> int:
    """Write a spec as ONNX files, which onnxruntime trains without nn."""
    import json

    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.compiler import compile_file, program_names
    from dotnn.plugins import Exporting, Hosting, Options
    from dotnn.training.problems import cannot_write

    path, name = desk.target(file)
    values = desk.settings(set or [])
    writer = plugins.backend(backend)
    mark = writer.mark if isinstance(writer, Exporting) else "manifest.json"
    options = Options(target=target.value)
    names = [name] if name else program_names(path)
    for block in names:
        compiled = compile_file(path, settings=values, train=block)
        for note in compiled.notes:
            desk.say(note)
        folder = out / block if len(names) > 1 else out
        try:
            folder.mkdir(parents=True, exist_ok=True)
            others = [p for p in folder.iterdir() if not p.name.startswith(".")]
        except OSError as error:
            raise cannot_write(folder, error) from None
        if others and not (folder / mark).exists():
            raise desk.NotEmpty(folder=str(folder)).error()
        if host is None and isinstance(writer, Exporting):
            rows_of = {split: rows.arrays for split, rows in compiled.dataset.splits.items()}
            paths = writer.export(compiled.program, compiled.source, folder, options, rows_of)
        elif host is None:
            paths = writer.write(compiled.program, compiled.source, folder, options)
        elif isinstance(writer, Hosting):
            rows = compiled.dataset.splits["train"].arrays
            paths = writer.write(compiled.program, compiled.source, folder, options, host.value, rows)
        else:
            raise desk.NoHost(backend=writer.name, language=host.value).error()
        if format is Format.json:
            print(
                json.dumps(
                    {"event": "compiled", "name": block, "folder": str(folder), "files": [str(p) for p in paths]}
                )
            )
            continue
        for written in paths:
            print(written)
        desk.say(f"{block}: {compiled.program.parameters:,} numbers to learn, in {len(paths)} files.")
    return 0
