"""Convolution and pools in NumPy: what each window sees is a view of the padded picture.

Where something goes back into the picture, the same windows are laid over the numbers of its places: they say where.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(x, size, stride, dilation, before, after, beside=0):
    """[b, c, windows…, places of a window…] of x, [b, c, places…], with `beside` around it."""
    padded = np.pad(x, [(0, 0), (0, 0), *zip(before, after, strict=True)], constant_values=beside)
    reach = [d * (n - 1) + 1 for n, d in zip(size, dilation, strict=True)]
    seen = sliding_window_view(padded, reach, axis=tuple(range(2, 2 + len(size))))
    return seen[(..., *(slice(None, None, step) for step in (*stride, *dilation)))]


def put_back(parts, places, size, stride, dilation, before, after):
    """[b, c, places…]: the sum of what all windows put at each place. `parts` is shaped as `windows` makes it."""
    room = [n + b + a for n, b, a in zip(places, before, after, strict=True)]
    nothing = (0,) * len(size)
    where = windows(np.arange(math.prod(room)).reshape(1, 1, *room), size, stride, dilation, nothing, nothing)
    made = np.zeros((math.prod(parts.shape[:2]), math.prod(room)), parts.dtype)
    np.add.at(made, (slice(None), where.reshape(-1)), parts.reshape(len(made), -1))
    inner = (slice(b, b + n) for b, n in zip(before, places, strict=True))
    return made.reshape(*parts.shape[:2], *room)[(..., *inner)]


def grouped(x, groups, axis, places):
    """With `axis` as two, the groups and what is in each, and the last `places` dims as one."""
    kept = x.shape[: x.ndim - places]
    return x.reshape(
        *kept[:axis], groups, kept[axis] // groups, *kept[axis + 1 :], math.prod(x.shape[x.ndim - places :])
    )


def convolve(x, w, groups, **how):
    rank = w.ndim - 2
    seen = windows(x, w.shape[2:], **how)
    made = seen.shape[2 : 2 + rank]
    seen = seen.reshape(len(x), groups, x.shape[1] // groups, math.prod(made), -1)
    y = np.einsum("bgcyk,gock->bgoy", seen, grouped(w, groups, 0, rank))
    return y.reshape(len(x), len(w), *made)


def convolve_back(g, w, groups, places, **how):
    rank = w.ndim - 2
    parts = np.einsum("bgoy,gock->bgcyk", grouped(g, groups, 1, rank), grouped(w, groups, 0, rank))
    parts = parts.reshape(len(g), groups * w.shape[1], *g.shape[2:], *w.shape[2:])
    return put_back(parts, places, w.shape[2:], **how)


def convolve_weight(x, g, groups, kernel, **how):
    rank = len(kernel)
    seen = windows(x, kernel, **how).reshape(len(x), groups, x.shape[1] // groups, math.prod(g.shape[2:]), -1)
    w = np.einsum("bgcyk,bgoy->gock", seen, grouped(g, groups, 1, rank))
    return w.reshape(g.shape[1], x.shape[1] // groups, *kernel)


def flat_windows(x, size, beside=0, **how):
    """[b, c, windows…, all places of a window]."""
    seen = windows(x, size, beside=beside, **how)
    return seen.reshape(*seen.shape[: seen.ndim - len(size)], math.prod(size))


def window_sum(x, size, **how):
    return flat_windows(x, size, **how).sum(axis=-1)


def window_spread(g, size, places, **how):
    parts = np.broadcast_to(g.reshape(*g.shape, *(1 for _ in size)), (*g.shape, *size))
    return put_back(parts, places, size, **how)


def window_max(x, size, **how):
    return flat_windows(x, size, -np.inf, **how).max(axis=-1)


def window_take(u, x, size, **how):
    first = flat_windows(x, size, -np.inf, **how).argmax(axis=-1)
    return np.take_along_axis(flat_windows(u, size, **how), first[..., None], axis=-1)[..., 0]


def window_put(g, x, size, **how):
    first = flat_windows(x, size, -np.inf, **how).argmax(axis=-1)
    parts = np.where(np.arange(math.prod(size)) == first[..., None], g[..., None], 0)
    return put_back(parts.reshape(*g.shape, *size), x.shape[2:], size, **how)


MOVES = "stride={stride}, dilation={dilation}, before={before}, after={after}"
SPELLING = {
    "convolve": f"convolve({{0}}, {{1}}, groups={{groups}}, {MOVES})",
    "convolve_back": f"convolve_back({{0}}, {{1}}, groups={{groups}}, places={{places}}, {MOVES})",
    "convolve_weight": f"convolve_weight({{0}}, {{1}}, groups={{groups}}, kernel={{kernel}}, {MOVES})",
    "window_sum": f"window_sum({{0}}, size={{size}}, {MOVES})",
    "window_spread": f"window_spread({{0}}, size={{size}}, places={{places}}, {MOVES})",
    "window_max": f"window_max({{0}}, size={{size}}, {MOVES})",
    "window_take": f"window_take({{0}}, {{1}}, size={{size}}, {MOVES})",
    "window_put": f"window_put({{0}}, {{1}}, size={{size}}, {MOVES})",
}
WORDS = (convolve, convolve_back, convolve_weight, window_sum, window_spread, window_max, window_take, window_put)
