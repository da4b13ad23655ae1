"""What `--set` changes: params, and lines of `train` and `data` blocks, by their path.

| path | what it is |
|---|---|
| `hidden` | the param of that name, which comes first |
| `batch`, `train.batch` | that line of every train block |
| `Digits.batch` | of the train block of that name |
| `optimizer.lr`, `Digits.optimizer.lr` | a setting of the optimizer |
| `critic.optimizer.lr`, `Digits.critic.clip.norm` | a line of the step of that name |
| `digits.seed`, `data.seed` | the seed of a data block, of all of them |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from dotnn.elaborate.library import USER, Library
from dotnn.elaborate.values import Known
from dotnn.plan import NoSuchParam, NotAValue, block_name
from dotnn.read import read_text
from dotnn.read.train import PRECISIONS
from dotnn.spec import Argument, Call, Expression, Name, Spec, Step, Train
from dotnn_grammar.problems import Problem, ProblemError, nearest, perhaps
from dotnn_grammar.source import Source

COUNTED = ("batch", "epochs", "steps", "accumulate", "clip", "clip.norm")
LINES = (*COUNTED, "seed", "precision", "optimizer")
"""The lines of a train block that can be set; and every setting of the optimizer, as `optimizer.lr`."""


IN_STEPS = ("clip", "clip.norm", "optimizer")
"""Those of them that stand in the steps of a block that has steps."""

Objective = TypeVar("Objective", Train, Step)


class NoSuchSetting(Problem):
    code = "B069"
    title = "`--set {name}`: {file} has no such setting"
    help = "{near}"
    name: str
    file: str
    near: str


class Settled(NamedTuple):
    """A spec with what `--set` changes in it."""

    spec: Spec
    params: dict[str, str]
    """For params: the text of each."""
    settings: dict[str, str]
    """The others, as they were given."""
    sources: dict[str, Source]
    """The texts that were given, into which problems point."""


def settled(spec: Spec, values: Mapping[str, str]) -> Settled:
    """Sorts `--set` values into those of params, and puts the others in their places. Raises ``ProblemError``."""
    names = {param.name for param in spec.params}
    params = {name: text for name, text in values.items() if name in names}
    settings = {name: text for name, text in values.items() if name not in names}
    sources: dict[str, Source] = {}
    for name, text in settings.items():
        given = _Given(name, text)
        spec = _set(spec, given)
        sources |= {given.source.name: given.source}
    return Settled(spec, params, settings, sources)


class _Given:
    """One `--set NAME=TEXT`."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        last = name.rpartition(".")[2]
        self.source = Source(name=f"--set {name}", text=f"param {last} = {text}\n")

    def expression(self) -> Expression:
        try:
            return read_text(self.source).params[0].value
        except (ProblemError, IndexError):
            raise self.wrong() from None

    def whole(self) -> int:
        digits = self.text.replace("_", "")
        if not digits.isdecimal():
            raise self.wrong()
        return int(digits)

    def word(self) -> str:
        if self.text not in PRECISIONS:
            raise self.wrong()
        return self.text

    def wrong(self) -> ProblemError:
        return NotAValue(name=self.name, text=self.text).error()


def _set(spec: Spec, given: _Given) -> Spec:
    """The spec with one setting changed."""
    first, _, rest = given.name.partition(".")
    trains = [t for t in spec.trains if rest and first in ("train", block_name(t))]
    datas = [d for d in spec.data if rest == "seed" and first in ("data", d.name)]
    if trains and datas:
        way = f"`{first}` is a train block and a data block: write train.{rest} or data.{rest}"
        raise NoSuchSetting(name=given.name, file=spec.file, near=way).error()
    if datas:
        seeded = tuple(d.model_copy(update={"seed": given.whole()}) if d in datas else d for d in spec.data)
        return spec.model_copy(update={"data": seeded})
    path = rest if trains else given.name
    wanted = trains or list(spec.trains)
    library = Library(spec.definitions)
    made = {id(t): changed for t in wanted if (changed := _line(t, path, given, library)) is not None}
    if not made:
        raise _unknown(spec, given.name)
    return spec.model_copy(update={"trains": tuple(made.get(id(t), t) for t in spec.trains)})


def _line(train: Train, path: str, given: _Given, library: Library) -> Train | None:
    """The block with one line changed; None where it has no such line."""
    if path == "seed":
        return train.model_copy(update={"seed": given.whole()})
    if path == "precision":
        return train.model_copy(update={"precision": given.word()})
    if train.objectives:
        return _in_steps(train, path, given, library)
    return _set_line(train, path, given, library)


def _in_steps(train: Train, path: str, given: _Given, library: Library) -> Train | None:
    """The same of a block with steps: `critic.optimizer.lr`, or of every step that has the line, `optimizer.lr`."""
    name, _, rest = path.partition(".")
    named = [step for step in train.objectives if step.name == name and rest]
    path = rest if named else path
    if path.partition(".")[0] not in ("optimizer", "clip"):
        return None if named else _set_line(train, path, given, library)
    changed = {s.name: _set_line(s, path, given, library) for s in named or train.objectives}
    if all(step is None for step in changed.values()):
        return None
    return train.model_copy(update={"objectives": tuple(changed.get(s.name) or s for s in train.objectives)})


def _set_line(train: Objective, path: str, given: _Given, library: Library) -> Objective | None:
    word, _, setting = path.partition(".")
    if word == "optimizer" and setting:
        if setting not in optimizer_settings(train, library) or train.optimizer is None:
            return None
        return train.model_copy(update={"optimizer": _with(train.optimizer, setting, given.expression())})
    if path not in LINES:
        return None
    update: dict[str, Any] = {word: given.expression()}
    other = {"epochs": "steps", "steps": "epochs"}.get(path)
    return train.model_copy(update=update | ({other: None} if other else {}))


def optimizer_settings(train: Train | Step, library: Library) -> list[str]:
    """What can be set of the optimizer that a block or a step names."""
    called = train.optimizer.function if isinstance(train.optimizer, Call) else train.optimizer
    known = library.find(called.name, USER) if isinstance(called, Name) else None
    return [s.name for s in known.definition.settings or ()] if isinstance(known, Known) else []


def _with(call: Expression, name: str, value: Expression) -> Expression:
    """`sgd(lr = 1)` with another `lr`."""
    argument = Argument(span=value.span, name=name, value=value)
    if not isinstance(call, Call):
        return Call(span=call.span, function=call, arguments=(argument,))
    others = tuple(a for a in call.arguments if a.name != name)
    return call.model_copy(update={"arguments": (*others, argument)})


def paths(spec: Spec) -> Iterator[str]:
    """Everything that `--set` can change, the shortest path first."""
    library = Library(spec.definitions)
    own = [(train, [*_lines_of(train, library)]) for train in spec.trains]
    yield from (param.name for param in spec.params)
    yield from dict.fromkeys(line for _, lines in own for line in lines)
    yield from (f"{data.name}.seed" for data in spec.data)
    yield from dict.fromkeys(f"train.{line}" for _, lines in own for line in lines)
    yield from (f"{block_name(train)}.{line}" for train, lines in own for line in lines)


def _lines_of(train: Train, library: Library) -> Iterator[str]:
    if not train.objectives:
        yield from LINES
        yield from (f"optimizer.{name}" for name in optimizer_settings(train, library))
        return
    yield from (line for line in LINES if line not in IN_STEPS)
    for step in train.objectives:
        yield from (f"{step.name}.{line}" for line in IN_STEPS)
        yield from (f"{step.name}.optimizer.{name}" for name in optimizer_settings(step, library))


def _unknown(spec: Spec, name: str) -> ProblemError:
    known = list(paths(spec))
    names = [param.name for param in spec.params]
    if "." in name:
        listed = [path for path in known if path.count(".") == name.count(".")] or known
        near = perhaps(name, known, f"there are: {', '.join(listed[:12])}")
        return NoSuchSetting(name=name, file=spec.file, near=near).error()
    own = next((path for path in known if path.startswith("optimizer.")), "batch")
    lines = f"lines of `train` are set by their names, such as batch, epochs, {own}" if spec.trains else ""
    params = f"its params are: {', '.join(names)}" if names else "it has none"
    near = perhaps(name, nearest(name, names) or known, "; ".join(filter(None, (params, lines))))
    return NoSuchParam(name=name, file=spec.file, near=near).error()
