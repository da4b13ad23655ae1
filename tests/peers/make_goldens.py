"""Writes the goldens with PyTorch: what the tests beside this file expect.

Needs the extra `peers`; run from the top of the repository:

    pip install -e '.[dev,peers]'
    python -m tests.peers.make_goldens

The same versions write the same numbers, but for the last bits on another processor; run it where a net or an optimizer
was added, and look at what changed before you keep it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from tests.peers import goldens, optimizers
from tests.peers.first_step import compile_net, draw_batch, first_values, moved
from tests.peers.nets import NETS, draw
from tests.peers.texts import spec_text


def write_nets() -> Path:
    """nets.npz: of each net its text, its rows, its weights before, and what PyTorch makes of them in one step."""
    from tests.peers.with_torch import first_step

    arrays: dict[str, goldens.Array] = {}
    texts: dict[str, str] = {}
    for number in range(NETS):
        net, random = draw(number), Random(f"weights {number}")
        batch, text = draw_batch(net), spec_text(net)
        with tempfile.TemporaryDirectory() as folder:
            compiled = compile_net(text, batch, Path(folder))
        learned = [fed.name for fed in compiled.program.graphs["train"].inputs if fed.learned]
        values = first_values(compiled)
        weights = {name: moved(random, values[name]) for name in learned}
        after = first_step(net, weights, batch)
        texts[str(number)] = text
        arrays |= {f"{number}/batch/{k}": v for k, v in batch.items()}
        arrays |= {f"{number}/before/{k}": v for k, v in weights.items()}
        arrays |= {f"{number}/after/{k}": v for k, v in after.items()}
    return goldens.save("nets", arrays, texts)


def write_optimizers() -> Path:
    """optimizers.npz: the weights on the way through a hundred steps."""
    arrays = {f"{case.label}/{k}": v for case in optimizers.CASES for k, v in optimizers.theirs(case).items()}
    return goldens.save("optimizers", arrays, {case.label: optimizers.text(case) for case in optimizers.CASES})


if __name__ == "__main__":
    for write in (write_nets, write_optimizers):
        path = write()
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
