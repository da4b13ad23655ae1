"""NumPy's files: `.npy` with one array, `.npz` with several by name. No object is ever unpickled.

What a file says of itself is read and counted before room is made for it: types, dims, how far it is packed.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import PurePath
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from dotnn.data.idx import OtherCount, SameKind
from dotnn.data.paths import TableFile, open_table, show
from dotnn.data.tables import names_of
from dotnn.data.unpack import refuse_ratio
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

HEADER = 10_000
"""Bytes of an array's own description (NumPy's own limit)."""
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
OF_PACKING = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, RuntimeError)
OF_HEADER = (tokenize.TokenError, SyntaxError, ValueError, TypeError, KeyError)
DAMAGE = (*OF_PACKING, *OF_HEADER, OSError, MemoryError)
"""What Python and NumPy raise over a file that is damaged: unpacking it, reading an array's header, or making room."""


class NotNumPy(Problem):
    code = "D059"
    title = "`{file}` is no NumPy file: {reason}"
    label = "this file"
    help = "numpy.savez_compressed writes such a file: an array for each column, all with the same number of rows"
    file: str
    reason: str


class ObjectArray(Problem):
    code = "D060"
    title = "`{name}` in `{file}` holds {what}"
    label = "this file"
    help = "write numbers or texts: objects are programs in disguise, and are not opened"
    name: str
    file: str
    what: str


@dataclass(frozen=True)
class Header:
    """What an array says of itself: type, dims, and whether its first dim runs quickest."""

    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    fortran: bool

    @property
    def bytes(self) -> int:
        return prod(self.dims) * self.dtype.itemsize


class Stored:
    """One array in a file. member: its name in the archive; None for a `.npy` file."""

    def __init__(self, file: TableFile, member: str | None = None) -> None:
        self.file, self.member = file, member
        self.name = _column(member or PurePath(file.path).name)
        with self._opened() as raw:
            self.header = self._header(raw)

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with open_table(self.file) as raw, _spoken(self.file):
            if self.member is None:
                yield raw
                return
            with zipfile.ZipFile(raw) as archive, archive.open(self.member) as inner:
                yield cast(BinaryIO, inner)

    def _header(self, raw: BinaryIO) -> Header:
        """The array's own description. Leaves the file where its numbers begin."""
        version = np.lib.format.read_magic(raw)
        if version not in ((1, 0), (2, 0)):
            raise self._wrong("it is of a version that is not known here").error()
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        dims, fortran, dtype = read(raw, max_header_size=HEADER)
        what = {"O": "Python objects", "V": "records", "M": "dates", "m": "spans of time", "c": "complex numbers"}
        if dtype.hasobject or dtype.kind not in "buifU":
            found = what.get("O" if dtype.hasobject else dtype.kind, "bytes")
            raise ObjectArray(span=self.file.span, file=self.file.shown, name=show(self.name), what=found).error()
        if len(dims) > limits().rank or any(d < 0 for d in dims):
            raise self._wrong(f"`{show(self.name)}` has impossible dims").error()
        return Header(dtype, tuple(int(d) for d in dims), bool(fortran) and len(dims) > 1)

    def refuse_size(self, there: int) -> None:
        """What the description promises must be there, before room is made for it."""
        with self._opened() as raw:
            self._header(raw)
            begun = raw.tell()
        if begun + self.header.bytes != there:
            raise self._wrong(
                f"`{show(self.name)}` promises {self.header.bytes:,} bytes, and has {there - begun:,}"
            ).error()

    def blocks(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        a_row = prod(self.header.dims[1:]) * self.header.dtype.itemsize
        with self._opened() as raw:
            self._header(raw)
            if self.header.fortran:
                whole = self._array(self._take(raw, self.header.bytes), self.header.dims[::-1]).T
                for start in range(0, len(whole), rows):
                    yield np.ascontiguousarray(whole[start : start + rows])
                return
            left = self.header.dims[0]
            while left:
                count = min(rows, left)
                yield self._array(self._take(raw, count * a_row), (count, *self.header.dims[1:]))
                left -= count

    def _take(self, raw: BinaryIO, count: int) -> bytes:
        made = raw.read(count)
        if len(made) < count:
            raise self._wrong(f"the end of `{show(self.name)}` is missing").error()
        return made

    def _array(self, part: bytes, dims: Sequence[int]) -> npt.NDArray[Any]:
        made = np.frombuffer(part, self.header.dtype).reshape(dims)
        return made.astype(self.header.dtype.newbyteorder("="), copy=False)

    def _wrong(self, reason: str) -> Problem:
        return NotNumPy(span=self.file.span, file=self.file.shown, reason=reason)


@contextmanager
def _spoken(file: TableFile) -> Iterator[None]:
    """What Python and NumPy have to complain of, in words of ours."""
    try:
        yield
    except DAMAGE as wrong:
        text = str(wrong)
        reason = "its contents are damaged"
        if "magic" in text or "not a zip" in text:
            reason = "it does not begin as such a file"
        elif "encrypted" in text or "password" in text:
            reason = "it is locked by a password"
        raise NotNumPy(span=file.span, file=file.shown, reason=reason).error() from None


def stored(file: TableFile) -> list[Stored]:
    """The arrays of a file, by its end: described and counted, not read."""
    if not file.path.name.lower().endswith(".npz"):
        found = Stored(file)
        with open_table(file) as raw:
            found.refuse_size(raw.seek(0, 2))
        return [found]
    with open_table(file) as raw:
        size = raw.seek(0, 2)
        raw.seek(0)
        with _spoken(file), zipfile.ZipFile(raw) as archive:
            members = archive.infolist()
    names_of(file, [_column(member.filename) for member in members], 1)
    for member in members:
        if member.flag_bits & 1:
            raise NotNumPy(span=file.span, file=file.shown, reason="it is locked by a password").error()
        if member.compress_type not in PLAIN or not member.filename.endswith(".npy"):
            reason = f"`{show(member.filename)}` is no array in it"
            raise NotNumPy(span=file.span, file=file.shown, reason=reason).error()
        refuse_ratio(file, member.file_size, min(member.compress_size, size))
    refuse_ratio(file, sum(member.file_size for member in members), size)
    arrays = [Stored(file, member.filename) for member in members]
    for array, member in zip(arrays, members, strict=True):
        array.refuse_size(member.file_size)
    return arrays


def _column(member: str) -> str:
    return member.removesuffix(".npy")


class NpzTable:
    """Arrays with the same number of rows. Satisfies ``dotnn.plugins.ArrayTable``."""

    def __init__(self, arrays: Sequence[Stored]) -> None:
        self.shown = " and ".join(dict.fromkeys(array.file.shown for array in arrays))
        self.stored: dict[str, Stored] = {}
        for array in arrays:
            other = self.stored.setdefault(array.name, array)
            if other is not array:
                advice = "a column is called as its file is, without the end: rename one"
                raise SameKind(
                    span=array.file.span,
                    first=other.file.shown,
                    second=array.file.shown,
                    name=show(array.name),
                    advice=advice,
                ).error()

    def columns(self) -> Mapping[str, tuple[str, tuple[int, ...]]]:
        """Those that have rows: a single number beside them is left alone."""
        return {
            name: ("text" if a.header.dtype.kind == "U" else a.header.dtype.newbyteorder("=").name, a.header.dims[1:])
            for name, a in self.stored.items()
            if a.header.dims
        }

    def arrays(self, names: Sequence[str], rows: int) -> Iterator[Sequence[npt.NDArray[Any]]]:
        first, *others = (self.stored[name] for name in names)
        for other in others:
            if other.header.dims[0] != first.header.dims[0]:
                raise OtherCount(
                    span=first.file.span,
                    first=f"`{show(first.name)}`",
                    count=first.header.dims[0],
                    other=f"`{show(other.name)}`",
                    found=other.header.dims[0],
                ).error()
        yield from zip(*(self.stored[name].blocks(rows) for name in names), strict=True)


class NpzSource:
    """Satisfies ``dotnn.plugins.DataSource`` and ``Joining``."""

    name = "npz"
    summary = "NumPy's .npz, and .npy files side by side: each array is a column"

    def join(self, arguments: Sequence[str], place: Any) -> Sequence[NpzTable]:
        files = [place.file(argument) for argument in arguments]
        archives = [file for file in files if file.path.name.lower().endswith(".npz")]
        single = [array for file in files if file not in archives for array in stored(file)]
        return [NpzTable(stored(file)) for file in archives] + ([NpzTable(single)] if single else [])

    def tables(self, argument: str, place: Any) -> Sequence[NpzTable]:
        return self.join((argument,), place)
