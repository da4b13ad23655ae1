"""How problems look."""

from dotnn_grammar.problems import Note, Problem
from dotnn_grammar.show import render, render_all, to_github, to_json
from dotnn_grammar.source import Source, Span


class Sample(Problem):
    code = "Z998"
    title = "there is no `{name}`"
    label = "no such name"
    help = "did you mean `dense`?"
    name: str


class Bare(Problem):
    code = "Z999"
    title = "nothing to point at"


def at(line: int, column: int, end: int, end_line: int | None = None) -> Span:
    return Span(file="x.nn", line=line, column=column, end_line=end_line or line, end_column=end)


def lines(text: str, span: Span, notes: tuple[Note, ...] = ()) -> list[str]:
    source = Source(name="x.nn", text=text)
    return render(Sample(span=span, name="dens", notes=notes), {"x.nn": source}).split("\n")


def test_a_place_is_marked() -> None:
    assert lines("a\ny = dens(64)", at(2, 5, 9)) == [
        "error[Z998]: there is no `dens`",
        " --> x.nn:2:5",
        "  |",
        "2 | y = dens(64)",
        "  |     ^^^^ no such name",
        "  |",
        "  = help: did you mean `dense`?",
    ]


def test_marks_stand_under_wide_letters_and_tabs() -> None:
    shown = lines('\tx = "日本" + dens', at(1, 13, 17))
    assert shown[3] == '1 |     x = "日本" + dens'
    # Two columns for each wide letter: the terminal's columns, not the text's.
    assert shown[4] == "  | " + " " * 17 + "^^^^ no such name"


def test_a_long_stretch_is_marked_on_its_first_line() -> None:
    shown = lines("net (  # why\n  x\n)", at(1, 1, 2, end_line=3))
    assert shown[4] == "  | ^^^^^ no such name"


def test_an_empty_stretch_has_one_mark() -> None:
    assert lines("ab", at(1, 3, 3))[4] == "  |   ^ no such name"


def test_notes_are_second_places() -> None:
    shown = lines("a\n" * 9 + "b", at(10, 1, 2), (Note(span=at(1, 1, 2), text="first here"),))
    assert shown[5:9] == ["  ::: x.nn:1:1", "   |", " 1 | a", "   | - first here"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in "\n".join(lines("a \x1b[31m b", at(1, 3, 4)))


def test_very_long_lines_are_cut() -> None:
    for column in (1, 5_000):
        assert all(len(line) < 400 for line in lines("x" * 10_000, at(1, column, column + 3)))


def test_a_problem_without_a_place_or_text() -> None:
    assert render(Bare(), {}) == "error[Z999]: nothing to point at"
    assert render(Sample(name="a", span=at(1, 1, 2)), {}).split("\n")[1] == " --> x.nn:1:1"
    assert render_all([Bare(), Bare()], {}).count("\n\n") == 1


def test_colour_changes_no_letter() -> None:
    source = Source(name="x.nn", text="dens")
    problem = Sample(span=at(1, 1, 5), name="dens")
    coloured = render(problem, {"x.nn": source}, color=True)
    assert "\x1b[" in coloured
    for style in ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"):
        coloured = coloured.replace(style, "")
    assert coloured == render(problem, {"x.nn": source})


def test_other_forms() -> None:
    problem = Sample(span=at(2, 5, 9), name="dens")
    shown = to_json(problem)
    assert shown["code"] == "Z998"
    assert shown["span"] == {"file": "x.nn", "line": 2, "column": 5, "end_line": 2, "end_column": 9}
    assert to_github(problem).startswith("::error file=x.nn,line=2,col=5,title=Z998::there is no `dens`")
