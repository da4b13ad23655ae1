"""The nets of next.nn and translate.nn in PyTorch, from the same first weights, on the same batches.

The figures in specs/README.md come from here: `python -m tests.specs.peers_sequences [next] [translate]`, with the
extra `peers`. Weights go by the paths that they have in the spec.
"""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tests.specs.lab import SPECS
from torch.nn import functional

from dotnn.compiler import Compiled, compile_file
from dotnn.plugins import Options, backend

Weights = dict[str, torch.Tensor]
Net = Callable[..., torch.Tensor]


def first_weights(compiled: Compiled) -> Weights:
    """What `init` draws, by path."""
    onnx, options = backend("onnx"), Options(threads=1)
    graphs = compiled.program.graphs
    state = onnx.start(onnx.lower(graphs["init"], options), options).run({"seed": np.array(compiled.program.plan.seed)})
    learned = [fed.name for fed in graphs["train"].inputs if fed.learned]
    return {name: torch.from_numpy(state[name].copy()).requires_grad_() for name in learned}


def batches(compiled: Compiled) -> Iterator[dict[str, torch.Tensor]]:
    """Those of `nn train`, for ever."""
    program, rows = compiled.program, compiled.dataset.splits["train"]
    onnx, options = backend("onnx"), Options(threads=1)
    order = onnx.start(onnx.lower(program.graphs["order"], options), options)
    epoch = 0
    while True:
        fed = {"seed": np.array(program.plan.seed), "epoch": np.array(epoch), "n": np.array(rows.count)}
        places = order.run(fed)["order"].copy()
        for first in range(0, rows.count, program.plan.batch):
            chosen = places[first : first + program.plan.batch]
            yield {name: torch.from_numpy(array[chosen]) for name, array in rows.arrays.items()}
        epoch += 1


# ---- the nets


def dense(w: Weights, path: str, x: torch.Tensor) -> torch.Tensor:
    y = x @ w[f"{path}.W"]
    return y + w[f"{path}.b"] if f"{path}.b" in w else y


def norm(w: Weights, path: str, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], w[f"{path}.scale"], w[f"{path}.shift"], 1e-5)


def looked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, **mask: Any) -> torch.Tensor:
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v, **mask).transpose(1, 2).flatten(2)


def gpt(w: Weights, token: torch.Tensor, *, heads: int = 4) -> torch.Tensor:
    """next.nn: f32[b, t, vocab]."""
    x = functional.embedding(token, w["Next.table"]) + w["Next.place"][: token.shape[1]]
    depth = sum(path.endswith(".look.q.dense.W") for path in w)
    for turn in range(depth):
        path = f"Next.block[{turn}].x"
        q, k, v = dense(w, f"{path}.look.q.dense", norm(w, f"{path}.layer_norm", x)).chunk(3, -1)
        x = x + dense(w, f"{path}.look.dense", looked(q, k, v, heads, is_causal=True))
        wide = functional.gelu(dense(w, f"{path}.think.dense", norm(w, f"{path}.layer_norm[1]", x)))
        x = x + dense(w, f"{path}.think.dense[1]", wide)
    return norm(w, "Next.logits.layer_norm", x) @ w["Next.table"].T


def translator(
    w: Weights, read: torch.Tensor, to: torch.Tensor, *, forget: float = 0.0, heads: int = 4
) -> torch.Tensor:
    """translate.nn: f32[b, t, swahili]. read: i64[b, s], the English; to: i64[b, t], what is written so far."""

    def part(path: str, x: torch.Tensor, other: torch.Tensor, **mask: Any) -> torch.Tensor:
        q, k, v = (dense(w, f"{path}.{c}.dense", a) for c, a in (("q", x), ("k", other), ("v", other)))
        return dense(w, f"{path}.out", looked(q, k, v, heads, **mask))

    def thought(path: str, x: torch.Tensor) -> torch.Tensor:
        return dense(w, f"{path}.narrow", functional.gelu(dense(w, f"{path}.wide", x)))

    def dropped(x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, forget) if forget else x

    def placed(x: torch.Tensor) -> torch.Tensor:
        t, d = x.shape[1:]
        angle = torch.arange(t)[:, None] * 10_000.0 ** (-torch.arange(d // 2) * 2 / d)
        return x + torch.stack([angle.sin(), angle.cos()], -1).flatten(1)

    seen = (read != 0)[:, None, None]
    x = placed(functional.embedding(read, w["Translate.read.embedding.table"]))
    y = placed(functional.embedding(to, w["Translate.write.embedding.table"]))
    depth = sum(path.endswith("read.attend.q.dense.W") for path in w)
    for turn in range(depth):
        path = f"Translate.storey[{turn}].read"
        inner = norm(w, f"{path}.layer_norm", x)
        x = x + dropped(part(f"{path}.attend", inner, inner, attn_mask=seen))
        x = x + dropped(thought(f"{path}.feed_forward", norm(w, f"{path}.layer_norm[1]", x)))
    x = norm(w, "Translate.read.layer_norm", x)
    for turn in range(depth):
        path = f"Translate.storey[{turn}]"
        inner = norm(w, f"{path}.write.layer_norm", y)
        y = y + dropped(part(f"{path}.write.attend", inner, inner, is_causal=True))
        inner = norm(w, f"{path}.write.layer_norm[1]", y)
        y = y + part(f"{path}.back.cross", inner, x, attn_mask=seen)
        y = y + dropped(thought(f"{path}.write.feed_forward", norm(w, f"{path}.write.layer_norm[2]", y)))
    return dense(w, "Translate.logits.dense", norm(w, "Translate.logits.layer_norm", y))


# ---- training


def rate(step: int, steps: int, warm: int, first: float, last: float) -> float:
    """`warmup(warm) then cosine(from = first, to = last)`; steps count from 1."""
    if step <= warm:
        return first * step / warm
    return last + (first - last) * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def next_loss(w: Weights, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    return functional.cross_entropy(gpt(w, rows["token"]).flatten(0, 1), rows["next"].flatten())


def translate_loss(w: Weights, rows: dict[str, torch.Tensor], forget: float = 0.0) -> torch.Tensor:
    scores = translator(w, rows["from"], rows["to"], forget=forget).flatten(0, 1)
    return functional.cross_entropy(scores, rows["next"].flatten(), ignore_index=0, label_smoothing=0.1)


def learn(
    compiled: Compiled,
    loss_of: Callable[[Weights, dict[str, torch.Tensor]], torch.Tensor],
    rates: Callable[[int], float],
    steps: int,
    decay: float,
    clip: float | None = None,
) -> tuple[Weights, list[float]]:
    """The weights after so many steps, and each step's loss before it."""
    w = first_weights(compiled)
    optimizer = torch.optim.AdamW(list(w.values()), lr=1.0, weight_decay=decay, fused=True)
    losses, source = [], batches(compiled)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rates(step)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(w, next(source))
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(list(w.values()), clip)
        optimizer.step()
        losses.append(loss.item())
    return w, losses


def next_like(compiled: Compiled, steps: int, whole: int) -> tuple[Weights, list[float]]:
    """next.nn trained by PyTorch, the first ``steps`` of ``whole``."""
    return learn(compiled, next_loss, lambda n: rate(n, whole, 100, 1e-3, 1e-4), steps, 0.1, clip=1.0)


def translate_like(compiled: Compiled, steps: int, whole: int, forget: float) -> tuple[Weights, list[float]]:
    """translate.nn trained by PyTorch."""

    def loss_of(w: Weights, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        return translate_loss(w, rows, forget)

    return learn(compiled, loss_of, lambda n: rate(n, whole, 100, 2e-3, 0.0), steps, 0.01)


def greedy(w: Weights, read: torch.Tensor, length: int) -> torch.Tensor:
    """What the translator writes, i64[b, length], begun with `start` (2)."""
    to = torch.zeros(len(read), length + 1, dtype=torch.int64)
    to[:, 0] = 2
    for place in range(length):
        best = translator(w, read, to[:, :length])[:, place].argmax(-1)
        ended = (to[:, : place + 1] == 3).any(1)
        to[:, place + 1] = torch.where(ended, 0, best)
    return to[:, 1:]


@torch.no_grad()
def judged(name: str, compiled: Compiled, w: Weights) -> str:
    rows = {n: torch.from_numpy(a) for n, a in compiled.dataset.splits["test"].arrays.items()}
    if name == "next":
        scores = gpt(w, rows["token"]).flatten(0, 1)
        wrong = (scores.argmax(-1) != rows["next"].flatten()).double().mean()
        return f"test {functional.cross_entropy(scores, rows['next'].flatten()):.3f} nats, {wrong:.1%} wrong"
    kept = rows["next"] != 0
    wrong = (translator(w, rows["from"], rows["to"]).argmax(-1) != rows["next"])[kept].double().mean()
    exact = (greedy(w, rows["from"], rows["to"].shape[1]) == rows["next"]).all(1).double().mean()
    return f"test {wrong:.1%} of the words wrong, {exact:.1%} of the sentences exact"


def main() -> None:
    for name in sys.argv[1:] or ["next", "translate"]:
        compiled = compile_file(Path(SPECS) / f"{name}.nn")
        plan, rows = compiled.program.plan, compiled.dataset.splits["train"].count
        steps = plan.steps or (plan.epochs or 0) * -(-rows // plan.batch)
        torch.manual_seed(1)
        began = perf_counter()
        w, losses = next_like(compiled, steps, steps) if name == "next" else translate_like(compiled, steps, steps, 0.1)
        took = perf_counter() - began
        print(f"{name}: {judged(name, compiled, w)}; {took:.0f} s; last losses {np.mean(losses[-20:]):.3f}")


if __name__ == "__main__":
    main()
