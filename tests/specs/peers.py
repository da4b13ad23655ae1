"""What PyTorch and scikit-learn make of the same rows, with the same net trained the same way.

The figures in specs/README.md come from here: `python -m tests.specs.peers [SPEC…]`, with the extra `peers`.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from sklearn import metrics
from tests.specs.lab import SPECS
from torch import nn

from dotnn.compiler import compile_file
from dotnn.inputs.block import DataBlock
from dotnn.job import Text

Parts = dict[str, dict[str, torch.Tensor]]

bce = nn.functional.binary_cross_entropy_with_logits


def rows(name: str, block: str | None = None, on: str | None = None) -> Parts:
    """The columns that a host feeds, of each part; `on`: of another data block."""
    path = SPECS / f"{name}.nn"
    compiled = compile_file(path, train=block)
    dataset = compiled.dataset
    if on is not None:
        spec = Text.read(path).spec
        data = next(d for d in spec.data if d.name == on)
        raws = {raw.name: raw for raw in compiled.program.inputs}
        there = DataBlock(data, path.parent, spec, compiled.program.params)
        dataset = there.load(raws, dict.fromkeys(raws, data.span))
    return {s: {n: torch.tensor(a) for n, a in part.arrays.items()} for s, part in dataset.splits.items()}


def fit(
    net: nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    batch: int,
    epochs: int,
    rate: float,
    *,
    falling: bool = True,
    decay: float = 0.0,
    kind: type[torch.optim.Optimizer] = torch.optim.Adam,
    judge: Callable[[], float] | None = None,
) -> None:
    """Adam, one step a batch, the last short one kept.

    falling: the rate falls to 0 along a cosine; decay: of the weights, not the biases; judge: the weights of the epoch
    in which this is lowest are kept.
    """
    weights = [p for name, p in net.named_parameters() if name.endswith("weight")]
    others = [p for name, p in net.named_parameters() if not name.endswith("weight")]
    optimizer = kind([{"params": weights, "weight_decay": decay}, {"params": others}], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-count // batch))
    shuffle = torch.Generator().manual_seed(1)
    best, kept = float("inf"), None
    for _ in range(epochs):
        for places in torch.randperm(count, generator=shuffle).split(batch):
            optimizer.zero_grad()
            loss(places).backward()
            optimizer.step()
            if falling:
                schedule.step()
        if judge is not None:
            net.eval()
            with torch.no_grad():
                now = judge()
            net.train()
            if now < best:
                best, kept = now, {name: value.clone() for name, value in net.state_dict().items()}
    if kept is not None:
        net.load_state_dict(kept)
    net.eval()


def plain(*layers: nn.Module) -> nn.Sequential:
    """Weights as ours begin: uniform after Glorot and Bengio, biases 0."""
    net = nn.Sequential(*layers)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


# ---- the specs


def arm() -> str:
    data = {split: part["target"] for split, part in rows("arm").items()}
    net = plain(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))

    def miss(target: torch.Tensor) -> torch.Tensor:
        heading = net(target).cumsum(1)
        hand = torch.stack([heading.cos().sum(1), heading.sin().sum(1)], 1)
        return (hand - target).norm(dim=1)

    fit(net, lambda places: miss(data["train"][places]).mean(), len(data["train"]), 128, 60, 1e-2)
    with torch.no_grad():
        return f"{(miss(data['test']) > 0.06).double().mean():.2%} missed"


def surprise(net: nn.Module, x: torch.Tensor, y: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return bce(net(x[places]), y[places])


def depth() -> str:
    told = []
    for block, layers in (
        ("Shallow", (nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 1))),
        ("Deep", (nn.Linear(2, 14), nn.Tanh(), nn.Linear(14, 14), nn.Tanh(), nn.Linear(14, 1))),
    ):
        train, test = (rows("depth", block)[split] for split in ("train", "test"))
        net = plain(*layers, nn.Flatten(0))
        x, y = train["point"], train["which"].float()
        fit(net, partial(surprise, net, x, y), len(y), 100, 200, 3e-2)
        with torch.no_grad():
            told.append(f"{block} {((net(test['point']) > 0) != (test['which'] > 0)).double().mean():.1%} wrong")
    return ", ".join(told)


def digits() -> str:
    parts = rows("digits")
    x = {split: part["image"] / 16 for split, part in parts.items()}
    y = {split: part["label"] for split, part in parts.items()}
    net = plain(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10))
    loss = nn.functional.cross_entropy

    def judge() -> float:
        scores = net(x["val"].reshape(-1, 64))
        return float((scores.argmax(1) != y["val"]).double().mean() + 1e-3 * loss(scores, y["val"]))

    def step(p: torch.Tensor) -> torch.Tensor:
        return loss(net(x["train"][p].reshape(-1, 64)), y["train"][p])

    fit(net, step, len(y["train"]), 32, 60, 5e-3, decay=1e-2, kind=torch.optim.AdamW, judge=judge)
    with torch.no_grad():
        return f"{(net(x['test'].reshape(-1, 64)).argmax(1) != y['test']).double().mean():.1%} wrong"


def autoencoder() -> str:
    parts = {split: part["image"].reshape(-1, 64) / 16 for split, part in rows("autoencoder").items()}
    train, test = parts["train"], parts["test"]
    down = (nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2))
    up = (nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid())
    net = plain(*down, *up)

    def off(x: torch.Tensor) -> torch.Tensor:
        return ((net(x) - x) ** 2).mean()

    fit(net, lambda p: off(train[p]), len(train), 32, 100, 5e-3, judge=lambda: float(off(parts["val"])))
    with torch.no_grad():
        return f"{1 - off(test) / ((test - test.mean(0)) ** 2).mean():.1%} explained"


def spot(name: str, other: str, hidden: int, epochs: int, decay: float = 0.0, keep: bool = False) -> str:
    here, there = rows(name), rows(name, on=other)
    train = here["train"]
    size = train["image"].shape[1:].numel()
    net = plain(nn.Flatten(1), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Flatten(0))

    def loss(part: dict[str, torch.Tensor], p: torch.Tensor | slice) -> torch.Tensor:
        return bce(net(part["image"][p]), part["malignant"][p].float())

    judge = (lambda: float(loss(here["val"], slice(None)))) if keep else None
    count = len(train["malignant"])
    fit(net, lambda p: loss(train, p), count, 64, epochs, 1e-3, falling=False, decay=decay, judge=judge)
    told = []
    with torch.no_grad():
        for where, parts in (("at home", here), (other, there)):
            score, truth = net(parts["test"]["image"]), parts["test"]["malignant"]
            wrong = ((score > 0) != (truth > 0)).double().mean()
            told.append(f"{where} {wrong:.1%} wrong, ranking {metrics.roc_auc_score(truth, score):.3f}")
    return "; ".join(told)


def fair() -> str:
    """The net of ruler.nn where a coin lays the ruler, each time that a picture is learned from."""
    here, there = rows("ruler", "Fair"), rows("ruler", "Fair", on="other_clinic")
    train = here["train"]
    net = plain(nn.Flatten(1), nn.Linear(1024, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))

    def loss(p: torch.Tensor) -> torch.Tensor:
        ruler = (torch.rand(len(p)) < 0.5)[:, None, None]
        image = 0.8 * train["spot"][p] + ruler * train["ticks"][p] + 0.1 * torch.randn(len(p), 32, 32)
        return bce(net(image), train["malignant"][p].float())

    fit(net, loss, len(train["malignant"]), 64, 20, 1e-3, falling=False, decay=0.05)
    with torch.no_grad():
        found = [(net(part["test"]["image"]) > 0) == (part["test"]["malignant"] > 0) for part in (here, there)]
        covered = here["test"]["image"].clone()
        covered[:, 28:] = 0
        same = (net(here["test"]["image"]) > 0) == (net(covered) > 0)
    wrong = [1 - right.double().mean() for right in found]
    return f"at home {wrong[0]:.1%} wrong, elsewhere {wrong[1]:.1%}; covered the same {same.double().mean():.1%}"


def postcode() -> str:
    parts = rows("postcode")
    x, y = ({split: part[name] for split, part in parts.items()} for name in ("strip", "label"))
    net = plain(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(32 * 2 * 14, 128),
        nn.ReLU(),
        nn.Linear(128, 50),
        nn.Unflatten(1, (5, 10)),
    )

    def moved(strips: torch.Tensor) -> torch.Tensor:
        """Each by up to a pixel, another way each time."""
        wide = nn.functional.pad(strips, (1, 1, 1, 1))
        windows = wide.unfold(1, 8, 1).unfold(2, 56, 1)
        down, right = torch.randint(0, 3, (2, len(strips)))
        return windows[torch.arange(len(strips)), down, right]

    def loss(p: torch.Tensor) -> torch.Tensor:
        scores = net(moved(x["train"][p])[:, None])
        return nn.functional.cross_entropy(scores.reshape(-1, 10), y["train"][p].reshape(-1))

    fit(net, loss, len(y["train"]), 64, 30, 2e-3)
    net.eval()
    with torch.no_grad():
        wrong = net(x["test"][:, None]).argmax(2) != y["test"]
    return f"{wrong.any(1).double().mean():.1%} of codes wrong, {wrong.double().mean():.1%} of digits"


def airline() -> str:
    told = []
    for block, kind in (("Long", nn.LSTM), ("Gated", nn.GRU)):
        parts = rows("airline", block)
        net = nn.ModuleDict({"reads": kind(1, 16, batch_first=True), "says": nn.Linear(16, 1)})
        for name, weight in net.named_parameters():
            start = nn.init.orthogonal_ if "weight_hh" in name else nn.init.xavier_uniform_
            nn.init.zeros_(weight) if "bias" in name else start(weight)

        def guess(part: dict[str, torch.Tensor], p: torch.Tensor | slice, net: nn.ModuleDict = net) -> torch.Tensor:
            people, before = part["month"][p], part["month.passengers"][p]
            read = net["reads"]((10 * (people.log() - before.log()) - 1)[..., None])[0][:, -1]
            made: torch.Tensor = people[:, 0] * torch.exp(0.1 + 0.1 * net["says"](read)[:, 0])
            return made

        def loss(p: torch.Tensor, part: dict[str, torch.Tensor] = parts["train"]) -> torch.Tensor:
            return ((10 * guess(part, p).log() - 10 * part["coming"][p, 0].log()) ** 2).mean()

        fit(net, loss, len(parts["train"]["coming"]), 32, 100, 1e-2)
        with torch.no_grad():
            off = (guess(parts["test"], slice(None)) / parts["test"]["coming"][:, 0] - 1).abs().mean()
        told.append(f"{block} off by {off:.1%}")
    return ", ".join(told)


PEERS: dict[str, Callable[[], str]] = {
    "airline": airline,
    "digits": digits,
    "arm": arm,
    "depth": depth,
    "autoencoder": autoencoder,
    "ruler": lambda: spot("ruler", "other_clinic", 32, 20, decay=0.05),
    "fair": fair,
    "postcode": postcode,
    "shift": lambda: spot("shift", "clinic_b", 64, 20, keep=True),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PEERS:
        for seed in (1, 2, 3):
            torch.manual_seed(seed)
            begun = perf_counter()
            print(f"{name}, seed {seed}: {PEERS[name]()} ({perf_counter() - begun:.1f} s with its data)", flush=True)
