"""What PyTorch makes of the same pictures, with the nets of lenet.nn and resnet.nn trained the same way.

The figures in specs/README.md come from here: `python -m tests.specs.peers_pictures [lenet|resnet] [EPOCHS]`, with the
extra `peers` and the sets `mnist` and `fashion`. Its random numbers are PyTorch's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from tests.specs.peers import Parts, rows
from torch import nn
from torch.nn import functional

Tensor = Any


def jittered(x: Tensor, most: int = 2) -> Tensor:
    """Each picture moved by up to so many places, sideways and up or down."""
    b, _, h, w = x.shape
    wide = functional.pad(x, [most] * 4)
    down, right = (torch.randint(0, 2 * most + 1, (b, 1, 1)) for _ in range(2))
    rows_, columns = torch.arange(h)[None, :, None] + down, torch.arange(w)[None, None, :] + right
    return wide[torch.arange(b)[:, None, None], 0, rows_, columns][:, None]


def mirrored(x: Tensor) -> Tensor:
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)


def lenet() -> nn.Module:
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


class Block(nn.Module):  # type: ignore[misc]
    def __init__(self, n: int, channels: int, stride: int) -> None:
        super().__init__()
        self.long = nn.Sequential(filtered(n, channels, 3, stride), nn.ReLU(), filtered(channels, channels))
        self.short = nn.Identity() if stride == 1 and n == channels else filtered(n, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.long(x) + self.short(x))


def filtered(n: int, channels: int, size: int = 3, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(n, channels, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels))


def resnet(blocks: int = 1) -> nn.Module:
    layers: list[nn.Module] = [filtered(1, 16), nn.ReLU()]
    for stage in range(3):
        for i in range(blocks):
            first = stage > 0 and i == 0
            layers.append(Block(16 * 2 ** (stage - first), 16 * 2**stage, 2 if first else 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def started(net: nn.Module) -> nn.Module:
    """The first weights as ours are drawn: `he` for kernels, `glorot` for the others, biases 0."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
    return net


def trained(net: nn.Module, parts: Parts, augment: Callable[[Tensor], Tensor], plan: dict[str, Any]) -> float:
    """The error on the exam."""
    x, label = parts["train"]["image"], parts["train"]["label"]
    for _ in range(plan["epochs"]):
        for places in torch.randperm(len(x)).split(plan["batch"]):
            plan["optimizer"].zero_grad()
            plan["loss"](net(augment(x[places])), label[places]).backward()
            plan["optimizer"].step()
            plan["schedule"].step()
    net.eval()
    with torch.no_grad():
        guesses = [net(part).argmax(1) for part in parts["test"]["image"].split(500)]
    return float((torch.cat(guesses) != parts["test"]["label"]).float().mean())


def digits(epochs: int = 20) -> float:
    parts = pictures("lenet", 0, 255)
    net = started(lenet())
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * -(-len(parts["train"]["image"]) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    plan = {"epochs": epochs, "batch": 64, "optimizer": optimizer, "schedule": schedule, "loss": nn.CrossEntropyLoss()}
    return trained(net, parts, jittered, plan)


def clothes(epochs: int = 8, blocks: int = 1) -> float:
    parts = pictures("resnet", 0.286 * 255, 0.353 * 255)
    net = started(resnet(blocks))
    kernels = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": kernels, "weight_decay": 5e-4}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.4, momentum=0.9)
    steps = epochs * -(-len(parts["train"]["image"]) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.4, total_steps=steps + 1, cycle_momentum=False)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    plan = {"epochs": epochs, "batch": 128, "optimizer": optimizer, "schedule": schedule, "loss": loss}
    return trained(net, parts, lambda x: jittered(mirrored(x)), plan)


def pictures(name: str, middle: float, spread: float) -> Parts:
    parts = rows(name)
    for part in parts.values():
        part["image"] = (part["image"].float().reshape(-1, 1, 28, 28) - middle) / spread
    return parts


def main() -> None:
    wanted, epochs = sys.argv[1:2] or ["lenet", "resnet"], [int(n) for n in sys.argv[2:3]]
    for name, run in (("lenet", digits), ("resnet", clothes)):
        if name in wanted:
            torch.manual_seed(1)
            begun = perf_counter()
            error = run(*epochs)
            print(f"{name}: {error:.2%} wrong, {perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
