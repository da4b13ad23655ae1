"""What a definition of the language must pass, ours and yours: `check_definition`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dotnn import plugins
from dotnn.plugins import Options
from dotnn.read import read_definitions
from dotnn.spec import Definition
from dotnn.testing import goldens
from dotnn.testing.lines import told
from dotnn.testing.numbers import compare_program, starter
from dotnn.testing.peer import ALONE, Peers
from dotnn.testing.report import Check, FailedError, Report, check_each
from dotnn.testing.shelf import Shelved
from dotnn.testing.slopes import check_slopes
from dotnn.testing.specs import sample_of, spec_around, write_sample
from dotnn.write import write_definition
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source


def check_definition(text: str | Path, peers: Peers = ALONE, kept: Path | None = None) -> Report:
    """Definitions of the language, from their text or file: read, tried, differentiated, run.

    Where the comment has `try:` lines (``lines.py``, and the page of the standard library, say how they are written),
    these are run as the library's own are: beside the peer in double precision and as ONNX in single, gradients beside
    finite differences, functions on extreme numbers too. One without is tried where it can stand in a small spec (as a
    layer or function in a net, a loss, a metric, an initialiser, a schedule, an optimizer), whose gradients are
    compared with finite differences, and the numbers of the ONNX backend with the reference's.

    peers: who may be asked about the lines, ``Peers(torch=torch)``; NumPy always. kept: the folder with their numbers,
    as ``keep`` wrote them, where they are not to be asked again.
    """
    name, content = _read(text)
    try:
        found = read_definitions(Source(name=name, text=content))
    except ProblemError as wrong:
        failed = "\n".join(problem.title_text for problem in wrong.problems)
        return Report(f"definitions of {name}", (Check("they can be read", 1, 1, failed),))
    checks = [check for one in found for check in _checks(Shelved(one, peers, found, kept), name, content)]
    if not checks:
        checks.append(Check("there is a definition", 0, advice="write `function NAME(x) { return … }`, or a layer"))
    return Report(f"definitions of {name}", tuple(checks))


def keep(text: str | Path, peers: Peers, kept: Path) -> None:
    """Writes what PyTorch and scikit-learn say of the lines: a file of text in ``kept`` for each definition.

    Raises ``ProblemError`` where the definitions cannot be read, ``FailedError`` where a peer cannot be asked.
    """
    name, content = _read(text)
    found = read_definitions(Source(name=name, text=content))
    for one in found:
        answers = Shelved(one, peers, found).answers()
        if answers:
            (kept / f"{one.name}.txt").write_text(goldens.written(answers), "utf-8")


def _read(text: str | Path) -> tuple[str, str]:
    return (text.name, text.read_text(encoding="utf-8")) if isinstance(text, Path) else ("text", text)


def _checks(shelved: Shelved, name: str, content: str) -> Iterator[Check]:
    definition = shelved.definition
    label = f"{definition.word} {definition.name}: "

    def same(definition: Definition) -> None:
        again = read_definitions(Source(name=name, text=write_definition(definition)))
        if write_definition(again[0]) != write_definition(definition):
            raise FailedError("written and read again it is another")

    def documented(definition: Definition) -> None:
        if not definition.doc.strip():
            raise FailedError("it has no comment above it")
        told(definition.doc)

    yield check_each(label + "written and read again it is the same", [definition], same, show=_quiet)
    advice = "write a line of comment above it, for `nn show`"
    said = check_each(label + "it says what it does", [definition], documented, advice, show=_quiet)
    yield said
    if said.ok:
        yield from shelved.checks() if shelved.told.tries else _placed(label, definition, "\n" + content)


def _placed(label: str, definition: Definition, content: str) -> Sequence[Check]:
    """In the first small spec in which it can stand."""
    with TemporaryDirectory() as folder:

        def near(definition: Definition) -> None:
            sample = sample_of(spec_around(definition, content), Path(folder), definition.name)
            compare_program(sample, starter(plugins.backend("onnx"), Options()))

        def steep(definition: Definition) -> None:
            check_slopes(write_sample(spec_around(definition, content), Path(folder), "slopes")).require()

        return [
            check_each(label + "ONNX gives the reference's numbers", [definition], near, show=_quiet),
            check_each(label + "gradients are derivatives", [definition], steep, show=_quiet),
        ]


def _quiet(case: object) -> str:
    return ""
