"""What the compiler promises as a whole: the same bytes, quick help, no network, a library that is only text."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dotnn.graph import dump
from dotnn.program import Program
from dotnn.training.run import read_weights

ROOT = Path(__file__).parents[2]
STD = ROOT / "compiler/dotnn/std"
NN = [sys.executable, "-m", "dotnn"]

Run = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def weights(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_weights(folder).items()}


# ---- quick help


@pytest.mark.parametrize("code", ["import dotnn.commands", "from dotnn.commands import main; main(['--help'])"])
def test_help_needs_no_heavy_library(code: str) -> None:
    heavy = ("numpy", "onnx", "onnxruntime", "rich.progress", "pydantic", "lark")
    ending = f"import sys; print('LOADED', [m for m in {heavy!r} if m in sys.modules])"
    script = f"try:\n    {code}\nexcept SystemExit:\n    pass\n{ending}"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines()[-1] == "LOADED []"


# ---- std is text


def test_a_copy_of_a_standard_definition_is_the_same_and_an_altered_one_is_not(specs: Path, nn: Run) -> None:
    spec = re.sub(
        r"^  optimizer .*$",
        "  optimizer adam(lr = 1e-3)",
        (specs / "digits.nn").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    (specs / "digits.nn").write_text(spec, encoding="utf-8")
    train = ("train", "digits.nn", "--steps", 3, "--threads", 1, "--device", "cpu")
    code, _, plain_talk = nn(*train, "--out", "plain")
    assert code == 0

    shutil.copy(STD / "adam.nn", specs / "adam.nn")
    (specs / "digits.nn").write_text('use "adam.nn"\n' + spec, encoding="utf-8")
    code, _, talk = nn(*train, "--out", "copied")
    assert code == 0
    assert "note: `adam` is your own here" in talk
    assert "note:" not in plain_talk
    assert weights(specs / "copied") == weights(specs / "plain")

    text = (specs / "adam.nn").read_text(encoding="utf-8")
    altered, places = re.subn(r"^(\s+)w = w - (.+)$", r"\1w = w - 2*(\2)", text, flags=re.MULTILINE)
    assert places == 1
    (specs / "adam.nn").write_text(altered, encoding="utf-8")
    assert nn(*train, "--out", "altered")[0] == 0
    other = weights(specs / "altered")
    assert other.keys() == weights(specs / "plain").keys()
    assert other["Digits.hidden.W"] != weights(specs / "plain")["Digits.hidden.W"]


# ---- the same bytes


def test_bundles_do_not_depend_on_the_order_of_a_set(specs: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [*NN, "compile", "digits.nn", "-o", f"b{seed}", "--host", "python"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=120,
        )
    one, two = contents(specs / "b1"), contents(specs / "b2")
    assert {"init.onnx", "train.onnx", "eval.onnx", "predict.onnx", "order.onnx", "manifest.json"} <= one.keys()
    assert one == two


def test_a_bundle_does_not_depend_on_where_the_spec_lies(specs: Path, nn: Run) -> None:
    assert nn("compile", "digits.nn", "-o", "b1")[0] == 0
    assert nn("compile", specs / "digits.nn", "-o", "b2")[0] == 0
    assert contents(specs / "b1") == contents(specs / "b2")


def test_the_json_of_a_spec_compiles_to_the_same_bytes(specs: Path, nn: Run) -> None:
    assert nn("compile", "digits.nn", "-o", "b1")[0] == 0
    code, tree, _ = nn("ir", "spec", "digits.nn", "--format", "json")
    assert code == 0
    (specs / "digits.json").write_text(tree, encoding="utf-8")
    code, _, err = nn("compile", "digits.json", "-o", "b2")
    assert code == 0, err
    assert contents(specs / "b1") == contents(specs / "b2")


def test_the_json_of_the_graphs_compiles_to_the_same_bytes(specs: Path, nn: Run) -> None:
    assert nn("compile", "digits.nn", "-o", "b1")[0] == 0
    code, text, _ = nn("ir", "graph", "digits.nn", "--format", "json")
    assert code == 0
    assert dump(Program.model_validate_json(text)) == text
    (specs / "alone").mkdir()  # a program needs neither its spec nor its data
    (specs / "alone" / "program.json").write_text(text, encoding="utf-8")
    code, _, err = nn("compile", specs / "alone" / "program.json", "-o", "b2")
    assert code == 0, err
    assert contents(specs / "b1") == contents(specs / "b2")
    assert contents(specs / "b2")["spec.nn"] == (specs / "digits.nn").read_bytes()


@pytest.mark.parametrize(
    ("after", "words", "said"),
    [
        ("build", (), "after the pass `build`"),
        ("simplify", ("--set", "hidden=8"), "`--set` needs the spec"),
        ("simplify", ("--host", "python"), "needs the spec"),
        ("simplify", (":Other",), "`:Other` needs the spec"),
    ],
)
def test_a_program_is_what_it_is(specs: Path, nn: Run, after: str, words: tuple[str, ...], said: str) -> None:
    _, text, _ = nn("ir", "graph", "digits.nn", "--after", after, "--format", "json")
    (specs / "program.json").write_text(text, encoding="utf-8")
    name = "".join(word for word in words if word.startswith(":"))
    code, _, err = nn("compile", f"program.json{name}", "-o", "b", *(w for w in words if not w.startswith(":")))
    assert (code, said in err) == (1, True), err


# ---- no network


def test_nothing_asks_the_network(specs: Path, nn: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname", "fromfd", "socketpair"):
        monkeypatch.setattr(socket, name, refuse)
    assert nn("check", "digits.nn")[0] == 0
    assert nn("compile", "digits.nn", "-o", "b")[0] == 0
    assert nn("train", "digits.nn", "--epochs", 1, "--out", "r", "--device", "cpu")[0] == 0
    assert nn("predict", "r", "data/digits.csv.gz")[0] == 0
    assert nn("show", "dense")[0] == 0
    assert nn("show", "digits.nn")[0] == 0
    assert nn("ir", "spec", "digits.nn")[0] == 0
    assert nn("ir", "graph", "digits.nn")[0] == 0


def test_no_room_imports_a_library_of_the_network() -> None:
    words = r"^\s*(?:import|from)\s+(?:socket|ssl|http|urllib|ftplib|smtplib|asyncio|requests)\b"
    rooms = [p for room in ("grammar", "compiler", "backends") for p in (ROOT / room).rglob("*.py")]
    assert [str(p) for p in rooms if re.search(words, p.read_text(encoding="utf-8"), re.MULTILINE)] == []
