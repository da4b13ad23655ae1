"""Pairs: `x.nn` holds a mistake, `x.err` is what is said about it, `x.fix` is the file put right as the help says."""

import re
import shutil
from pathlib import Path

import pytest

from dotnn.compiler import check
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.show import render_all

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.nn"))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages show a file as it was asked for: by name, from its own folder."""
    monkeypatch.chdir(HERE)


def mistakes_in(name: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        check(Path(f"{name}.nn"))
    return caught.value


def test_there_are_enough_pairs() -> None:
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_explained(name: str, update_goldens: bool) -> None:
    wrong = mistakes_in(name)
    said = render_all(wrong.problems, wrong.sources)
    golden = HERE / f"{name}.err"
    if update_goldens:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place_and_says_what_to_do(name: str) -> None:
    for problem in mistakes_in(name).problems:
        assert problem.code
        assert problem.span is not None
        assert problem.help_text or problem.label_text


@pytest.mark.parametrize("path", sorted(HERE.glob("*.fix")), ids=lambda path: path.stem)
def test_the_repair_helps(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with it; a file of definitions alone has only nothing to train."""
    assert (HERE / f"{path.stem}.nn").exists()
    shutil.copytree(HERE / "parts", tmp_path / "parts")
    for table in HERE.glob("*.csv"):
        shutil.copy(table, tmp_path)
    shutil.copy(path, tmp_path / "repaired.nn")
    monkeypatch.chdir(tmp_path)
    if "\ntrain " in path.read_text(encoding="utf-8"):
        check(Path("repaired.nn"))
        return
    with pytest.raises(ProblemError) as caught:
        check(Path("repaired.nn"))
    assert [problem.code for problem in caught.value.problems] == ["B063"]


PLACELESS = {"B060", "B061", "B063", "B069"}
"""What is wrong with the command, or with a file as a whole: `tests/elaborate/test_settings.py` has them."""


LIMITS = {"B020", *(f"B08{number}" for number in range(8))}
"""What asks for too much: `tests/hostile/test_bombs.py` has them all."""


ROWS = {"B115"}
"""What is seen when all rows are read: `tests/training/test_weights.py` has it."""


def test_every_problem_of_meaning_has_a_pair() -> None:
    from dotnn import build, compiler, overrides, plan, update
    from dotnn.elaborate import problems
    from dotnn.inputs import columns, generate, lengths, lineage, sampling, weigh, windows
    from dotnn.measures import watchable
    from dotnn.updates import patterns

    rooms = (
        windows,
        lengths,
        build,
        columns,
        sampling,
        compiler,
        generate,
        lineage,
        overrides,
        patterns,
        plan,
        problems,
        update,
        watchable,
        weigh,
    )
    codes = {
        made.code
        for room in rooms
        for made in vars(room).values()
        if isinstance(made, type) and issubclass(made, Problem) and made.__module__ == room.__name__ and made.code
    }
    shown = {code for name in NAMES for code in re.findall(r"\[(B\d+)\]", (HERE / f"{name}.err").read_text("utf-8"))}
    assert {code for code in codes if code.startswith("B")} - shown - LIMITS - ROWS == PLACELESS
