"""Files that use each other, and files that must not be read."""

import os
from pathlib import Path

import pytest

from dotnn.read import read_file
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem, ProblemError


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.nn"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.nn"


def function(name: str, body: str = "x") -> str:
    return f"function {name}(x: [b]) -> [b] {{ return {body} }}\n"


def problem(path: Path) -> Problem:
    with pytest.raises(ProblemError) as caught:
        read_file(path, "main.nn")
    assert "main.nn" in caught.value.sources or caught.value.problems[0].span is None
    return caught.value.problems[0]


def test_only_what_is_asked_for_and_what_it_needs_comes_in(tmp_path: Path) -> None:
    blocks = (
        'use "sub/deep.nn"\nparam width = 3\n' + function("a", "helper(deep(x))") + function("helper") + function("c")
    )
    main = write(
        tmp_path, main='use a from "blocks.nn"\n', blocks=blocks, sub__deep=function("deep") + function("other")
    )
    whole, sources = read_file(main, "main.nn")
    assert [d.name for d in whole.definitions] == ["a", "helper", "deep"]
    assert not whole.params
    assert list(sources) == ["main.nn", "blocks.nn", "sub/deep.nn"]
    assert whole.definitions[2].span.file == "sub/deep.nn"


def test_one_file_may_be_used_on_two_ways(tmp_path: Path) -> None:
    main = write(tmp_path, main='use "a.nn"\nuse "b.nn"\n', a='use "c.nn"\n' + function("a", "c(x)"),
                 b='use "c.nn"\n' + function("b", "c(x)"), c=function("c"))  # fmt: skip
    assert sorted(d.name for d in read_file(main)[0].definitions) == ["a", "b", "c"]


def test_a_file_below_may_use_one_above_it(tmp_path: Path) -> None:
    main = write(tmp_path, main='use "sub/a.nn"\n', sub__a='use "../b.nn"\n' + function("a", "b(x)"), b=function("b"))
    assert sorted(d.name for d in read_file(main)[0].definitions) == ["a", "b"]


def test_two_definitions_of_one_name_are_told_with_both_places(tmp_path: Path) -> None:
    wrong = problem(write(tmp_path, main='use "a.nn"\n' + function("a"), a=function("a")))
    assert wrong.code == "R019"
    assert wrong.span is not None
    assert {wrong.span.file, wrong.notes[0].span.file} == {"main.nn", "a.nn"}


def test_circles_are_refused(tmp_path: Path) -> None:
    wrong = problem(write(tmp_path, main='use "a.nn"\n', a='use "main.nn"\n'))
    assert wrong.code == "R035"
    assert "`main.nn` -> `a.nn` -> `main.nn`" in wrong.title_text


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.nn", "sub/../../a.nn", "C:\\\\a.nn", "\\\\\\\\host\\\\a.nn"])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.nn").write_text(function("a"))
    assert problem(write(tmp_path / "in", main=f'use "{name}"\n')).code == "R034"


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a.nn").write_text(function("a"))
    (tmp_path / "in/a.nn").symlink_to(tmp_path / "a.nn")
    (tmp_path / "in/folder").symlink_to(tmp_path)
    assert problem(write(tmp_path / "in", main='use "a.nn"\n')).code == "R038"
    assert problem(write(tmp_path / "in", main='use "folder/a.nn"\n')).code == "R038"


def test_what_is_no_plain_text_is_refused(tmp_path: Path) -> None:
    assert problem(write(tmp_path, main='use "."\n')).code in ("R031", "R030")
    os.mkfifo(tmp_path / "pipe.nn")
    assert problem(write(tmp_path, main='use "pipe.nn"\n')).code == "R031"
    (tmp_path / "latin.nn").write_bytes("# caf\xe9\n".encode("latin-1"))
    assert problem(write(tmp_path, main='use "latin.nn"\n')).code == "R033"
    (tmp_path / "large.nn").write_bytes(b"#" * (limits().file + 1))
    assert problem(write(tmp_path, main='use "large.nn"\n')).code == "G030"
    assert problem(write(tmp_path, main='use ""\n')).code == "R030"
    assert problem(tmp_path / "nowhere.nn").code == "R030"
    assert problem(tmp_path).code == "R031"


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "main.nn").write_bytes(b"\xef\xbb\xbfparam a = 1\r\n")
    assert read_file(tmp_path / "main.nn")[0].params[0].name == "a"


def test_depth_and_number_are_limited(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"a{n}.nn").write_text(f'use "a{n + 1}.nn"\n')
    assert problem(write(tmp_path, main='use "a0.nn"\n')).code == "R036"
    for n in range(300):
        (tmp_path / f"b{n}.nn").write_text(function(f"b{n}"))
    many = "".join(f'use "b{n}.nn"\n' for n in range(300))
    assert problem(write(tmp_path, main=many)).code == "R036"


def test_problems_of_used_files_come_with_their_text(tmp_path: Path) -> None:
    main = write(tmp_path, main='use "a.nn"\n', a="function (")
    with pytest.raises(ProblemError) as caught:
        read_file(main, "main.nn")
    assert caught.value.sources["a.nn"].text == "function ("
