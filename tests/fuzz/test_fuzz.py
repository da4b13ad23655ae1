"""Texts and specs drawn by chance: 2,000 here, as many as one likes by `python -m tests.fuzz.run`.

`DOTNN_FUZZ=5000` draws more; `DOTNN_FUZZ_FROM=900` begins elsewhere.
"""

import os
import shutil
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from tests.fuzz.bare import bare, read
from tests.fuzz.draw import specs as whole_specs
from tests.fuzz.judge import Fault, judge_check, judge_text, texts
from tests.fuzz.mutate import ROOT, altered, drawn, specs
from tests.sets import NOT_COPIED, make_sets

from dotnn.compiler import check
from dotnn.write import write_spec

COUNT = int(os.environ.get("DOTNN_FUZZ", "2000"))
FIRST = int(os.environ.get("DOTNN_FUZZ_FROM", "0"))
GROUPS = 8
CHECKED = 8
"""Every eighth is not read alone, but checked as a whole: elaborated, differentiated, and its data looked at."""
EVERYTHING = ROOT / "tests/elaborate/everything.nn"


@pytest.fixture(scope="module")
def files() -> list[str]:
    return texts(specs())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "specs/data", tmp_path / "data", ignore=NOT_COPIED)
    make_sets(tmp_path / "data")
    shutil.copy(ROOT / "tests/problems/points.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complete() -> list[str]:
    """Specs that have everything: a small one mostly."""
    small = EVERYTHING.read_text(encoding="utf-8")
    return [small, small, small, (ROOT / "specs/digits.nn").read_text(encoding="utf-8")]


def test_there_are_files_of_every_kind(files: list[str]) -> None:
    assert len(files) > 100
    names = {path.parent.name for path in specs()}
    assert {"specs", "std", "problems", "elaborate"} <= names


@settings(
    max_examples=COUNT // 5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(whole_specs())
def test_what_is_drawn_prints_and_reads_again(spec):
    text = write_spec(spec)
    assert bare(read(text)) == bare(spec), text
    assert write_spec(read(text)) == text


@pytest.mark.parametrize("group", range(GROUPS))
def test_an_altered_file_is_read_or_explained(group: int, files: list[str]) -> None:
    outcomes = [judge_text(drawn(number, files)) for number in range(FIRST + group, FIRST + COUNT, GROUPS)]
    assert 0.05 < sum(outcomes) / len(outcomes) < 0.5, "some are read, most are explained"


def test_what_is_altered_is_fine(folder: Path) -> None:
    for text in complete():
        (folder / "s.nn").write_text(text)
        check(Path("s.nn"))


@pytest.mark.parametrize("group", range(GROUPS))
def test_an_altered_spec_compiles_or_is_explained(group: int, folder: Path) -> None:
    outcomes = []
    for number in range(FIRST + group, FIRST + COUNT // CHECKED, GROUPS):
        random = Random(f"altered {number}")
        text = altered(random.choice(complete()), random)
        (folder / "s.nn").write_text(text)
        outcomes.append(judge_check(lambda: check(Path("s.nn")), f"{number}:\n{text}"))
    assert False in outcomes


# ---- what was found once


LINES = "optimizer o\n  batch {batch}\n  epochs 3\n}}\n"
FOUND = {
    "a comment after a lone carriage return": "\r# What it is.\nparam a = 1\n",
    "a column called as a word of the language": 'data d {\n  source table "d.csv"\n  a = column "if"\n}\n',
    "a column called column": 'data d {\n  source table "d.csv"\n  a = column column\n  b = columns columns to to\n}\n',
    "a name before where": "train on d {\n  loss each where kept\n  " + LINES.format(batch=3),
    "a name before until": "train on d {\n  loss l\n  " + LINES.format(batch="few until epoch 3 then many"),
    "a schedule before where": "train on d {\n  loss 1 until epoch n where kept\n  " + LINES.format(batch=3),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_read(name: str) -> None:
    assert judge_text(FOUND[name])


@pytest.mark.parametrize("text", ["param a = 1\u2028", "param \u2029a = 1", "$" * 500 + "\u2028"])
def test_what_was_found_is_said_on_lines_of_its_own(text: str) -> None:
    assert not judge_text(text)


# ---- the judge itself


def test_the_judge_sees_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fuzz import judge

    from dotnn_grammar.problems import Problem

    class Placeless(Problem):
        title = "something is wrong"

    def raises(error: Exception) -> object:
        raise error

    with pytest.raises(Fault, match="no place"):
        judge_check(lambda: raises(Placeless().error()), "")
    with pytest.raises(Fault, match="KeyError"):
        judge_check(lambda: raises(KeyError("x")), "")
    monkeypatch.setattr(judge, "write_spec", lambda _: "param a = 2\n")
    with pytest.raises(Fault, match="something else"):
        judge_text("param a = 1\n")
    monkeypatch.setattr(judge, "write_spec", lambda _: "param a = \n")
    with pytest.raises(Fault, match="does not read"):
        judge_text("param a = 1\n")
