"""Files of every kind that a source reads, altered at random: they are read, or refused with a place."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn import spec
from dotnn.data import load
from dotnn.program import RawColumn
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.source import Span

HERE = Span(file="s.nn", line=2, column=3, end_line=2, end_column=9)
NUMBERS = np.arange(60, dtype=np.uint8)
TURNS = 150
"""Alterations of each kind of file."""


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    held = io.BytesIO()
    write(held)
    return held.getvalue()


def plain() -> dict[str, tuple[str, bytes]]:
    """By name: the source, and what the file holds."""
    rows = b"x,k\n" + b"1,a\n" * 50
    idx = b"\0\0\x08\x01" + struct.pack(">I", 60) + NUMBERS.tobytes()
    return {
        "a.csv": ("table", rows),
        "a.csv.gz": ("table", gzip.compress(rows, mtime=0)),
        "a.csv.xz": ("table", lzma.compress(rows)),
        "a.csv.bz2": ("table", bz2.compress(rows)),
        "a.jsonl": ("table", b"".join(b'{"x": %d, "k": "a"}\n' % i for i in range(20))),
        "a.npz": ("npz", written(lambda held: np.savez_compressed(held, x=NUMBERS))),
        "x.npy": ("npz", written(lambda held: np.save(held, NUMBERS))),
        "labels": ("idx", idx),
        "labels.gz": ("idx", gzip.compress(idx, mtime=0)),
    }


def arrows() -> dict[str, tuple[str, bytes]]:
    import pyarrow
    import pyarrow.feather
    import pyarrow.parquet

    table = pyarrow.table({"x": list(range(50)), "k": pyarrow.array(["a", "bb"] * 25).dictionary_encode()})
    return {
        "a.parquet": ("table", written(lambda held: pyarrow.parquet.write_table(table, held))),
        "a.feather": ("table", written(lambda held: pyarrow.feather.write_feather(table, held))),
    }


def altered(content: bytes, draw: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        if not made:
            break
        at = draw.randrange(len(made))
        match draw.randrange(5):
            case 0 | 1:
                made[at] = draw.randrange(256)
            case 2:
                del made[at : at + draw.randrange(1, 9)]
            case 3:
                made[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 9)))
            case _:
                made[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(made[: draw.randrange(len(made) + 1)] if draw.random() < 0.1 else made)


def outcomes(name: str, reader: str, content: bytes, folder: Path) -> set[str]:
    """The codes of what was said of each altered file; `fine` where it was read."""
    draw = random.Random(name)
    column = "labels" if reader == "idx" else "x"
    raw = RawColumn(name="x", columns=(column,), dtype="f32")
    line = spec.SourceLine(span=HERE, role="source", reader=reader, files=(name,))
    data = spec.Data(span=HERE, name="d", sources=(line,), columns=())
    found = set()
    for turn in range(TURNS):
        (folder / name).write_bytes(altered(content, draw))
        lenient = data.model_copy(update={"bad_rows": "skip" if turn % 2 else "error"})
        try:
            load(lenient, [raw], {"x": HERE}, folder)
        except ProblemError as wrong:
            (problem,) = wrong.problems
            assert problem.span == HERE
            assert problem.help_text
            assert len(problem.title_text) < 400
            found.add(problem.code)
        else:
            found.add("fine")
    return found


@pytest.mark.parametrize("name", plain())
def test_altered(name: str, tmp_path: Path) -> None:
    found = outcomes(name, *plain()[name], tmp_path)
    assert found - {"fine"}, "something is refused"
    assert "D051" not in found, "no error of Python or NumPy comes through"


@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_altered_arrow(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `data`: pip install -e '.[data]'")
    assert "D055" in outcomes(name, *arrows()[name], tmp_path)
