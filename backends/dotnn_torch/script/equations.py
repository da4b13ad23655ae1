"""Index equations as PyTorch writes them: what is summed is an `einsum`, what meets number by number is aligned."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnn import spec
from dotnn.elaborate.values import Tensor
from dotnn_torch.script.text import ATOM, PRODUCT, SUM, Code, call, infix
from dotnn_torch.script.words import Argument, UnspokenError, signed

if TYPE_CHECKING:
    from dotnn_torch.script.body import Writer


@dataclass(frozen=True)
class Term:
    """A piece of Python with the indices of its dims, in order."""

    code: Code
    labels: tuple[str, ...] = ()
    whole: bool = False
    """Its numbers are not real: `einsum` wants one type for all."""


def write_equation(w: Writer, part: spec.Assign, target: spec.Target, value: spec.Expression) -> Code:
    """The right side, with the dims that the left side names. Raises UnspokenError."""
    before = w.coordinates
    w.coordinates = {binder.name: _coordinate(w, binder) for binder in part.binders}
    try:
        made = _sum(w, target.indices or (), value)
        return _complete(w, part, target.indices or (), made).code
    finally:
        w.coordinates = before


def _coordinate(w: Writer, binder: spec.Binder) -> Code:
    if isinstance(binder.range, spec.Range):
        first, last = w.code(binder.range.start).text, w.code(binder.range.stop).text
    else:
        first, last = "0", w.code(binder.range).text
    return call("torch.arange", *([] if first == "0" else [first]), last, "device=DEVICE")


def _complete(w: Writer, part: spec.Assign, left: Sequence[str], made: Term) -> Term:
    missing = [name for name in left if name not in made.labels]
    term = aligned(made, left)
    if not missing:
        return term
    sizes = {binder.name: binder.range for binder in part.binders}
    dims = []
    for name in left:
        if name not in missing:
            dims.append("-1")
            continue
        size = sizes.get(name)
        whole = size.stop if isinstance(size, spec.Range) and w.code(size.start).text == "0" else size
        found = w.dim(name) if size is None else None if isinstance(whole, spec.Range | None) else w.code(whole)
        if found is None:
            raise UnspokenError(f"an equation whose index `{name}` stands on the left alone")
        dims.append(found.text)
    base = made.code.at(ATOM) if not made.labels else term.code.at(ATOM)
    if not made.labels and not base.startswith("torch."):
        base = f"torch.tensor({made.code.text})"
    return Term(Code(f"{base}.expand({', '.join(dims)})"), tuple(left))


def aligned(term: Term, union: Sequence[str]) -> Term:
    """The term with a size of 1 for each of these indices that it has not."""
    inside = [name for name in union if name in term.labels]
    text = term.code
    if list(term.labels) != inside:
        order = [term.labels.index(name) for name in inside]
        text = Code(f"{text.at(ATOM)}.permute({', '.join(map(str, order))})")
    shown = list(union)
    while shown and shown[0] not in inside:  # PyTorch adds dims in front by itself
        shown.pop(0)
    if shown != inside and inside:
        text = Code(f"{text.at(ATOM)}[{', '.join(':' if name in inside else 'None' for name in shown)}]")
    return Term(text, tuple(inside))


def _sum(w: Writer, left: Sequence[str], part: spec.Expression) -> Term:
    match part:
        case spec.Binary(operator="+" | "-"):
            a, b = _sum(w, left, part.left), _sum(w, left, part.right)
            union = [name for name in left if name in a.labels or name in b.labels]
            return Term(infix(aligned(a, union).code, part.operator, aligned(b, union).code, SUM), tuple(union))
        case spec.Unary(operator="-"):
            made = _sum(w, left, part.operand)
            return Term(signed(made.code), made.labels)
    return _product(w, left, part)


def _product(w: Writer, left: Sequence[str], part: spec.Expression) -> Term:
    above: list[Term] = []
    numbers: list[tuple[str, Code]] = []
    below: list[Term] = []
    for factor, under in _factors(part, under=False):
        term = _factor(w, left, factor)
        if not term.labels:
            numbers.append(("/" if under else "*", term.code))
        elif not under:
            above.append(term)
        elif set(term.labels) <= set(left):
            below.append(term)
        else:
            raise UnspokenError("an equation that is summed over what it divides by")
    if not above:
        made = Term(Code("1"))
        if numbers and numbers[0][0] == "*":
            made = Term(numbers.pop(0)[1])
    else:
        made = _einsum(left, above)
        if "einsum" in made.code.text and w.book.trace.program.plan.precision != "f32":
            raise UnspokenError("an equation that is a product in short numbers")
    for term in below:
        union = [name for name in left if name in made.labels or name in term.labels]
        made = Term(infix(aligned(made, union).code, "/", aligned(term, union).code, PRODUCT), tuple(union))
    for sign, code in numbers:
        made = Term(infix(made.code, sign, code, PRODUCT), made.labels)
    return made


def _factors(part: spec.Expression, under: bool) -> Iterator[tuple[spec.Expression, bool]]:
    match part:
        case spec.Binary(operator="*" | "/"):
            yield from _factors(part.left, under)
            yield from _factors(part.right, under != (part.operator == "/"))
        case spec.Unary(operator="-"):
            yield spec.Number(span=part.span, value=-1), False
            yield from _factors(part.operand, under)
        case _:
            yield part, under


def _factor(w: Writer, left: Sequence[str], part: spec.Expression) -> Term:
    if isinstance(part, spec.Number):
        return Term(w.code(part))
    raw = subscripts(w, part)
    if raw is not None and isinstance(part, spec.Index):
        return Term(_taken(w, part), raw, _whole(w.values(part.value)))
    if isinstance(part, spec.Binary) and part.operator in ("+", "-"):
        whole = labels_of(Argument(Code(""), w.values(part)))
        if set(whole) <= set(left):  # what is summed in it is summed there
            return _sum(w, left, part)
    argument = w.argument(part)
    labels = labels_of(argument)
    return Term(argument.code, labels, _whole(argument.values))


def _whole(values: Sequence[object]) -> bool:
    return any(isinstance(v, Tensor) and not v.value.type.is_float for v in values)


def labels_of(argument: Argument) -> tuple[str, ...]:
    """The indices of what a part of an equation stands for."""
    found = {tensor.labels for tensor in argument.tensors}
    if len(found) > 1 or any(None in labels for labels in found):
        raise UnspokenError("an equation whose dims differ from place to place")
    return tuple(str(label) for label in found.pop()) if found else ()


def _einsum(left: Sequence[str], terms: Sequence[Term]) -> Term:
    kept = tuple(name for name in left if any(name in term.labels for term in terms))
    if len(terms) == 1 and terms[0].labels == kept:
        return terms[0]
    if len(terms) == 1 and set(terms[0].labels) == set(kept):
        return aligned(terms[0], kept)
    if all(name in kept for term in terms for name in term.labels):  # nothing is summed
        made = aligned(terms[0], kept).code
        for term in terms[1:]:
            made = infix(made, "*", aligned(term, kept).code, PRODUCT)
        return Term(made, kept)
    letters = _letters([name for term in terms for name in term.labels])
    words = ["".join(letters[name] for name in term.labels) for term in terms]
    text = f'"{", ".join(words)} -> {"".join(letters[name] for name in kept)}"'
    real = [f"{term.code.at(ATOM)}.float()" if term.whole else term.code.text for term in terms]
    return Term(call("torch.einsum", text, *real), kept)


def _letters(names: Sequence[str]) -> dict[str, str]:
    """A letter for each index, its own first one where that is free."""
    made: dict[str, str] = {}
    for name in names:
        if name not in made:
            own = [c for c in name if c in string.ascii_letters]
            free = (c for c in (*own[:1], *string.ascii_lowercase) if c not in made.values())
            made[name] = next(free)
    return made


# ---- subscripts


def subscripts(w: Writer, part: spec.Expression) -> tuple[str, ...] | None:
    """The indices that brackets name in an equation, as they are written; None where they take places."""
    if w.coordinates is None or not isinstance(part, spec.Index):
        return None
    names = [i.name for i in part.items if isinstance(i, spec.Name) and not w.book.trace.values(i)]
    if not names:
        return None
    if len(set(names)) < len(names):
        raise UnspokenError("the diagonal of a tensor")
    return tuple(names)


def _taken(w: Writer, part: spec.Index) -> Code:
    """The tensor as it is written, its places and stretches taken."""
    items = []
    for item in part.items:
        if not isinstance(item, spec.Name):
            items.append(w.code(item).text)
        else:
            items.append(":")
    tensors = [v for v in w.values(part.value) if isinstance(v, Tensor)]
    if any(name in (w.coordinates or {}) for name in (subscripts(w, part) or ())):
        names = [i.name if isinstance(i, spec.Name) else "" for i in part.items]
        sizes = {(n, d) for t in tensors for n, d in zip(names, t.dims, strict=True) if n in (w.coordinates or {})}
        made = {(n, d) for t in w.values(part) for n, d in zip(t.labels, t.dims, strict=True)}
        if not sizes <= made:
            raise UnspokenError("an equation over a part of a dim")
    base = w.code(part.value).at(ATOM)
    return Code(base if set(items) == {":"} else f"{base}[{', '.join(items)}]")


def indexed(w: Writer, part: spec.Index, names: Sequence[str]) -> Code:
    """`x[i, j]` where it meets others number by number: in the order that the equation has for its indices."""
    code = _taken(w, part)
    wanted = labels_of(Argument(code, w.values(part)))
    order = [list(names).index(label) for label in wanted]
    return code if order == list(range(len(order))) else Code(f"{code.at(ATOM)}.permute({', '.join(map(str, order))})")


def meeting(w: Writer, part: spec.Expression, *sides: Argument) -> list[Argument]:
    """Sides of an operation number by number, each under the indices of what they make together."""
    union = labels_of(Argument(Code(""), w.values(part)))
    made = []
    for side in sides:
        own = labels_of(side)
        made.append(Argument(aligned(Term(side.code, own), union).code if own else side.code, side.values))
    return made
