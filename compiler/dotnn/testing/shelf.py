"""The battery of a definition that has `try:` lines: from those lines alone.

Of each line: double precision on the reference beside the peer, to 1e-12; the ONNX graph in single precision beside the
peer, to 1e-6 (both the length of the difference over the length of what is expected); gradients beside finite
differences; what `holds:` says. Functions of real numbers are tried far out, on equal numbers and on a single row too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.plugins import Options, backend
from dotnn.spec import Definition
from dotnn.testing import goldens, peer
from dotnn.testing.lines import Peer, Told, Try, told
from dotnn.testing.numbers import Start, reference, starter
from dotnn.testing.peer import ALONE, Peers
from dotnn.testing.report import Check, FailedError, check_each
from dotnn.testing.trials import SEEN, Beginning, Steps, seen
from dotnn.testing.tried import STEP, Made, Tensors

EXACT = 1e-12
"""How far double precision may be from the peer, norm-relative."""
SINGLE = 1e-6
"""How far single precision may be from it."""
PRODUCTS = 8
"""Matrix products, gradients included, for which that holds; where there are more of them it is as much more."""
INSIDE = 4
"""Where large numbers cancel that is too little: how many times as far off as the judge a backend may be, who rounds
each result once, and nothing inside of sums and products."""
NUDGE = 1e-6
"""Of the finite differences."""

Trial = Tensors | Steps | Beginning


def trials(definition: Definition, tried: Try, own: Sequence[Definition] = ()) -> tuple[Trial, ...]:
    """What is run for a line, by the kind of definition that it stands above; the extremes after it.

    Raises ``FailedError`` or ``ProblemError``.
    """
    inputs = [parameter.name for parameter in definition.inputs]
    if definition.word == "optimizer":
        return (Steps.of_optimizer(tried, own),)
    if "shape" in inputs or (definition.settings is not None and tried.given.startswith("[")):
        return (Beginning.of(tried, own),)
    if "step" in inputs or (definition.word == "function" and definition.settings is not None):
        return (Steps.of_schedule(tried, own),)
    plain = Tensors.of(tried, own)
    return (plain, *plain.extremes()) if definition.word == "function" else (plain,)


def expected(trial: Trial, definition: Definition, asked: Peer, peers: Peers) -> Made:
    """The peer's numbers. Raises ``FailedError`` where it cannot be asked."""
    match trial:
        case Tensors():
            return peer.computed(trial, asked, peers)
        case Beginning():
            return {"result": peer.formula(asked.text, asked.library, peers, trial.facts())}
        case Steps() if definition.word != "optimizer":
            return {"rates": peer.rates(asked, peers, trial.steps)}
    steps = peer.stepped(asked, peers, trial.first, trial.flows)
    made: Made = {}
    for step in SEEN:
        made |= seen(step, steps[step - 1])
    return made


def distance(made: Array, wanted: Array, least: float = 0) -> float:
    """The length of the difference over the length of what is wanted; that itself where nothing is wanted.

    least: what counts as the length of anything shorter.
    """
    if not np.array_equal(np.isfinite(made), np.isfinite(wanted)):
        return float("inf")
    fine = np.isfinite(wanted)
    off = np.linalg.norm((made.astype(np.float64) - wanted)[fine])
    return float(off / (max(float(np.linalg.norm(wanted[fine])), least) or 1))


@dataclass(frozen=True)
class Shelved:
    """A definition, who may be asked about it, and where the answers of those who are not here are kept."""

    definition: Definition
    peers: Peers = ALONE
    own: tuple[Definition, ...] = ()
    kept: Path | None = None
    """The folder of the goldens."""

    @cached_property
    def told(self) -> Told:
        return told(self.definition.doc)

    @property
    def file(self) -> Path:
        assert self.kept is not None
        return self.kept / f"{self.definition.name}.txt"

    def asked(self, tried: Try) -> Made:
        """The peer's numbers for a line: kept ones where there are any, else its own answer."""
        assert tried.peer is not None
        if self.kept is not None and tried.peer.library != "numpy":
            blocks = goldens.read(self.file)
            if goldens.heading(tried) not in blocks:
                way = "`dotnn.testing.keep` writes them (the library's: pytest -n 0 tests/shelf --update-goldens)"
                raise FailedError(f"{self.file.name} holds no numbers for `try: {tried.text}`; {way}")
            return blocks[goldens.heading(tried)]
        return self.answer(tried)

    def answer(self, tried: Try) -> Made:
        assert tried.peer is not None
        made: Made = {}
        for trial in trials(self.definition, tried, self.own):
            made |= expected(trial, self.definition, tried.peer, self.peers)
        return made

    def answers(self) -> dict[str, Made]:
        """What is kept: the numbers of every peer but NumPy, who is always here."""
        asked = [t for t in self.told.tries if t.peer is not None and t.peer.library != "numpy"]
        return {goldens.heading(tried): self.answer(tried) for tried in asked}

    # ---- the checks

    def checks(self) -> Iterator[Check]:
        """One after the other, for every line."""
        label = f"{self.definition.word} {self.definition.name}: "
        for tried in self.told.tries:
            line = f"{label}`{tried.text}` "
            if tried.peer is not None:
                said = f"{tried.peer.library} has `{tried.peer.text}`"
                yield self._check(line + "in double precision", tried, self._exact, said)
                yield self._check(line + "as ONNX in single precision", tried, self._single, said)
            else:
                yield self._check(line + "as ONNX", tried, self._alike, "compare the operations' spelling in ONNX")
            if tried.holds:
                yield self._check(line + "holds", tried, self._holds, "see `holds:` above the definition")
            elif tried.peer is None:
                yield Check(
                    f"{line}has somebody to agree with", 0, advice="add `torch:`, `numpy:` or `holds:` below it"
                )
            if any(isinstance(trial, Tensors) for trial in self._trials(tried)):
                yield self._check(
                    line + "its gradients are derivatives", tried, self._slopes, "see the operations' rules"
                )

    def _check(self, name: str, tried: Try, act: Callable[[Try], None], advice: str) -> Check:
        return check_each(name, [tried], act, advice, show=lambda _: "")

    def _trials(self, tried: Try) -> tuple[Trial, ...]:
        try:
            return trials(self.definition, tried, self.own)
        except Exception:  # said by the check before
            return ()

    def _made(self, tried: Try, start: Start, float64: bool) -> Made:
        made: Made = {}
        for trial in trials(self.definition, tried, self.own):
            made |= trial.run(start, float64)
        return made

    def _exact(self, tried: Try) -> None:
        near(self._made(tried, reference(float64=True), True), self.asked(tried), EXACT)

    def _single(self, tried: Try) -> None:
        near(self._made(tried, onnx(), False), self.asked(tried), SINGLE * rounds(self._trials(tried)))

    def _alike(self, tried: Try) -> None:
        single, double = self._made(tried, onnx(), False), self._made(tried, reference(float64=True), True)
        near(single, double, SINGLE * rounds(self._trials(tried)))

    def _holds(self, tried: Try) -> None:
        for start, float64 in ((reference(float64=True), True), (onnx(), False)):
            for trial in trials(self.definition, tried, self.own)[:1]:
                made = trial.run(start, float64)
                facts: dict[str, Any] = {"made": made, "y": made.get("result")}
                if isinstance(trial, Tensors):
                    facts |= trial.turns[0].feeds
                    facts["weight"] = {trial.short(path): array for path, array in trial.weights.items()}
                if isinstance(trial, Beginning):
                    facts |= trial.facts()
                for text in tried.holds:
                    peer.true(text, facts)

    def _slopes(self, tried: Try) -> None:
        for trial in trials(self.definition, tried, self.own):
            if isinstance(trial, Tensors) and trial.how in ("", "row"):
                check_gradients(trial)


def compare_tries(definition: Definition, start: Start) -> None:
    """What a definition's lines try, on a backend beside the reference. Raises ``FailedError``."""
    judge = reference(float64=True)
    for tried in told(definition.doc).tries:
        plain = trials(definition, tried)[0]
        rounded = partial(plain.run, reference(), False)
        near(plain.run(start, False), plain.run(judge, True), SINGLE * rounds((plain,)), rounded)


def rounds(tried: Sequence[Trial]) -> float:
    """How often single precision may have rounded: a layer made of layers multiplies many matrices in a row."""
    graphs = [one.phases["train"].graph for one in tried if isinstance(one, Tensors)]
    return max(1.0, *(sum(node.op == "matmul" for node in graph.nodes) / PRODUCTS for graph in graphs), 1.0)


def onnx() -> Start:
    """The ONNX backend on one thread."""
    return starter(backend("onnx"), Options(threads=1))


def near(
    made: Mapping[str, Array], wanted: Mapping[str, Array], allowed: float, rounded: Callable[[], Made] | None = None
) -> None:
    """Raises ``FailedError`` unless everything that is wanted was made, as near as that.

    rounded: the judge's numbers in single precision, asked for where something is further off: what rounding costs.
    """
    for what, array in wanted.items():
        if what not in made:
            raise FailedError(f"there is no {what}, but {', '.join(made)}")
        if made[what].shape != array.shape:
            raise FailedError(f"{what} is {list(made[what].shape)}, and by the peer {list(array.shape)}")
        # Where a curve is flat its slope is a difference of numbers of about 1, and rounded as these are.
        least = float(what.startswith(("far", "equal", "zero")))
        off, most = distance(made[what], array, least), allowed
        if not off <= most and rounded is not None:
            most = max(most, INSIDE * distance(rounded()[what], array, least))
        if not off <= most:
            here, there = (_short(a) for a in (made[what], array))
            raise FailedError(f"{what} is off by {off:.1e} (at most {most:.2g}): {here} beside the peer's {there}")


def _short(array: Array) -> str:
    return np.array2string(array.reshape(-1), threshold=8, precision=9).replace("\n", "")


def check_gradients(tensors: Tensors) -> None:
    """Each gradient beside central differences along one direction, in double precision. Raises ``FailedError``."""
    for turn in {turn.phase: turn for turn in reversed(tensors.turns)}.values():
        graph = tensors.phases[turn.phase].graph
        runner = reference(float64=True)(graph)
        feeds = tensors.feeds(graph, turn, tensors.states, np.float64)
        here = runner.run(feeds)
        total = partial(_total, turn.feeds)
        scale = max(1.0, abs(total(here)))
        generator = np.random.default_rng(STEP)
        for what in (what for what in here if what.startswith("gradient ")):
            name = what.removeprefix("gradient ").removeprefix("weight ")
            x = feeds.get(name)
            if x is None:
                continue
            t = generator.uniform(0.5, 1.5, x.shape) * generator.choice([-1.0, 1.0], x.shape)
            above, below = (total(runner.run({**feeds, name: x + sign * NUDGE * t})) for sign in (1, -1))
            measured, claimed = (above - below) / (2 * NUDGE), float(np.sum(here[what] * t))
            if not abs(measured - claimed) <= 1e-5 * max(abs(measured), abs(claimed)) + 1e-8 * scale:
                raise FailedError(f"by `{name}` the gradient says {claimed!r}, finite differences say {measured!r}")


def _total(feeds: Mapping[str, Array], results: Mapping[str, Array]) -> float:
    """What the gradients are of: the results, times their numbers."""
    made = [array for what, array in results.items() if what.startswith("result")]
    return sum(float(np.sum(y * feeds[f"mix {i}"])) for i, y in enumerate(made) if y.dtype.kind == "f")
