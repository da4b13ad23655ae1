"""Scans as PyTorch writes them: a loop over the steps, and what it carried stacked at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnn import spec
from dotnn.elaborate.large import assigned
from dotnn.elaborate.scan import Scanned
from dotnn_torch.script.text import ATOM, Code, free

if TYPE_CHECKING:
    from dotnn_torch.script.lines import Body


def write_scan(body: Body, part: spec.Scan) -> None:
    """`scan over t with h = … { … }` as `for t_ in range(…)`."""
    found = [value for value in body.values(part) if isinstance(value, Scanned)]
    first = found[0]
    if any(other != first for other in found):
        body.refuse(part, "a scan that is another one in each place")
    if first.draws:
        body.refuse(part, "a scan that draws random numbers in its steps")
    scanned = {name: axis for name, axis in first.scanned.items() if name in body.names}
    if not scanned:
        body.refuse(part, "a scan of nothing that comes in")
    inside = assigned(part.body)
    carried = [one.name for one in part.carries]
    if taken := sorted(inside - set(carried) & set(body.names)):
        body.refuse(part, f"a scan that calls something inside `{taken[0]}`, as something outside is called")
    step = f"{part.over}_"
    starts = {name: body.code(one.start).text for name, one in zip(carried, part.carries, strict=True)}
    for name in carried:
        body.put(f"{free(name)}, all_{name} = {starts[name]}, []")
    whole, axis = next((body.names[name].text, axis) for name, axis in scanned.items())
    over = f"range({whole}.shape[{axis}])"
    body.put(f"for {step} in {f'reversed({over})' if part.back else over}:")
    before = dict(body.names)
    mask = None
    if first.kept is not None and part.where is not None:
        mask = f"{body.argument(part.where).code.at(ATOM)}{_at(first.kept, step)}"
    for name, place in scanned.items():
        body.names[name] = Code(f"{before[name].text}{_at(place, step)}")
    body.names |= {name: Code(free(name)) for name in carried}
    body.depth += 1
    if part.cut is not None:
        words = ", ".join(f"{free(name)}.detach()" for name in carried)
        body.put(f"if {step} % {body.code(part.cut).at(ATOM)} == 0:")
        body.put(f"    {', '.join(free(name) for name in carried)} = {words}")
    if mask is not None:
        body.put(f"{', '.join(f'old_{name}' for name in carried)} = {', '.join(free(name) for name in carried)}")
    body.block(part.body)
    for name in carried:
        if mask is not None:
            own = mask[:-1] + ", None" * (first.ranks[name] - first.kept_rank) + "]"
            body.put(f"{free(name)} = torch.where({own}, {free(name)}, old_{name})")
        body.put(f"all_{name}.append({free(name)})")
    body.depth -= 1
    body.names = before
    for name in carried:
        parts = f"all_{name}[::-1]" if part.back else f"all_{name}"
        body.put(f"{free(name)} = torch.stack({parts}, {min(first.axis, first.ranks[name])})")
        body.names[name] = Code(free(name))


def _at(axis: int, step: str) -> str:
    return f"[{':, ' * axis}{step}]"
