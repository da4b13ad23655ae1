"""`nn show`: the text of a definition, the rules of an operation, or what a file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dotnn.graph import Graph
    from dotnn.operation import Operation

STD = Path(__file__).parent.parent / "std"
HEAD = re.compile(
    r"^(function|layer|net|optimizer|data|train|param)\s+(?:on\s+)?(\w+)(?:(?:\s+on\s+\w+)?\s+as\s+(\w+))?"
)
CLAIM = re.compile(r'^claim\s+"((?:[^"\\]|\\.)*)"')


def show(
    name: Annotated[str, typer.Argument(metavar="NAME | FILE", help="A definition, an operation, or a spec.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Look into this spec first.")] = None,
) -> int:
    """Print a definition, the rules of an operation, or what a spec holds and how large it is."""
    from dotnn.commands import desk

    if file is None and (name.endswith(".nn") or Path(name).is_file()):
        path, block = desk.target(name)
        return _overview(path, block)
    places = [] if file is None else [desk.target(file)[0]]
    places += sorted(STD.glob("*.nn"))
    known: list[str] = []
    for place in places:
        for found in definitions(place.read_text(encoding="utf-8")):
            if found.name == name and found.word in ("function", "layer", "net", "optimizer"):
                where = f"std/{place.name}" if place.parent == STD else str(place)
                print(f"# {where}, line {found.line}")
                print(found.text)
                _below(name, found.text)
                return 0
            known.append(found.name)
    from dotnn.elaborate.library import standard_names, standard_text

    brought = standard_text(name)
    if brought is not None:
        print(f"# {brought.name}")
        print(brought.text, end="")
        return 0
    from dotnn.operation import known as is_operation
    from dotnn.operation import lookup, operations

    if is_operation(name):
        print(operation_text(lookup(name)))
        return 0
    from dotnn.elaborate.vocabulary import PRIMITIVES, settings_of

    if name in PRIMITIVES:
        settings = f"\nsettings: {', '.join(settings_of(name))}" if settings_of(name) else ""
        print(f"word {name}: {PRIMITIVES[name].__doc__ or 'written in other operations'}{settings}")
        return 0
    from dotnn_grammar.problems import perhaps

    everything = [*known, *standard_names(), *PRIMITIVES, *(operation.name for operation in operations())]
    near = perhaps(name, everything, "`nn show FILE.nn` lists what a file holds")
    raise desk.UnknownName(name=name, near=near).error()


def _below(name: str, text: str) -> None:
    """The rules of the operation of the same name, where the definition hands on to it."""
    from dotnn.operation import known, lookup

    if known(name) and re.search(rf"return {name}\(", text):
        print(f"\n# The operation behind it\n{operation_text(lookup(name))}")


@dataclass(frozen=True, slots=True)
class Text:
    """A declaration as it stands in a file, with the comment above it."""

    word: str
    name: str
    line: int
    text: str


def definitions(source: str) -> Iterator[Text]:
    """Every declaration at the left margin of a file."""
    lines = source.split("\n")
    for number, line in enumerate(lines):
        head = HEAD.match(line)
        if head is None:
            continue
        first = number
        while first and lines[first - 1].startswith("#"):
            first -= 1
        last, depth = number, _depth(line)
        while depth > 0 and last + 1 < len(lines):
            last += 1
            depth += _depth(lines[last])
        yield Text(head[1], head[3] or head[2], number + 1, "\n".join(lines[first : last + 1]))


def claims(source: str) -> Iterator[Text]:
    """What a file claims of its nets, at the left margin: without a name, its words where others have a comment."""
    for number, line in enumerate(source.split("\n"), start=1):
        said = CLAIM.match(line)
        if said is not None:
            yield Text("claim", "", number, "# " + said[1].replace('\\"', '"'))


def _depth(line: str) -> int:
    bare = re.sub(r'"[^"]*"|#.*', "", line)
    return sum(bare.count(mark) for mark in "{([") - sum(bare.count(mark) for mark in "})]")


def operation_text(operation: Operation) -> str:
    """An operation's meaning, and its rules as they are written."""
    import inspect
    import textwrap

    parts = [f"operation {operation.name}: {operation.doc}", ""]
    rules = [("type", operation.infer), ("gradient", operation.gradient), ("cost", operation.cost)]
    for title, rule in rules:
        if rule is None:
            words = {"gradient": "none passes", "cost": "one for each number of the result"}[title]
            parts.append(f"{title}: {words}")
            continue
        parts.append(f"{title}:")
        parts.append(textwrap.indent(textwrap.dedent(inspect.getsource(rule)).rstrip(), "    "))
    return "\n".join(parts)


def _overview(path: Path, block: str | None) -> int:
    """What a file holds, and the sizes of each net that it trains."""
    from dotnn.compiler import compile_file, program_names

    text = path.read_text(encoding="utf-8")
    for found in sorted([*definitions(text), *claims(text)], key=lambda found: found.line):
        print(f"{found.word:<10}{found.name:<16}line {found.line}{_said(found.text)}")
    for name in [block] if block else program_names(path):
        program = compile_file(path, settings={}, train=name).program
        print(f"\n{name}: {program.parameters:,} numbers to learn")
        for line in sizes(program.graphs["train"]):
            print(f"  {line}")
    return 0


def _said(text: str) -> str:
    """The first sentence of the comment above a declaration."""
    comment = text.split("\n")[0]
    return f"   {comment.lstrip('# ').strip()}" if comment.startswith("#") else ""


def sizes(graph: Graph) -> list[str]:
    """One line a part of the net: its weights and how many numbers they hold."""
    from dotnn.operation import elements

    parts: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for fed in graph.inputs:
        if not fed.learned:
            continue
        part, _, weight = fed.name.rpartition(".")
        dims = ", ".join(str(d) for d in fed.type.dims)
        parts.setdefault(part, []).append(f"{weight}[{dims}]")
        counts[part] = counts.get(part, 0) + elements(fed.type)
    width = max((len(part) for part in parts), default=0)
    return [f"{part:<{width}}  {counts[part]:>12,}  {' '.join(weights)}" for part, weights in parts.items()]
