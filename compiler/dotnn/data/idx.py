"""IDX files, as MNIST and its kin come: a few bytes that say type and dims, then the numbers, big end first.

The format: 0, 0, a byte for the type, a byte for how many dims, a 32-bit number for each, the numbers in order
(LeCun, Cortes and Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn.data.paths import TableFile, open_table
from dotnn.data.unpack import content, packing_of, refuse_ratio
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IMAGES, LABELS = "pixels", "labels"


class NotIdx(Problem):
    code = "D056"
    title = "`{file}` is no IDX file: {reason}"
    label = "this file"
    help = "an IDX file begins with two zero bytes, its type and its dims, as MNIST's files do"
    file: str
    reason: str


class OtherCount(Problem):
    code = "D057"
    title = "{first} has {count:,} rows, and {other} has {found:,}"
    label = "these belong together, row by row"
    help = "look whether they are of one part: those to learn from, or those of the exam"
    first: str
    count: int
    other: str
    found: int


class SameKind(Problem):
    code = "D058"
    title = "`{first}` and `{second}` would both be the column `{name}`"
    label = "one of each kind"
    help = "{advice}"
    first: str
    second: str
    name: str
    advice: str


def starts_as_idx(file: TableFile) -> bool:
    """Whether the first bytes, unpacked, are those of such a file. Raises ``ProblemError`` where it cannot be read."""
    with closing(content(_by_its_bytes(file))) as blocks:
        head = next(blocks, b"")
    return len(head) > 3 and head[:2] == b"\0\0" and head[2] in TYPES and head[3] > 0


def _by_its_bytes(file: TableFile) -> TableFile:
    """Packed or not, whatever its name says: MNIST's files often end in `-ubyte` and are packed."""
    with open_table(file) as raw:
        packing = packing_of(raw.read(16)) or ""
    return replace(file, packed=packing)


class IdxFile:
    """One file: ``dtype[rows, *dims]``."""

    def __init__(self, file: TableFile) -> None:
        self.file = _by_its_bytes(file)
        with closing(content(self.file)) as blocks:
            head = b""
            for block in blocks:
                head += block
                if len(head) >= 4 + 4 * 255:
                    break
        if not head:
            raise self._wrong("it is empty").error()
        if head[:2] != b"\0\0" or len(head) < 4 or head[2] not in TYPES:
            raise self._wrong("it does not begin as such a file").error()
        rank = head[3]
        if not 0 < rank <= limits().rank or len(head) < 4 + 4 * rank:
            raise self._wrong(f"it says that it has {rank} dims").error()
        self.dtype = np.dtype(TYPES[head[2]])
        self.dims = tuple(int(d) for d in np.frombuffer(head, ">u4", rank, 4))
        self.start = 4 + 4 * rank
        self._refuse_size()

    def _refuse_size(self) -> None:
        """What the first bytes promise must be there, before room is made for it."""
        with open_table(self.file) as raw:
            size = raw.seek(0, 2)
        promised = self.start + prod(self.dims) * self.dtype.itemsize
        if self.file.packing:
            refuse_ratio(self.file, promised, size)
        elif promised != size:
            raise self._wrong(f"its first bytes promise {promised:,} bytes, and it has {size:,}").error()

    @property
    def name(self) -> str:
        return LABELS if len(self.dims) == 1 else IMAGES

    def blocks(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        a_row = prod(self.dims[1:]) * self.dtype.itemsize
        size = max(rows * a_row, 1)
        left = prod(self.dims) * self.dtype.itemsize
        skip = self.start
        kept = bytearray()
        with closing(content(self.file)) as blocks:
            for block in blocks:
                block, skip = block[skip:], max(skip - len(block), 0)
                kept += block
                left -= len(block)
                if left < 0:
                    raise self._wrong("it goes on after its last row").error()
                while len(kept) >= size:
                    yield self._array(kept[:size])
                    del kept[:size]
        if left:
            raise self._wrong("its end is missing").error()
        if kept:
            yield self._array(kept)

    def _array(self, part: bytes | bytearray) -> npt.NDArray[Any]:
        made = np.frombuffer(bytes(part), self.dtype).reshape(-1, *self.dims[1:])
        return made.astype(self.dtype.newbyteorder("="), copy=False)

    def _wrong(self, reason: str) -> Problem:
        return NotIdx(span=self.file.span, file=self.file.shown, reason=reason)


class IdxTable:
    """Images and their labels, or one of both. Satisfies ``dotnn.plugins.ArrayTable``."""

    def __init__(self, files: Sequence[IdxFile]) -> None:
        self.files: dict[str, IdxFile] = {}
        self.shown = " and ".join(file.file.shown for file in files)
        for file in files:
            other = self.files.setdefault(file.name, file)
            if other is not file:
                advice = f"`{IMAGES}` has more than one dim, `{LABELS}` has one: name a file of each"
                raise SameKind(
                    span=file.file.span,
                    first=other.file.shown,
                    second=file.file.shown,
                    name=file.name,
                    advice=advice,
                ).error()
            if file.dims[0] != files[0].dims[0]:
                raise OtherCount(
                    span=file.file.span,
                    first=files[0].file.shown,
                    count=files[0].dims[0],
                    other=file.file.shown,
                    found=file.dims[0],
                ).error()

    def columns(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:
        return {name: (file.dtype.newbyteorder("=").name, file.dims[1:]) for name, file in self.files.items()}

    def arrays(self, names: Sequence[str], rows: int) -> Iterator[Sequence[npt.NDArray[Any]]]:
        yield from zip(*(self.files[name].blocks(rows) for name in names), strict=True)


class IdxSource:
    """Satisfies ``dotnn.plugins.DataSource`` and ``Joining``."""

    name = "idx"
    summary = "IDX files as MNIST has them: `pixels` and `labels`"

    def join(self, arguments: Sequence[str], place: Any) -> Sequence[IdxTable]:
        return [IdxTable([IdxFile(place.file(argument)) for argument in arguments])]

    def tables(self, argument: str, place: Any) -> Sequence[IdxTable]:
        return self.join((argument,), place)
