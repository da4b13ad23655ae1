"""Python text: how tightly expressions bind, names that Python leaves free, lines that are not too long."""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WIDTH = 120
EXPRESSION, OR, AND, NOT, COMPARISON, EITHER, BOTH, SUM, PRODUCT, SIGN, POWER, ATOM = range(12)
"""How tightly each form of Python binds; EITHER and BOTH are | and &."""

_SCRIPT = (
    "torch nn math np copy Path here read load net rows random main optimizer figures made evaluate group "
    "standardise product fans normalise greater smaller top moments mean_where clip "
    "Kernel each beside padded convolve convolve_back window_max window_sum enlarge "
    "loss_at error_at weights_of within balanced augment rank left follow nets shown shares grad tracked merged"
)
SCRIPT = frozenset(_SCRIPT.split())
"""Names that the script needs for itself."""


class Code(NamedTuple):
    """A piece of Python."""

    text: str
    level: int = ATOM

    def at(self, least: int) -> str:
        """Its text where something that binds at least as tightly as ``least`` is expected."""
        return self.text if self.level >= least else f"({self.text})"


def infix(left: Code, sign: str, right: Code, level: int) -> Code:
    """`left sign right`, grouping to the left."""
    return Code(f"{left.at(level)} {sign} {right.at(level + 1)}", level)


def power(base: Code, exponent: Code) -> Code:
    """`a**b`: signs stand close where both sides are simple, as formatters want it."""
    left, right = base.at(ATOM), exponent.at(SIGN)
    sign = "**" if _simple(left) and _simple(right.removeprefix("-")) else " ** "
    return Code(f"{left}{sign}{right}", POWER)


def _simple(text: str) -> bool:
    return bool(re.fullmatch(r"[\w.]+", text))


def stretch(start: str, stop: str) -> str:
    """`start:stop` of a slice."""
    plain = all(re.fullmatch(r"-?[\w.]*", side) for side in (start, stop))
    return f"{start}:{stop}" if plain else f"{start} : {stop}"


def several(items: Sequence[str]) -> str:
    """A tuple."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def call(name: str, *arguments: str) -> Code:
    return Code(f"{name}({', '.join(a for a in arguments if a)})")


def free(name: str) -> str:
    """A name of the spec as a name of Python."""
    name = re.sub(r"\W", "_", name)
    taken = keyword.iskeyword(name) or name in SCRIPT or (hasattr(builtins, name) and name != "_")
    return f"{name}_" if taken else name


def class_name(name: str) -> str:
    """`layer_norm` as `LayerNorm`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_") if word) or name


@dataclass
class Namer:
    """Gives every global thing a name of its own."""

    taken: set[str] = field(default_factory=set)

    def __call__(self, wanted: str) -> str:
        name, number = free(wanted), 2
        while name in self.taken:
            name, number = f"{free(wanted)}{number}", number + 1
        self.taken.add(name)
        return name


# ---- lines


def indent(lines: Iterable[str], steps: int = 1) -> list[str]:
    return ["    " * steps + line if line else "" for line in lines]


def docstring(text: str, width: int = WIDTH - 8) -> list[str]:
    """A docstring, without the indentation of what it belongs to."""
    text = text.replace("\\", "\\\\").replace('"""', "'''").strip()
    if not text:
        return []
    if text[-1] == '"':
        text += " "
    lines = fill(text, width)
    if len(lines) == 1:
        return [f'"""{lines[0]}"""']
    return [f'"""{lines[0]}', *lines[1:], '"""']


def comment(text: str) -> list[str]:
    """Text above a thing of the script, which is as wide as the spec's own comments may be."""
    return [f"# {line}".rstrip() for line in fill(text, WIDTH - 2)] if text.strip() else []


def fill(text: str, width: int) -> list[str]:
    """The same lines; a paragraph of which one is too long is filled again. What is set in stays as it is."""
    made: list[str] = []
    for paragraph in text.split("\n\n"):
        lines = [line.rstrip() for line in paragraph.split("\n")]
        if any(len(line) > width for line in lines) and not any(line.startswith("  ") for line in lines):
            lines = textwrap.wrap(" ".join(lines), width, break_long_words=False, break_on_hyphens=False)
        made += [*lines, ""]
    return made[:-1]


def first_paragraph(doc: str) -> str:
    return doc.split("\n\n")[0].strip()


def fitted(lines: Iterable[str]) -> list[str]:
    """Lines of code, those that are too long broken at their last brackets, as formatters do."""
    return [short for line in lines for short in _broken(line)]


def _broken(line: str) -> list[str]:
    if len(line) <= WIDTH or line.lstrip().startswith(("#", '"""')):
        return [line]
    margin = line[: len(line) - len(line.lstrip())]
    span = _last_brackets(line)
    if span is None:
        return [line]
    start, end = span
    head, inside, tail = line[: start + 1], line[start + 1 : end], line[end:]
    inner = f"{margin}    {inside}"
    listed = head[-1] != "{" and not re.search(r"[\w)\]][(\[]$", head) and "," in inside  # a tuple or list of its own
    if not listed and len(inner) <= WIDTH and len(head) <= WIDTH and "for " not in inside:
        return [head, inner, margin + tail]
    loop = _loop(inside) if len(inner) > WIDTH else 0
    if loop:
        return [head, *_broken(f"{margin}    {inside[:loop]}"), f"{margin}    {inside[loop + 1 :]}", margin + tail]
    parts = _split(inside) if not _loop(inside) else [inside]
    if len(parts) == 1:
        return [head, *_broken(inner), margin + tail]
    return [head, *(p for part in parts for p in _broken(f"{margin}    {part},")), margin + tail]


def _last_brackets(line: str) -> tuple[int, int] | None:
    """Where the last outermost brackets with something in them open and close."""
    depth, start, found, quoted = 0, 0, None, ""
    for i, sign in enumerate(line):
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "\"'":
            quoted = sign
        elif sign in "([{":
            start, depth = (i if depth == 0 else start), depth + 1
        elif sign in ")]}":
            depth -= 1
            if depth == 0 and i > start + 1:
                found = (start, i)
    return found


def _loop(inside: str) -> int:
    """Where the `for` of a comprehension begins that is not inside of brackets; 0 where none does."""
    depth, quoted = 0, ""
    for i, sign in enumerate(inside):
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "\"'":
            quoted = sign
        depth += (sign in "([{") - (sign in ")]}") if not quoted else 0
        if depth == 0 and not quoted and inside.startswith(" for ", i):
            return i
    return 0


def _split(inside: str) -> list[str]:
    """The parts between the commas."""
    parts, depth, quoted, last = [], 0, "", 0
    for i, sign in enumerate(inside):
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "\"'":
            quoted = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(inside[last:i].strip())
            last = i + 1
    return [*parts, *([inside[last:].strip()] if inside[last:].strip() else [])]
