"""The script as a whole: head, helpers that are used, data, definitions, what is measured, the loop."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.elaborate.values import Known
from dotnn.measures.apart import is_apart
from dotnn.plugins import Arrays
from dotnn.program import Program
from dotnn.spec import Spec, Train
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source
from dotnn_torch.problems import NotInThisVersion
from dotnn_torch.script.book import Book
from dotnn_torch.script.helpers import HELPERS, SQUARES
from dotnn_torch.script.loop import write_loop
from dotnn_torch.script.text import WIDTH, comment, docstring, fitted
from dotnn_torch.script.trace import Trace, trace
from dotnn_torch.script.training import write_data, write_figures
from dotnn_torch.script.updates import write_optimizer

_TRAIN_WORDS = (
    "span name data assigns loss error metrics answer optimizer batch epochs steps seed stop keep clip decays doc "
    "called freezes rates accumulate precision claims"
)
TRAIN_WORDS = frozenset(_TRAIN_WORDS.split())
"""The lines of a train block that become text here."""


def write(program: Program, source: str, folder: Path, splits: Mapping[str, Arrays] | None) -> Sequence[Path]:
    """`NAME.py` and, with ``splits``, the rows of each as `SPLIT.npz`. Raises ``ProblemError``."""
    script = folder / f"{module_name(program)}.py"
    script.write_text(script_text(program, source), encoding="utf-8", newline="\n")
    numbers = folder / "squares.py"
    numbers.write_text(SQUARES, encoding="utf-8", newline="\n")
    paths = [script, numbers]
    save: Any = np.savez_compressed  # its keywords are names of arrays
    for name, arrays in (splits or {}).items():
        rows = folder / f"{name}.npz"
        wanted = {raw.name: np.ascontiguousarray(arrays[raw.name]) for raw in program.inputs}
        with rows.open("wb") as file:
            save(file, **wanted)
        paths.append(rows)
    return paths


def module_name(program: Program) -> str:
    """What the script is called: by its net, but never as something that it imports itself."""
    name = program.name.lower()
    return f"{name}_net" if name in sys.stdlib_module_names or name in ("torch", "numpy", "squares") else name


def script_text(program: Program, source: str) -> str:
    """The text of the script: the same for the same program and text. Raises ``ProblemError``."""
    try:
        found = trace(program, source)
        try:
            text = _text(found)
            ast.parse(text)
        except (LookupError, ValueError, TypeError, AttributeError, StopIteration, SyntaxError):
            # A form that nobody has thought of here: told as such, never written wrongly.
            raise NotInThisVersion(span=found.train.span, what="something in this spec").error() from None
        return text
    except ProblemError as error:
        error.sources = {**error.sources, program.spec: Source(name=program.spec, text=source)}
        raise


def _text(found: Trace) -> str:
    program = found.program
    _refuse(found.train)
    for metric in found.train.metrics:
        if is_apart(metric):
            what = "a metric that is measured by itself (`on`, `every`, `generate`)"
            raise NotInThisVersion(span=metric.span, what=what).error()
    for line in found.data.augments:
        raise NotInThisVersion(span=line.span, what="an `augment` line").error()
    book = Book(found)
    data = write_data(book)
    book.sections.clear()
    net = _net(found)
    if net is not None:
        book.klass(net)
    nets, book.sections = book.sections, []
    figures = write_figures(book, net)
    measures, book.sections = book.sections, []
    optimizer = write_optimizer(book, _optimizer(found), _given(found.train))
    updates, book.sections = book.sections, []
    loop = write_loop(book, net, optimizer)
    schedules = book.sections
    other_fans = {"fans"} if "kernel" in book.helpers else set()
    helpers = [lines for name, lines in HELPERS.items() if name in book.helpers - {"fitted"} - other_fans]
    blocks = [
        data,
        *nets,
        *measures,
        figures,
        *updates,
        *schedules,
        *helpers,
        _evaluate(program),
        [*comment(_claimed(program)), *comment(found.train.doc), *loop],
        ['if __name__ == "__main__":', "    main()"],
    ]
    text = "\n\n\n".join("\n".join(fitted(block)) for block in blocks if block)
    head = _head(found.spec, program, book, text)
    return f"{head}\n\n\n{text}\n"


def _claimed(program: Program) -> str:
    """What a reader of the script must know: that nobody checks the claims here."""
    if not program.claims:
        return ""
    lines = [f"  {claim.text}: {claim.says}{f' on {claim.on}' if claim.on else ''}" for claim in program.claims]
    return "\n".join(["What the spec claims of this net is not checked here; `nn claims RUN` does that:", *lines, ""])


def _evaluate(program: Program) -> list[str]:
    number = "value.tolist()" if any(figure.dims for figure in program.figures) else "float(value)"
    return [
        "@torch.no_grad()",
        "def evaluate(net, rows):",
        '    """The figures of all these rows at once."""',
        "    net.eval()",
        f"    return {{name: {number} for name, value in figures(net, rows).items()}}",
    ]


def _head(spec: Spec, program: Program, book: Book, text: str) -> str:
    plan = program.plan
    title = f"{program.name}, from {program.spec}, in PyTorch. Run it with: python {module_name(program)}.py"
    doc = docstring(f"{title}\n\n{spec.doc}" if spec.doc else title, WIDTH)
    first = [name for name in ("copy", "math") if f"{name}." in text]
    imports = [f"import {name}" for name in first]
    imports += ["from pathlib import Path", "", "import numpy as np", "import torch"]
    if "nn." in text:
        imports.append("from torch import nn")
    imports += ["", "from squares import Random"]
    lines: list[str] = []
    docs = {p.name: p.doc for p in spec.params}
    for name, constant in book.params.items():
        value = program.params[name]
        lines += [*comment(docs.get(name, "")), f"{constant} = {_literal(value)}"]
    lines += [f"BATCH = {plan.batch}"]
    lines += [f"ACCUMULATE = {plan.accumulate}"] if plan.accumulate > 1 else []
    lines += [f"EPOCHS = {plan.epochs}" if plan.steps is None else f"STEPS = {plan.steps}"]
    lines += [f"SEED = {plan.seed}", 'DEVICE = "cuda" if torch.cuda.is_available() else "cpu"']
    lines += ["", "here = Path(__file__).parent", "random = Random(SEED, DEVICE)"]
    return "\n".join([*doc, "", *imports, "", *lines])


def _literal(value: bool | int | float | str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)


def _net(found: Trace) -> Known | None:
    net: Known | None = found.builder.net
    return net


def _optimizer(found: Trace) -> Known:
    value = found.values(found.turn.optimizer)[0]
    return value if isinstance(value, Known) else value.known


def _given(train: Train) -> list[str]:
    """The settings that the `optimizer` line names."""
    arguments = getattr(train.optimizer, "arguments", ())
    return [a.name for a in arguments if a.name]


def _refuse(train: Train) -> None:
    """What a train block may say, and this backend does not write."""
    if train.precision == "f16":
        way = "write `precision bf16`, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=train.span, what="`precision f16`", way=way).error()
    for step in train.objectives:
        raise NotInThisVersion(span=step.span, what="a block whose steps take turns").error()
    if train.draws is not None:
        way = "weigh the loss instead, `loss … weighted by balanced(label)`, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=train.draws.span, what="a batch of rows that are drawn", way=way).error()
    for line in train.averages:
        way = "leave the line out, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=line.span, what="a moving average of the weights", way=way).error()
    for word in type(train).model_fields:
        if word not in TRAIN_WORDS and getattr(train, word) not in (None, (), "", 0, 1, "f32", "rows"):
            value = getattr(train, word)
            span = getattr(value, "span", None) or train.span
            raise NotInThisVersion(span=span, what=f"`{word}` in a train block").error()
