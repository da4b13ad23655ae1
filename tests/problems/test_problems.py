"""Pairs: `x.nn` holds a mistake, `x.err` is what is said about it, `x.fix` is the file put right as the help says."""

from pathlib import Path

import pytest

from dotnn.read import read_file
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.show import render_all

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.nn"))

try:
    from dotnn.compiler import check
except ImportError:
    check = None


def read(path: Path, whole: bool) -> None:
    """Raises what is wrong with the file; as far as its meaning where ``whole``."""
    read_file(path, path.name)
    if whole and check is not None:
        check(path)


def complaint(name: str) -> str:
    with pytest.raises(ProblemError) as caught:
        read(HERE / f"{name}.nn", whole=True)
    return render_all(caught.value.problems, caught.value.sources)


def test_there_are_enough_pairs() -> None:
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_explained(name: str, update_goldens: bool) -> None:
    said = complaint(name)
    golden = HERE / f"{name}.err"
    if update_goldens:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place_and_says_what_to_do(name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read(HERE / f"{name}.nn", whole=True)
    for problem in caught.value.problems:
        assert problem.code
        assert problem.span is not None
        assert problem.help_text or problem.label_text


@pytest.mark.parametrize("path", sorted(HERE.glob("*.fix")), ids=lambda path: path.stem)
def test_the_repair_reads(path: Path) -> None:
    assert (HERE / f"{path.stem}.nn").exists()
    read(path, whole=False)
