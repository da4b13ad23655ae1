"""Two who must compute the same: how near is near enough, and how a whole program is compared step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.graph import Graph
from dotnn.plugins import Arrays, Backend, Executor, Options, backend
from dotnn.program import Program
from dotnn.testing.battery import Case
from dotnn.testing.report import FailedError

Start = Callable[[Graph], Executor]

SINGLE = 2e-6
"""How far a single operation in f32 may be from the reference, relative to max(1, |reference|)."""
WHOLE = 1e-4
"""How far a tensor of a whole graph may be from the reference, relative to its greatest number (or 0.1)."""
FEW = 1e-3
"""How far single numbers of a state may be after a step, where their root mean square holds to WHOLE: an optimizer that
divides by the size of a gradient makes a step of what is only rounding."""
ROWS = 12
"""At most so many rows a batch."""
STEPS = 3
"""Steps of training that are compared, each from the reference's own state."""


def starter(runner: Backend, options: Options) -> Start:
    """Lowers and starts graphs on a backend."""
    return lambda graph: runner.start(runner.lower(graph, options), options)


def reference(float64: bool = False) -> Start:
    """The judge."""
    return starter(backend("reference"), Options(float64=float64))


def exact(graph: Graph, feeds: Arrays) -> Arrays:
    """What a graph gives in double precision, by the judge."""
    return reference(float64=True)(graph).run(feeds)


def compare_case(case: Case, start: Start) -> None:
    """An operation's result, beside the reference's. Raises ``FailedError``."""
    wanted = reference()(case.graph).run(case.feeds)["y"]
    got = start(case.graph).run(case.feeds)["y"]
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        raise FailedError(f"it gives {_kind(got)}, and the reference {_kind(wanted)}")
    if got.dtype.kind != "f":
        if not np.array_equal(got, wanted):
            raise FailedError(f"it gives {_short(got)}, and the reference {_short(wanted)}")
        return
    if not np.array_equal(np.isfinite(got), np.isfinite(wanted)):
        raise FailedError(f"it gives {_short(got)}, and the reference {_short(wanted)}")
    fine = np.isfinite(wanted)
    apart = np.abs(got[fine].astype(np.float64) - wanted[fine]) / np.maximum(1, np.abs(wanted[fine]))
    if apart.max(initial=0) > SINGLE:
        raise FailedError(f"it is {apart.max():.2g} off (at most {SINGLE:g}): {_short(got)} beside {_short(wanted)}")


def _kind(array: Array) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _short(array: Array) -> str:
    return np.array2string(array, threshold=12, precision=8).replace("\n", " ")


@dataclass(frozen=True)
class Sample:
    """A program with rows to feed it."""

    name: str
    program: Program
    splits: Mapping[str, Arrays]

    def __str__(self) -> str:
        return self.name

    def batches(self) -> Iterator[dict[str, Array]]:
        """``STEPS`` batches of two sizes: a size that stays open must be open."""
        arrays = self.splits["train"]
        rows = len(next(iter(arrays.values()))) if arrays else 1
        size = max(min(rows // 2, self.program.plan.batch, ROWS), 1)
        for number in range(STEPS):
            first = number * size % max(rows - size, 1)
            yield {name: array[first : first + max(size - number % 2, 1)] for name, array in arrays.items()}


def compare_program(sample: Sample, start: Start) -> None:
    """Every graph of a program, beside the reference. Raises ``FailedError``."""
    graphs, judge = sample.program.graphs, reference()
    seed = {"seed": np.array(sample.program.plan.seed)}
    state = judge(graphs["init"]).run(seed)
    _near("init", start(graphs["init"]).run(seed), state, graphs["init"])
    step, own = judge(graphs["train"]).train(state), start(graphs["train"]).train(state)
    batches = [_fed(graphs["train"], batch) for batch in sample.batches()]
    for number, batch in enumerate(batches, 1):
        own.load(step.state())
        wanted, got = step.step(batch), own.step(batch)
        _near(f"step {number}", dict(got), wanted, graphs["train"])
        _near(f"the state after step {number}", own.state(), step.state(), graphs["train"], few=True)
    state = step.state()
    for name in ("eval", "predict"):
        feeds = _fed(graphs[name], {**state, **next(sample.batches())})
        _near(name, start(graphs[name]).run(feeds), judge(graphs[name]).run(feeds), graphs[name])
    order = {**seed, "epoch": np.array(2), "n": np.array(37)}
    _near("order", start(graphs["order"]).run(order), judge(graphs["order"]).run(order), graphs["order"])


def _fed(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {fed.name: arrays[fed.name] for fed in graph.inputs if fed.name in arrays}


def _near(what: str, got: Mapping[str, Array], wanted: Mapping[str, Array], graph: Graph, few: bool = False) -> None:
    """Refuses what is too far off; ``few``: single numbers may be further."""
    missing = [name for name in wanted if name not in got]
    if missing:
        raise FailedError(f"{what}: there is no `{missing[0]}`, but {_some(list(got))}")
    for name, right in wanted.items():
        mine = np.asarray(got[name])
        if mine.shape != right.shape or mine.dtype != right.dtype:
            raise FailedError(f"{what}: `{name}` is {_kind(mine)}, and by the reference {_kind(right)}")
        if right.dtype.kind != "f":
            if not np.array_equal(mine, right):
                raise FailedError(f"{what}: `{name}` is {_short(mine)}, and by the reference {_short(right)}")
            continue
        fine = np.isfinite(right)
        if not np.array_equal(fine, np.isfinite(mine)):
            raise FailedError(f"{what}: `{name}` is {_short(mine)}, and by the reference {_short(right)}")
        off = np.abs(mine[fine].astype(np.float64) - right[fine]) / max(np.abs(right[fine]).max(initial=0), 0.1)
        apart, most = off.max(initial=0), WHOLE
        if few and np.sqrt(np.square(off).sum() / max(off.size, 1)) <= WHOLE:
            most = FEW
        if apart > most:
            far = f"{apart:.2g} of its greatest number (at most {most:g})"
            raise FailedError(f"{what}: `{name}` is off by {far}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:6]) + (", …" if len(names) > 6 else "")
