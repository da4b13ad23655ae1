from __future__ import annotations

import numpy as np
import pytest

from dotnn.data import Rows, batches


def some(count: int) -> Rows:
    x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    return Rows(count=count, arrays={"x": x, "y": np.arange(count)})


@pytest.mark.parametrize("size", [1, 3, 7, 10, 11, 100])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("stretch", [1, 200, 1 << 24])
def test_every_row_once_in_order(monkeypatch, size, ordered, stretch):
    import importlib

    monkeypatch.setattr(importlib.import_module("dotnn.data.batches"), "STRETCH", stretch)
    rows = some(10)
    order = np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7]) if ordered else None
    found = list(batches(rows, order, size))
    assert [len(b["y"]) for b in found] == [size] * (10 // size) + ([10 % size] if 10 % size else [])
    wanted = list(range(10)) if order is None else order.tolist()
    assert np.concatenate([b["y"] for b in found]).tolist() == wanted
    assert np.concatenate([b["x"] for b in found]).tolist() == rows.arrays["x"][wanted].tolist()
    assert all(array.flags.c_contiguous for b in found for array in b.values())


def test_a_part_of_the_rows():
    assert [b["y"].tolist() for b in batches(some(10), np.array([2, 2, 9]), 2)] == [[2, 2], [9]]


def test_no_rows():
    assert list(batches(some(0), None, 4)) == []
    assert list(batches(some(5), np.array([], np.int64), 4)) == []
