"""Nets drawn at random, as plain values: from one description come the text of a spec and a net of the peer's.

An expression is a tuple: its kind first, then its parts.

    ("name", "h1")  ("number", 0.5)  ("negative", e)  ("binary", "+", e, e)  ("choose", e, ">", 0.0, e, e)
    ("call", "tanh", (e, …), axis or None)  ("gather", "table", "token")  ("rows", "place", 3)  ("first", e, 2)
    ("transposed", e)  ("chain", e, (stage, …))
    a stage: ("layer", "dense", {settings}, `as` name or None), ("function", "relu"), ("bound", "f")

A statement: ("assign", name, e), ("bind", name, layer, {settings}), ("weight", name, sizes, initialiser),
("repeat", variable, turns, (statement, …)).

Drawn with ``random.Random`` alone, whose numbers are the same in every version of Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

Expression = tuple[Any, ...]
Statement = tuple[Any, ...]
Dims = tuple[int | str, ...]

ROWS = 5
NETS = 80

OWN: dict[str, tuple[tuple[str, ...], str, tuple[Statement, ...], Expression]] = {}
"""Layers of the spec's own: their settings, the type of the result, the body, what is returned."""

_X: Expression = ("name", "x")


def dense(units: Any, bias: bool = True, name: str | None = None) -> Expression:
    return ("layer", "dense", {"units": units} if bias else {"units": units, "bias": False}, name)


OWN["mix"] = (
    ("units",),
    "[..., n]",
    (("assign", "inner", ("chain", _X, (("layer", "layer_norm", {}, None), dense("units"), ("function", "tanh")))),),
    ("binary", "+", _X, ("chain", ("name", "inner"), (dense("n", bias=False),))),
)
OWN["look"] = (
    ("size",),
    "[..., n]",
    (
        ("assign", "q", ("chain", _X, (dense("size"),))),
        ("assign", "k", ("chain", _X, (dense("size"),))),
        ("assign", "v", ("chain", _X, (dense("n", name="value"),))),
        (
            "assign",
            "share",
            (
                "call",
                "softmax",
                (
                    (
                        "binary",
                        "/",
                        ("binary", "@", ("name", "q"), ("transposed", ("name", "k"))),
                        ("call", "sqrt", (("name", "size"),), None),
                    ),
                ),
                None,
            ),
        ),
    ),
    ("binary", "@", ("name", "share"), ("name", "v")),
)
OWN["gate"] = (
    (),
    "[..., n]",
    (
        ("weight", "slope", ("n",), "normal(0, 0.5)"),
        (
            "assign",
            "door",
            ("call", "sigmoid", (("binary", "+", ("binary", "*", _X, ("name", "slope")), ("number", 0.25)),), None),
        ),
    ),
    ("binary", "*", _X, ("name", "door")),
)


@dataclass(frozen=True)
class Net:
    """A drawn net and how it is taught. ``reals``, ``tokens``: the sizes of an input behind the batch, or None."""

    number: int
    reals: tuple[int, ...] | None
    tokens: tuple[int, ...] | None
    vocabulary: int
    body: tuple[Statement, ...]
    output: Dims
    loss: str
    """`cross_entropy` or `mse`."""
    clip: float | None
    decays: tuple[tuple[float, str], ...]
    own: tuple[str, ...]


@dataclass
class _Held:
    """A name of the net's: its dims; ``ties``: equal numbers may stand in it, so that its greatest is not one place."""

    dims: Dims
    ties: bool = False


@dataclass
class _Draft:
    random: Random
    names: dict[str, _Held] = field(default_factory=dict)
    bound: dict[str, tuple[Any, int]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    count: int = 0

    def fresh(self, letter: str = "h") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def latest(self) -> str:
        return next(reversed(self.names))

    def keep(self, name: str, dims: Dims, ties: bool = False) -> str:
        self.names.pop(name, None)
        self.names[name] = _Held(dims, ties)
        return name


def draw(number: int) -> Net:
    """The net of that number: always the same."""
    random = Random(f"dotnn peers {number}")
    draft = _Draft(random)
    kind = number % 4
    body: list[Statement] = []
    reals: tuple[int, ...] | None = None
    tokens: tuple[int, ...] | None = None
    vocabulary = random.randint(3, 6)
    if kind == 0:
        reals = (random.randint(2, 6),)
        draft.keep("x", ("b", *reals))
    elif kind == 1:
        reals = (random.randint(2, 4), random.randint(2, 4))
        draft.keep("x", ("b", *reals))
    elif kind == 2:
        tokens = (random.randint(2, 4),)
        body += _lookup(draft, tokens, vocabulary)
    else:
        tokens, width = (random.randint(2, 4),), random.randint(2, 4)
        reals = (*tokens, width)
        draft.keep("x", ("b", *reals))
        body += _lookup(draft, tokens, vocabulary, width)
    for _ in range(random.randint(2, 5)):
        body += _step(draft)
    tail, output, loss = _end(draft, vocabulary)
    clip = random.choice((None, None, 0.05, 50.0))
    decays = random.choice(((), (), ((0.01, "*.W"),), ((0.02, "Drawn.*"), (0.05, "*.W"))))
    if not any("dense" in str(s) for s in body + tail):
        decays = ()
    return Net(
        number, reals, tokens, vocabulary, tuple(body + tail), output, loss, clip, decays, tuple(sorted(set(draft.own)))
    )


def _lookup(draft: _Draft, tokens: tuple[int, ...], vocabulary: int, width: int | None = None) -> list[Statement]:
    """Rows of a table by the tokens, perhaps with a weight for each place, of which only the first rows are used."""
    size = width or draft.random.randint(2, 4)
    draft.tables["table"] = (vocabulary, size)
    found: Expression = ("gather", "table", "token")
    lines: list[Statement] = [("weight", "table", (vocabulary, size), "normal(0, 0.7)")]
    if draft.random.random() < 0.7:
        lines.append(("weight", "place", (tokens[0] + draft.random.randint(0, 3), size), "uniform(-1, 1)"))
        found = ("binary", "+", found, ("rows", "place", tokens[0]))
    if width is not None:
        found = ("binary", draft.random.choice(("+", "*")), found, ("name", "x"))
    name = draft.fresh()
    lines.append(("assign", name, found))
    draft.keep(name, ("b", *tokens, size), ties=True)
    return lines


# ---- one step


def _step(draft: _Draft) -> list[Statement]:
    choices = [_dense, _dense, _norm, _pointwise, _pointwise, _residual, _shared, _repeat, _own, _own, _combine, _keep]
    if len(draft.names[draft.latest()].dims) == 3:
        choices += [_own, _fold_places, _fold_places, _shared, _places]
    return draft.random.choice(choices)(draft)


def _dense(draft: _Draft) -> list[Statement]:
    x = draft.latest()
    units = draft.random.randint(2, 6)
    stages: list[Expression] = [
        dense(units, draft.random.random() < 0.7, draft.fresh("part") if draft.random.random() < 0.3 else None)
    ]
    ties = False
    if draft.random.random() < 0.6:
        function = draft.random.choice(("relu", "tanh", "sigmoid", "softmax"))
        stages.append(("function", function))
        ties = function == "relu"
    if draft.random.random() < 0.3:
        units = draft.random.randint(2, 5)
        stages.append(dense(units))
        ties = False
    if draft.random.random() < 0.2:
        stages.append(("layer", "dropout", {"p": 0}, None))
    dims = draft.names[x].dims
    name = draft.fresh()
    draft.keep(name, (*dims[:-1], units), ties)
    return [("assign", name, ("chain", ("name", x), tuple(stages)))]


def _norm(draft: _Draft) -> list[Statement]:
    x = draft.latest()
    eps = draft.random.choice(({}, {"eps": 1e-3}, {"eps": 0.1}))
    name = draft.fresh()
    line = ("assign", name, ("chain", ("name", x), (("layer", "layer_norm", eps, None),)))
    draft.keep(name, draft.names[x].dims, draft.names[x].ties)
    return [line]


def _call(function: str, *values: Expression, axis: int | None = None) -> Expression:
    return ("call", function, values, axis)


def _pointwise(draft: _Draft) -> list[Statement]:
    x = draft.latest()
    h: Expression = ("name", x)
    square: Expression = ("binary", "^", h, ("number", 2))
    forms: list[Expression] = [
        _call("relu", h),
        _call("tanh", h),
        _call("sigmoid", h),
        _call("sin", h),
        _call("cos", h),
        _call("exp", ("negative", square)),
        _call("sqrt", ("binary", "+", square, ("number", 0.1))),
        _call("log", ("binary", "+", square, ("number", 0.5))),
        ("binary", "/", h, ("binary", "+", ("number", 1), _call("abs", h))),
        _call("max", h, ("number", -0.3)),
        _call("min", h, ("number", 0.4)),
        ("choose", h, ">", 0.0, h, ("binary", "*", ("number", 0.1), h)),
        ("binary", "*", h, _call("stop", _call("sigmoid", h))),
        ("binary", "-", ("number", 1), ("binary", "^", h, ("number", 3))),
        ("binary", "^", _call("sigmoid", h), ("number", 1.5)),
        _call("softmax", h, axis=-1),
        _call("log_softmax", h, axis=-1),
        _call("normalise", h),
        ("binary", "-", h, _call("mean", h)),
    ]
    if len(draft.names[x].dims) == 3:
        forms += [_call("softmax", h, axis=-2), ("binary", "@", ("binary", "@", h, ("transposed", h)), h)]
    name = draft.fresh()
    draft.keep(name, draft.names[x].dims, ties=True)
    return [("assign", name, draft.random.choice(forms))]


def _residual(draft: _Draft) -> list[Statement]:
    x = draft.latest()
    dims = draft.names[x].dims
    function = draft.random.choice(("relu", "tanh", "sigmoid"))
    inner = (dense(draft.random.randint(2, 6)), ("function", function), dense(dims[-1]))
    name = draft.fresh()
    draft.keep(name, dims, draft.names[x].ties)
    operator = draft.random.choice("+-*")
    return [("assign", name, ("binary", operator, ("name", x), ("chain", ("name", x), inner)))]


def _shared(draft: _Draft) -> list[Statement]:
    """A layer that is used twice: on two tensors, or twice in a row."""
    x = draft.latest()
    dims = draft.names[x].dims
    shared = draft.fresh("f")
    line: Statement = ("bind", shared, "dense", {"units": dims[-1]})
    once: Expression = ("chain", ("name", x), (("bound", shared),))
    negative: Expression = ("chain", ("negative", ("name", x)), (("bound", shared), ("function", "tanh")))
    twice: Expression = ("chain", ("name", x), (("bound", shared), ("function", "tanh"), ("bound", shared)))
    name = draft.fresh()
    draft.keep(name, dims)
    return [line, ("assign", name, draft.random.choice((("binary", "-", once, negative), twice)))]


def _repeat(draft: _Draft) -> list[Statement]:
    """Turns with weights of their own each, around one that all share."""
    x = draft.latest()
    dims = draft.names[x].dims
    turn, name, shared = draft.fresh("turn"), draft.fresh(), draft.fresh("g")
    h: Expression = ("name", name)
    inner: list[Expression] = [dense(dims[-1]), ("function", draft.random.choice(("tanh", "relu")))]
    if draft.random.random() < 0.5:
        inner.insert(0, ("layer", "layer_norm", {}, None))
    lines: list[Statement] = [("assign", name, ("binary", "+", h, ("chain", h, tuple(inner))))]
    before: list[Statement] = [("assign", name, ("binary", "*", ("name", x), ("number", 1.5)))]
    kind = draft.random.randrange(4)
    if kind == 0:
        before.append(("bind", shared, "dense", {"units": dims[-1]}))
        lines.append(("assign", name, ("chain", h, (("bound", shared),))))
    elif kind == 1:
        draft.own.append("mix")
        lines.append(("assign", name, ("chain", h, (("layer", "mix", {"units": 3}, None),))))
    elif kind == 2:
        draft.own.append("gate")
        lines.append(("assign", name, ("chain", h, (("layer", "gate", {}, None),))))
    draft.keep(name, dims, ties=True)
    return [*before, ("repeat", turn, draft.random.randint(1, 3), tuple(lines))]


def _own(draft: _Draft) -> list[Statement]:
    x = draft.latest()
    dims = draft.names[x].dims
    word = draft.random.choice(("mix", "gate", "look") if len(dims) == 3 else ("mix", "gate"))
    settings = {setting: draft.random.randint(2, 4) for setting in OWN[word][0]}
    draft.own.append(word)
    name = draft.fresh()
    draft.keep(name, dims, ties=True)
    part = draft.fresh("part") if draft.random.random() < 0.3 else None
    return [("assign", name, ("chain", ("name", x), (("layer", word, settings, part),)))]


def _combine(draft: _Draft) -> list[Statement]:
    """Two tensors of the net, number by number; the smaller of them is spread out where it fits."""
    x = draft.latest()
    dims = draft.names[x].dims
    fitting = [n for n, held in draft.names.items() if held.dims == dims and n != x]
    other: Expression
    if fitting:
        other = ("name", draft.random.choice(fitting))
    else:
        other = ("chain", ("name", x), (dense(1), ("function", "tanh")))
    h: Expression = ("name", x)
    forms: list[Expression] = [("binary", operator, h, other) for operator in "+-*"]
    forms.append(("binary", "/", h, ("binary", "+", ("number", 1.5), ("binary", "^", other, ("number", 2)))))
    name = draft.fresh()
    draft.keep(name, dims, ties=True)
    return [("assign", name, draft.random.choice(forms))]


def _keep(draft: _Draft) -> list[Statement]:
    """The first numbers of each row alone."""
    x = draft.latest()
    dims = draft.names[x].dims
    if not isinstance(dims[-1], int) or dims[-1] < 3:
        return _dense(draft)
    name = draft.fresh()
    draft.keep(name, (*dims[:-1], dims[-1] - 1), draft.names[x].ties)
    return [("assign", name, ("first", ("name", x), dims[-1] - 1))]


def _places(draft: _Draft) -> list[Statement]:
    """The greatest and the least over the places, one taken from the other."""
    x = draft.latest()
    held = draft.names[x]
    if held.ties:
        return _norm(draft)
    name = draft.fresh()
    spread = ("binary", "-", _call("max", ("name", x), axis=-2), _call("min", ("name", x), axis=-2))
    draft.keep(name, (held.dims[0], held.dims[-1]), ties=True)
    return [("assign", name, spread)]


def _fold_places(draft: _Draft) -> list[Statement]:
    """A row of numbers beside a whole table of them."""
    x = draft.latest()
    held = draft.names[x]
    functions = ["mean", "sum", "logsumexp"] if held.ties else ["mean", "logsumexp", "max", "min"]
    function, axis = draft.random.choice(functions), draft.random.choice((-2, -1))
    name = draft.fresh()
    value = _call(function, ("name", x), axis=axis)
    dims = (*held.dims[:-2], held.dims[-1] if axis == -2 else held.dims[-2])
    draft.keep(name, dims)
    return [("assign", name, value)]


# ---- the end of the net


def _end(draft: _Draft, vocabulary: int) -> tuple[list[Statement], Dims, str]:
    x = draft.latest()
    dims = draft.names[x].dims
    h: Expression = ("name", x)
    lines: list[Statement] = []
    if len(dims) == 3 and draft.random.random() < 0.5:
        name = draft.fresh()
        way = draft.random.choice((_call("mean", h, axis=-2), _call("flatten", h)))
        assert isinstance(dims[1], int)
        assert isinstance(dims[2], int)
        dims = (dims[0], dims[2] if way[1] == "mean" else dims[1] * dims[2])
        lines.append(("assign", name, way))
        h = ("name", name)
    loss = draft.random.choice(("cross_entropy", "cross_entropy", "mse"))
    table = draft.tables.get("table")
    if table is not None and draft.random.random() < 0.6:
        lines.append(("assign", "tied", ("chain", h, (dense(table[1]), ("function", "tanh")))))
        lines.append(("assign", "out", ("binary", "@", ("name", "tied"), ("transposed", ("name", "table")))))
        return lines, (*dims[:-1], vocabulary), loss
    lines.append(("assign", "out", ("chain", h, (dense(vocabulary),))))
    return lines, (*dims[:-1], vocabulary), loss
