"""Index equations drawn at random, whole lines of them, beside einsum in PyTorch: their worth and their gradients.

Sums of signed terms, each a product of tensors, coordinates and numbers, with diagonals and single places; plain, in a
`repeat`, and in a function that is called twice and names its dims otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dotnn.plugins import Options, backend

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

SIZES = {"b": 4, "i": 2, "j": 3, "k": 3, "l": 2}
SHAPES = {
    "a": ("b", 2, 3), "q": ("b", 3), "c": ("b",), "d": ("b", 3, 3), "W": (3, 2), "U": (3, 3), "V": (2,), "T": (2, 3, 3),
}  # fmt: skip
COLUMNS, WEIGHTS = "aqcd", "WUVT"
NUMBERS = np.random.default_rng(1)
VALUES = {
    name: NUMBERS.normal(size=[SIZES["b"] if size == "b" else int(size) for size in shape]).round(3)
    for name, shape in SHAPES.items()
}
HEAD = "net N(a: [b, 2, 3], q: [b, 3], c: [b], d: [b, 3, 3]) -> y: [...] {\n" + "".join(
    f"  weight {name}: {list(map(int, SHAPES[name]))} ~ ones\n" for name in WEIGHTS
)
FUNCTION = (
    "function f(a: [b, m, n], q: [b, o], c: [b], d: [b, p, r], W: [x1, x2], U: [x3, x4], V: [x5], T: [x6, x7, x8])"
    " -> [...] {\n  EQUATION\n  return y\n}\n"
)
PLACES = {
    "plain": HEAD + "  EQUATION\n}\n",
    "repeat": HEAD + "  repeat n in 0..2 {\n    EQUATION\n    if n > 0 { y = y + before }\n    before = y\n  }\n}\n",
    "function": FUNCTION + HEAD + "  y = f(a, q, c, d, W, U, V, T) + f(2 * a, q, c, d, W, U, V, T)\n}\n",
}
TRAIN = "train N on d {\n  loss mean(sin(y))\n  optimizer sgd(lr = 1)\n  batch 4\n  epochs 1\n}\n"


@dataclass(frozen=True)
class Term:
    """A product: tensors with their subscripts, coordinates, and a number."""

    number: float
    factors: tuple[tuple[str, tuple[str, ...]], ...]
    coordinates: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{name}[{', '.join(labels)}]" for name, labels in self.factors]
        return " * ".join([*parts, *self.coordinates, str(abs(self.number))])

    def worth(self, left: tuple[str, ...], tensors: dict[str, Any]) -> Any:
        """The term by einsum; what the left has and the term lacks is of size 1."""
        operands, labels = [], []
        for name, subscripts in self.factors:
            tensor = tensors[name]
            for axis in reversed(range(len(subscripts))):
                tensor = tensor.select(axis, int(subscripts[axis])) if subscripts[axis].isdigit() else tensor
            operands.append(tensor)
            labels.append("".join(s for s in subscripts if not s.isdigit()))
        operands += [torch.arange(SIZES[name], dtype=torch.float64) for name in self.coordinates]
        labels += self.coordinates
        found = "".join(label for label in left if label in "".join(labels))
        made = self.number * torch.einsum(f"{','.join(labels)}->{found}", *operands)
        for axis, label in enumerate(left):
            made = made if label in found else made.unsqueeze(axis)
        return made


@dataclass(frozen=True)
class Drawn:
    left: tuple[str, ...]
    terms: tuple[Term, ...]
    bound: tuple[str, ...]

    def __str__(self) -> str:
        signed = [("-" if term.number < 0 else "+", str(term)) for term in self.terms]
        text = " ".join(f"{sign} {term}" for sign, term in signed).removeprefix("+ ")
        ranges = ", ".join(f"{name} in 0..{SIZES[name]}" for name in self.bound)
        return f"y[{', '.join(self.left)}] = {text}" + (f"  for {ranges}" if ranges else "")

    def worth(self, tensors: dict[str, Any]) -> Any:
        sums = sum(term.worth(self.left, tensors) for term in self.terms)
        return sums.expand([SIZES[label] for label in self.left])


def drawn(numbers: np.random.Generator) -> Drawn:
    """The first factor is a column and the last a weight, so that there is something to learn, and from something."""

    def factor(names: str) -> tuple[str, tuple[str, ...]]:
        name = names[numbers.integers(len(names))]
        labels = []
        for size in SHAPES[name]:
            fitting = [label for label in "ijkl" if SIZES[label] == size]
            place = str(numbers.integers(int(size))) if size != "b" and numbers.random() < 0.1 else ""
            labels.append("b" if size == "b" else place or fitting[numbers.integers(len(fitting))])
        return name, tuple(labels)

    products = [
        (factor(COLUMNS), *(factor(COLUMNS + WEIGHTS) for _ in range(numbers.integers(2))), factor(WEIGHTS))
        for _ in range(numbers.integers(1, 4))
    ]
    met = sorted({label for product in products for _, labels in product for label in labels if label in SIZES})
    left = [str(label) for label in numbers.permutation(met) if numbers.random() < 0.5] or met[:1]
    bound = tuple(label for label in met if label != "b" and numbers.random() < 0.25)
    terms = tuple(
        Term(
            float(numbers.choice([1, -1, 2.5, -0.25])),
            product,
            tuple(label for label in bound if numbers.random() < 0.5),
        )
        for product in products
    )
    return Drawn(tuple(left), terms, bound)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_equation_and_its_gradient_are_those_of_pytorch(bench: Any, place: str, seed: int) -> None:
    numbers = np.random.default_rng([seed, *place.encode()])
    machine, options = backend("reference"), Options(float64=True)
    for _ in range(6):
        equation = drawn(numbers)
        text = PLACES[place].replace("EQUATION", str(equation)) + TRAIN
        graph = bench.graphs(text, {name: VALUES[name] for name in COLUMNS})["train"]
        feeds = {}
        for fed in graph.inputs:
            value = VALUES.get(fed.name.removeprefix("N."), np.array(0))
            feeds[fed.name] = value.reshape(-1, *map(int, fed.type.dims[1:])) if fed.role == "data" else value
        out = machine.start(machine.lower(graph, options), options).run(feeds)

        tensors = {n: torch.tensor(v, dtype=torch.float64, requires_grad=n in WEIGHTS) for n, v in VALUES.items()}
        y = equation.worth(tensors)
        y = 2 * y if place == "repeat" else y
        y = y + equation.worth({**tensors, "a": 2 * tensors["a"]}) if place == "function" else y
        loss = torch.sin(y).mean()
        loss.backward()
        assert float(out["loss"]) == pytest.approx(float(loss.detach()), abs=1e-11), str(equation)
        for name in WEIGHTS:
            if f"N.{name}" in feeds and tensors[name].grad is not None:
                moved = VALUES[name] - out[f"N.{name}.next"]
                np.testing.assert_allclose(moved, tensors[name].grad, rtol=1e-10, atol=1e-11, err_msg=str(equation))
