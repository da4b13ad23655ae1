"""Pieces of the script that are the same in every script that needs them. Each is left out where nothing does."""

from __future__ import annotations

from dotnn_torch.script import convolve

LOAD = '''\
def load(split):
    """The rows of a split: the table's columns, as they are."""
    with np.load(here / f"{split}.npz") as columns:
        return {name: torch.from_numpy(columns[name]).to(DEVICE) for name in columns}
'''

STANDARDISE = '''\
def standardise(x, rows):
    """`x` with the mean 0 and the spread 1 that `rows` would have."""
    mean, spread = rows.double().mean(0).float(), rows.double().std(0, correction=0).float()
    return (x - mean) / torch.where(spread == 0, 1, spread)
'''

BALANCED = '''\
def balanced(label, rows, classes):
    """A weight for each row, so that every class among `rows` weighs as much as any other."""
    counts = torch.bincount(rows.long(), minlength=classes).double()
    weights = counts.sum() / ((counts > 0).sum() * counts)
    return torch.where(counts > 0, weights, 1).float()[label.long()]
'''

WITHIN = '''\
def within(x, start, stop):
    """Whether numbers lie between these two, the second left out."""
    return (x >= start) & (x < stop)
'''

RANK = '''\
def rank(x):
    """How many dims it has; a plain number or truth has none."""
    return x.dim() if torch.is_tensor(x) else 0
'''

LEFT = '''\
def left(steps, start):
    """How many steps are left after `start`; all of them where training never comes so far."""
    return steps - start if start < steps else steps
'''

GRAD = '''\
def grad(of, by):
    """How the number `of` would change with each number of `by`, itself something that has a gradient."""
    return torch.autograd.grad(of, by, create_graph=True)[0]


def tracked(x):
    """`x`, so that a gradient can be taken by it."""
    return x if x.requires_grad else x.detach().requires_grad_()
'''

MERGED = '''\
def merged(x, first, last):
    """These two dims, and those between them, as one."""
    first, last = first % x.dim(), last % x.dim()
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])
'''

SQUARES = '''\
"""Numbers that look random, and are the same in every run and on every machine: those that `nn train` draws.

Number i of a place in a spec is `squares(step * 2^32 + i)`, under a key made of the seed and of the place's name.
Source: Widynski, "Squares: a fast counter-based RNG", arXiv:2004.06278.
"""

import hashlib
import math

import torch

ROUNDS = 0xC58EFD154CE32F6D


def squares(counter, key):
    """32 random bits for each counter. All words have 64 bits; what does not fit is dropped."""
    key = (key + 2**63) % 2**64 - 2**63  # torch's words have a sign
    x = y = counter * key
    for addend in (y, y + key, y):
        x = x * x + addend
        x = (x >> 32 & 0xFFFFFFFF) | x << 32
    return (x * x + y + key) >> 32 & 0xFFFFFFFF


class Random:
    """The generator: `random(shape, at)` draws, `begin(step)` comes before each step."""

    def __init__(self, seed, device="cpu"):
        high, low = squares(torch.tensor([2 * seed, 2 * seed + 1]), ROUNDS).tolist()
        self.key = (high << 32 | low) | 1
        self.device = device
        self.begin(0)

    def begin(self, step):
        self.step, self.uses, self.turn = step, {}, ""

    def __call__(self, shape, at, bits=24):
        """Even numbers in [0, 1), of so many bits each. `at`: the place in the spec, counted where it draws again."""
        number = self.uses[at] = self.uses.get(at, -1) + 1
        use, count = f"{at or 'random'}#{number}", math.prod(shape)
        use = f"{self.turn}:{use}" if self.turn else use  # of steps that take turns each draws its own
        if bits == 16:  # two numbers from each word
            words = self.words(self.step, (count + 1) // 2, use)
            words = torch.stack([words >> 16, words & 0xFFFF], 1).reshape(-1)[:count]
        else:
            words = self.words(self.step, count, use) >> 8
        return words.float().reshape(shape) / 2**bits

    def shuffle(self, epoch, count):
        """The order of the rows in an epoch."""
        return self.words(epoch, count, "shuffle").argsort(stable=True)

    def words(self, step, count, use):
        salt = int.from_bytes(hashlib.sha256(use.encode()).digest()[:8], "little") & ~1
        return squares((step << 32) + torch.arange(count, device=self.device), self.key + salt)
'''
"""A file of its own beside the script: `squares.py`."""

FANS = '''\
def fans(shape):
    """How many numbers go into one output of a weight, and how many outputs it has."""
    return math.prod(shape[:-1] if len(shape) > 1 else shape), shape[-1]
'''

NORMALISE = '''\
def normalise(x, eps):
    """Mean 0 and spread 1 along the last dim."""
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps)
'''

GREATER = '''\
def greater(a, b):
    """The greater of each two; at a tie the gradient goes to b."""
    return torch.where(torch.as_tensor(a <= b), b, a)
'''

SMALLER = '''\
def smaller(a, b):
    """The smaller of each two; at a tie the gradient goes to b."""
    return torch.where(torch.as_tensor(a >= b), b, a)
'''

TOP = '''\
def top(x, count, dim):
    """The greatest numbers along a dim, the greatest first, and where they stand; the first of equals first."""
    values, places = torch.sort(x, dim=dim, descending=True, stable=True)
    return values.narrow(dim, 0, count), places.narrow(dim, 0, count)
'''

MOMENTS = '''\
def moments(x, dims):
    """Mean and variance over these dims."""
    variance, mean = torch.var_mean(x, dims, correction=0)
    return mean, variance
'''

KEPT = '''\
def mean_where(value, kept):
    """The mean over the places that are kept."""
    return torch.where(kept, value, 0).sum() / kept.expand_as(value).sum().clamp(min=1)
'''

WEIGHTED = '''\
def weighted_mean(value, weight, kept=True):
    """The mean over the places, each counted by its weight, or by that of its row."""
    weight = weight.reshape(weight.shape + (1,) * (value.dim() - weight.dim())).expand_as(value) * kept
    total = weight.sum()
    return torch.where(weight > 0, weight * value, 0).sum() / torch.where(total > 0, total, 1)
'''

WEIGHTS = '''\
def weights_of(value, weight, kept=True):
    """What all places weigh together: by this a batch counts among the others."""
    weight = weight.reshape(weight.shape + (1,) * (value.dim() - weight.dim()))
    return (weight.expand_as(value) * kept).sum()
'''

PRODUCT = '''\
class Product(torch.autograd.Function):
    """A matrix product of numbers rounded to bfloat16, as are those of its gradient. Sums are not rounded."""

    @staticmethod
    def forward(ctx, a, b):
        a, b = a.bfloat16().float(), b.bfloat16().float()
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        gradient = gradient.bfloat16().float()
        return (gradient @ b.mT).sum_to_size(a.shape), (a.mT @ gradient).sum_to_size(b.shape)


product = Product.apply
'''

CLIP = '''\
def clip(weights, most):
    """Shortens the gradients together to this length where they are longer."""
    weights = list(weights)
    norm = torch.sqrt(sum((weight.grad**2).sum() for weight in weights))
    for weight in weights:
        weight.grad *= most / norm.clamp(min=most)
'''

FOLLOW = '''\
@torch.no_grad()
def follow(shown, net, shares, step):
    """Moves the averages on: of each such a share stays. Without one, and after the first step, it is the weight."""
    for (name, mean), now in zip(shown.state_dict().items(), net.state_dict().values(), strict=True):
        kept = name in shares and step > 1
        mean.copy_(mean + (now - mean) * (1 - shares[name]) if kept else now)
'''

_TEXTS = {
    "load": LOAD,
    "standardise": STANDARDISE,
    "balanced": BALANCED,
    "fans": FANS,
    **convolve.HELPERS,
    "normalise": NORMALISE,
    "greater": GREATER,
    "smaller": SMALLER,
    "top": TOP,
    "moments": MOMENTS,
    "within": WITHIN,
    "rank": RANK,
    "merged": MERGED,
    "grad": GRAD,
    "left": LEFT,
    "kept": KEPT,
    "weighted": WEIGHTED,
    "weights": WEIGHTS,
    "product": PRODUCT,
    "clip": CLIP,
    "follow": FOLLOW,
}
HELPERS = {name: text.rstrip("\n").split("\n") for name, text in _TEXTS.items()}
FITTED = ("standardise", "balanced")
"""What looks at the training rows: written where the rows are read."""
