"""What a person asks a trained net about, as they have it: pictures, e-mails, sentences, texts, tables, values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dotnn.arrays import Array
from dotnn.data.columns import NumberReader, by_name
from dotnn.data.files import FileRows, whole
from dotnn.data.given import read_rows, read_values
from dotnn.data.given_windows import reads_text, text_of, text_window
from dotnn.data.idx import starts_as_idx
from dotnn.data.mail import MOST as MAIL
from dotnn.data.mail import columns_of
from dotnn.data.paths import ARROWS, TEXTS, TableFile, show
from dotnn.data.pictures import ENDS, PIXELS, read_picture
from dotnn.data.pictures import MOST as PICTURE
from dotnn.program import RawColumn
from dotnn_grammar.problems import Problem, nearest

AT_ONCE = 256
"""Files that are opened for one batch."""
TABLES = (*TEXTS, *ARROWS, ".npz", ".npy", ".gz", ".xz", ".bz2")
"""Ends of names that hold rows, and not one thing each."""


class NoFileThere(Problem):
    code = "D077"
    title = "there is no file `{file}`"
    help = "{advice}"
    file: str
    advice: str


class NothingInside(Problem):
    code = "D078"
    title = "the folder `{file}` holds no file{but}"
    help = "name the files themselves, or the folder that they lie in"
    file: str
    but: str = ""


class NotForThisNet(Problem):
    code = "D079"
    title = "`{file}` is a picture, and the net reads {needed}"
    help = "{advice}"
    file: str
    needed: str
    advice: str


class NoText(Problem):
    code = "D080"
    title = "`{file}` holds no text that could be read"
    help = "the net reads texts: give a sentence in quotes, or a file with one in UTF-8"
    file: str


@dataclass(frozen=True)
class Asked:
    """Some rows: ``dtype[rows, *dims]`` by raw input. names: of the file that each is, where each is one."""

    columns: Mapping[str, Array]
    names: Sequence[str] | None = None

    def __len__(self) -> int:
        return max((len(array) for array in self.columns.values()), default=0)


def asked(words: Sequence[str], raws: Sequence[RawColumn]) -> Iterator[Asked]:
    """What the words of a command line stand for: names of files, or the values of one row. Raises D010 to D080."""
    inputs = [raw for raw in raws if raw.role == "data"]
    if not _are_files(words, inputs):
        yield Asked(read_values(words, raws))
        return
    files = [file for word in words for file in _within(Path(word))]
    several = len(files) > 1
    waiting: list[Path] = []
    for file in files:
        if not _is_table(file, inputs):
            waiting.append(file)
        if waiting and (len(waiting) == AT_ONCE or waiting[-1] is not file):
            yield _together(waiting, inputs, several)
            waiting = []
        if _is_table(file, inputs):
            made = Asked(read_rows(file, raws))
            yield Asked(made.columns, [str(file)] * len(made) if several else None)
    if waiting:
        yield _together(waiting, inputs, several)


def picture_form(inputs: Sequence[RawColumn]) -> tuple[tuple[int, int], bool] | None:
    """Height and width of the pictures that a net reads, and whether they are grey: [h, w], [1, h, w] or [3, h, w]."""
    if len(inputs) != 1 or inputs[0].dtype != "u8":
        return None
    dims = inputs[0].dims
    if len(dims) == 3 and dims[0] in (1, 3):
        return (dims[1], dims[2]), dims[0] == 1
    return ((dims[0], dims[1]), True) if len(dims) == 2 else None


# ---- files or values


def _are_files(words: Sequence[str], inputs: Sequence[RawColumn]) -> bool:
    speaks = any(raw.tokens is not None for raw in inputs)
    if len(words) == 1 and not speaks:
        return picture_form(inputs) is not None or _is_no_value(words[0])
    return bool(words) and all(_is_there(word) or _named_as_a_file(word) for word in words)


def _is_no_value(word: str) -> bool:
    """A word that names a file, rather than a value of one."""
    try:
        float(word)
    except ValueError:
        return "=" not in word or _is_there(word)
    return _is_there(word)


def _is_there(word: str) -> bool:
    try:
        return 0 < len(word) < 4096 and Path(word).exists()
    except (OSError, ValueError):
        return False


def _named_as_a_file(word: str) -> bool:
    """Whether it ends as a file's name does."""
    return word.lower().endswith((*TABLES, *ENDS, ".eml", ".txt")) and not any(c.isspace() for c in word)


def _within(path: Path) -> Iterator[Path]:
    """The file; of a folder all files in it, by name. Raises D077, D078."""
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        if not found:
            folders = sorted(show(inner.name, 40) for inner in path.iterdir() if inner.is_dir())[:3]
            but = f", but folders: {', '.join(f'`{name}`' for name in folders)}" if folders else ""
            raise NothingInside(file=show(str(path), 200), but=but).error()
        yield from found
        return
    if not path.exists() and not path.name.lower().endswith(TABLES):
        names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, names)
        advice = f"did you mean `{path.parent / near[0]}`?" if near else "a path starts from where you are"
        raise NoFileThere(file=show(str(path), 200), advice=advice).error()
    yield path


def _is_table(file: Path, inputs: Sequence[RawColumn]) -> bool:
    """Whether a file holds rows, and is not one row itself."""
    name = file.name.lower()
    if name.endswith(TABLES):
        return True
    if picture_form(inputs) is not None:
        return not name.endswith(ENDS) and starts_as_idx(TableFile(path=file, shown=str(file), guarded=False))
    return not name.endswith(ENDS) and not any(raw.tokens is not None for raw in inputs)


# ---- one file, one row


def _together(files: Sequence[Path], inputs: Sequence[RawColumn], several: bool) -> Asked:
    rows = [_row(file, inputs) for file in files]
    columns = {raw.name: np.concatenate([row[raw.name] for row in rows]) for raw in inputs}
    return Asked(columns, [str(file) for file in files] if several else None)


def _row(path: Path, inputs: Sequence[RawColumn]) -> Mapping[str, Array]:
    file = TableFile(path=path, shown=show(str(path), 200), guarded=False)
    form = picture_form(inputs)
    if form is not None:
        pixels = read_picture(file, whole(file, "picture", PICTURE), *form)[PIXELS]
        return {inputs[0].name: pixels.reshape(1, *inputs[0].dims)}
    if path.name.lower().endswith(ENDS):
        named = ", ".join(f"`{show(name)}`" for raw in inputs[:3] for name in raw.columns[:2])
        texts = any(raw.tokens is not None for raw in inputs)
        advice = "give it a sentence, or a file with a text" if texts else f"give it values, or a table with {named}"
        raise NotForThisNet(file=file.shown, needed="texts" if texts else "numbers", advice=advice).error()
    if reads_text(inputs):
        return text_window(text_of(path), inputs)
    raw = whole(file, "text", MAIL)
    if any(column.reader == "mail" for column in inputs):
        texts_of = columns_of(raw)
    else:
        try:
            text = raw.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise NoText(file=file.shown).error()
        texts_of = {name: text for column in inputs for name in column.columns}
    names = list(dict.fromkeys(name for column in inputs for name in column.columns))
    block = FileRows(file, {name: [texts_of.get(name, path.parent.name)] for name in names}, 1, (file.shown,))
    made = {}
    for column in inputs:
        reader = NumberReader(column, by_name([column], names)[column.name], None)
        reader.take(block)
        made[column.name] = np.ascontiguousarray(reader.finish())
    return made
