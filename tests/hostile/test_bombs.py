"""Small files that ask for too much: each is counted, and refused before it fills the memory, with a place.

Half a second is the promise on a machine of its own; here each gets five, and half a gigabyte.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.hostile.conftest import DATA, NET, TABLE, TRAIN

from dotnn.compiler import check, compile_file
from dotnn_grammar.limits import Limits, allowing, names
from dotnn_grammar.problems import Problem, ProblemError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the memory of a process is bounded as POSIX has it")

HEAD = "net N(x: [b, 3]) -> y: [b, 3] {\n"
LAST = "  y = x -> dense(3)\n}\n"


def net(body: str, before: str = "", train: str = TRAIN) -> str:
    """A spec whose net has these lines."""
    return DATA + before + HEAD + body + "\n" + LAST + train


def param(expression: str) -> str:
    return f"param a = {expression}\n"


def trained(line: str, old: str) -> str:
    assert old in TRAIN
    return DATA + NET + TRAIN.replace(old, line)


def each_calls(count: int, body: str, last: str = "return x", word: str = "function", lists: str = "(x)") -> str:
    """Definitions that lead to one another: `NEXT` is the one below."""
    made = [f"{word} f{i}{lists} {{ {body.replace('NEXT', f'f{i + 1}')} }}" for i in range(count)]
    return "\n".join([*made, f"{word} f{count}{lists} {{ {last} }}\n"])


TURNS = "repeat 1000 { repeat 1000 { repeat 1000 { x = x -> dense(3) } } }"

BOMBS = {
    # ---- what is built
    "a billion layers": (net(TURNS), "B081"),
    "as many as a file of 135 bytes asks for": (
        DATA + "net N(x:[b,3])->y:[b,3]{\nrepeat 10^9{x=x->dense(3)};y=x}\n" + TRAIN,
        "B081",
    ),
    "empty turns": (net("repeat 999_999_999 {}"), "B081"),
    "more turns than a number holds": (net("repeat 10^12 {}"), "B081"),
    "repeats across layers": (
        net(
            "h = x -> f0",
            each_calls(
                1,
                "repeat 99999 { x = x -> NEXT }; return x",
                "repeat 99999 { x = x -> dense(3) }; return x",
                "layer",
                "()(x)",
            ),
        ),
        "B082",
    ),
    "functions that call another twice": (net("h = f0(x)", each_calls(40, "return NEXT(x) + NEXT(x)")), "B082"),
    "functions that go through another twice": (net("h = x -> f0", each_calls(40, "return x -> NEXT -> NEXT")), "B082"),
    "functions that call another in each argument": (
        net("h = f0(x)", each_calls(40, "return max(NEXT(x), NEXT(-x))")),
        "B082",
    ),
    "functions that call another in both branches": (
        net("h = f0(x)", each_calls(40, "if yes { return NEXT(x) + NEXT(x) } else { return NEXT(x) * NEXT(x) }")),
        "B082",
    ),
    "layers that hold another twice": (
        net("h = x -> f0", each_calls(40, "return x -> NEXT -> NEXT", "return x -> dense(3)", "layer", "()(x)")),
        "B082",
    ),
    "layers that repeat another": (
        net(
            "h = x -> f0", each_calls(40, "repeat i in 0..2 { x = x -> NEXT }; return x", "return x", "layer", "()(x)")
        ),
        "B082",
    ),
    "turns by a param, through layers": (
        net(
            "h = x -> f0",
            param("2") + each_calls(40, "repeat a { x = x -> NEXT }; return x", "return x", "layer", "()(x)"),
        ),
        "B081",
    ),
    "definitions inside definitions": (net("h = f0(x)", each_calls(80, "return NEXT(x)")), "B083"),
    "deep expressions in deep definitions": (
        net("h = f0(x)", each_calls(60, f"return {'(' * 20}NEXT(x){' + 1)' * 20}")),
        "B020",
    ),
    "a definition of itself": (net("h = f0(x)", "function f0(x) { return f0(x) + f0(x) }\n"), "B015"),
    "a weight of 40 GB": (net("weight w: [100_000, 100_000] ~ zeros"), "B084"),
    "many weights of 4 GB": (net("repeat 50 { weight w: [2^15, 2^15] ~ zeros }"), "B084"),
    "a wide layer": (DATA + HEAD + "y = x -> dense(2_000_000_000) -> dense(3)\n}\n" + TRAIN, "B084"),
    "a size beyond 2^31": (net("h = x -> dense(2^40)"), "B085"),
    "a tensor of 4 EB": (net("h = sum(normal(0, 1)[2^30, 2^30])"), "B084"),
    "a tensor of 4 TB": (net("h = sum(zeros[2^20, 2^20])"), "B084"),
    "a product of a column and a row": (net("h = zeros[2^17, 1] * zeros[1, 2^17]"), "B084"),
    "a matrix product of a column and a row": (net("h = zeros[2^17, 1] @ zeros[1, 2^17]"), "B084"),
    "a tensor of 17 dims": (net(f"h = zeros[{', '.join(['1'] * 17)}]"), "B086"),
    "a tensor of 5,000 dims": (net(f"h = zeros[{', '.join(['1'] * 5000)}]"), "B086"),
    "a weight of 17 dims": (net(f"weight w: [{', '.join(['1'] * 17)}] ~ zeros"), "B086"),
    "lists of lists": (net("a = [1, 2]; repeat 60 { a = [a, a] }"), "B086"),
    "pairs of pairs": (net('a = (1, 2); repeat 60 { a = (a, a) }; require no: "{a}"'), "B003"),
    "a number squared again and again": (net("s = 3; repeat 60 { s = s * s }"), "B003"),
    "params squared again and again": (
        net("", "param a0 = 3\n" + "".join(f"param a{i + 1} = a{i} * a{i}\n" for i in range(60))),
        "B003",
    ),
    "a size squared again and again": (
        net("h = x -> sq", "function sq(x: [b, n]) { s = b; repeat 40 { s = s * s }; return x * s }\n"),
        "B003",
    ),
    "a tower of powers": (net("", param("((4_294_967_295^64)^64)^64")), "B003"),
    "a tower of powers by the right": (net("", param("7^64^64")), "B003"),
    "a batch of 2^40": (trained("batch 2^40", "batch 4"), "B085"),
    "10^15 epochs": (trained("epochs 10^15", "epochs 1"), "B085"),
    "10^12 steps": (trained("steps 1_000_000_000_000", "epochs 1"), "B085"),
    "a seed of twenty digits": (trained("epochs 1\n  seed 99_999_999_999_999_999_999", "epochs 1"), "R001"),
    # ---- what is written
    "deep brackets": (param("(" * 65 + "1" + ")" * 65), "G031"),
    "half a million brackets": (param("(" * 500_000), "G035"),
    "deep lists": (param("[" * 300 + "]" * 300), "G031"),
    "deep braces": ("function f(x) {" + "if yes {" * 100 + "}" * 101, "G031"),
    "braces alone": ("{" * 500_000, "G035"),
    "a long sum": (param("1" + " + 1" * 300), "G033"),
    "a long power": (param("2" + "^2" * 300), "G033"),
    "a long denial": (param("not " * 300 + "yes"), "G033"),
    "a long negation": (param("-" * 300 + "1"), "G033"),
    "calls of calls": (param("a" + "()" * 300), "G033"),
    "members of members": (param("a" + ".a" * 300), "G033"),
    "places of places": (param("a" + "[0]" * 300), "G033"),
    "one if after another": (param("1 if a else " * 300 + "1"), "G033"),
    "one else if after another": ("function f(x) {" + "if no {} else " * 300 + "{} }", "G033"),
    "a long chain": (DATA + HEAD + "y = x" + " -> relu" * 40_000 + "\n}\n" + TRAIN, "G035"),
    "a list of half a million": (param("[" + "1, " * 340_000 + "]"), "G035"),
    "a sum of 400,000": (param("1" + "+1" * 400_000), "G035"),
    "a million lines": ("\n" * 1_000_000, "G035"),
    "a million half lines": (";" * 1_000_000, "G035"),
    "half a million comments": ("#\n" * 500_000, "G035"),
    "60,000 params": ("".join(f"param a{i}=1\n" for i in range(60_000)), "G035"),
    "100,000 names on the left": ("function f(x) { " + ",".join(f"a{i}" for i in range(100_000)) + " = x }", "G035"),
    "a file of 2 MB": ("#" + " " * 2_000_000, "G030"),
    "a number of 100,000 digits": (param("9" * 100_000), "G032"),
    "a number of 4,000 digits": (param("9" * 4000), "R001"),
    "1e999": (param("1e999"), "R001"),
    "an exponent of 1,000 digits": (param("1e" + "9" * 1000), "R001"),
    "a name of 100,000 letters": (param("a" * 100_000), "G032"),
    "a text of 100,000 letters": (param('"' + "a" * 100_000 + '"'), "G032"),
    "a message of braces": (net('require no: "' + "{" * 60_000 + '"'), "R004"),
    "a message of one name again and again": (net('a = 1; require no: "' + "{a}" * 20_000 + '"'), "B011"),
    "quotation marks alone": ('"' * 1_000_001, "G035"),
    "signs that mean nothing": ("$" * 1_000_000, "G035"),
    "a NUL": ("param a = 1\0", "G034"),
    "10,000 columns to a column that is not there": (DATA.replace("x_2", "x_9999999") + NET + TRAIN, "D030"),
    "columns from right to left": (DATA.replace("x_0 to x_2", "x_2 to x_0") + NET + TRAIN, "D031"),
}


@cache
def of_tables() -> dict[str, tuple[dict[str, bytes], str, str]]:
    """Tables that ask for too much: by name the files, the one to read, and the code."""
    head = TABLE.encode()
    row = b"1,2,3,a\n"
    wide = ",".join(f"c{i}" for i in range(70_000)).encode() + b"\n"
    return {
        "zeros, packed": ({"d.csv.gz": gzip.compress(head + row * 12_000_000, 9)}, "d.csv.gz", "D014"),
        "zeros, packed twice": ({"d.csv.gz": gzip.compress(gzip.compress(b"0" * 50_000_000))}, "d.csv.gz", "D015"),
        "many members": ({"d.csv.gz": gzip.compress(b"") * 200_000}, "d.csv.gz", "D017"),
        "zeros, packed by xz": ({"d.csv.xz": lzma.compress(head + row * 1_500_000)}, "d.csv.xz", "D014"),
        "zeros, packed by bzip2": ({"d.csv.bz2": bz2.compress(head + row * 1_500_000)}, "d.csv.bz2", "D014"),
        "an object within an object": ({"d.jsonl": b'{"a":' * 100_000 + b"\n"}, "d.jsonl", "D052"),
        "a value of 8 MB": (
            {"d.jsonl": b'{"x_0": 1, "x_1": 2, "x_2": "' + b"1" * 8_000_000 + b'"}\n'},
            "d.jsonl",
            "D046",
        ),
        "70,000 keys": (
            {"d.jsonl": b"{" + b",".join(b'"c%d": 1' % i for i in range(70_000)) + b"}\n"},
            "d.jsonl",
            "D045",
        ),
        "70,000 columns": ({"d.csv": wide + b"1\n"}, "d.csv", "D045"),
        "a cell of a million letters": ({"d.csv": head + b"1,2," + b"3" * 1_000_000 + b",a\n"}, "d.csv", "D046"),
        "a cell without an end": ({"d.csv": head + b'1,2,"3\n' + row * 400_000}, "d.csv", "D046"),
        "a first line without an end": ({"d.csv": b'"x_0\n' + row * 1_000_000}, "d.csv", "D046"),
        "a first line of 8 MB": ({"d.csv": b"x" * 8_000_000}, "d.csv", "D046"),
        "a number of 100,000 digits": ({"d.csv": head + b"1,2," + b"9" * 100_000 + b",a\n"}, "d.csv", "D028"),
        "1e999": ({"d.csv": head + b"1,2,1e999,a\n"}, "d.csv", "D028"),
        "a million cells in a row": ({"d.csv": head + b"1," * 1_000_000 + b"\n"}, "d.csv", "D020"),
        "a million empty lines": ({"d.csv": head + b"\n" * 1_000_000 + row}, "d.csv", "D020"),
    }


def of_files() -> dict[str, tuple[dict[str, str], str]]:
    """Files that use each other."""
    deep = {f"u{i}.nn": f'use "u{i + 1}.nn"\n' for i in range(17)} | {"u17.nn": "function f(x) { return x }\n"}
    many = {f"u{i}.nn": f"function f{i}(x) {{ return x }}\n" for i in range(260)}
    circle = {"u0.nn": 'use "u1.nn"\n', "u1.nn": 'use "u0.nn"\n'}
    every = {f"u{i}.nn": "".join(f'use "u{j}.nn"\n' for j in range(i + 1, 250)) for i in range(250)}
    large = {f"u{i}.nn": "# a\n" * 20_000 for i in range(100)}
    return {
        "17 deep": (deep | {"s.nn": 'use "u0.nn"\n'}, "R036"),
        "260 files": (many | {"s.nn": "".join(f'use "u{i}.nn"\n' for i in range(260))}, "R036"),
        "a circle": (circle | {"s.nn": 'use "u0.nn"\n'}, "R035"),
        "itself": ({"s.nn": 'use "s.nn"\n'}, "R035"),
        "each all others": (every | {"s.nn": 'use "u0.nn"\n'}, "R036"),
        "100 files of 20,000 lines": (large | {"s.nn": "".join(f'use "u{i}.nn"\n' for i in range(100))}, "G035"),
    }


def of_json() -> dict[str, str]:
    """Specs that were stored as JSON, and ask for too much."""
    span = {"file": "s", "line": 1, "column": 1, "end_line": 1, "end_column": 2}
    deep = "{" * 3000
    nested: object = {"kind": "number", "span": span, "value": 1}
    for _ in range(90):
        nested = {"kind": "unary", "operator": "-", "span": span, "operand": nested}
    whole = {"format": 1, "file": "s", "params": [{"span": span, "name": "a", "value": nested}]}
    digits = '{"format":1,"file":"s","params":[{"span":' + json.dumps(span)
    digits += ',"name":"a","value":{"kind":"number","span":' + json.dumps(span) + ',"value":' + "9" * 5000 + "}}]}"
    return {
        "brackets": "[" * 100_000,
        "braces": '{"a":' * 100_000 + deep,
        "a tree 90 deep": json.dumps(whole),
        "a number of 5,000 digits": digits,
        "nothing": "",
        "a number": "1",
        "an infinite number": digits.replace("9" * 5000, "1e999"),
        "the name of a program": '{"graphs": ' + "[" * 1000,
    }


ALONE = """
import resource, sys, time
from pathlib import Path
from dotnn.compiler import check, compile_file
from dotnn_grammar.parse import grammar
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.show import render_all
grammar()
used = resource.getrusage(resource.RUSAGE_SELF)
start = time.process_time()
try:
    (check if sys.argv[2:] == [] else compile_file)(Path(sys.argv[1]))
    print("FINE")
except ProblemError as wrong:
    took = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used.ru_maxrss
    first = wrong.problems[0]
    print(first.code, first.span is not None, bool(first.help_text), len(wrong.problems), f"{took:.3f}", grown)
    print(render_all(wrong.problems, wrong.sources))
"""


def alone(file: str, folder: Path, *more: str) -> tuple[list[str], str]:
    """What is said of the file by a process of its own: code, place?, help?, how many, seconds, kilobytes.

    more: anything, to have all the rows read.
    """

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))

    words = [sys.executable, "-c", ALONE, file, *more]
    made = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, preexec_fn=bounded)
    assert made.returncode == 0, made.stderr[-2000:]
    first, _, rest = made.stdout.partition("\n")
    return first.split(), rest


def test_there_are_enough() -> None:
    assert len(BOMBS) + len(of_files()) + len(of_json()) >= 30


def refused(path: Path) -> Problem:
    with pytest.raises(ProblemError) as caught:
        check(path)
    return caught.value.problems[0]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str, folder: Path) -> None:
    text, code = BOMBS[name]
    (folder / "s.nn").write_text(text, encoding="utf-8")
    problem = refused(Path("s.nn"))
    assert problem.code == code, f"{problem.code} {problem.title_text[:200]}"
    assert problem.span is not None or code == "G030"
    assert problem.help_text or code == "B011", "an author's own message says what to do"


HEAVIEST = (
    "a billion layers", "functions that call another twice", "layers that hold another twice", "a tensor of 5,000 dims",
    "a list of half a million", "a million lines", "a size squared again and again", "pairs of pairs",
    "a number squared again and again", "quotation marks alone",
)  # fmt: skip


@pytest.mark.parametrize("name", HEAVIEST)
def test_a_bomb_takes_little_time_and_memory(name: str, folder: Path) -> None:
    text, code = BOMBS[name]
    (folder / "s.nn").write_text(text, encoding="utf-8")
    (found, place, _, count, took, grown), said = alone("s.nn", folder)
    assert (found, place) == (code, "True"), said[:500]
    assert float(took) < 5, "half a second on a machine of its own"
    assert int(grown) < 512 * 1024, "kilobytes"
    assert int(count) < 100
    assert len(said) < 100_000


@pytest.mark.parametrize("name", of_tables())
def test_a_table_that_is_a_bomb_is_refused(name: str, folder: Path) -> None:
    files, table, code = of_tables()[name]
    for file, content in files.items():
        (folder / file).write_bytes(content)
    (folder / "s.nn").write_text(DATA.replace("d.csv", table) + NET + TRAIN)
    (found, place, has_help, _, took, grown), said = alone("s.nn", folder, "whole")
    assert (found, place, has_help) == (code, "True", "True"), said[:500]
    assert float(took) < 5
    assert int(grown) < 512 * 1024
    assert len(said) < 2000


@pytest.mark.parametrize("name", of_files())
def test_files_that_use_too_many_are_refused(name: str, folder: Path) -> None:
    files, code = of_files()[name]
    for file, text in files.items():
        (folder / file).write_text(text)
    (found, place, has_help, _, took, _), said = alone("s.nn", folder)
    assert (found, place, has_help) == (code, "True", "True"), said[:500]
    assert float(took) < 5


@pytest.mark.parametrize("name", of_json())
def test_json_that_is_a_bomb_is_refused(name: str, folder: Path) -> None:
    (folder / "s.json").write_text(of_json()[name])
    (found, *_, took, _), said = alone("s.json", folder)
    assert found in ("R090", "B063", "B003"), said[:500]
    assert float(took) < 5
    assert len(said) < 2000


# ---- each limit has its name, and can be moved

OVER: dict[str, Callable[[Limits], str]] = {
    "file": lambda _: DATA + NET + TRAIN,
    "words": lambda _: DATA + NET + TRAIN,
    "token": lambda _: DATA + NET + TRAIN,
    "depth": lambda _: param("((1))"),
    "levels": lambda _: DATA + NET + TRAIN,
    "layers": lambda _: net("h = x -> dense(3)"),
    "turns": lambda _: net("repeat 3 {}"),
    "lines": lambda _: net("h = x -> relu; g = h"),
    "calls": lambda _: net("h = f0(x)", each_calls(3, "return NEXT(x)")),
    "nodes": lambda _: net("h = tanh(exp(x)) * 3"),
    "rank": lambda _: net("h = x"),
    "dim": lambda _: net("h = x -> dense(3)"),
    "numbers": lambda _: net("h = x -> dense(3)"),
}


@pytest.mark.parametrize("name", OVER)
def test_a_limit_says_its_name_and_can_be_moved(name: str, folder: Path) -> None:
    (folder / "s.nn").write_text(OVER[name](Limits()), encoding="utf-8")
    least = {"words": 5, "token": 2, "levels": 6, "dim": 3, "lines": 2, "calls": 2, "numbers": 2}.get(name, 1)
    with allowing(Limits.model_validate({name: least})):
        problem = refused(Path("s.nn"))
    assert f"--limit {name}=N" in problem.help_text, f"{problem.code} {problem.title_text}"
    if "train N" in OVER[name](Limits()):
        check(Path("s.nn"))
    else:
        assert refused(Path("s.nn")).code == "B063"


@pytest.mark.parametrize(("name", "table"), [("columns", TABLE), ("cell", TABLE + "1,2,3,abcdefgh\n"), ("ratio", "")])
def test_a_limit_of_tables_says_its_name(name: str, table: str, folder: Path) -> None:
    (folder / "s.nn").write_text(DATA.replace("d.csv", "e.csv.gz") + NET + TRAIN)
    content = table or TABLE + "1,2,3,a\n" * 200_000
    (folder / "e.csv.gz").write_bytes(gzip.compress(content.encode()))
    with allowing(Limits.model_validate({name: 3})), pytest.raises(ProblemError) as caught:
        compile_file(Path("s.nn"))  # which reads all the rows
    assert f"--limit {name}=N" in caught.value.problems[0].help_text


@pytest.mark.parametrize(("name", "files"), [("imports", 3), ("files", 3)])
def test_a_limit_of_files_says_its_name(name: str, files: int, folder: Path) -> None:
    for i in range(files):
        (folder / f"u{i}.nn").write_text(f'use "u{i + 1}.nn"\n')
    (folder / f"u{files}.nn").write_text("")
    with allowing(Limits.model_validate({name: 2})):
        assert f"--limit {name}=N" in refused(Path("u0.nn")).help_text


def test_every_limit_is_tried() -> None:
    elsewhere = {"columns", "cell", "ratio", "imports", "files", "stored", "gathered", "held"}
    assert set(names()) == set(OVER) | elsewhere


@pytest.mark.parametrize(
    "text",
    ["layers", "layers=", "layers=-1", "layers=0", "layers=x", "layes=5", "=", "layers=1e3", "layers=" + "9" * 30],
)
def test_a_limit_that_is_none_is_explained(text: str, folder: Path, nn: Callable[..., tuple[int, str, str]]) -> None:
    (folder / "s.nn").write_text(DATA + NET + TRAIN)
    code, _, err = nn("check", "s.nn", "--limit", text)
    assert (code, "G040" in err) == (1, True)


def test_the_command_moves_a_limit(folder: Path, nn: Callable[..., tuple[int, str, str]]) -> None:
    (folder / "s.nn").write_text(DATA + NET + TRAIN)
    for verb in (
        ("check", "s.nn"),
        ("compile", "s.nn", "--out", "b"),
        ("train", "s.nn", "--out", "r"),
        ("ir", "graph", "s.nn"),
    ):
        code, _, err = nn(*verb, "--limit", "layers=1", "--limit", "words=10")
        assert (code, "--limit words=N" in err) == (1, True), verb
        assert nn(*verb, "--limit", "layers=1_000")[0] == 0
