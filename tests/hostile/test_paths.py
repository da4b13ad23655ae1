"""Paths that a stranger's spec names: nothing outside its folder is opened, nothing waited for, and each is explained.

Every path is tried in a `source` line, and each that can name a file of definitions in a `use` line.
"""

from __future__ import annotations

import builtins
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dotnn import spec
from dotnn.data import load, open_source
from dotnn.program import RawColumn
from dotnn.read import read_file
from dotnn_grammar.limits import Limits, allowing
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.show import render_all
from dotnn_grammar.source import Span

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and devices as POSIX has them")

Run = Callable[..., tuple[int, str, str]]

# `END` stands for `csv` or `nn`, `ABOVE` for the folder above the spec's.
LEADING_OUT = [
    "/etc/passwd", "/etc/passwd.END", "ABOVE/secret.END", "//secret.END", "///etc/hosts.END", "/", "/.", "/..",
    "..", "../", "../secret.END", "./../secret.END", "a/../../secret.END", "a/b/../../../secret.END",
    "././.././secret.END", "a/./../../secret.END", "../spec/../secret.END", "in/../../secret.END", "..//secret.END",
    "a//..//..//secret.END", "../*.END", "/etc/*", "*/../../secret.END", "[.][.]/secret.END", "?*/../../secret.END",
    "/proc/self/environ", "/proc/self/environ.END", "/proc/self/cwd/d.END", "/proc/self/fd/0",
    "/proc/self/root/etc/hosts", "/dev/stdin", "/dev/fd/0", "/dev/null", "/dev/zero", "/dev/random.END", "/dev/tty",
    "/dev/full.END",
    "C:/secret.END", "C:secret.END", "c:\\secret.END", "\\\\host\\share\\secret.END", "\\\\?\\C:\\secret.END",
    "\\\\.\\COM1", "//host/share/secret.END", "..\\secret.END", "a\\..\\..\\secret.END", "\\secret.END",
]  # fmt: skip
ADDRESSES = [
    "file:///etc/passwd", "file://localhost/etc/hosts.END", "http://example.org/d.END", "https://example.org/d.END",
    "ftp://example.org/d.END", "s3://bucket/d.END", "HTTP://EXAMPLE.ORG/d.END", "data:/text,d.END",
    "git+ssh://example.org/d.END",
]  # fmt: skip
STRANGE = [
    "", " ", ".", "./", "d\0.END", "\0", "d.END\0", "../secret.END\0.END", "d\n.END", "d\r.END", "d\x1b[31m.END",
    "\x7f.END", "d\u202e.END", "d\u200b.END", "d.END\n", "~", "~/secret.END", "~root/secret.END", "$HOME/secret.END",
    "${HOME}/secret.END", "%HOME%/secret.END", "`id`.END", "$(id).END", "| id", "-", "--help", "n" * 300 + ".END",
    "n/" * 3000 + "d.END", "d.END.", "d.END ", "d.END/../d.END/x", " d.END", "D.End", "e\u0301.END",
    "%2e%2e/secret.END", "..%2fsecret.END", "\uff0e\uff0e/secret.END", "..;/secret.END", ".../secret.END",
    "d.END:stream", "d.exe", "d.END.exe", "nothing.END",
]  # fmt: skip
MADE = [
    "out.END", "in.END", "chain.END", "loop.END", "self.END", "dangling.END", "way/secret.END", "inway/d.END",
    "hard.END", "pipe.END", "socket.END", "folder.END", "device.END", "folder.END/d.END", "way/../way/secret.END",
    "upway/spec/d.END",
]  # fmt: skip
"""What `special` puts into the folder."""

HOSTILE = [*LEADING_OUT, *ADDRESSES, *STRANGE, *MADE]


def special(folder: Path, end: str) -> None:
    """Links of every kind, a pipe, a socket and folders."""
    secret = folder.parent / f"secret.{end}"
    (folder / f"out.{end}").symlink_to(secret)
    (folder / f"in.{end}").symlink_to("d.csv" if end == "csv" else "fine.nn")
    (folder / f"chain.{end}").symlink_to(f"in.{end}")
    (folder / f"loop.{end}").symlink_to(f"back.{end}")
    (folder / f"back.{end}").symlink_to(f"loop.{end}")
    (folder / f"self.{end}").symlink_to(f"self.{end}")
    (folder / f"dangling.{end}").symlink_to("gone")
    (folder / f"device.{end}").symlink_to("/dev/zero")
    (folder / "way").symlink_to("..")
    (folder / "upway").symlink_to(folder.parent)
    (folder / "inway").symlink_to(".")
    os.link(secret, folder / f"hard.{end}")
    os.mkfifo(folder / f"pipe.{end}")
    (folder / f"folder.{end}").mkdir()
    with socket.socket(socket.AF_UNIX) as door:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket is short by nature
        door.bind(f"socket.{end}")
        os.chdir(here)


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Every file that is opened meanwhile and is not a plain file of this folder: none is."""
    opened: list[str] = []
    before = os.open

    def note(path: Any, *rest: Any, **more: Any) -> int:
        plain = Path(os.fsdecode(path)) if not isinstance(path, int) else folder
        if not (plain.parent.resolve() == folder.resolve() and plain.is_file() and not plain.is_symlink()):
            opened.append(str(path))
        return before(path, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", note)
        yield opened


def place(line: int) -> Span:
    return Span(file="try.nn", line=line, column=1, end_line=line, end_column=9)


def data(*files: str, tests: tuple[str, ...] = ()) -> spec.Data:
    lines = [spec.SourceLine(span=place(2), role="source", reader="table", files=files)]
    if tests:
        lines.append(spec.SourceLine(span=place(3), role="test", reader="table", files=tests))
    return spec.Data(span=place(1), name="d", sources=tuple(lines), columns=())


def refused(act: Callable[[], object]) -> Problem:
    with pytest.raises(ProblemError) as caught:
        act()
    (problem,) = caught.value.problems
    assert problem.span is not None
    said = render_all([problem], {})
    assert len(said) < 1200, said
    assert all(c == "\n" or c.isprintable() for c in said), repr(said)
    assert problem.help_text
    return problem


def test_there_are_enough() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 80


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a spec, with everything in it that may not be read."""
    from tests.hostile.conftest import TABLE

    above = tmp_path_factory.mktemp("trap")
    made = above / "spec"
    made.mkdir()
    (above / "secret.csv").write_text(TABLE)
    (above / "secret.nn").write_text("function secret(x) { return x }\n")
    (made / "d.csv").write_text(TABLE)
    (made / "fine.nn").write_text("function fine(x) { return x }\n")
    for end in ("csv", "nn"):
        for link in ("way", "upway", "inway"):
            (made / link).unlink(missing_ok=True)
        special(made, end)
    (made / "d.nn").write_text("function d(x) { return x }\n")
    return made


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("role", ["source", "test"])
def test_a_table_is_not_read_there(path: str, role: str, trap: Path) -> None:
    named = path.replace("END", "csv").replace("ABOVE", str(trap.parent))
    asked = data(named) if role == "source" else data("d.csv", tests=(named,))
    with watched(trap) as opened:
        problem = refused(lambda: open_source(asked, trap))
    assert problem.code.startswith("D0")
    assert problem.span == place(2 if role == "source" else 3)
    assert opened == []


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("reader", ["idx", "npz"])
def test_arrays_are_not_read_there(path: str, reader: str, trap: Path) -> None:
    named = path.replace("END", "csv").replace("ABOVE", str(trap.parent))
    lines = tuple(line.model_copy(update={"reader": reader}) for line in data(named).sources)
    with watched(trap) as opened:
        problem = refused(lambda: open_source(data(named).model_copy(update={"sources": lines}), trap))
    assert problem.code.startswith("D0")
    assert opened == []


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_definitions_are_not_read_there(path: str, trap: Path) -> None:
    named = path.replace("END", "nn").replace("ABOVE", str(trap.parent))
    written = named.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    (trap / "user.nn").write_text(f'use "{written}"\n', encoding="utf-8", newline="")
    with watched(trap) as opened:
        problem = refused(lambda: read_file(trap / "user.nn", "user.nn"))
    assert problem.code in ("R030", "R031", "R032", "R034", "R038", "G034", "G003"), problem
    assert problem.span is not None
    assert problem.span.line == 1
    # A name that is asked for and is not there is found out by opening it, inside the folder.
    within = [p for p in opened if not Path(p).is_relative_to(trap) or ".." in Path(p).parts or Path(p).is_symlink()]
    assert within == []


@pytest.mark.parametrize("path", ["../runs/x", "/tmp", "way", "a/../..", "~/runs", "C:/runs", "..\\runs", "", "."])
def test_a_run_to_start_from_is_not_looked_for_there(path: str, trap: Path) -> None:
    from dotnn.training.warm import start_folder

    (trap / "runs").mkdir(exist_ok=True)
    assert refused(lambda: start_folder(path, trap, place(9))).code == "T041"


def test_a_name_of_other_bytes_is_not_utf_8(folder: Path) -> None:
    (folder / "user.nn").write_bytes(b'use "caf\xe9.nn"\n')
    with pytest.raises(ProblemError) as caught:
        read_file(folder / "user.nn")
    assert caught.value.problems[0].code == "R033"
    (folder / "user.json").write_text('{"file": "x.nn", "doc": "\\ud800"}')
    from dotnn.read.stored import read_json

    with pytest.raises(ProblemError) as caught:
        read_json(folder / "user.json")
    assert caught.value.problems[0].code == "R090"


# ---- with --allow-path


@pytest.mark.parametrize(
    "path", ["ABOVE/secret.csv", "../secret.csv", "out.csv", "chain.csv", "way/secret.csv", "hard.csv", "../*.csv"]
)
def test_a_table_is_read_there_where_the_user_allows_it(path: str, trap: Path) -> None:
    asked = data(path.replace("ABOVE", str(trap.parent)))
    raw = RawColumn(name="x", columns=("x_0",), dtype="f32")
    with allowing(Limits(outside=True)):
        assert load(asked, [raw], {}, trap).splits["train"].count == 40
    refused(lambda: open_source(asked, trap))


@pytest.mark.parametrize(
    "path",
    [
        "pipe.csv",
        "socket.csv",
        "folder.csv",
        "device.csv",
        "/dev/zero",
        "loop.csv",
        "d\0.csv",
        "nothing.csv",
        "http://example.org/d.csv",
    ],
)
def test_what_is_no_file_is_refused_all_the_same(path: str, trap: Path) -> None:
    with allowing(Limits(outside=True)):
        assert refused(lambda: open_source(data(path), trap)).code.startswith("D0")


@pytest.mark.parametrize("path", ["ABOVE/secret.nn", "../secret.nn", "out.nn", "way/secret.nn", "hard.nn"])
def test_definitions_are_read_there_where_the_user_allows_it(path: str, trap: Path) -> None:
    (trap / "user.nn").write_text(f'use "{path.replace("ABOVE", str(trap.parent))}"\n')
    with allowing(Limits(outside=True)):
        made, _ = read_file(trap / "user.nn", str(trap / "user.nn"))
    assert [d.name for d in made.definitions] == ["secret"]


def test_the_command_has_the_option(folder: Path, nn: Run) -> None:
    from tests.hostile.conftest import DATA, NET, TRAIN

    (folder / "s.nn").write_text(DATA.replace("d.csv", "../secret.csv") + NET + TRAIN)
    code, _, err = nn("check", "s.nn")
    assert (code, "D003" in err, "--allow-path" in err) == (1, True, True)
    assert nn("check", "s.nn", "--allow-path")[0] == 0
    assert nn("check", "s.nn")[0] == 1


# ---- where results go, and what is named on the command line


@pytest.mark.parametrize("kind", ["file", "pipe", "socket", "device", "loop", "under a file", "long", "zero"])
@pytest.mark.parametrize("verb", ["compile", "train"])
def test_results_do_not_go_there(kind: str, verb: str, folder: Path, nn: Run) -> None:
    from tests.hostile.conftest import DATA, NET, TRAIN

    (folder / "s.nn").write_text(DATA + NET + TRAIN)
    special(folder, "csv")
    where = {
        "file": "d.csv",
        "pipe": "pipe.csv",
        "socket": "socket.csv",
        "device": "/dev/null",
        "loop": "loop.csv",
        "under a file": "d.csv/out",
        "long": "n" * 300,
        "zero": "a\0b",
    }[kind]
    code, _, err = nn(verb, "s.nn", "--out", where)
    assert (code in (1, 2), "Traceback" in err, "bug of nn" in err) == (True, False, False), err
    assert err.strip()


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "loop", "folder", "long", "zero", "secret"])
@pytest.mark.parametrize("verb", ["check", "compile", "train", "ir", "show"])
def test_a_spec_that_is_no_file_is_not_waited_for(kind: str, verb: str, folder: Path, nn: Run) -> None:
    special(folder, "nn")
    name = {"device": "/dev/null", "long": "n" * 5000 + ".nn", "zero": "a\0.nn", "secret": "gone/../gone.nn"}
    words = {"compile": ("--out", "b"), "train": ("--out", "r")}.get(verb, ())
    where = name.get(kind, f"{kind}.nn")
    before = ["ir", "spec", where] if verb == "ir" else [verb, where]
    code, _, err = nn(*before, *words)
    assert (code in (1, 2), "Traceback" in err, "bug of nn" in err) == (True, False, False), err


def test_the_watch_sees_what_is_opened(folder: Path) -> None:
    with watched(folder) as opened:
        os.close(os.open(folder.parent / "secret.csv", os.O_RDONLY))
        os.close(os.open(folder / "d.csv", os.O_RDONLY))
    assert opened == [str(folder.parent / "secret.csv")]
    assert builtins.open is open
