"""What a token costs: a GPT that writes, beside the same net in PyTorch with keys and values kept by hand.

    .venv/bin/python -m tests.benchmarks.generate

The same weights; the scores of the first 40 tokens must agree before anything is timed. Each in turn, in rounds;
the time is that of the processor, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from dotnn import plugins
from dotnn.compiler import compile_file
from dotnn.generate.writer import Writer
from dotnn.program import Program

SPEC = """
param width = {width}

data book {{
  source text "book.txt"
  token = characters
  next = token shifted by 1
  window {length}
}}

net Next(token: int[b, t] < vocab) -> logits: [b, t, vocab] {{
  weight table: [vocab, width] ~ normal(std = 0.02)
  weight place: [{length}, width] ~ normal(std = 0.02)
  x = table[token] + place[0..t]
  repeat block in 0..{depth} {{ x = x -> encoder_block({heads}, 4*width, causal = yes) }}
  logits = (x -> layer_norm) @ table.T
}}

train Next on book {{
  loss cross_entropy(logits, next)
  optimizer adamw(lr = 1e-3)
  batch 8
  epochs 1
}}
"""
ROUNDS = 5
AGREE = 40


def program_of(width: int, depth: int, heads: int, length: int) -> Program:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "next.nn"
        spec.write_text(SPEC.format(width=width, depth=depth, heads=heads, length=length))
        letters = "abcdefghijklmnopqrstuvwxyz .,ABCDEFGHIJKLMNOPQRSTUVWXYZ\n;:'!?-"
        numbers = np.random.default_rng(0).integers(0, len(letters), 4 * length + len(letters))
        text = letters + "".join(letters[n] for n in numbers)
        (Path(folder) / "book.txt").write_text(text)
        return compile_file(spec).program


class Peer:
    """The same net in PyTorch: one token at a time, keys and values written into tensors that are there."""

    def __init__(self, state: dict[str, np.ndarray[Any, Any]], depth: int, heads: int, length: int) -> None:
        import torch

        self.torch, self.depth, self.heads, self.length = torch, depth, heads, length
        self.w = {name: torch.from_numpy(np.array(array)) for name, array in state.items() if array.dtype == np.float32}
        self.width = self.w["Next.table"].shape[1]
        self.parts = [self._part(n) for n in range(depth)]

    def _part(self, n: int) -> dict[str, Any]:
        """The weights of one storey, by what they are for; queries, keys and values as one matrix."""
        own = {name.split("].", 1)[1]: w for name, w in self.w.items() if name.startswith(f"Next.block[{n}].")}
        torch, zero = self.torch, self.torch.zeros(self.width)

        def of(*ends: str) -> Any:
            found = [w for name, w in own.items() if any(name.endswith(end) for end in ends)]
            return found[0] if found else zero

        qkv = torch.cat([of(f".{x}.dense.W") for x in "qkv"], 1)
        bias = torch.cat([of(f".{x}.dense.b") for x in "qkv"])
        return {
            "norm1": (of("norm1.scale"), of("norm1.shift")),
            "norm2": (of("norm2.scale"), of("norm2.shift")),
            "qkv": (qkv.T.contiguous(), bias),
            "out": (of("out.W").T.contiguous(), of("out.b")),
            "wide": (of("wide.W").T.contiguous(), of("wide.b")),
            "narrow": (of("narrow.W").T.contiguous(), of("narrow.b")),
        }

    def begin(self) -> None:
        shape = (1, self.heads, self.length, self.width // self.heads)
        self.kept = [(self.torch.zeros(shape), self.torch.zeros(shape)) for _ in range(self.depth)]

    def step(self, token: int, place: int) -> Any:
        torch, f = self.torch, self.torch.nn.functional
        with torch.inference_mode():
            x = self.w["Next.table"][token][None] + self.w["Next.place"][place]
            for part, (keys, values) in zip(self.parts, self.kept, strict=True):
                h = f.layer_norm(x, (self.width,), *part["norm1"])
                q, k, v = f.linear(h, *part["qkv"]).view(3, self.heads, 1, -1).unbind(0)
                keys[0, :, place] = k[:, 0]
                values[0, :, place] = v[:, 0]
                seen = f.scaled_dot_product_attention(q[None], keys[:, :, : place + 1], values[:, :, : place + 1])
                x = x + f.linear(seen.reshape(1, -1), *part["out"])
                h = f.layer_norm(x, (self.width,), *part["norm2"])
                x = x + f.linear(f.gelu(f.linear(h, *part["wide"])), *part["narrow"])
            last = [self.w[f"Next.logits.layer_norm.{name}"] for name in ("scale", "shift")]
            return f.layer_norm(x, (self.width,), *last) @ self.w["Next.table"].T


def measured(width: int, depth: int, heads: int, length: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    program = program_of(width, depth, heads, length)
    backend, options = plugins.backend("onnx"), plugins.Options(threads=threads)
    start = backend.start(backend.lower(program.graphs["init"], options), options)
    state = start.run({"seed": np.array(0)})
    writer, peer = Writer(program, backend, options, state), Peer(state, depth, heads, length)
    tokens = np.random.default_rng(1).integers(4, 60, length)
    peer.begin()
    ours = writer.begin(tokens[None, :1])
    for place in range(AGREE):
        theirs = peer.step(int(tokens[place]), place).numpy()
        assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max(), place
        ours = writer.go_on(tokens[None, place + 1])
    times: dict[str, list[list[float]]] = {"dotnn": [], "PyTorch": []}
    for _ in range(ROUNDS):
        writer.begin(tokens[None, :1])
        mine = []
        for place in range(1, length):
            began = process_time()
            writer.go_on(tokens[None, place])
            mine.append(process_time() - began)
        times["dotnn"].append(mine)
        peer.begin()
        theirs = []
        for place in range(length):
            began = process_time()
            peer.step(int(tokens[place]), place)
            theirs.append(process_time() - began)
        times["PyTorch"].append(theirs[1:])
    rates = {}
    print(f"width {width}, {depth} storeys, window {length}, {threads} thread{'s' if threads > 1 else ''}")
    for name, rounds in times.items():
        each = np.median(np.array(rounds), axis=0) * 1e3
        rates[name] = [1 / statistics.mean(r) for r in rounds]
        at = [float(np.median(each[max(p - 6, 0) : p + 6])) for p in (10, min(100, length - 8), length - 8)]
        print(f"  {name:<8} ms a token at 10, 100 and the end: {at[0]:.3f} {at[1]:.3f} {at[2]:.3f}", end="")
        print(f"   {statistics.median(rates[name]):,.0f} tokens a second")
    ratio = statistics.median(a / b for a, b in zip(rates["dotnn"], rates["PyTorch"], strict=True))
    print(f"  dotnn / PyTorch: {ratio:.2f}")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    measured(128, 4, 4, 128, 1)
    measured(128, 4, 4, 512, 1)


if __name__ == "__main__":
    main()
