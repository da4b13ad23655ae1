"""Packages as archives: npm's `.tgz`, Python's `.whl`, Debian's `.deb`. Read file by file; none is unpacked to disk.

Nothing in a package is run. What it says of its sizes is counted before room is made for it.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import IO, Any

from dotnn.fetch.problems import UnreadablePackage

MEMBERS = 100_000
"""Files that a package may hold."""
UNPACKED = 1 << 30
"""Bytes that it may hold."""
ONE = 1 << 27
"""Bytes of one file of it that is read."""
OF_TAR, OF_ZIP = (tarfile.TarError,), (zipfile.BadZipFile, NotImplementedError)
DAMAGE = (*OF_TAR, *OF_ZIP, zlib.error, lzma.LZMAError, EOFError)
"""What Python's unpackers raise over a file that is damaged, or packed in a way that they do not know; they share no
class of their own."""

Wanted = Callable[[str], bool]


def members(package: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each plain file that is wanted, in the order of the archive. Raises H005."""
    name = package.name
    with _spoken(package):
        if name.endswith((".whl", ".zip")):
            yield from _of_zip(package, wanted)
        elif name.endswith(".deb"):
            with package.open("rb") as file:
                yield from _of_deb(package, file, wanted)
        else:
            with package.open("rb") as file:
                yield from _of_tar(package, file, wanted)


def _of_tar(package: Path, file: IO[bytes], wanted: Wanted, packing: str = "gz") -> Iterator[tuple[str, bytes]]:
    count = total = 0
    mode: Any = f"r|{packing}"
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for member in archive:
            count, total = count + 1, total + max(member.size, 0)
            if count > MEMBERS or total > UNPACKED:
                raise _refused(package, "it unpacks to more than any of these sets")
            name = member.name.removeprefix("./")
            if not member.isreg() or not wanted(name):
                continue
            if member.size > ONE:
                raise _refused(package, f"`{name}` is too large")
            inner = archive.extractfile(member)
            yield name, inner.read() if inner is not None else b""


def _of_zip(package: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(package) as archive:
        listed = archive.infolist()
        if len(listed) > MEMBERS:
            raise _refused(package, "it holds more files than any of these sets")
        total = 0
        for info in listed:
            if info.is_dir() or not wanted(info.filename):
                continue
            total += info.file_size
            if info.file_size > ONE or total > UNPACKED:
                raise _refused(package, f"`{info.filename}` is too large")
            with archive.open(info) as inner:
                made = inner.read(info.file_size + 1)
            if len(made) != info.file_size:
                raise _refused(package, f"`{info.filename}` has another size than it says")
            yield info.filename, made


class _Section(RawIOBase):
    """A part of an open file, read from its start to its end."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.file.read(min(len(buffer), self.left))
        buffer[: len(part)] = part
        self.left -= len(part)
        return len(part)


def _of_deb(package: Path, file: IO[bytes], wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """An `ar` archive (a line of 60 bytes before each part: name, …, size at 48) with the files in `data.tar.*`."""
    if file.read(8) != b"!<arch>\n":
        raise _refused(package, "it does not begin as a Debian package does")
    while len(head := file.read(60)) == 60:
        name = head[:16].decode("ascii", "replace").strip().rstrip("/")
        digits = head[48:58].strip()
        if not digits.isdigit():
            break
        size = int(digits)
        packing = {"data.tar.xz": "xz", "data.tar.gz": "gz", "data.tar.bz2": "bz2", "data.tar": ""}
        if name in packing:
            section: Any = _Section(file, size)
            yield from _of_tar(package, section, wanted, packing[name])
            return
        if name == "data.tar.zst":
            yield from _by_dpkg(package, wanted)
            return
        file.seek(size + size % 2, 1)
    raise _refused(package, "it has no part with files")


def _by_dpkg(package: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """Packed as newer Ubuntus do, which Python cannot unpack: their own tool gives the plain archive."""
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise _refused(package, "it is packed with zstd, and `dpkg-deb`, which unpacks that, is not installed")
    process = subprocess.Popen([tool, "--fsys-tarfile", str(package.resolve())], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield from _of_tar(package, process.stdout, wanted, "")
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _spoken(package: Path) -> Iterator[None]:
    """Errors of Python's own unpackers, in our words."""
    try:
        yield
    except DAMAGE as wrong:
        raise _refused(package, f"it is damaged ({str(wrong).splitlines()[0] if str(wrong) else 'cut off'})") from None
    except RuntimeError:
        raise _refused(package, "it is locked with a password") from None


def _refused(package: Path, why: str) -> Exception:
    return UnreadablePackage(package=f"`{package.name}`", why=why).error()
