"""The writer: a net's three graphs, run for one token after another, with what they keep from token to token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dotnn.generate import choose
from dotnn.generate.step import POSITION
from dotnn.graph import Graph
from dotnn.plugins import Arrays, Backend, Executor, Holding, Options, Session
from dotnn.program import Generation, Program

Array = np.ndarray[Any, Any]


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
        self._kept: dict[str, Array] = {}
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
        feeds = {**self._others, **self._kept, self.plan.column: self.tokens[:, -1], POSITION: self._place()}
        return self._took(self._next.run(feeds, self.session))

    def choose(self, scores: Array, way: Way, draws: Array) -> tuple[Array, Array]:
        """A token for each row, i64[b], and the share that the net gives it, f32[b]. draws: i64[b]."""
        made = self._choose.run(
            {
                choose.SCORES: np.asarray(scores, np.float32),
                choose.SEED: np.array(way.seed, np.int64),
                choose.DRAW: np.asarray(draws, np.int64),
                choose.TEMPERATURE: np.array(way.temperature, np.float32),
                choose.TOP_N: np.array(way.top_n, np.int64),
                choose.TOP_P: np.array(way.top_p, np.float32),
            }
        )
        return made[choose.CHOSEN], made[choose.SHARE]

    def reorder(self, parents: Array) -> None:
        """Row r goes on from what row ``parents[r]`` has read and written."""
        self.tokens = self.tokens[parents]
        self._others = {name: array[parents] for name, array in self._others.items()}
        self._kept = {name: array[parents] for name, array in self._kept.items()}

    def _read(self, count: int) -> Array:
        seen = self.tokens[:, -count:]
        window = np.zeros((len(seen), self.plan.length), np.int64)
        window[:, :count] = seen
        self._position = count - 1
        self._kept = {}
        feeds = {**self._others, self.plan.column: window, POSITION: self._place()}
        return self._took(self._start.run(feeds, self.session))

    def _place(self) -> Array:
        return np.array(self._position, np.int64)

    def _took(self, made: Mapping[str, Array]) -> Array:
        scores = made[self.plan.output]
        self._kept |= {name.removesuffix(".next"): array for name, array in made.items() if name != self.plan.output}
        return scores


class _Machine:
    """One graph, ready to run, with its weights inside where the backend can hold them."""

    def __init__(self, graph: Graph, backend: Backend, options: Options, state: Arrays) -> None:
        weights = {fed.name: state[fed.name] for fed in graph.inputs if fed.role == "state" and fed.name in state}
        holds = isinstance(backend, Holding) and bool(weights)
        made = backend.hold(graph, weights, options) if isinstance(backend, Holding) and holds else None
        self._executor: Executor = backend.start(backend.lower(graph, options) if made is None else made, options)
        self._weights = {} if holds else weights
        self._names = [fed.name for fed in graph.inputs]

    def run(self, feeds: Arrays, session: Session | None = None) -> Mapping[str, Array]:
        given = {**self._weights, **{name: feeds[name] for name in self._names if name in feeds}}
        return self._executor.run(given, session)
