"""The writer: a net's three graphs, run for one token after another, with what they keep from token to token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dotnn.arrays import Array
from dotnn.generate import choose
from dotnn.generate.step import POSITION
from dotnn.graph import Graph
from dotnn.plugins import Arrays, Backend, Executor, Holding, Keeping, Kept, Options, Session
from dotnn.program import Generation, Program


@dataclass(frozen=True)
class Way:
    """How a token is drawn: from the first ``top_n`` (0: from all), as many of them as reach ``top_p`` together.
    Temperature 0: always the likeliest."""

    temperature: float = 1.0
    top_n: int = 0
    top_p: float = 1.0
    seed: int = 0


class Writer:
    """Writes several texts side by side, one token of each at a time.

    scores = writer.begin(tokens)        # i64[b, n], the beginnings, equally long
    while …:
        scores = writer.go_on(chosen)    # i64[b]

    Where the window is full, it goes on with its last half, which is read anew; a text that begins with `start` (a
    sentence) ends there instead: see ``full``.
    """

    def __init__(
        self,
        program: Program,
        backend: Backend,
        options: Options,
        state: Arrays | None = None,
        session: Session | None = None,
    ) -> None:
        """The weights: those of ``state``, or those that ``session`` is training. Raises ``ProblemError``."""
        plan = program.generation
        assert plan is not None
        self.plan: Generation = plan
        self.session = session
        self._start, self._next, self._choose = (
            _Machine(program.graphs[name], backend, options, state or {}) for name in ("start", "next", "choose")
        )
        self._going: Kept | None = None
        self._drawing: tuple[tuple[Way, int], Kept] | None = None
        self._others: Arrays = {}
        self.tokens = np.zeros((0, 0), np.int64)
        """Everything that was written, i64[b, n], with the beginnings."""
        self._position = 0

    @property
    def full(self) -> bool:
        """Whether a sentence has no room for another token."""
        return self.plan.begins is not None and self._position + 1 >= self.plan.length

    def begin(self, tokens: Array, others: Arrays | None = None) -> Array:
        """The scores f32[b, v] of what comes after these tokens, i64[b, n], n from 1; ``others``: the net's other
        inputs. Of more tokens than the window has places the last are seen."""
        self.tokens = np.asarray(tokens, np.int64)
        self._others = {} if others is None else others
        return self._read(min(self.tokens.shape[1], self.plan.length))

    def go_on(self, chosen: Array) -> Array:
        """The scores of what comes after one token more, i64[b]."""
        self.tokens = np.concatenate([self.tokens, np.asarray(chosen, np.int64)[:, None]], axis=1)
        if self._position + 1 >= self.plan.length:
            return self._read(max(self.plan.length // 2, 1))
        self._position += 1
        assert self._going is not None
        feeds = {self.plan.column: np.ascontiguousarray(self.tokens[:, -1]), POSITION: self._place()}
        return self._going.step(feeds)[self.plan.output]

    def choose(self, scores: Array, way: Way, draws: Array) -> tuple[Array, Array]:
        """A token for each row, i64[b], and the share that the net gives it, f32[b]. draws: i64[b]."""
        wanted = (way, len(scores))
        if self._drawing is None or self._drawing[0] != wanted:
            settings: dict[str, Array] = {
                choose.SEED: np.array(way.seed, np.int64),
                choose.TEMPERATURE: np.array(way.temperature, np.float32),
                choose.TOP_N: np.array(way.top_n, np.int64),
                choose.TOP_P: np.array(way.top_p, np.float32),
            }
            self._drawing = wanted, self._choose.keep(settings, None)
        new: dict[str, Array] = {
            choose.SCORES: np.asarray(scores, np.float32),
            choose.DRAW: np.asarray(draws, np.int64),
        }
        made = self._drawing[1].step(new)
        return made[choose.CHOSEN], made[choose.SHARE]

    def reorder(self, parents: Array) -> None:
        """Row r goes on from what row ``parents[r]`` has read and written."""
        self.tokens = self.tokens[parents]
        self._others = {name: array[parents] for name, array in self._others.items()}
        if self._going is not None:
            self._going.reorder(parents)

    def _read(self, count: int) -> Array:
        seen = self.tokens[:, -count:]
        window = np.zeros((len(seen), self.plan.length), np.int64)
        window[:, :count] = seen
        self._position = count - 1
        feeds = {**self._others, self.plan.column: window, POSITION: self._place()}
        made = self._start.run(feeds, self.session)
        scores = made.pop(self.plan.output)
        kept = {name.removesuffix(".next"): array for name, array in made.items()}
        self._going = self._next.keep({**self._others, **kept}, self.session)
        return scores

    def _place(self) -> Array:
        return np.array(self._position, np.int64)


class _Machine:
    """One graph, ready to run, with its weights inside where the backend can hold them."""

    def __init__(self, graph: Graph, backend: Backend, options: Options, state: Arrays) -> None:
        weights = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state" and fed.name in state}
        holds = isinstance(backend, Holding) and bool(weights)
        made = backend.hold(graph, weights, options) if isinstance(backend, Holding) and holds else None
        self._executor: Executor = backend.start(backend.lower(graph, options) if made is None else made, options)
        self._weights = {} if holds else weights
        self._names = [fed.name for fed in graph.inputs]

    def run(self, feeds: Arrays, session: Session | None = None) -> dict[str, Array]:
        return self._executor.run(self._given(feeds), session)

    def keep(self, feeds: Arrays, session: Session | None) -> Kept:
        """Ready to run again and again from here."""
        if isinstance(self._executor, Keeping):
            return self._executor.keep(self._given(feeds), session)
        return _Fed(self._executor, self._given(feeds), self._weights, session)

    def _given(self, feeds: Arrays) -> dict[str, Array]:
        return {**self._weights, **{name: feeds[name] for name in self._names if name in feeds}}


class _Fed:
    """``Kept`` by a backend that offers nothing of the kind: what is handed on is fed again."""

    def __init__(self, executor: Executor, given: Arrays, weights: Arrays, session: Session | None) -> None:
        self._executor = executor
        self._given = dict(given)
        self._weights = weights
        self._session = session

    def step(self, feeds: Arrays) -> dict[str, Array]:
        made = self._executor.run({**self._given, **feeds}, self._session)
        handed = {f"{name}.next" for name in self._given} & made.keys()
        self._given |= {name.removesuffix(".next"): made.pop(name) for name in handed}
        return made

    def reorder(self, rows: Array) -> None:
        self._given |= {name: array[rows] for name, array in self._given.items() if name not in self._weights}
