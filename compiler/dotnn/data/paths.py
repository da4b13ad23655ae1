"""The files that a `source` line names: found inside the spec's folder, and nowhere else.

A spec may come from a stranger, so a path is followed only where it stays below the folder and ends at a plain file
that is there alone: no absolute path, no way out by `..`, no symbolic or hard link, no device, pipe or socket.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import BinaryIO

from dotnn import spec
from dotnn.fetch.known import default_folder, set_of
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem, nearest
from dotnn_grammar.source import Span


class UnknownReader(Problem):
    code = "D001"
    title = "a source of the kind `{reader}` is not in this version"
    label = "this kind of source"
    help = 'write a table: source table "data/rows.csv"'
    reader: str


class AbsolutePath(Problem):
    code = "D002"
    title = "`{file}` is an absolute path"
    label = "this names a place outside the spec's folder"
    help = (
        'put the table beside the spec, and name it from there: "data/rows.csv" (`--allow-path` reads it where it is)'
    )
    file: str


class PathLeavesFolder(Problem):
    code = "D003"
    title = "`{file}` leads out of the spec's folder"
    label = "`..` goes above the folder"
    help = "put the table beside the spec, or in a folder below it (`--allow-path` reads it where it is)"
    file: str


class SymbolicLink(Problem):
    code = "D004"
    title = "`{link}` is a symbolic link"
    label = "data is not read through a link"
    help = "put the file itself there: a link may lead out of the spec's folder (`--allow-path` follows it)"
    link: str


class HardLink(Problem):
    code = "D005"
    title = "`{file}` is a hard link: the same file has {count} names"
    label = "data is not read through a link"
    help = (
        "put a copy there: another name of it may lie outside the spec's folder (`--allow-path` reads it all the same)"
    )
    file: str
    count: int


class NotPlainFile(Problem):
    code = "D006"
    title = "`{file}` is a {kind}, not a file"
    label = "rows are read from plain files"
    help = "{advice}"
    file: str
    kind: str
    advice: str


class StrangeName(Problem):
    code = "D007"
    title = "`{file}` is no name of a file: it holds {what}"
    label = "in this name"
    help = 'write the name of the table, with `/` between folders, as in "data/rows.csv"'
    file: str
    what: str


class Address(Problem):
    code = "D044"
    title = "`{file}` is an address, not a file"
    label = "nothing is fetched from a network"
    help = 'fetch the table yourself, put it beside the spec, and name it from there, as in "data/rows.csv"'
    file: str


class NoSuchFile(Problem):
    code = "D008"
    title = "there is no file `{file}`"
    label = "named here"
    help = "{advice}"
    file: str
    advice: str


class NothingMatches(Problem):
    code = "D009"
    title = "no file matches `{pattern}`"
    label = "this matches nothing"
    help = "{advice}"
    pattern: str
    advice: str


class UnknownSuffix(Problem):
    code = "D010"
    title = "`{file}` is not a table, by the end of its name"
    label = "its end says what a file holds"
    help = "tables end in .csv, .tsv, .jsonl (packed: .csv.gz, .xz, .bz2), .parquet, .arrow or .feather"
    file: str


class CannotRead(Problem):
    code = "D011"
    title = "`{file}` cannot be read: {reason}"
    label = "needed here"
    help = "see to it that the file is there and that you may read it"
    file: str
    reason: str


class FileTwice(Problem):
    code = "D012"
    title = "`{file}` is read twice"
    label = "this brings its rows in once more"
    help = "name each file once: a row that is learned from and also examined would make the exam worthless"
    file: str


TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Ends of the names of tables that may be packed."""
ARROWS = (".parquet", ".arrow", ".feather")
PACKINGS = (".gz", ".xz", ".bz2")


@dataclass(frozen=True)
class TableFile:
    """A table on the disk. ``shown`` is its name in messages, ``guarded`` says that the spec named it, not the user."""

    path: Path
    shown: str
    span: Span | None = None
    guarded: bool = True
    follows: bool = False
    """Links are followed, since the user said so."""
    packed: str | None = None
    """How it is packed, where its name does not tell."""

    @property
    def packing(self) -> str:
        """`.gz`, `.xz`, `.bz2`; empty for a file that is not packed."""
        if self.packed is not None:
            return self.packed
        return next((end for end in PACKINGS if self.path.name.lower().endswith(end)), "")

    @property
    def suffix(self) -> str:
        """What it holds: `.csv`, also of `rows.csv.gz`."""
        name = self.path.name.lower()
        return PurePath(name.removesuffix(self.packing)).suffix

    @property
    def delimiter(self) -> str:
        return "\t" if self.suffix == ".tsv" else ","


def show(text: str, most: int = 40) -> str:
    """Text from a stranger as a message may hold it: one line, printable, not too long."""
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def find_files(line: spec.SourceLine, folder: Path) -> list[TableFile]:
    """The files of one `source` or `test` line, in its order, those of a pattern sorted by name.

    `*`, `?` and `[a-z]` stand for parts of one name and never reach across a `/`. Raises D001 to D011.
    """
    if line.reader != "table":
        raise UnknownReader(span=line.span, reader=line.reader).error()
    return [check_suffix(found) for file in line.files for found in _find(file, line.span, folder)]


def find_all(file: str, span: Span, folder: Path) -> list[TableFile]:
    """The files of any kind that a name or pattern stands for, by the same rules. Raises D002 to D011."""
    return _find(file, span, folder)


def find_file(file: str, span: Span, folder: Path) -> TableFile:
    """One file of any kind by its name, by the same rules. Raises D002 to D011."""
    found = _find(file, span, folder)
    if len(found) > 1:
        raise StrangeName(span=span, file=show(file, 200), what="a pattern, and one file is needed").error()
    return found[0]


def refuse_twice(files: Sequence[TableFile]) -> None:
    """Raises D012 where one file is named twice, also by two patterns or by `source` and `test`."""
    seen: set[Path] = set()
    for file in files:
        if file.path in seen:
            raise FileTwice(span=file.span, file=file.shown).error()
        seen.add(file.path)


def check_suffix(file: TableFile) -> TableFile:
    """The file itself, where the end of its name says that it is a table. Raises D010."""
    if file.suffix not in TEXTS and (file.suffix not in ARROWS or file.packing):
        raise UnknownSuffix(span=file.span, file=file.shown).error()
    return file


def open_table(file: TableFile) -> BinaryIO:
    """The bytes of the file. One that a spec named is checked once more on what was really opened."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if file.guarded:
        # Without O_NONBLOCK a pipe put there in the meantime would hang the open itself.
        flags |= getattr(os, "O_NONBLOCK", 0) | (0 if file.follows else getattr(os, "O_NOFOLLOW", 0))
    try:
        number = os.open(file.path, flags)
    except OSError as error:
        raise CannotRead(span=file.span, file=file.shown, reason=_reason(error)).error() from None
    try:
        facts = os.fstat(number)
        if file.guarded:
            _check_plain(facts, file.shown, file.span, file.follows)
        elif stat.S_ISDIR(facts.st_mode):
            raise NotPlainFile(file=file.shown, kind="folder", advice="name one table in it").error()
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or "the system gives no reason").lower()


def _find(file: str, span: Span, folder: Path) -> list[TableFile]:
    shown = show(file, 200)
    if not file.isprintable():
        what = "a zero character" if "\0" in file else "a character that cannot be printed"
        raise StrangeName(span=span, file=shown, what=what).error()
    if re.match(r"[A-Za-z][\w+.-]+:/", file, re.ASCII):
        raise Address(span=span, file=shown).error()
    outside = limits().outside
    root = file.startswith("/") or bool(PureWindowsPath(file).drive or PureWindowsPath(file).root)
    if root and not outside:
        raise AbsolutePath(span=span, file=shown).error()
    if root:
        anchor = Path(file).anchor
        folder, file = Path(anchor or file), file[len(anchor) :] if anchor else ""
    if "\\" in file:
        raise StrangeName(span=span, file=shown, what="a backslash").error()
    parts: list[str] = []
    for part in file.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        elif outside:
            folder = folder / ".."
        else:
            raise PathLeavesFolder(span=span, file=shown).error()
    if any(re.search(r"[*?[]", part) for part in parts) and not _is_there(folder.joinpath(*parts)):
        found = [_follow(names, span, folder) for names in _match(parts, folder, [])]
        if not found:
            raise NothingMatches(span=span, pattern=shown, advice=_what_is_there(folder, parts)).error()
        return found
    return [_follow(parts, span, folder)]


def _match(parts: Sequence[str], folder: Path, before: list[str]) -> Iterator[list[str]]:
    if not parts:
        yield before
        return
    for name in _names(folder.joinpath(*before)):
        # As in a shell: hidden files only where the pattern says so.
        if name.startswith(".") and not parts[0].startswith("."):
            continue
        if not fnmatch.fnmatchcase(name, parts[0]):
            continue
        if len(parts) > 1 and not _is_there(folder.joinpath(*before, name), stat.S_ISDIR):
            continue
        yield from _match(parts[1:], folder, [*before, name])


def _is_there(path: Path, kind: Callable[[int], bool] = bool) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _follow(parts: Sequence[str], span: Span, folder: Path) -> TableFile:
    """One path, step by step from the folder, so that a link is seen at whichever step it stands."""
    path = folder
    shown = show("/".join(parts), 200) or "."
    follows = limits().outside
    facts: os.stat_result | None = None
    for number, part in enumerate(parts):
        path = path / part
        try:
            facts = path.stat() if follows else path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchFile(span=span, file=shown, advice=_what_is_there(folder, parts)).error() from None
        except (OSError, ValueError) as error:
            raise CannotRead(span=span, file=shown, reason=_reason(error)).error() from None
        if stat.S_ISLNK(facts.st_mode):
            raise SymbolicLink(span=span, link=show("/".join(parts[: number + 1]), 200)).error()
    if facts is None:
        raise NotPlainFile(span=span, file=shown, kind="folder", advice="name a table in it").error()
    _check_plain(facts, shown, span, follows)
    return TableFile(path=path, shown=shown, span=span, follows=follows)


def _check_plain(facts: os.stat_result, shown: str, span: Span | None, follows: bool = False) -> None:
    if stat.S_ISDIR(facts.st_mode):
        advice = f'name a file in it, or all of a kind, of those in its folders too: "{shown}/*.csv", "{shown}/*/*.png"'
        raise NotPlainFile(span=span, file=shown, kind="folder", advice=advice).error()
    if not stat.S_ISREG(facts.st_mode):
        kind = "pipe" if stat.S_ISFIFO(facts.st_mode) else "socket" if stat.S_ISSOCK(facts.st_mode) else "device"
        advice = "write its rows into a file first, and name that"
        raise NotPlainFile(span=span, file=shown, kind=kind, advice=advice).error()
    if facts.st_nlink > 1 and not follows:
        raise HardLink(span=span, file=shown, count=facts.st_nlink).error()


def _into(wanted: Path) -> str:
    """The option that a set is fetched into this folder with, where it would go elsewhere by itself."""
    if wanted.resolve() == default_folder(Path()).resolve():
        return ""
    try:
        shown = os.path.relpath(wanted)
    except ValueError:  # on another drive of Windows
        shown = str(wanted)
    return f" --into {shlex.quote(shown)}"


def _what_is_there(folder: Path, parts: Sequence[str]) -> str:
    """What stands where the path stops leading anywhere: near names first."""
    at = 0
    while at < len(parts) - 1 and _is_there(folder.joinpath(*parts[: at + 1]), stat.S_ISDIR):
        at += 1
    known = set_of(parts[max(at - 1, 0) : at + 2])
    if known is not None:
        into = _into(folder.joinpath(*parts[: parts.index(known, 1)]))
        return f"`nn data get {known}{into}` fetches it; it says where from, and under which licence, before it does"
    below, wanted = folder.joinpath(*parts[:at]), parts[at] if parts else ""
    names = [name for name in _names(below) if not name.startswith(".")]
    near = nearest(wanted, names)
    place = f"`{show('/'.join(parts[:at]), 200)}`" if at else "the spec's folder"
    if near:
        found = show("/".join([*parts[:at], near[0], *parts[at + 1 :]]), 200)
        return f"did you mean `{found}`?"
    if not names:
        return f"{place} is empty; a path starts from the folder of the spec"
    some = ", ".join(f"`{show(name)}`" for name in names[:6]) + (" and more" if len(names) > 6 else "")
    return f"{place} holds {some}; a path starts from the folder of the spec"
