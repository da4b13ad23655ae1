"""Pairs: `x.nn` holds a mistake, `x.err` is what is said about it, `x.fix` is the file put right as the help says."""

from pathlib import Path

import pytest

from dotnn.compiler import check
from dotnn.read import read_file
from dotnn_grammar.problems import ProblemError
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
def test_the_repair_reads(path: Path) -> None:
    assert (HERE / f"{path.stem}.nn").exists()
    read_file(path, path.name)
