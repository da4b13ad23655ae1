"""Convolution and pooling as PyTorch writes them: each word is a function of the script."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn_torch.script.text import Code, call
from dotnn_torch.script.words import Argument, Settings, UnspokenError, Word, one

EACH = '''\
def each(value, dims):
    """One number for each dim of places."""
    return (value,) * dims if isinstance(value, int) else tuple(value)
'''

BESIDE = '''\
def beside(size, padding, dilation):
    """What `padding` puts before and after the places, in each dim."""
    if isinstance(padding, str):
        whole = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, size, strict=True)]
        return [(n // 2, n - n // 2) for n in whole]
    if len(size) == 1 and isinstance(padding, tuple) and len(padding) == 2:
        return [padding]
    return [(n, n) if isinstance(n, int) else n for n in each(padding, len(size))]


def padded(x, pairs, value=0.0):
    """x with so many numbers beside it."""
    return nn.functional.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)
'''

KERNEL = '''\
class Kernel(tuple):
    """The shape of a kernel, [out, in, places...]: each output sees `in` numbers at each place."""


def fans(shape):
    """How many numbers go into one output of a weight, and how many outputs one of them reaches."""
    if isinstance(shape, Kernel):
        return shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])
    return math.prod(shape[:-1] if len(shape) > 1 else shape), shape[-1]
'''

CONVOLVE = '''\
def convolve(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """A convolution over one to three dims of places."""
    dims = x.dim() - 2
    stride, dilation = each(stride, dims), each(dilation, dims)
    x = padded(x, beside(weight.shape[2:], padding, dilation))
    run = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[dims - 1]
    return run(x, weight, stride=stride, dilation=dilation, groups=groups)
'''

CONVOLVE_BACK = '''\
def convolve_back(x, weight, stride=1, padding=0, dilation=1, groups=1, more=0):
    """A convolution the other way round: what is beside the places is cut off."""
    dims = x.dim() - 2
    stride, dilation, more = each(stride, dims), each(dilation, dims), each(more, dims)
    pairs = beside(weight.shape[2:], padding, dilation)
    run = (nn.functional.conv_transpose1d, nn.functional.conv_transpose2d, nn.functional.conv_transpose3d)[dims - 1]
    y = run(x, weight, stride=stride, dilation=dilation, groups=groups)
    after = [m - a for m, (_, a) in zip(more, pairs, strict=True)]
    if padding == "same":
        sizes = zip(x.shape[2:], stride, y.shape[2:], pairs, strict=True)
        after = [n * s - (have - b) for n, s, have, (b, _) in sizes]
    return padded(y, [(-b, a) for (b, _), a in zip(pairs, after, strict=True)])
'''

WINDOW_MAX = '''\
def window_max(x, size, stride=None, padding=0, dilation=1):
    """The greatest of each window."""
    dims = x.dim() - 2
    size, dilation = each(size, dims), each(dilation, dims)
    x = padded(x, beside(size, padding, dilation), -math.inf)
    run = (nn.functional.max_pool1d, nn.functional.max_pool2d, nn.functional.max_pool3d)[dims - 1]
    return run(x, size, size if stride is None else each(stride, dims), 0, dilation)
'''

WINDOW_SUM = '''\
def window_sum(x, size, stride=None, padding=0, dilation=1):
    """The sum of each window."""
    size = each(size, x.dim() - 2)
    ones = torch.ones((x.shape[1], 1, *size), device=x.device)
    return convolve(x, ones, size if stride is None else stride, padding, dilation, x.shape[1])
'''

ENLARGE = '''\
def enlarge(x, by):
    """Each place becomes so many, in each dim."""
    for dim, count in enumerate(each(by, x.dim() - 2), 2):
        x = x.repeat_interleave(count, dim)
    return x
'''

HELPERS = {
    "each": EACH,
    "beside": BESIDE,
    "kernel": KERNEL,
    "convolve": CONVOLVE,
    "convolve_back": CONVOLVE_BACK,
    "window_max": WINDOW_MAX,
    "window_sum": WINDOW_SUM,
    "enlarge": ENLARGE,
}

NEEDS = {
    "convolve": {"each", "beside"},
    "convolve_back": {"each", "beside"},
    "window_max": {"each", "beside"},
    "window_sum": {"each", "beside", "convolve"},
    "enlarge": {"each"},
}
"""What a helper needs beside it."""


def helpers_in(code: str) -> set[str]:
    """The helpers of this room that a piece of Python calls, and those that they call."""
    found = {word for word in HELPERS if f"{word}(" in code}
    return found.union(*(NEEDS.get(word, set()) for word in found))


def _call(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, *others = given
    named = [f"{key}={value.text}" for key, value in settings.items()]
    return call(name, x.real.text, *(other.code.text for other in others), *named)


def _dims(x: Argument) -> int:
    if not x.tensors:
        raise UnspokenError("a window over no picture")
    return int(one([t.rank - 2 for t in x.tensors], "a window over dims of places"))


def _window(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    x, size = given
    return call("each", size.code.text, str(_dims(x)))


def _size(name: str, given: Sequence[Argument], settings: Settings) -> Code:
    return call("math.prod", _window(name, given, settings).text)


FORMS: dict[str, Word] = {
    **dict.fromkeys(("convolve", "convolve_back", "window_max", "window_sum", "enlarge"), _call),
    "window": _window,
    "window_size": _size,
}
