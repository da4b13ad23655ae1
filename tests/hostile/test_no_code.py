"""A stranger's spec runs no code of his: no network, no process, no module that lies beside it, nothing evaluated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.conftest import DATA, NET, TRAIN

from dotnn.commands import VERBS

STRAY = (
    "csv", "json", "numpy", "onnx", "onnxruntime", "socket", "typing", "lark", "pydantic", "rich", "typer", "random",
    "re", "gzip", "dotnn_grammar", "sitecustomize", "usercustomize", "encodings", "site", "logging", "zlib",
)  # fmt: skip
"""Modules that nn imports sooner or later, or that Python looks for by itself."""

CLAIM = '\nclaim "it is not far off": loss < 1e9 on train\n'
SPEC = DATA + NET + TRAIN.replace("epochs 1", "epochs 2").replace("lr = 0.1", "lr = 1e-5") + CLAIM
WRITES = """
data book {
  source text "book.txt"
  token = characters
  next = token shifted by 1
  window 4
}
net Next(token: int[b, t] < vocab) -> logits: [b, t, vocab] { logits = token -> embedding(vocab, 4) -> dense(vocab) }
train Next on book {
  loss cross_entropy(logits, next)
  optimizer sgd(lr = 0.1)
  batch 2
  epochs 1
}
"""

WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "check": (("check", "s.nn"),),
    "compile": (("compile", "s.nn", "--out", "bundle"), ("compile", "s.nn", "--out", "hosted", "--host", "python")),
    "train": (("train", "s.nn", "--out", "run", "--device", "cpu", "--epochs", "1"),),
    "resume": (("resume", "run", "--epochs", "2"),),
    "eval": (("eval", "run"),),
    "claims": (("claims", "run"),),
    "predict": (("predict", "run", "d.csv"),),
    "generate": (("train", "w.nn", "--out", "writer"), ("generate", "writer", "--prompt", "a", "--length", "3")),
    "data": (("data", "show", "s.nn"), ("data", "list")),
    "probe": (("probe", "run"), ("probe", "run", "y", "--save", "y.json")),
    "runs": (("runs", "."), ("runs", "compare", "run", "run")),
    "show": (("show", "dense"), ("show", "tanh"), ("show", "s.nn")),
    "plugins": (("plugins",),),
    "ir": (("ir", "spec", "s.nn"), ("ir", "graph", "s.nn"), ("ir", "spec", "--schema")),
}
"""Every verb, in an order in which each finds what it needs."""

HOOK = """
import sys
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.",
             "ftplib.", "http.", "urllib.", "smtplib.", "webbrowser.", "pickle.")
def watch(event, arguments):
    if event.startswith(FORBIDDEN):
        import os, traceback
        os.write(2, ("FORBIDDEN " + event + repr(arguments)[:200] + "\\n").encode())
        os._exit(99)
sys.addaudithook(watch)
from dotnn.commands import main
main(sys.argv[1:])
"""


def written(folder: Path) -> None:
    """The specs of all these commands."""
    (folder / "s.nn").write_text(SPEC)
    (folder / "w.nn").write_text(WRITES)
    (folder / "book.txt").write_text("abcd" * 20)


def test_every_verb_is_here() -> None:
    assert set(VERBS) == set(WORDS)


@pytest.fixture
def stray(folder: Path) -> Path:
    """The spec, and beside it modules of names that nn imports: each says so if it is, and stops everything."""
    written(folder)
    for name in STRAY:
        (folder / f"{name}.py").write_text(f"import os\nos.write(2, b'STRAY {name}\\n')\nos._exit(98)\n")
    (folder / "dotnn").mkdir()
    (folder / "dotnn/__init__.py").write_text("import os\nos.write(2, b'STRAY dotnn\\n')\nos._exit(98)\n")
    (folder / "x.pth").write_text("import os; os._exit(98)\n")
    (folder / "pyproject.toml").write_text("[project.entry-points.dotnn]\nx = 'csv'\n")
    return folder


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSTARTUP")}
    # For a tree that is not installed: the packages, and not the folder of the spec.
    root = Path(__file__).parents[2]
    env["PYTHONPATH"] = os.pathsep.join(str(root / room) for room in ("compiler", "grammar", "backends"))
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, env=env)


def every() -> list[tuple[str, ...]]:
    return [words for each in WORDS.values() for words in each]


def test_no_verb_asks_the_network_or_starts_a_process(folder: Path) -> None:
    """Python tells of each socket, process and pickle; a verb that makes one ends with 99."""
    written(folder)
    for words in every():
        if words == ("plugins",):
            continue  # it tries each package in a process of its own, which is what it is asked to do
        made = run([sys.executable, "-c", HOOK, *words], folder)
        assert "FORBIDDEN" not in made.stderr, (words, made.stderr[-500:])
        assert made.returncode == 0, (words, made.stderr[-1000:])


def test_the_watch_sees_a_socket(folder: Path) -> None:
    code = HOOK.replace("from dotnn.commands import main\nmain(sys.argv[1:])", "import socket; socket.socket()")
    made = run([sys.executable, "-c", code], folder)
    assert made.returncode == 99
    assert "FORBIDDEN socket." in made.stderr


def console_script() -> list[str]:
    script = Path(sys.executable).with_name("nn")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from dotnn.commands import main; main()"]


@pytest.mark.parametrize("way", ["console script", "python -m dotnn"])
def test_a_module_beside_the_spec_is_not_imported(way: str, stray: Path) -> None:
    # `python -m` looks for `dotnn` itself in the current folder, before any line of ours runs: that is Python's way.
    if way == "python -m dotnn":
        (stray / "dotnn/__init__.py").unlink()
        (stray / "dotnn").rmdir()
        for name in ("sitecustomize", "usercustomize", "dotnn_grammar"):
            assert (stray / f"{name}.py").exists()
    start = console_script() if way == "console script" else [sys.executable, "-m", "dotnn"]
    some = [words for verb in ("check", "train", "predict") for words in WORDS[verb]]
    for words in every() if way == "console script" else some:
        made = run([*start, *words], stray)
        assert "STRAY" not in made.stderr, (words, made.stderr)
        assert made.returncode == 0, (words, made.stderr[-1000:])


def test_a_stray_module_would_be_seen(stray: Path) -> None:
    made = run([sys.executable, "-c", "import csv"], stray)
    assert (made.returncode, made.stderr) == (98, "STRAY csv\n")


def test_the_host_program_of_a_bundle_imports_what_lies_beside_it_by_no_name_of_ours(folder: Path) -> None:
    """It is run where it lies: the bundle itself brings one Python file, and none that hides a library."""
    written(folder)
    made = run([sys.executable, "-m", "dotnn", "compile", "s.nn", "--out", "hosted", "--host", "python"], folder)
    assert made.returncode == 0, made.stderr
    files = {path.stem for path in (folder / "hosted").rglob("*.py")}
    assert not files & set(STRAY)


HOSTILE = (
    '__import__("os").system("id")', "exec(1)", "eval(1)", "open(1)", "import os", "lambda x: x", "x.__class__",
    '"{x.__class__}"', "__builtins__", "().__class__", "os.system(1)", "`id`", "$(id)", "{{ 7 * 7 }}", "%s%s%n",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_code_is_text(text: str, folder: Path) -> None:
    from dotnn.compiler import check
    from dotnn_grammar.problems import ProblemError

    for place in (f"param a = {text}\n", NET.replace("dense(3)", f"dense({text})"), NET.replace("dense(3)", text)):
        if place.startswith("param") and text.startswith('"'):
            continue  # a text is a value
        before = "" if place.startswith("net") else NET
        (folder / "s.nn").write_text(DATA + place + before + TRAIN)
        with pytest.raises(ProblemError) as caught:
            check(Path("s.nn"))
        assert caught.value.problems[0].span is not None


def test_a_message_names_sizes_and_no_more(folder: Path) -> None:
    from dotnn.compiler import check
    from dotnn_grammar.problems import ProblemError

    formats = ("{x.dims}", "{x!r}", "{0}", "{x:>999999999}", "{x[0]}")
    for message, code in (*((text, "R004") for text in formats), ("{b}", "B011")):
        body = f'  require 1 == 2: "{message}"\n  y = x -> dense(3)'
        (folder / "s.nn").write_text(DATA + NET.replace("  y = x -> dense(3)", body) + TRAIN)
        with pytest.raises(ProblemError) as caught:
            check(Path("s.nn"))
        assert caught.value.problems[0].code == code
