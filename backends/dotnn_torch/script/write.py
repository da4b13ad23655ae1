"""The script as a whole: head, helpers that are used, data, definitions, what is measured, the loop."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.elaborate.values import Known
from dotnn.plugins import Arrays
from dotnn.program import Program
from dotnn.spec import Spec, Train
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Source
from dotnn_torch.problems import NotInThisVersion
from dotnn_torch.script.book import Book
from dotnn_torch.script.columns import write_anew, write_data
from dotnn_torch.script.helpers import FITTED, HELPERS, SQUARES
from dotnn_torch.script.loop import write_loop
from dotnn_torch.script.moves import Moves
from dotnn_torch.script.text import WIDTH, comment, docstring, fitted
from dotnn_torch.script.trace import Trace, trace
from dotnn_torch.script.training import write_figures
from dotnn_torch.script.turns import write_turns
from dotnn_torch.script.updates import write_optimizer

_TRAIN_WORDS = (
    "span name data assigns loss error metrics answer optimizer batch epochs steps seed stop keep clip decays doc "
    "called freezes rates accumulate precision claims objectives every averages"
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
    book = Book(found)
    data = write_data(book)
    makers, book.sections = book.sections, []
    anew = write_anew(book)
    altering, book.sections = book.sections, []
    for net in book.nets:
        book.klass(net)
    nets, book.sections = book.sections, []
    figures = [*write_turns(book), write_figures(book)]
    measures, book.sections = book.sections, []
    moves = _moves(book)
    updates, book.sections = book.sections, []
    loop = write_loop(book, moves)
    schedules = book.sections
    other_fans = {"fans"} if "kernel" in book.helpers else set()
    helpers = [lines for name, lines in HELPERS.items() if name in book.helpers - {*FITTED} - other_fans]
    blocks = [
        *makers,
        data,
        *altering,
        anew,
        *nets,
        *measures,
        *figures,
        *updates,
        *schedules,
        *helpers,
        _evaluate(book),
        [*comment(_claimed(program)), *comment(_unmeasured(program)), *comment(found.train.doc), *loop],
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


def _unmeasured(program: Program) -> str:
    """That what is measured by itself, now and then or on texts that the net writes, is not measured here."""
    lines = [f"  {figure.name} = {figure.text}" for figure in program.figures if figure.apart is not None]
    return (
        "\n".join(["What the spec measures by itself is not measured here; `nn train` does that:", *lines, ""])
        if (lines)
        else ""
    )


def _evaluate(book: Book) -> list[str]:
    whole, draws = book.whole, book.trace.outside
    grows = "grad" in book.helpers  # then a gradient is taken while measuring too
    number = "float(value.detach())" if grows else "float(value)"
    number = "value.tolist()" if any(figure.dims for figure in book.trace.figures) else number
    return [
        *([] if grows else ["@torch.no_grad()"]),
        f"def evaluate({whole}, rows{', step' if draws else ''}):",
        '    """The figures of all these rows at once."""',
        *(["    random.begin(step)"] if draws else []),
        f"    {whole}.eval()",
        f"    return {{name: {number} for name, value in figures({whole}, rows).items()}}",
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


def _moves(book: Book) -> list[Moves]:
    """What each objective does to the weights; an optimizer that several have is written once."""
    own: dict[int, tuple[Known, list[str]]] = {}
    keys = []
    for turn in book.trace.turns:
        value = book.trace.values(turn.optimizer)[0]
        known = value if isinstance(value, Known) else value.known
        given = [a.name for a in getattr(turn.optimizer, "arguments", ()) if a.name]
        own.setdefault(id(known.definition), (known, []))[1].extend(given)
        keys.append(id(known.definition))
    made = {key: write_optimizer(book, known, given) for key, (known, given) in own.items()}
    return [Moves(book, turn, made[key]) for turn, key in zip(book.trace.turns, keys, strict=True)]


def _refuse(train: Train) -> None:
    """What a train block may say, and this backend does not write."""
    if train.precision == "f16":
        way = "write `precision bf16`, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=train.span, what="`precision f16`", way=way).error()
    if train.draws is not None:
        way = "weigh the loss instead, `loss … weighted by balanced(label)`, or train it with nn itself (nn train)"
        raise NotInThisVersion(span=train.draws.span, what="a batch of rows that are drawn", way=way).error()
    for word in type(train).model_fields:
        if word not in TRAIN_WORDS and getattr(train, word) not in (None, (), "", 0, 1, "f32", "rows"):
            value = getattr(train, word)
            span = getattr(value, "span", None) or train.span
            raise NotInThisVersion(span=span, what=f"`{word}` in a train block").error()
