"""The batteries: what a backend, an operation and a source must pass, ours and yours.

from dotnn.testing import check_op
print(check_op("squareplus"))
check_op("squareplus").require()  # in a test
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dotnn import operation as registry
from dotnn import plugins, spec
from dotnn.compiler import program_names
from dotnn.data.source import supplies
from dotnn.elaborate.library import standard, standard_names
from dotnn.operation import Operation, lookup, operations
from dotnn.plugins import Backend, DataSource, Options
from dotnn.recipes import RECIPES
from dotnn.testing.battery import (
    Case,
    Evaluate,
    Mutant,
    WrongGradientError,
    cases_of,
    check_adjoint,
    check_gradient,
    check_second,
    differentiable,
    inputs_of,
    is_linear,
    mutants,
)
from dotnn.testing.extremes import (
    FAR_STEP,
    check_far,
    check_finite,
    check_threads,
    extreme_cases,
    in_onnx,
    large_cases,
)
from dotnn.testing.lines import told
from dotnn.testing.numbers import Sample, Start, compare_case, compare_program, exact, reference, starter
from dotnn.testing.report import Check, FailedError, Report, check_each
from dotnn.testing.shelf import compare_tries
from dotnn.testing.specs import sample_file, sample_of, spec_around
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Span


def _size(case: Case) -> float:
    return float(sum(np.size(fed) for fed in case.feeds.values()))


def _shown(case: Case) -> str:
    fed = "\n".join(f"{name} = {np.array2string(np.asarray(x), threshold=12)}" for name, x in case.feeds.items())
    return f"{case}{fed}"


_each_case = partial(check_each, size=_size, show=_shown)


# ---- an operation


def check_op(name: str, each: int = 12, seed: int = 0) -> Report:
    """An operation by its name, on ``each`` drawn cases for each of its recipes.

    The type rule against the reference formula; first and second derivatives against finite differences; what it says
    of linearity; whether a gradient that is one percent off would be seen; all this at extreme inputs; each lowering it
    brings, against the formula; and whether ONNX repeats itself at several threads. Raises KeyError where there is no
    such operation.
    """
    operation = lookup(name)
    if not RECIPES.get(name):
        advice = "give NewOperation a Recipe: a function that draws inputs and calls the operation"
        return Report(f"operation {name}", (Check("there is a recipe", 0, advice=advice),))
    cases = list(cases_of(name, seed, each))
    evaluate = exact
    smooth = [case for case in cases if differentiable(case)]
    checks = [
        _each_case(
            "the type rule says what the formula gives",
            cases,
            lambda case: reference()(case.graph).run(case.feeds),
            "compare `infer` with the formula for this input: number type and sizes must be the same",
        )
    ]
    if checks[0].ok and operation.gradient is not None:
        rule = "differentiate the formula with a pencil, and compare with the gradient rule"
        checks += [
            _each_case("the gradient is the derivative", smooth, lambda c: check_gradient(c, evaluate), rule),
            _each_case("Hessian-vector products are its derivative", smooth, lambda c: check_second(c, evaluate), rule),
            check_each(
                "a flow of the gradient that is one percent off would be seen",
                mutants(operation, cases),
                lambda mutant: _seen(operation, mutant, cases, evaluate),
                "add a recipe in which this input matters",
                show=_quiet,
            ),
        ]
    if checks[0].ok and smooth:
        checks.append(_linear(operation, smooth, evaluate))
        if any(position in operation.linear for case in smooth for position in range(len(inputs_of(case)))):
            advice = "the gradient of a linear operation is its transpose, exact but for rounding"
            checks.append(_each_case("<J t, g> = <t, J'g>", smooth, lambda c: check_adjoint(c, evaluate), advice))
    if checks[0].ok:
        checks += [*_at_extremes(name, evaluate), *_lowered(name, cases)]
    if checks[0].ok and in_onnx(name):
        advice = "let each thread write places of its own"
        label = "ONNX gives the same bits again at 1, 2 and 4 threads"
        checks.append(check_each(label, large_cases(name), lambda make: check_threads(make()), advice, show=_quiet))
    return Report(f"operation {name}", tuple(checks))


def _at_extremes(name: str, evaluate: Evaluate) -> Iterator[Check]:
    """Far out, at equal inputs, at a single one and at none."""
    advice = (
        "write the formula so that nothing in it grows beyond its result: e^-|x| for e^x, differences before powers"
    )
    cases = list(extreme_cases(name))
    label = "far out, at equals, at one and at none: where there is a result, its gradients are numbers"
    yield _each_case(label, cases, lambda c: check_finite(c, evaluate), advice)
    if in_onnx(name):
        start = starter(plugins.backend("onnx"), Options())
        yield _each_case("ONNX gives the formula's numbers there", cases, lambda c: check_far(c, start), advice)
    # A body is a chain of operations: out there one multiplies the rounding of another beyond what differences bear.
    apart = () if name == "scan" else extreme_cases(name, ("about far",))
    far = [case for case in apart if _finite(case, evaluate)]
    if any(differentiable(case) for case in far):
        label = "the gradient is the derivative at 10,000 too"
        yield _each_case(label, far, lambda c: check_gradient(c, evaluate, step=FAR_STEP), advice)


def _finite(case: Case, evaluate: Evaluate) -> bool:
    return bool(np.isfinite(evaluate(case.graph, case.feeds)["y"]).all())


def _seen(operation: Operation, mutant: Mutant, cases: Sequence[Case], evaluate: Evaluate) -> None:
    """Puts a wrong rule in the place of the right one for a moment."""
    registry._operations[operation.name] = mutant.operation
    try:
        for case in cases:
            check_gradient(case, evaluate)
    except WrongGradientError:
        return
    finally:
        registry._operations[operation.name] = operation
    raise FailedError(f"no recipe shows it when what flows to input {mutant.position} is 1.01 of what is right")


def _linear(operation: Operation, cases: Sequence[Case], evaluate: Evaluate) -> Check:
    """An input by which the result changes linearly in every case is said to be so, and no other."""
    straight: set[int] = set()
    bent: set[int] = set()
    for case in cases:
        for position, name in enumerate(inputs_of(case)):
            x = np.asarray(case.feeds.get(name))
            if name in case.feeds and x.dtype.kind == "f":
                other = {name: np.flip(x) * 1.7}
                (straight if is_linear(case, other, name, evaluate) else bent).add(position)

    def holds(position: int) -> None:
        says, is_so = position in operation.linear, position not in bent
        if says != is_so:
            raise FailedError(f"with input {position} the result changes {'linearly' if is_so else 'in a curve'}")

    advice = "`linear` of the Operation lists the inputs by which it is linear while the others are held"
    return check_each("`linear` says neither too much nor too little", sorted(straight | bent), holds, advice)


def _lowered(name: str, cases: Sequence[Case]) -> list[Check]:
    """Each lowering that an operation brings, but for those of backends that are not here."""
    try:
        brought = plugins.registry().find("operation", name).lowerings
    except (KeyError, ProblemError):
        return []
    found = []
    for target in brought:
        if target != "reference" and target in plugins.names("backend"):
            start = starter(plugins.backend(target), Options())
            advice = f"compare lowerings[{target!r}] with lowerings['reference'] for this input"
            label = f"the backend {target} gives the formula's numbers"
            found.append(_each_case(label, cases, partial(compare_case, start=start), advice))
    return found


# ---- a backend


def check_backend(
    backend: Backend | str,
    specs: Iterable[Path] = (),
    options: Options | None = None,
    each: int = 8,
    ops: Iterable[str] | None = None,
    definitions: Iterable[str] | None = None,
) -> Report:
    """A backend passes when every operation, every definition of the library and every spec gives the right numbers.

    Right is what the reference backend gives.

    backend: itself, or its name. specs: .nn files with a train block; the first steps of each are compared. ops,
    definitions: names, where it is not every operation or not all of the library that is looked at.
    """
    runner = plugins.backend(backend) if isinstance(backend, str) else backend
    start = starter(runner, options or Options())
    advice = f"compare how `{runner.name}` spells this with the operation's formula in the reference backend"
    names = [operation.name for operation in operations()] if ops is None else list(ops)
    checks = [
        _each_case(f"operation {name}", _drawn(name, each), partial(compare_case, start=start), advice)
        for name in names
    ]
    whole = "each operation is right by itself where the lines above say so: look at what a whole graph does beside"
    compared: Callable[[Sample], None] = partial(compare_program, start=start)
    with TemporaryDirectory() as folder:
        for name in standard_names() if definitions is None else definitions:
            act = partial(_near_definition, folder=Path(folder), start=start)
            checks.append(check_each(f"definition {name}", [name], act, whole, show=_quiet))
    for path in specs:
        for train in program_names(path):
            sample = partial(sample_file, path, train=train)
            label = f"spec {path.name}:{train}"
            checks.append(check_each(label, [sample], lambda make: compared(make()), whole, show=_quiet))
    return Report(f"backend {runner.name}", tuple(checks))


def _drawn(name: str, each: int) -> list[Case]:
    """Cases of an operation; none where it has no recipe, which then counts as a failure."""
    lookup(name)
    return list(cases_of(name, each=each)) if RECIPES.get(name) else []


def _quiet(case: object) -> str:
    return ""


def _near_definition(name: str, folder: Path, start: Start) -> None:
    """By its `try:` lines; where it has none, in a small spec that is found for it."""
    known = standard(name)
    if known is None:
        raise FailedError(f"the file {name}.nn does not define {name}")
    if told(known.definition.doc).tries:
        compare_tries(known.definition, start)
    else:
        compare_program(sample_of(spec_around(known.definition), folder, name), start)


# ---- a source


def check_source(source: DataSource | str, argument: str, files: Mapping[str, bytes] | None = None) -> Report:
    """A source, told this argument in a folder with these files: columns, rows, twice the same; no way out of it.

    source: itself, or its name.
    """
    reader = plugins.source(source) if isinstance(source, str) else source
    if reader is None:
        raise KeyError(source)
    with TemporaryDirectory() as name:
        folder = Path(name) / "inside"
        folder.mkdir()
        for file, content in (files or {}).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        return Report(f"source {reader.name}", tuple(_source_checks(reader, argument, folder, bool(files))))


def _source_checks(reader: DataSource, argument: str, folder: Path, reads_files: bool) -> list[Check]:
    line = spec.SourceLine(
        span=Span(file="tried.nn", line=1, column=1, end_line=1, end_column=2),
        role="source",
        reader=reader.name,
        files=(argument,),
    )
    texts: list[Any] = []

    def read(number: int) -> None:
        found = supplies(line, folder, reader)
        if not found:
            raise FailedError("it gives no table")
        header = found[0].header()
        rows = [row for supply in found for block in supply.blocks(header) for row in block.cells]
        few = [row for supply in found for block in supply.blocks(header, 1) for row in block.cells]
        if few and few[0] != rows[0]:
            raise FailedError(f"asked a second time, the first row is {few[0]} and no longer {rows[0]}")
        texts.append((header, rows))
        if texts[0] != texts[-1]:
            raise FailedError("read a second time, the rows are others")

    checks = [
        check_each(
            "columns with names, rows with a text for each, the same each time",
            range(2),
            read,
            "rows() starts from the first row each time, and gives a list of texts as long as header()",
            show=_quiet,
        )
    ]
    if reads_files:
        (folder.parent / "secret").write_bytes(b'{"a": 1}\n')
        wrong = ["../secret", str(folder.parent / "secret"), "no such file", ""]
        advice = "open files with place.open(name), which keeps to the spec's folder, and report with place.fail"
        checks.append(
            check_each(
                "what lies outside the folder, or is not there, is refused",
                wrong,
                lambda name: _refused(reader, line.model_copy(update={"files": (name,)}), folder),
                advice,
                show=repr,
            )
        )
    return checks


def _refused(reader: DataSource, line: spec.SourceLine, folder: Path) -> None:
    try:
        found = supplies(line, folder, reader)
        for supply in found:
            for _ in supply.blocks(supply.header()):
                pass
    except ProblemError as problem:
        if problem.problems[0].code == "D051":  # its own code raised something that it did not mean to raise
            raise FailedError(problem.problems[0].title_text) from None
        return
    raise FailedError("it was read")
