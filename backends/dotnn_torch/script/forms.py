"""Words that join, cut, reshape, sort and convert, as PyTorch writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dotnn_torch.script import convolve
from dotnn_torch.script.text import ATOM, Code, call
from dotnn_torch.script.trace import is_tensor
from dotnn_torch.script.words import Argument, Settings, UnspokenError, Word, axes_text, one


def _axes(settings: Settings) -> tuple[int, ...] | None:
    over = settings.get("over")
    return None if over is None else tuple(over)


def _axis(settings: Settings) -> int:
    axes = _axes(settings) or (-1,)
    if len(axes) != 1:
        raise UnspokenError("an operation along several dims")
    return axes[0]


def _joined(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    """`concat` and `stack`: of several tensors, or of what one part gives."""
    listed = len(given) == 1 and all(isinstance(v, tuple) for v in given[0].values)
    values = [t for a in given for v in a.values for t in (v if isinstance(v, tuple) else (v,)) if is_tensor(t)]
    if not values or (not listed and not all(a.tensors for a in given)):
        raise UnspokenError(f"`{name}` of plain numbers")
    if len({tuple(sorted(map(str, t.labels))) for t in values}) != len({t.labels for t in values}):
        raise UnspokenError(f"`{name}` of dims that are named otherwise")
    parts = given[0].code.text if listed else f"[{', '.join(a.code.text for a in given)}]"
    if name == "stack":
        return call("torch.stack", parts, "-1")
    return call("torch.cat", parts, str(_axis(settings)))


def _cut(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, *count = given
    word = "unbind" if name == "unstack" else "chunk"
    return Code(f"{x.code.at(ATOM)}.{word}({', '.join([*(c.code.text for c in count), str(_axis(settings))])})")


def _unfold(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, shape = given
    return Code(f"{x.code.at(ATOM)}.unflatten({_axis(settings)}, {shape.code.text})")


def _ordered(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    falling = settings.get("falling", Code("False")).text
    words = [str(_axis(settings)), *([] if falling == "False" else [f"descending={falling}"]), "stable=True"]
    if name == "argsort":
        words[0] = f"dim={words[0]}"
    made = f"{x.code.at(ATOM)}.{name}({', '.join(words)})"
    if name == "argsort":
        return Code(made)
    return Code(f"torch.sort({', '.join([x.code.text, f'dim={words[0]}', *words[1:]])}).values")


def _top(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, count = given
    return call("top", x.code.text, count.code.text, str(_axis(settings)))


def _taken(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, index = given
    places = index.code if index.dtypes == {"i64"} else index.turned("long")
    return Code(f"{x.code.at(ATOM)}.gather({_axis(settings)}, {places.text})")


def _cumulated(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    axis, back = _axis(settings), settings.get("back", Code("False")).text
    if back not in ("True", "False"):
        raise UnspokenError("`cumulate` in a direction that is a setting")
    turned = f".flip({axis})" if back == "True" else ""
    return Code(f"{x.code.at(ATOM)}{turned}.cumsum({axis}){turned}")


def _variance(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    axes = _axes(settings)
    words = [axes_text(axes)] if axes else []
    return Code(f"{x.real.at(ATOM)}.var({', '.join([*words, 'correction=0'])})")


def _moments(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    rank = one([t.rank for t in x.tensors], "a number of dims")
    axes = _axes(settings) or tuple(range(rank))
    if "keep" in settings:
        axes = tuple(i for i in range(rank) if i - rank not in settings["keep"] and i not in settings["keep"])
    return call("moments", x.real.text, axes_text(axes))


def _converted(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    if x.number:
        return call("float" if name == "real" else name, x.code.text)
    return x.real if name == "real" else x.turned("long" if name == "int" else "bool")


def _each(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    if x.number:
        return call("float", f"round({x.code.text})") if name == "round" else call("math.erf", x.code.text)
    return call(f"torch.{name}", x.real.text)


def _end(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    return Code(f"{x.code.at(ATOM)}.select({_axis(settings)}, {0 if name == 'first' else -1})")


def _within(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, stretch = given
    ends = stretch.code.text
    return call(name, x.code.text, ends[1:-1] if ends.startswith("(") else f"*{ends}")


def _grad(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    of, by = given
    if not re.fullmatch(r"\w+", by.code.text):
        raise UnspokenError("a gradient by what has no name")
    return call(name, of.code.text, by.code.text)


FORMS: dict[str, Word] = {
    "grad": _grad,
    "within": _within,
    "first": _end,
    "last": _end,
    "concat": _joined,
    "stack": _joined,
    "split": _cut,
    "unstack": _cut,
    "unfold": _unfold,
    "sort": _ordered,
    "argsort": _ordered,
    "top": _top,
    "take": _taken,
    "cumulate": _cumulated,
    "variance": _variance,
    "moments": _moments,
    "int": _converted,
    "real": _converted,
    "bool": _converted,
    "round": _each,
    "erf": _each,
    **convolve.FORMS,
}
