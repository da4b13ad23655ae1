"""The page of the standard library says what the definitions say."""

from tests.shelf import page

from dotnn.commands.show import show
from dotnn.elaborate.library import standard, standard_names


def test_the_page_is_made_of_the_definitions(update_goldens):
    written = page.PAGE.read_text("utf-8")
    made = page.page(written)
    if update_goldens:
        page.PAGE.write_text(made, "utf-8")
        written = made
    assert written == made, "the page is old: pytest -n 0 tests/shelf -k page --update-goldens"


def test_every_definition_has_a_line_of_its_own():
    lines = [line for line in page.tables().split("\n") if line.startswith("| [")]
    assert sorted(line.split("]")[0].removeprefix("| [") for line in lines) == sorted(standard_names())
    assert all(len(line.replace("\\|", "").split(" | ")) == 4 for line in lines)
    assert all(line.split(" | ")[1].rstrip().endswith((".", "?")) for line in lines)


def test_nn_show_prints_a_definition_with_its_lines(capsys):
    for name in standard_names():
        assert show(name) == 0
        text = capsys.readouterr().out
        known = standard(name)
        assert known is not None
        for line in known.definition.doc.split("\n"):
            assert f"\n# {line}".rstrip() in text
        assert f" {name}(" in text
