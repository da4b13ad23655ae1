"""One step of a drawn net, in dotnn."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tests.peers.nets import ROWS, Net
from tests.peers.texts import TABLE, table_text

from dotnn.compiler import Compiled, compile_file
from dotnn.plugins import Options, backend

Array = np.ndarray[Any, Any]


def draw_batch(net: Net) -> dict[str, Array]:
    """The rows: reals of single precision, whole numbers below what the spec allows."""
    random = Random(f"rows {net.number}")
    batch: dict[str, Array] = {}
    if net.reals is not None:
        batch["x"] = _reals(random, (ROWS, *net.reals))
    if net.tokens is not None:
        batch["token"] = _whole(random, (ROWS, *net.tokens), net.vocabulary)
    sizes = [int(d) for d in net.output[1:]]
    if net.loss == "mse":
        batch["target"] = _reals(random, (ROWS, *sizes))
    else:
        batch["label"] = _whole(random, (ROWS, *sizes[:-1]), sizes[-1])
    return batch


def _reals(random: Random, shape: tuple[int, ...]) -> Array:
    return np.array([random.gauss(0, 1) for _ in range(prod(shape))], np.float32).reshape(shape)


def _whole(random: Random, shape: tuple[int, ...], below: int) -> Array:
    return np.array([random.randrange(below) for _ in range(prod(shape))], np.int64).reshape(shape)


def compile_net(text: str, batch: Mapping[str, Array], folder: Path) -> Compiled:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(table_text(dict(batch)), "utf-8")
    spec = folder / "drawn.nn"
    spec.write_text(text, "utf-8")
    return compile_file(spec)


def first_values(compiled: Compiled) -> dict[str, Array]:
    """Every state as `init` gives it."""
    reference = backend("reference")
    executor = reference.start(reference.lower(compiled.program.graphs["init"], Options()), Options())
    return executor.run({"seed": np.asarray(3)})


def one_step(compiled: Compiled, weights: Mapping[str, Array], name: str, float64: bool = False) -> dict[str, Array]:
    """Loss and weights after one step from these weights, on all rows."""
    options = Options(threads=1, float64=float64)
    chosen = backend(name)
    executor = chosen.start(chosen.lower(compiled.program.graphs["train"], options), options)
    session = executor.train({**first_values(compiled), **weights})
    loss = np.array(session.step(compiled.dataset.splits["train"].arrays)["loss"])
    return {"loss": loss, **{k: v for k, v in session.state().items() if k in weights}}


def moved(random: Random, array: Array) -> Array:
    """First weights away from zeros and ones, so that no part of the net is at rest; single precision."""
    noise = np.array([random.gauss(0, 0.3) for _ in range(array.size)]).reshape(array.shape)
    made: Array = (array + noise).astype(np.float32)
    return made
