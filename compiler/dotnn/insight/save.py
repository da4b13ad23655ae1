"""Answers as files: `.npz` and `.json` hold them as they are, `.csv` one line an example, `.png` a picture of them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dotnn.arrays import Array
from dotnn.insight.ask import Answer
from dotnn_grammar.problems import Problem

KINDS = (".npz", ".csv", ".json", ".png")


class UnknownKind(Problem):
    code = "I010"
    title = "`--save {path}`: nothing is known of how to write `{kind}`"
    help = "end its name in .npz, .csv, .json or .png"
    path: str
    kind: str


class NoLines(Problem):
    code = "I011"
    title = "`{text}` is no line of a table: the examples share it"
    help = "save it as .npz or .json, or leave it out"
    text: str


def refuse_kind(path: Path) -> None:
    """Raises ``ProblemError`` where the name says nothing that can be written."""
    if path.suffix not in KINDS:
        raise UnknownKind(path=str(path), kind=path.suffix or path.name).error()


def save(path: Path, answers: Sequence[Answer], examples: Sequence[int], by: Answer | None) -> None:
    """Writes them as the name says. by: what colours a picture; a column more elsewhere. Raises ``ProblemError``."""
    refuse_kind(path)
    everything = [*answers, by] if by is not None else list(answers)
    match path.suffix:
        case ".npz":
            path.write_bytes(as_npz({"example": np.asarray(examples)} | {a.text: a.numbers for a in everything}))
        case ".csv":
            path.write_text(as_csv(everything, examples), encoding="utf-8")
        case ".json":
            path.write_text(json.dumps(as_json(everything, examples)) + "\n", encoding="utf-8")
        case ".png":
            from dotnn.insight.plot import draw

            draw(path, answers, examples, by)


def as_npz(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as `np.load` reads them. `np.savez` takes names as Python's, and a tensor may be called `file`."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return held.getvalue()


def as_json(answers: Sequence[Answer], examples: Sequence[int]) -> dict[str, Any]:
    """Lists by path; numbers that are none are null."""
    return {"examples": [int(n) for n in examples], **{a.text: listed(a.numbers) for a in answers}}


def listed(numbers: np.ndarray[Any, Any]) -> Any:
    """Numbers as lists, with null for what JSON has no number for."""
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        held = numbers.astype(object)
        held[~np.isfinite(numbers)] = None
        return held.tolist()
    return numbers.tolist()


def as_csv(answers: Sequence[Answer], examples: Sequence[int]) -> str:
    """One line an example, one column a number: `code[0]`, `code[1]`. Raises ``ProblemError``."""
    for answer in answers:
        if not answer.each:
            raise NoLines(text=answer.text).error()
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(["example", *(head for answer in answers for head in _heads(answer))])
    for place, example in enumerate(examples):
        writer.writerow([example, *(cell for answer in answers for cell in _cells(answer, place))])
    return held.getvalue()


def _heads(answer: Answer) -> Iterator[str]:
    for places in itertools.product(*(range(size) for size in answer.numbers.shape[1:])):
        yield answer.text + (f"[{', '.join(str(p) for p in places)}]" if places else "")


def _cells(answer: Answer, place: int) -> Iterator[str]:
    for number in np.asarray(answer.numbers[place]).reshape(-1).tolist():
        if answer.classes is not None:
            name = answer.classes[int(number)]
            yield "'" + name if name.lstrip()[:1] in ("=", "+", "-", "@") else name  # else a spreadsheet's formula
        else:
            yield f"{number:.9g}" if isinstance(number, float) else str(number)
