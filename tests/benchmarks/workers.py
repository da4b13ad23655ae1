"""One peer in a process of its own: it is told on standard input how many steps to make, and answers with its time.

    python -m tests.benchmarks.workers PEER CASE FOLDER THREADS

The folder holds the spec and the table of the case. The first answer is the peer's version; then, for each number of
steps that is read, one line of JSON: the seconds that they took by the clock and by the processor, and the loss of
each step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.benchmarks.cases import CASES, LENET, AnyCase, Case, Texts

Floats = npt.NDArray[np.float32]
Batch = tuple[Floats, npt.NDArray[np.int64]]
Steps = Callable[[int], list[float]]
"""Makes so many steps and gives their losses."""


def start(folder: Path) -> tuple[dict[str, Floats], Floats, npt.NDArray[np.int64]]:
    """The weights that everybody starts from (those of the spec's init graph), and the rows."""
    from dotnn.compiler import compile_file
    from dotnn.plugins import Options, backend

    compiled = compile_file(folder / "net.nn")
    onnx, options = backend("onnx"), Options(threads=1)
    init = onnx.start(onnx.lower(compiled.program.graphs["init"], options), options)
    state = init.run({"seed": np.array(1)})
    rows = compiled.dataset.splits["train"].arrays
    return state, rows["x"], rows["label"]


def endless(case: AnyCase, x: Floats, label: npt.NDArray[np.int64]) -> Iterator[Batch]:
    while True:
        for first in range(0, case.rows, case.batch):
            yield x[first : first + case.batch], label[first : first + case.batch]


def dotnn(case: AnyCase, folder: Path, threads: int) -> tuple[str, Steps]:
    import onnxruntime as ort

    from dotnn import __version__
    from dotnn.compiler import compile_file
    from dotnn.plugins import Options, Steady, backend

    state, x, label = start(folder)
    program = compile_file(folder / "net.nn").program
    onnx, options = backend("onnx"), Options(target="device", threads=threads or None)  # as `nn train`
    session = onnx.start(onnx.lower(program.graphs["train"], options), options).train(state)
    batches = endless(case, x, label)

    def steps(count: int) -> list[float]:
        losses = []
        with session.steady() if isinstance(session, Steady) else nullcontext():  # as `nn train` makes its steps
            for _ in range(count):
                rows, labels = next(batches)
                losses.append(float(session.step({"x": rows, "label": labels})["loss"]))
        return losses

    return f"dotnn {__version__} on onnxruntime {ort.__version__}", steps


def torch(case: AnyCase, folder: Path, threads: int) -> tuple[str, Steps]:
    import torch
    from torch import nn

    if threads:
        torch.set_num_threads(threads)
    state, x, label = start(folder)
    net = _torch_net(case)
    names = learned(folder)
    with torch.no_grad():
        for parameter, name in zip(net.parameters(), names, strict=True):
            value = torch.from_numpy(state[name].copy())
            parameter.copy_(value.T if value.ndim == 2 and name.endswith(".W") else value)
    if isinstance(case, Texts):
        optimizer: Any = torch.optim.AdamW(net.parameters(), lr=case.rate, weight_decay=0.1, fused=True)
    else:
        optimizer = torch.optim.Adam(net.parameters(), lr=case.rate, fused=True)
    loss_of = nn.CrossEntropyLoss()
    batches = endless(case, x, label)
    tensors = {}

    def steps(count: int) -> list[float]:
        losses = []
        for _ in range(count):
            rows, labels = next(batches)
            key = rows.ctypes.data
            if key not in tensors:  # the same rows come again each epoch: no copy, no conversion
                tensors[key] = (torch.from_numpy(rows), torch.from_numpy(labels))
            a, b = tensors[key]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(net(a).flatten(0, -2), b.flatten())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return f"PyTorch {torch.__version__}, eager, fused {type(optimizer).__name__}", steps


def learned(folder: Path) -> list[str]:
    """The weights' names, in the order of the spec."""
    from dotnn.compiler import compile_file

    inputs = compile_file(folder / "net.nn").program.graphs["train"].inputs
    return [fed.name for fed in inputs if fed.learned]


def _torch_net(case: AnyCase) -> Any:
    """The case's net, its parameters in the order of the spec."""
    from torch import nn

    if isinstance(case, Texts):
        return _torch_gpt(case)
    if isinstance(case, Case):
        layers: list[nn.Module] = []
        for i, (n, units) in enumerate(zip(case.sizes, case.sizes[1:], strict=False)):
            layers += [nn.Linear(n, units)] + ([nn.ReLU()] if i < len(case.sizes) - 2 else [])
        return nn.Sequential(*layers)
    if case.body == LENET:
        first = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(
            *first, *second, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def filtered(n: int, channels: int, size: int, stride: int) -> nn.Module:
        conv = nn.Conv2d(n, channels, size, stride, padding=size // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(channels))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, n: int, channels: int, stride: int) -> None:
            super().__init__()
            self.first = filtered(n, channels, 3, stride)
            self.second = filtered(channels, channels, 3, 1)
            self.short = nn.Identity() if stride == 1 and n == channels else filtered(n, channels, 1, stride)

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.second(nn.functional.relu(self.first(x))) + self.short(x))

    blocks = [
        Block(16 * 2 ** max(stage - (i == 0), 0), 16 * 2**stage, 2 if stage and not i else 1)
        for stage in range(3)
        for i in range(2)
    ]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(filtered(1, 16, 3, 1), nn.ReLU(), *blocks, *pooled, nn.Linear(64, 10))


def _torch_gpt(case: Texts) -> Any:
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, d: int) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(d)  # in the order of the spec
            self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, d)
            self.out, self.norm2 = nn.Linear(d, d), nn.LayerNorm(d)
            self.wide, self.narrow = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x: Any) -> Any:
            y = self.norm1(x)
            q, k, v = (part(y).unflatten(2, (case.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).flatten(2))
            return x + self.narrow(functional.gelu(self.wide(self.norm2(x))))

    class Gpt(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(case.pieces, case.width))
            self.place = nn.Parameter(torch.zeros(case.places, case.width))
            self.blocks = nn.ModuleList(Block(case.width) for _ in range(case.depth))
            self.norm = nn.LayerNorm(case.width)

        def forward(self, x: Any) -> Any:
            h = functional.embedding(x, self.table) + self.place[: x.shape[1]]
            for block in self.blocks:
                h = block(h)
            return self.norm(h) @ self.table.T

    return Gpt()


def sklearn(case: Case, folder: Path, threads: int) -> tuple[str, Steps]:
    import warnings

    import sklearn
    from sklearn.neural_network import MLPClassifier
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    threadpool_limits(threads or None)
    state, x, label = start(folder)
    net = MLPClassifier(
        case.sizes[1:-1], alpha=0.0, batch_size=case.batch, learning_rate_init=case.rate, shuffle=False, max_iter=1
    )
    warnings.simplefilter("ignore")
    net.partial_fit(x[: case.batch], label[: case.batch], classes=np.arange(case.sizes[-1]))
    names = [name for name in state if ":" not in name and name != "step"]
    net.coefs_ = [state[n].copy() for n in names if state[n].ndim == 2]
    net.intercepts_ = [state[n].copy() for n in names if state[n].ndim == 1]
    net._optimizer = AdamOptimizer(net.coefs_ + net.intercepts_, case.rate)
    batches = endless(case, x, label)

    def steps(count: int) -> list[float]:
        losses = []
        for _ in range(count):
            rows, labels = next(batches)
            net.partial_fit(rows, labels)
            losses.append(float(net.loss_))
        return losses

    return f"scikit-learn {sklearn.__version__} MLPClassifier.partial_fit", steps


PEERS: dict[str, Callable[[Any, Path, int], tuple[str, Steps]]] = {"dotnn": dotnn, "torch": torch, "sklearn": sklearn}


def main() -> None:
    peer, number, folder, threads = sys.argv[1:]
    version, steps = PEERS[peer](CASES[int(number)], Path(folder), int(threads))
    print(json.dumps({"version": version}), flush=True)
    for line in sys.stdin:
        count = int(line)
        began, used = perf_counter(), process_time()
        losses = steps(count)
        taken = {"seconds": perf_counter() - began, "processor": process_time() - used}
        print(json.dumps({**taken, "losses": losses}), flush=True)


if __name__ == "__main__":
    main()
