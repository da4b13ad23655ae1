"""Altered specs, drawn by number: each is compiled, or is explained with a place. Nothing else comes out.

`DOTNN_FUZZ=5000` draws more; `DOTNN_FUZZ_FROM=900` begins elsewhere.
"""

import os
import re
import shutil
from pathlib import Path
from random import Random

import pytest

from dotnn.compiler import check
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.show import render_all

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("DOTNN_FUZZ", "320"))
FIRST = int(os.environ.get("DOTNN_FUZZ_FROM", "0"))
GROUPS = 8

TOKEN = re.compile(r'"[^"\n]*"|\w+|->|\.\.\.?|[=!<>]=|//|\s+|.')
SIGNS = ("+", "-", "*", "/", "//", "%", "@", "^", "==", "!=", "<", ">", "and")
NUMBERS = ("0", "1", "2", "-1", "2.5", "1e9", "1e39", "100000", "2^40", "9" * 20, "b", "n", "yes", '"a"', "relu")
VALUES = (
    "3", "0", "x", "x[0]", "x.T", "(1, 2)", "[2, n]", "sum", "max", "fold", "random", "fill", "normalise", "stop",
    "pick", "zeros", "zeros[3]", "glorot", "adam", "cosine", "chance", "relu(3)", "dense(2)", "N", "b", "yes", "...",
    "1..3",
)  # fmt: skip
WORDS = frozenset(
    re.findall(
        r"\w+",
        """param data source table columns column to as class split train val test stratify seed function layer net
        optimizer return weight state when training else if repeat in require loss error metric answer batch epochs
        steps clip norm decay for stop keep best not or has fallen on int then until epoch init yes no""",
    )
)


def altered(text: str, random: Random) -> str:
    """One to three words lost, doubled, swapped or put in the place of others; mostly so that it can still be read."""
    words = TOKEN.findall(re.sub(r"#[^\n]*", "", text))
    places = [i for i, word in enumerate(words) if not word.isspace()]
    names = [w for w in words if re.fullmatch(r"[A-Za-z_]\w*", w) and w not in WORDS]
    kind = [i for i in places if words[i] in SIGNS or words[i] in names or words[i][0].isdigit()]
    for _ in range(random.choice((1, 1, 2, 3))):
        i, j, k = random.choice(places), random.choice(places), random.choice(kind)
        match random.randrange(8):
            case 0:
                words[i] = ""
            case 1:
                words[i] += " " + words[i]
            case 2:
                words[i], words[j] = words[j], words[i]
            case 3:
                words[i] = random.choice(VALUES + NUMBERS)
            case _ if words[k] in SIGNS:
                words[k] = random.choice(SIGNS)
            case _ if words[k][:1].isdigit():
                words[k] = random.choice(NUMBERS)
            case _:
                words[k] = random.choice((*names, *VALUES))
    return "".join(words)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "specs/data", tmp_path / "data")
    shutil.copy(ROOT / "tests/problems/points.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts():
    small = (Path(__file__).parent / "everything.nn").read_text(encoding="utf-8")
    return [small, small, small, (ROOT / "specs/digits.nn").read_text(encoding="utf-8")]


def test_what_is_altered_is_fine(folder):
    for text in texts():
        (folder / "s.nn").write_text(text)
        check(Path("s.nn"))


@pytest.mark.parametrize("group", range(GROUPS))
def test_an_altered_spec_compiles_or_is_explained(group, folder):
    explained = 0
    for number in range(FIRST + group, FIRST + COUNT, GROUPS):
        random = Random(f"altered {number}")
        text = altered(random.choice(texts()), random)
        (folder / "s.nn").write_text(text)
        try:
            check(Path("s.nn"))
        except ProblemError as wrong:
            explained += 1
            faults = [] if render_all(wrong.problems, wrong.sources) else ["nothing is said"]
            for problem in wrong.problems:
                if problem.span is None and problem.code != "B063":
                    faults.append(f"no place: {problem.code} {problem.title_text}")
                if problem.span is not None and problem.span.file.startswith("std/"):
                    faults.append(f"not the user's line: {problem.code} {problem.title_text}")
        except Exception as raw:
            raise AssertionError(f"{number}:\n{text}") from raw
        else:
            faults = []
        assert not faults, f"{number}:\n{text}"
    assert explained > 0
