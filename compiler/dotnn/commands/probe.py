"""`nn probe`: any tensor of a trained net, and any gradient, for given examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import BackendName, Format, Run, SpecNow

if TYPE_CHECKING:
    from dotnn.insight.ask import Answer
    from dotnn.insight.paths import Paths


def probe(
    run: Run,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH…]", help="Digits.hidden, Digits.hidden.W, logits, 'grad(loss, image)'."),
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(metavar="N", help="Which example, from 0; several: 0..8.", show_default="0"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All examples of the part.")] = False,
    on: Annotated[
        str | None,
        typer.Option(metavar="SPLIT | FILE", help="A part of its data, or a table.", show_default="test, if there"),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file: .npz, .csv, .json or .png.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="PATH", help="What colours the points of a .png.")] = None,
    draw: Annotated[
        bool | None, typer.Option("--draw/--no-draw", help="Pictures as shades.", show_default="on a terminal")
    ] = None,
    spec: SpecNow = None,
    backend: BackendName = "onnx",
    format: Annotated[Format, typer.Option(help="For people, or one JSON object.")] = Format.text,
) -> int:
    """Look into a trained net: what any part of it makes of an example. Without a PATH: everything that has one."""
    import sys

    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.insight.ask import answers
    from dotnn.insight.save import refuse_kind
    from dotnn.insight.save import save as write
    from dotnn.insight.trained import trained

    if save is not None:
        refuse_kind(save)
    with desk.beside_spec("probe", run, spec) as folder:
        asked_of = trained(run, on, folder, desk.say)
    if not paths:
        for line in overview(asked_of.paths):
            print(line)
        return 0
    asked = [asked_of.paths.ask(path) for path in dict.fromkeys(paths)]
    colour = None if by is None else asked_of.paths.ask(by)
    everything = [*asked, colour] if colour is not None else asked
    of, rows = asked_of.rows(everything)
    examples = range(rows.count) if every else [n for text in example or ["0"] for n in chosen(text, rows.count)]
    found = answers(everything, asked_of.state, rows, examples, plugins.backend(backend), plugins.Options())
    shown = found[: len(asked)]
    if save is not None:
        write(save, shown, examples, found[-1] if colour is not None else None)
        print(save)
    elif format is Format.json:
        print(as_json(found, examples))
    else:
        for line in told(shown, examples, sys.stdout.isatty() if draw is None else draw, of):
            print(line)
    return 0


def overview(paths: Paths) -> Iterator[str]:
    """Every path with its type."""
    from dotnn.commands.runs import columns

    lines = [[named.path, str(named.value.type), named.kind] for named in paths.named.values()]
    yield from columns([["path", "type", "what it is"], *lines])
    yield ""
    yield "grad(loss, PATH) is how the loss would change with each number of it."


def chosen(text: str, count: int) -> Sequence[int]:
    """`3`, or `0..8` without 8. Raises ``ProblemError``."""
    from dotnn.commands import desk

    first, dots, last = text.partition("..")
    if not first.strip().isdigit() or (dots and not last.strip().isdigit()):
        raise desk.NoSuchExample(text=text, why="that is no number").error()
    places = range(int(first), int(last) if dots else int(first) + 1)
    if not places or places[-1] >= count:
        why = f"there are {count:,} rows, the last is {count - 1}" if places else "there is nothing in between"
        raise desk.NoSuchExample(text=text, why=why).error()
    return places


def told(found: Sequence[Answer], examples: Sequence[int], drawn: bool, of: str) -> Iterator[str]:
    """What the examples share first, then example by example."""
    from dotnn.insight.show import lines

    shared, own = [a for a in found if not a.each], [a for a in found if a.each]
    for answer in shared:
        yield from lines(answer, 0, drawn)
    for place, example in enumerate(examples if own else ()):
        if place or shared:
            yield ""
        yield f"example {example} of {of}"
        for answer in own:
            yield from lines(answer, place, drawn)


def as_json(found: Sequence[Answer], examples: Sequence[int]) -> str:
    """The answers as one JSON object."""
    import json

    from dotnn.insight import save

    made: dict[str, Any] = save.as_json(found, examples)
    return json.dumps(made)
