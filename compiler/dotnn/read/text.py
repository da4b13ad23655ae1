"""One file's text to its Spec; `use` lines are read and not followed."""

from __future__ import annotations

from typing import NamedTuple

from dotnn import spec
from dotnn.read.claims import claimed, read_claim
from dotnn.read.data import DataBlock
from dotnn.read.expressions import Branch, Reader, branch, kids, refuse_twice
from dotnn.read.train import TrainBlock
from dotnn_grammar.limits import Limits, allowing
from dotnn_grammar.parse import parse
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source, Span


class NotFrom(Problem):
    code = "R016"
    title = "`{word}` cannot stand here"
    label = "expected `from`"
    help = 'the form is: use gate, blend from "blocks.nn"'
    word: str


class OneList(Problem):
    code = "R017"
    title = "optimizer `{name}` has one list only"
    label = "expected two lists"
    help = "first the settings, then the weight and its gradient: `optimizer {name}(lr = 1e-3)(w, g) {{ … }}`"
    name: str


class NoSettings(Problem):
    code = "R018"
    title = "a net takes no settings"
    label = "a net has one list, its inputs"
    help = "make a `param` of each setting, or a `layer` of the net"


class TwoOfOneName(Problem):
    code = "R019"
    title = "`{name}` is defined twice"
    label = "defined here again"
    help = "give one of the two another name"
    name: str


class Parts(NamedTuple):
    """What one file holds."""

    spec: spec.Spec
    uses: tuple[spec.Use, ...]


def read_parts(source: Source) -> Parts:
    """The declarations of one file.

    Raises ProblemError with everything that is wrong with its declarations.
    """
    tree = parse(source)
    reader = Reader(source.name)
    problems: list[Problem] = []
    uses: list[spec.Use] = []
    params: list[spec.Param] = []
    data: list[spec.Data] = []
    definitions: list[spec.Definition] = []
    trains: list[spec.Train] = []
    is_first = True
    for child in kids(tree):
        if child is None:
            continue
        part = branch(child)
        doc = doc_above(source, reader.span(part).line)
        try:
            if part.data == "use":
                uses.append(_use(reader, part))
            elif part.data == "param":
                name, value = kids(part)
                given = reader.expression(value)
                params.append(spec.Param(span=reader.span(part), name=str(name), value=given, doc=doc))
            elif part.data in ("data", "derived"):
                block = DataBlock(source)
                read = block.read(part, doc)
                problems.extend(block.problems)
                data.extend([read] if read else [])
            elif part.data == "train":
                is_first = False
                lines = TrainBlock(source)
                train = lines.read(part, doc)
                problems.extend(lines.problems)
                trains.extend([train] if train else [])
            elif part.data == "claim":
                claimed(trains, read_claim(reader, part, doc), is_first)
            else:
                definition = reader.definition(part, doc)
                problems.extend(check_definition(definition))
                definitions.append(definition)
        except ProblemError as wrong:
            problems.extend(wrong.problems)
    for group in (params, data):
        problems.extend(refuse_twice([(p.name, first_line(p)) for p in group], "one file"))
    problems.extend(refuse_twice([(d.name, heading(d)) for d in definitions], "one file"))
    if problems:
        raise ProblemError(problems)
    whole = spec.Spec(
        file=source.name,
        params=tuple(params),
        data=tuple(data),
        definitions=tuple(definitions),
        trains=tuple(trains),
        doc=first_doc(source),
    )
    return Parts(whole, tuple(uses))


def read_text(source: Source) -> spec.Spec:
    """The Spec of a text by itself, its `use` lines not followed (``read_parts`` has them)."""
    return read_parts(source).spec


def read_definitions(source: Source) -> tuple[spec.Definition, ...]:
    """The definitions of a file of the standard library, which is held to no other limits than its own."""
    with allowing(Limits()):
        return read_parts(source).spec.definitions


def _use(reader: Reader, tree: Branch) -> spec.Use:
    *names, file = kids(tree)
    given = [n for n in names if n is not None]
    if given and str(given[-1]) != "from":
        raise NotFrom(span=reader.span(given[-1]), word=str(given[-1])).error()
    return spec.Use(span=reader.span(tree), names=tuple(str(n) for n in given[:-1]), file=reader.text(file))


def check_definition(definition: spec.Definition) -> list[Problem]:
    """What can be seen from a signature alone."""
    problems: list[Problem] = []
    if definition.word == "optimizer" and definition.settings is None:
        problems.append(OneList(span=heading(definition), name=definition.name))
    if definition.word == "net" and definition.settings is not None:
        problems.append(NoSettings(span=heading(definition)))
    listed = [(p.name, p.span) for p in (*(definition.settings or ()), *definition.inputs)]
    problems.extend(refuse_twice(listed, "one signature"))
    results = [(r.name, r.span) for r in definition.results if r.name is not None]
    problems.extend(refuse_twice(results, "the results"))
    return problems


def heading(definition: spec.Definition) -> Span:
    """The first line of it."""
    span = definition.span
    end = span.column + len(definition.word) + 1 + len(definition.name)
    return span.model_copy(update={"end_line": span.line, "end_column": end})


def first_line(part: spec.Part) -> Span:
    """The place of a declaration that may go on for lines: its beginning."""
    span = part.span
    return (
        span
        if span.line == span.end_line
        else span.model_copy(update={"end_line": span.line, "end_column": span.column + 1})
    )


def doc_above(source: Source, line: int) -> str:
    """The comment block directly above ``line``, without its signs."""
    texts: list[str] = []
    number = line - 1
    while number >= 1 and source.line(number).lstrip().startswith("#"):
        texts.append(_bare(source.line(number)))
        number -= 1
    return "\n".join(reversed(texts)).strip()


def first_doc(source: Source) -> str:
    """The comment block that the file begins with."""
    texts: list[str] = []
    for line in source.lines:
        if not line.lstrip("\ufeff \t\r").startswith("#"):
            if texts or line.strip():
                break
            continue
        texts.append(_bare(line.lstrip("\ufeff")))
    return "\n".join(texts).strip()


def _bare(line: str) -> str:
    return line.strip().removeprefix("#").removeprefix(" ")
