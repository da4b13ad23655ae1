"""The operations of the language as PyTorch writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dotnn.elaborate.values import Label, Shape, Tensor
from dotnn_torch.script.text import ATOM, PRODUCT, SIGN, Code, call
from dotnn_torch.script.trace import is_number, is_tensor

MATH = ("exp", "log", "sqrt", "sin", "cos", "tanh")
"""Operations that Python's own `math` has for plain numbers."""


class UnspokenError(Exception):
    """An operation, or a use of it, that has no text here."""


@dataclass(frozen=True)
class Argument:
    """A piece of Python and every value that it stands for."""

    code: Code
    values: Sequence[Any]

    @property
    def tensors(self) -> list[Tensor]:
        return [v for v in self.values if is_tensor(v)]

    @property
    def number(self) -> bool:
        return all(is_number(v) for v in self.values)

    @property
    def dtypes(self) -> set[str]:
        return {t.value.dtype for t in self.tensors}

    @property
    def real(self) -> Code:
        """As real numbers."""
        return self.turned("float") if self.tensors and not self.dtypes <= {"f32", "f64", "f16", "bf16"} else self.code

    def turned(self, word: str) -> Code:
        return Code(f"{self.code.at(ATOM)}.{word}()")


def one(values: Sequence[Any], what: str) -> Any:
    """What all of these are. Raises UnspokenError where they differ."""
    if len(set(values)) != 1:
        raise UnspokenError(f"{what} that differs from place to place")
    return values[0]


def axes_text(axes: Sequence[int]) -> str:
    return str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"


def moved(small: Argument, large: Argument) -> Code:
    """``small`` with its dims under those of ``large`` that have the same labels."""
    found = {_move(a, b) for a, b in zip(small.values, large.values, strict=False) if is_tensor(a) and is_tensor(b)}
    if len(found) > 1:
        raise UnspokenError("dims that are aligned in another way in each place")
    text = found.pop() if found else ""
    return Code(small.code.at(ATOM) + text) if text else small.code


def _move(small: Tensor, large: Tensor) -> str:
    labels: tuple[Label, ...] = large.labels
    if small.rank == 0 or any(label is None or label not in labels for label in small.labels):
        return ""
    places = [labels.index(label) for label in small.labels]
    order = sorted(range(small.rank), key=places.__getitem__)
    text = "" if order == list(range(small.rank)) else f".permute({', '.join(map(str, order))})"
    if sorted(places) == list(range(large.rank - small.rank, large.rank)):
        return text
    index = ", ".join(":" if p in places else "None" for p in range(min(places), large.rank))
    return f"{text}[{index}]"


def pair(a: Argument, b: Argument) -> tuple[Code, Code]:
    """Two arguments, the one with fewer dims aligned with the other."""
    if not a.tensors or not b.tensors:
        return a.code, b.code
    first = max(t.rank for t in a.tensors) >= max(t.rank for t in b.tensors)
    return (a.code, moved(b, a)) if first else (moved(a, b), b.code)


# ---- one function a word: arguments, settings -> Python

Settings = Mapping[str, Any]
Word = Callable[[str, Sequence[Argument], Settings], Code]


def _each(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    if x.number:
        if name in MATH:
            return call(f"math.{name}", x.code.text)
        if name in ("abs", "floor"):
            return call("abs" if name == "abs" else "math.floor", x.code.text)
        raise UnspokenError(f"`{name}` of a plain number")
    return call(f"torch.{name}", x.real.text)


def _axes(settings: Settings) -> tuple[int, ...] | None:
    over = settings.get("over")
    return None if over is None else tuple(over)


def _axis(x: Argument, settings: Settings) -> int:
    axes = _axes(settings) or (-1,)
    if len(axes) != 1:
        raise UnspokenError("an operation along several dims")
    return axes[0]


def _fold(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    if not x.tensors:
        return x.code
    axes = _axes(settings)
    code = x.real if name == "mean" else x.code
    if name in ("max", "min") and x.dtypes == {"bool"}:
        code = x.turned("long")
    word = {"max": "amax", "min": "amin"}.get(name, name)
    kept = "keep" in settings and settings["keep"].text == "True"
    given_axes = axes_text(axes) if axes else f"({', '.join(map(str, range(x.tensors[0].rank)))},)" if kept else ""
    return Code(f"{code.at(ATOM)}.{word}({given_axes}{', keepdim=True' if kept else ''})")


def _extreme(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    if len(given) == 1:
        return _fold(name, given, settings)
    a, b = given
    if a.number and b.number:
        return call(name, a.code.text, b.code.text)
    left, right = pair(a, b)
    # Not torch.maximum, which shares the gradient of a tie between both; that of clamp goes to the tensor.
    if not a.tensors:
        return Code(f"{right.at(ATOM)}.clamp({'min' if name == 'max' else 'max'}={left.text})")
    sign = "<=" if name == "max" else ">="
    if not all(re.fullmatch(r"-?[\w.]+", side.text) for side in (left, right)):
        return call("greater" if name == "max" else "smaller", left.text, right.text)
    return call("torch.where", f"{left.at(PRODUCT)} {sign} {right.at(PRODUCT)}", right.text, left.text)


def _along(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    return Code(f"{x.real.at(ATOM)}.{name}({_axis(x, settings)})")


def _normalise(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    axis, eps = _axis(x, settings), settings.get("eps", Code("1e-05")).text
    if axis == -1:
        return call("normalise", x.real.text, eps)
    return Code(f"{name}({x.real.at(ATOM)}.movedim({axis}, -1), {eps}).movedim(-1, {axis})")


def _pick(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, index = given
    place = index.turned("long") if index.dtypes != {"i64"} else index.code
    return Code(f"{x.real.at(ATOM)}.gather(-1, {place.at(ATOM)}[..., None])[..., 0]")


def _stop(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    return Code(f"{x.code.at(ATOM)}.detach()") if x.tensors else x.code


def _merge(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    if len(given) != 2 or "over" in settings:
        raise UnspokenError("`fold` with `over`")
    x, shape = given
    kept, merged, inner = set(), set(), set()
    for tensor, dims in zip(x.values, shape.values, strict=False):
        if not isinstance(tensor, Tensor) or not isinstance(dims, Shape):
            raise UnspokenError("`fold` of this")
        named = bool(dims.labels) and all(label is not None and label in tensor.labels for label in dims.labels)
        start = tensor.labels.index(dims.labels[0]) if named else tensor.rank - len(dims.dims)
        if named and dims.labels != tensor.labels[start : start + len(dims.dims)]:
            raise UnspokenError("`fold` of dims that do not stand side by side, in this order")
        inner.add((start - tensor.rank, start + len(dims.dims) - 1 - tensor.rank))
        kept.add(start)
        merged.add(len(dims.dims))
    text = x.code.at(ATOM)
    if any(last != -1 for _, last in inner):
        first, last = one(sorted(inner), "a `fold`")
        return call("merged", text, str(first), str(last))
    start = kept.pop() if len(kept) == 1 else -one(list(merged), "a `fold`")
    if start < 0 and 0 in merged:
        raise UnspokenError("`fold` of no dims")
    if start and not re.fullmatch(r"[\w.]+", text):
        return call("merged", text, str(start), "-1")
    first = f"len({text})" if start == 1 else f"*{text}.shape[:{start}]"
    return Code(f"{text}.reshape({first}, -1)" if start else f"{text}.reshape(-1)")


def _fill(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    number, shape = given
    if not number.number:
        return Code(f"{number.real.at(ATOM)}.expand({shape.code.text})")
    text = number.code.text
    if text in ("0", "1"):
        return call("torch.zeros" if text == "0" else "torch.ones", shape.code.text, "device=DEVICE")
    if re.fullmatch(r"-?\d+", text):
        text += ".0"
    return call("torch.full", shape.code.text, text, "device=DEVICE")


def _rank(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    if x.tensors and len(x.tensors) < len(x.values):
        return call("rank", x.code.text)
    return Code(f"{x.code.at(ATOM)}.dim()") if x.tensors else Code("0")


def _shape(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    return Code(f"{x.code.at(ATOM)}.shape") if x.tensors else Code("()")


def _size(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    (x,) = given
    axes = _axes(settings)
    if not x.tensors:
        return Code("1")
    if axes is None:
        return Code(f"{x.code.at(ATOM)}.numel()")
    return Code(" * ".join(f"{x.code.at(ATOM)}.shape[{axis}]" for axis in axes), PRODUCT if len(axes) > 1 else ATOM)


WORDS: dict[str, Word] = {
    **dict.fromkeys(("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "sign", "floor"), _each),
    "sum": _fold,
    "mean": _fold,
    "max": _extreme,
    "min": _extreme,
    "argmax": _along,
    "softmax": _along,
    "log_softmax": _along,
    "logsumexp": _along,
    "normalise": _normalise,
    "pick": _pick,
    "stop": _stop,
    "fold": _merge,
    "fill": _fill,
    "rank": _rank,
    "shape": _shape,
    "size": _size,
}
"""`random` is not among them: it needs to know where it stands."""


def speak(name: str, given: Sequence[Argument], settings: Settings, more: Mapping[str, Word]) -> Code:
    """A call of an operation. Raises UnspokenError."""
    word = WORDS.get(name) or more.get(name)
    if word is None:
        raise UnspokenError(f"the operation `{name}`")
    try:
        return word(name, given, settings)
    except ValueError:
        raise UnspokenError(f"this use of `{name}`") from None


def signed(code: Code) -> Code:
    return Code(f"-{code.at(SIGN)}", SIGN)


def counted(given: Argument) -> Argument:
    """A list of numbers that is counted with."""
    if not given.values or not any(isinstance(v, Shape) for v in given.values):
        return given
    return Argument(call("torch.tensor", given.code.text, "device=DEVICE"), given.values)
