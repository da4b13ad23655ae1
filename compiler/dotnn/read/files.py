"""A file with what it uses."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from dotnn import spec
from dotnn.read.text import Parts, TwoOfOneName, read_parts
from dotnn.words import names_in
from dotnn_grammar.limits import limits
from dotnn_grammar.parse import TooLarge, TooManyWords, count_words
from dotnn_grammar.problems import Note, Problem, ProblemError, perhaps
from dotnn_grammar.source import Source, Span

LONGEST_NAME = 250


class NoFile(Problem):
    code = "R030"
    title = "there is no file `{file}`"
    label = "not found"
    help = "{advice}"
    file: str
    advice: str = "check the name and the folder"


class NotPlain(Problem):
    code = "R031"
    title = "`{file}` is {what}"
    label = "cannot be read as text"
    help = "a spec is a plain text file, such as `digits.nn`"
    file: str
    what: str


class Unreadable(Problem):
    code = "R032"
    title = "`{file}` cannot be read: {reason}"
    label = "used here"
    help = "see that you may read the file"
    file: str
    reason: str


class NotText(Problem):
    code = "R033"
    title = "`{file}` is not UTF-8 text (byte {place})"
    label = "used here"
    help = "save it as UTF-8 with a text editor"
    file: str
    place: int


class OutsideFolder(Problem):
    code = "R034"
    title = "`{file}` lies outside the folder of the spec"
    label = "{reason}"
    help = "copy it into the folder beside the spec, so that the spec is whole (`--allow-path` reads it where it is)"
    file: str
    reason: str


class UsedInCircle(Problem):
    code = "R035"
    title = "files use each other in a circle: {circle}"
    label = "this closes the circle"
    help = "move what both need into a third file"
    circle: str


class TooManyFiles(Problem):
    code = "R036"
    title = "too many files are used: more than {most}{how}"
    label = "this one is too many"
    help = "put definitions that belong together into one file (`--limit {limit}=N` allows more)"
    most: int
    limit: str
    how: str = ""


class LinkedFile(Problem):
    code = "R038"
    title = "`{file}` is a {kind} link"
    label = "nothing is read through a link"
    help = "put the file itself there: a link may lead out of the spec's folder (`--allow-path` follows it)"
    file: str
    kind: str


class NotDefinedThere(Problem):
    code = "R037"
    title = "`{file}` defines no `{name}`"
    label = "asked for here"
    help = "{advice}"
    name: str
    file: str
    advice: str


def read_source(path: Path, name: str, at: Span | None = None) -> Source:
    """The text of a plain file; ``at`` is the place in another file that asks for it, which must not lead to a link."""
    guarded = at is not None and not limits().outside
    flags = os.O_RDONLY | (getattr(os, "O_NOFOLLOW", 0) if guarded else 0)
    most = limits().file
    try:
        # Without waiting: a pipe that nobody writes to would hold us forever.
        handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise NoFile(span=at, file=name, advice=_beside(path)).error() from None
    except (OSError, ValueError) as wrong:
        if _is(path, Path.is_dir):
            raise NotPlain(span=at, file=name, what="a folder").error() from None
        reason = getattr(wrong, "strerror", None) or "its name is not a file name"
        raise Unreadable(span=at, file=name, reason=reason).error() from None
    try:
        facts = os.fstat(handle)
        mode = facts.st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
            raise NotPlain(span=at, file=name, what=what).error()
        if guarded and facts.st_nlink > 1:
            raise LinkedFile(span=at, file=name, kind="hard").error()
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(most + 1)
    except OSError as wrong:
        raise Unreadable(span=at, file=name, reason=str(wrong.strerror)).error() from None
    finally:
        os.close(handle)
    if len(data) > most:
        raise TooLarge(span=at, file=name, most=most).error()
    try:
        return Source(name=name, text=data.decode("utf-8-sig"))
    except UnicodeDecodeError as wrong:
        raise NotText(span=at, file=name, place=wrong.start).error() from None


def _beside(path: Path) -> str:
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".nn"]
    except OSError:
        return "check the name and the folder"
    return perhaps(path.name, beside, otherwise="check the name and the folder")


def read_file(path: Path, name: str | None = None) -> tuple[spec.Spec, dict[str, Source]]:
    """A file's Spec with the definitions that it uses, and the text of every file by the name that messages show.

    Raises ProblemError. Used files lie in the folder of ``path`` or below it.
    """
    shown = str(path) if name is None else name
    source = read_source(path, shown)
    library = _Library(path, shown, source)
    try:
        definitions = library.visible(shown)
    except ProblemError as wrong:
        wrong.sources.update(library.sources)
        raise
    whole = library.parts[shown].spec
    return whole.model_copy(update={"definitions": definitions}), library.sources


class _Library:
    """The files of one spec, each read once."""

    def __init__(self, path: Path, shown: str, source: Source) -> None:
        self.root = path.parent.resolve()
        self.folder = PurePath(shown).parent
        self.sources: dict[str, Source] = {shown: source}
        self.parts: dict[str, Parts] = {}
        self.places: dict[str, PurePosixPath] = {shown: PurePosixPath(path.name)}
        self.under_way: list[str] = []
        self.found: dict[str, tuple[spec.Definition, ...]] = {}
        self.told: set[str] = set()
        """Files whose problems were raised already: once is enough, however many use them."""
        self.words = count_words(source)

    def visible(self, shown: str) -> tuple[spec.Definition, ...]:
        """The definitions of one file, and after them those that it uses with what they need."""
        if shown in self.found:
            return self.found[shown]
        if shown in self.told:
            raise ProblemError(())
        self.told.add(shown)
        self.parts[shown] = parts = read_parts(self.sources[shown])
        self.under_way.append(shown)
        gathered = list(parts.spec.definitions)
        problems: list[Problem] = []
        for use in parts.uses:
            try:
                other = self._open(use, shown)
                offered = self.visible(other)
                gathered.extend(_pick(use, offered, self.parts[other].spec.definitions))
            except ProblemError as wrong:
                if any(isinstance(p, TooManyFiles | TooManyWords) for p in wrong.problems):
                    raise
                problems.extend(wrong.problems)
        self.under_way.pop()
        gathered = list({(d.span.file, d.span.line, d.span.column): d for d in gathered}.values())
        problems.extend(_clashes(gathered))
        if problems:
            raise ProblemError(problems)
        self.told.remove(shown)
        self.found[shown] = tuple(gathered)
        return self.found[shown]

    def _open(self, use: spec.Use, user: str) -> str:
        """The name under which the used file is now known."""
        place = self._place(use, user)
        shown = str(self.folder.joinpath(*place.parts))
        if shown in self.under_way:
            circle = [*self.under_way[self.under_way.index(shown) :], shown]
            raise UsedInCircle(span=use.span, circle=" -> ".join(f"`{c}`" for c in circle)).error()
        allowed = limits()
        if len(self.under_way) >= allowed.imports:
            raise TooManyFiles(span=use.span, most=allowed.imports, how=" deep", limit="imports").error()
        if shown not in self.sources:
            if len(self.sources) >= allowed.files:
                raise TooManyFiles(span=use.span, most=allowed.files, limit="files").error()
            self.sources[shown] = read_source(self.root.joinpath(*place.parts), shown, use.span)
            self.places[shown] = place
            self.words = count_words(self.sources[shown], self.words)
        return shown

    def _place(self, use: spec.Use, user: str) -> PurePosixPath:
        """Where the used file lies below the folder of the spec."""

        def outside(reason: str) -> ProblemError:
            return OutsideFolder(span=use.span, file=_printable(use.file), reason=reason).error()

        if not use.file or not use.file.isprintable():
            raise NoFile(span=use.span, file=_printable(use.file), advice="write the file's name").error()
        if len(use.file) > LONGEST_NAME:
            raise NoFile(span=use.span, file=_printable(use.file), advice="no file has a name as long as this").error()
        if limits().outside:
            return PurePosixPath(self.places[user].parent, use.file)
        if PurePosixPath(use.file).is_absolute() or PureWindowsPath(use.file).anchor:
            raise outside("this starts at the root of the disk")
        if re.match(r"[A-Za-z][\w+.-]*:/", use.file, re.ASCII):
            raise outside("this is an address: nothing is fetched")
        if "\\" in use.file:
            raise outside("folders are separated by `/`")
        steps: list[str] = list(self.places[user].parent.parts)
        for step in PurePosixPath(use.file).parts:
            if step == "..":
                if not steps:
                    raise outside("`..` leaves the folder")
                steps.pop()
            else:
                steps.append(step)
        for number in range(1, len(steps) + 1):
            if _is(self.root.joinpath(*steps[:number]), Path.is_symlink):
                link = _printable("/".join(steps[:number]))
                raise LinkedFile(span=use.span, file=link, kind="symbolic").error()
        return PurePosixPath(*steps)


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


def _printable(text: str) -> str:
    clean = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return clean if len(clean) <= 200 else f"{clean[:199]}…"


def _pick(
    use: spec.Use, offered: tuple[spec.Definition, ...], own: tuple[spec.Definition, ...]
) -> list[spec.Definition]:
    """The definitions that a `use` line names (all of the file's own without names), with what they need."""
    known = {d.name: d for d in offered}
    for name in use.names:
        if name not in known:
            there = ", ".join(f"`{n}`" for n in sorted(known)) or "nothing"
            advice = perhaps(name, known, otherwise=f"it defines {there}")
            raise NotDefinedThere(span=use.span, name=name, file=use.file, advice=advice).error()
    wanted = list(use.names) or [d.name for d in own]
    needed: dict[str, spec.Definition] = {}
    while wanted:
        name = wanted.pop(0)
        if name in known and name not in needed:
            needed[name] = known[name]
            wanted.extend(names_in(known[name]))
    return [d for d in offered if d.name in needed]


def _clashes(definitions: Iterable[spec.Definition]) -> list[Problem]:
    seen: dict[str, Span] = {}
    problems: list[Problem] = []
    for definition in definitions:
        first = seen.setdefault(definition.name, _name_span(definition))
        if first != _name_span(definition):
            note = Note(span=first, text="defined here first")
            problems.append(TwoOfOneName(span=_name_span(definition), name=definition.name, notes=(note,)))
    return problems


def _name_span(definition: spec.Definition) -> Span:
    start = definition.span
    end = start.column + len(f"{definition.word} {definition.name}")
    return start.model_copy(update={"end_line": start.line, "end_column": end})
