"""What several verbs are told on the command line: each argument and option is said once, and taken from here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a verb prints: for people, or for programs."""

    text = "text"
    json = "json"


Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")]
SpecNow = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where the spec lies now, if it has moved: tables are found from there."),
]
DeviceName = Annotated[str, typer.Option(metavar="NAME", help="Where to compute: auto, cpu, cuda.")]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, metavar="N", help="Threads.", show_default="one a core")]
BackendName = Annotated[str, typer.Option(metavar="NAME", help="What runs the net: onnx, reference.")]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N epochs at the latest.")]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after N steps at the latest.")]
