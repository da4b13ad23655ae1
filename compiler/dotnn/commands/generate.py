"""`nn generate`: lets a net that has learned what comes next write texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnn.commands.options import BackendName, Format, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnn.generate.search import Written
    from dotnn.generate.texts import Beginning, Speech
    from dotnn.generate.writer import Way, Writer
    from dotnn.program import Program

LENGTH = 200
"""Tokens, where nothing else ends a text."""
MANY = 2**31
"""More tokens than any net has."""


def generate(
    run: Run,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How the text begins; of a net that translates, what it reads.")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tokens to write, at most.", show_default=f"{LENGTH}, or a sentence"),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="0: always the likeliest token; above 1: bolder.", show_default="1; 0 where it translates"
        ),
    ] = None,
    top_n: Annotated[
        int, typer.Option("--top-k", min=0, metavar="N", help="Draw from the N likeliest tokens.", show_default="all")
    ] = 0,
    top_p: Annotated[
        float, typer.Option(metavar="SHARE", help="Draw from the likeliest that have this share together.")
    ] = 1.0,
    beam: Annotated[
        int, typer.Option(min=1, metavar="N", help="Follow the N likeliest texts side by side, draw nothing.")
    ] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, another text.")] = 0,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many texts.")] = 1,
    given: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME=VALUE", help="What else the net reads.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column that is continued, where the data does not say.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="The net's result with the scores.", show_default="the one")
    ] = None,
    backend: BackendName = "onnx",
    format: Annotated[Format, typer.Option(help="Texts for people, or one JSON object a text.")] = Format.text,
) -> int:
    """Let a trained net write: it goes on from a beginning, one token after another."""
    from dotnn import plugins
    from dotnn.commands import desk
    from dotnn.generate.texts import Speech, beginning, plan_of
    from dotnn.generate.writer import Way, Writer
    from dotnn.training.run import read_program, read_weights

    program, state = read_program(run), read_weights(run, desk.say)
    program = _writing(run, program, column, output)
    plan = plan_of(program)
    heat = temperature if temperature is not None else 0.0 if plan.begins is not None else 1.0
    way = Way(heat, min(top_n, MANY), top_p, seed)
    _refuse(way, beam, count, temperature)
    speech, start = Speech.of(program), beginning(program, prompt, given or [])
    if start.unknown:
        desk.say(f"note: training never saw {' '.join(start.unknown[:8])}; the net cannot tell one from another")
    writer = Writer(program, plugins.backend(backend), desk.options("cpu", None), state)
    most = length or (plan.length - 1 if plan.begins is not None else LENGTH)
    if beam > 1:
        _show(_searched(writer, start, beam, most)[:count], speech, start, format)
    elif count == 1 and format is Format.text:
        _stream(writer, start, speech, most, way)
    else:
        _show(_drawn(writer, start, most, way, count), speech, start, format)
    return 0


def _writing(run: Path, program: Program, column: str | None, output: str | None) -> Program:
    """The program with its graphs for writing. Raises ``ProblemError``, with the text of the run's own spec."""
    from dotnn.generate.plan import written
    from dotnn.training.run import SPEC
    from dotnn_grammar.problems import ProblemError
    from dotnn_grammar.source import Source

    if program.generation is not None and column is None and output is None:
        return program
    try:
        return written(program, column, output)
    except ProblemError as error:
        own = run / SPEC
        for problem in error.problems:
            if problem.span is not None and own.is_file():
                error.sources[problem.span.file] = Source(name=problem.span.file, text=own.read_text(encoding="utf-8"))
        raise


def _refuse(way: Way, beam: int, count: int, temperature: float | None) -> None:
    """Raises ``ProblemError`` where the settings make no sense together."""
    from dotnn.generate.problems import OutOfRange

    if not 0 <= way.temperature < 1e6:
        why = "it must be 0 or more"
        raise OutOfRange(option="temperature", value=f"{way.temperature:g}", why=why, way="try 0.8").error()
    if not 0 < way.top_p <= 1:
        why = "it is a share, above 0 and at most 1"
        raise OutOfRange(option="top-p", value=f"{way.top_p:g}", why=why, way="try 0.9").error()
    if not -(2**63) <= way.seed < 2**63:
        raise OutOfRange(option="seed", value=str(way.seed), why="a seed has 64 bits", way="try a smaller one").error()
    if beam > 1 and (temperature is not None or way.top_n or way.top_p < 1):
        why = "it follows the likeliest texts, and draws nothing"
        away = "leave --temperature, --top-k and --top-p out, or --beam"
        raise OutOfRange(option="beam", value=str(beam), why=why, way=away).error()
    if beam > 1 and count > beam:
        why = f"--count {count} texts are asked for, and {beam} are followed"
        raise OutOfRange(option="beam", value=str(beam), why=why, way=f"--beam {count}").error()


def _stream(writer: Writer, start: Beginning, speech: Speech, most: int, way: Way) -> None:
    """One text, as it comes."""
    from dotnn.generate.search import drawn
    from dotnn.generate.texts import Stream

    stream = Stream(speech, start.tokens[0].tolist(), start.shown)
    print(_safe(stream.shown), end="", flush=True)
    tokens: list[int] = []
    try:
        for texts in drawn(writer, start.tokens, most, way, start.others):
            tokens = texts[0].tokens
            print(_safe(stream.more(tokens)), end="", flush=True)
    finally:
        print(_safe(stream.more(tokens, last=True)), flush=True)


def _drawn(writer: Writer, start: Beginning, most: int, way: Way, count: int) -> list[Written]:
    from dotnn.generate.search import drawn

    others = {name: array.repeat(count, 0) for name, array in start.others.items()}
    return list(drawn(writer, start.tokens.repeat(count, 0), most, way, others))[-1]


def _searched(writer: Writer, start: Beginning, beam: int, most: int) -> list[Written]:
    from dotnn.generate.search import likeliest

    return likeliest(writer, start.tokens, beam, most, start.others)[0]


def _show(texts: list[Written], speech: Speech, start: Beginning, format: Format) -> None:
    from dotnn.generate.texts import Stream

    for number, text in enumerate(texts):
        stream = Stream(speech, start.tokens[0].tolist(), start.shown)
        new = stream.more(text.tokens, last=True)
        if format is Format.json:
            _print_json(stream.shown, new, text)
        else:
            print(("\n" if number else "") + _safe(stream.shown + new), flush=True)


def _print_json(shown: str, new: str, text: Written) -> None:
    import json

    facts: dict[str, Any] = {"prompt": shown, "text": new, "tokens": text.tokens, "log_share": text.likely}
    print(json.dumps({**facts, "ended": text.ended}, ensure_ascii=False), flush=True)


def _safe(text: str) -> str:
    """Without what moves a terminal's cursor: a net has learned to write from somebody's data."""
    return "".join(_shown(text))


def _shown(text: str) -> Iterator[str]:
    for c in text:
        yield c if c.isprintable() or c in "\n\t" else "\ufffd"
