"""The bytes of a file, unpacked as they are read, and counted before they are kept: gzip, xz and bzip2."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

from dotnn.data.paths import TableFile, open_table
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem

SMALL = 1 << 20
"""Up to here a file may unpack whatever its ratio: small tables of equal rows pack well, and do no harm."""
ROOM = 1 << 28
"""How much memory an xz file may ask for to be unpacked (`xz -9` asks for a quarter of that)."""
STEP = 1 << 20

PACKED = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2"}
"""Ends of names, and what packs so."""
BEGINS = {".gz": rb"\x1f\x8b", ".xz": rb"\xfd7zXZ\x00", ".bz2": rb"BZh[1-9]1AY&SY"}
"""How such a file begins."""


class DamagedArchive(Problem):
    code = "D013"
    title = "`{file}` cannot be unpacked: {reason}"
    label = "this file"
    help = "pack the file again{how}, or fetch it again"
    file: str
    reason: str
    how: str = ""


class TooLargeUnpacked(Problem):
    code = "D014"
    title = "`{file}` unpacks to more than {ratio} times its size"
    label = "this file"
    help = (
        "tables pack to a tenth or so: this looks like a trap; if it is not, unpack it (`--limit ratio=N` allows more)"
    )
    file: str
    ratio: int


class _Gzip:
    """zlib's object with the manners of the other two: what it was not asked for yet, it keeps."""

    def __init__(self) -> None:
        self.inner = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self.inner.decompress(self.inner.unconsumed_tail + data, most)

    @property
    def eof(self) -> bool:
        return self.inner.eof

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self.inner.unconsumed_tail


ENGINES: dict[str, Callable[[], Any]] = {
    ".gz": _Gzip,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=ROOM),
    ".bz2": bz2.BZ2Decompressor,
}


def packing_of(head: bytes) -> str | None:
    """The end of the name that a file which begins so should have, if it is packed."""
    return next((end for end, begin in BEGINS.items() if re.match(begin, head)), None)


def content(file: TableFile) -> Generator[bytes, None, None]:
    """The unpacked bytes, in blocks of a megabyte at most. Raises D011, D013, D014."""
    with open_table(file) as raw:
        yield from unpack(file, raw)


def unpack(file: TableFile, raw: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file in blocks, unpacked where its name says that it is packed. Raises ``ProblemError``."""
    try:
        if file.packing:
            yield from _expand(file, raw, file.packing)
            return
        while block := raw.read(STEP):
            yield block
    except OSError as error:
        reason = (error.strerror or "the system gives no reason").lower()
        raise DamagedArchive(span=file.span, file=file.shown, reason=reason).error() from None


def refuse_ratio(file: TableFile, made: int, packed: int) -> None:
    """Raises D014 where so many bytes from so few look like a trap."""
    if made > max(SMALL, limits().ratio * packed):
        raise TooLargeUnpacked(span=file.span, file=file.shown, ratio=limits().ratio).error()


def _expand(file: TableFile, raw: BinaryIO, packing: str) -> Iterator[bytes]:
    kind = PACKED[packing]
    taken = made = 0
    begun = False
    engine = ENGINES[packing]()
    fresh = True
    try:
        while block := raw.read(1 << 16):
            begun = begun or (not taken and packing_of(block) == packing)
            taken += len(block)
            while True:
                # Zeros after the last member are padding, as gzip and xz themselves read it.
                if fresh and made and not (block := block.lstrip(b"\0")):
                    break
                fresh = False
                out = engine.decompress(block, STEP)
                made += len(out)
                refuse_ratio(file, made, taken)
                if out:
                    yield out
                if engine.eof:
                    # A file may hold several members, one after the other.
                    block, engine, fresh = engine.unused_data, ENGINES[packing](), True
                    if not block:
                        break
                elif engine.needs_input:
                    break
                else:
                    block = b""
    except (zlib.error, lzma.LZMAError, EOFError, ValueError):
        reason = _why(kind, begun)
        raise DamagedArchive(span=file.span, file=file.shown, reason=reason, how=f" with {kind}").error() from None
    except OSError as error:
        if error.errno is not None:
            raise
        reason = _why(kind, begun)  # bzip2 says so of what it cannot read
        raise DamagedArchive(span=file.span, file=file.shown, reason=reason, how=f" with {kind}").error() from None
    if not fresh:
        raise DamagedArchive(span=file.span, file=file.shown, reason="its end is missing", how=f" with {kind}").error()


def _why(kind: str, begun: bool) -> str:
    return "its contents are damaged" if begun else f"it is not {'an' if kind == 'xz' else 'a'} {kind} file"
