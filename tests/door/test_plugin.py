"""A stranger's package, installed: each thing that it brings is used as ours are."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sets import specs_folder

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "plugin"


def trained(lab, folder, backend):
    done = lab.nn(
        "train", "rings.nn", "--backend", backend, "--out", f"by-{backend}", "--format", "json", folder=folder
    )
    assert done.code == 0, done.err
    return done.json()[-1]


def test_a_spec_trains_with_its_backend_operation_source_and_definition(with_plugin, rings):
    ends = {name: trained(with_plugin, rings, name) for name in ("straight", "reference", "onnx", "training-info")}
    straight = ends["straight"]
    assert straight["test"]["error"] < 0.15
    for end in ends.values():
        assert end["steps"] == straight["steps"] == 132
        assert end["train"]["loss"] == pytest.approx(straight["train"]["loss"], rel=1e-4)
        assert end["test"]["loss"] == pytest.approx(straight["test"]["loss"], rel=1e-4)


def test_nn_plugins_lists_it(with_plugin):
    done = with_plugin.nn("plugins")
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if "dotnn-straight 1.0" in line]
    assert [line.split()[:2] for line in lines] == [
        ["backend", "straight"],
        ["command", "straight"],
        ["logger", "prose"],
        ["operation", "squareplus"],
        ["source", "jsonlines"],
        ["std", "gentle"],
        ["tokenizer", "pairs"],
    ]
    assert "Not used" not in done.out


def test_its_verb_appears_and_runs(with_plugin, rings):
    assert re.search(r"^ *straight +Comes from the package dotnn-straight", with_plugin.nn("--help").out, re.MULTILINE)
    done = with_plugin.nn("straight", "rings.nn", "--graph", "train", folder=rings)
    assert done.code == 0, done.err
    assert done.out.startswith("def run(inputs):  # train\n")
    assert "hypot(" in done.out
    assert "Usage: nn straight" in with_plugin.nn("straight", "--help").out
    assert with_plugin.nn("straight", "gone.nn", folder=rings).code == 1
    assert with_plugin.nn("straight", "--nonsense", folder=rings).code == 2


def test_its_words_are_shown(with_plugin):
    assert "width * squareplus(x / width)" in with_plugin.nn("show", "gentle").out
    assert "r = 1 / y" in with_plugin.nn("show", "squareplus").out


def test_a_misuse_of_its_words_has_its_place(with_plugin, rings):
    text = (rings / "rings.nn").read_text()
    cases = [
        ("squareplus", "squareplus(over = 1)", "squareplus"),
        ("squareplus", "squareplu", "did you mean `squareplus`"),
        ("jsonlines", "jsonline", "`jsonlines`"),
        ("rows.jsonl", "../rows.jsonl", "leads out of the spec's folder"),
        ("rows.jsonl", "rings.nn", "line 1 of `rings.nn` is no JSON object"),
        ('"rows.jsonl"', "units", "a text in quotes or a whole number is needed"),
    ]
    for number, (old, new, _) in enumerate(cases):
        (rings / f"wrong{number}.nn").write_text(text.replace(old, new))
    code = """
import sys
from dotnn.commands import main
for file in sys.argv[1:]:
    try:
        main(["check", file])
    except SystemExit as end:
        print(f"end {end.code}", file=sys.stderr, flush=True)
"""
    done = with_plugin.python("-c", code, *(f"wrong{n}.nn" for n in range(len(cases))), folder=rings)
    parts = done.err.split("end 1\n")
    assert parts.pop() == ""
    for number, ((_, _, said), part) in enumerate(zip(cases, parts, strict=True)):
        assert said in part
        assert f"wrong{number}.nn:" in part


@pytest.mark.peers
def test_pytorch_says_that_it_knows_no_word_of_it(with_plugin, rings):
    """Neither as a file to read nor as something that runs: what it cannot spell is named, with its place."""
    pytest.importorskip("torch")
    done = with_plugin.nn("compile", "rings.nn", "--backend", "torch", "-o", "script", folder=rings)
    assert done.code == 1
    assert "error[Q010]: the operation `squareplus` has no PyTorch text in this version" in done.err
    assert "gentle.nn:" in done.err
    done = with_plugin.nn("train", "rings.nn", "--backend", "torch", "--steps", "1", folder=rings)
    assert done.code == 1
    assert "error[Q005]: the backend torch does not know the operation `squareplus`" in done.err


def test_the_gradients_of_a_net_with_its_operation(with_plugin, rings):
    done = with_plugin.nn("check", "rings.nn", "--gradients", folder=rings)
    assert done.code == 0, done.err
    assert "It is right: in Ring.scores." in done.out


MAIL = """
data mail {
  source table "mail.csv"
  said = column text as pairs(vocab = 30, length = 8)
  kind = column kind as class
}
net Spam(said: int[b, t] < vocab) -> scores: [b, 2] {
  weight table: [vocab, 4] ~ glorot
  scores = mean(table[said], over = 1) -> dense(2)
}
train Spam on mail {
  loss cross_entropy(scores, kind)
  answer argmax(scores) as kind
  optimizer adam(lr = 0.1)
  batch 4
  epochs 30
}
"""


def test_its_tokenizer_and_its_logger_are_used(with_plugin, tmp_path):
    (tmp_path / "mail.nn").write_text(MAIL)
    texts = {"buy now": "spam", "buy it": "spam", "see you": "ham", "you see": "ham"}
    rows = "".join(f"{text},{kind}\n" for text, kind in texts.items())
    (tmp_path / "mail.csv").write_text("text,kind\n" + rows * 3)
    done = with_plugin.nn("train", "mail.nn", "--out", "run", "--log", "prose", "--threads", "1", folder=tmp_path)
    assert done.code == 0, done.err
    sentences = (tmp_path / "run" / "prose.txt").read_text().splitlines()
    assert (sentences[0], sentences[-1], len(sentences)) == ("Spam begins.", "It ends with step 90.", 32)
    assert sentences[1].startswith("After epoch 1 its loss is 0.")
    done = with_plugin.nn("predict", "run", "mail.csv", "--format", "csv", folder=tmp_path)
    assert [line.split(",")[0] for line in done.out.splitlines()[1:5]] == ["spam", "spam", "ham", "ham"]


BATTERIES = """
from pathlib import Path
from dotnn.testing import check_backend, check_definition, check_op, check_source
from dotnn.operation import operations
import dotnn_straight
ops = [*(o.name for o in operations()), "squareplus"]
rows = b'{"a": 1, "b": "x"}\\n{"a": 2, "b": "y"}\\n'
reports = [
    check_op("squareplus"),
    check_backend("straight", sorted(Path(SPECS).glob("*.nn")), ops=ops),
    check_source("jsonlines", "below/rows.jsonl", {"below/rows.jsonl": rows}),
    check_definition(Path(dotnn_straight.__file__).parent / "std" / "gentle.nn"),
]
for report in reports:
    report.require()
    print(report)
"""


def test_it_passes_the_batteries(with_plugin):
    done = with_plugin.python("-c", f"SPECS = {str(specs_folder())!r}\n{BATTERIES}", patience=900)
    assert done.code == 0, done.err
    assert "operation squareplus: all 11 checks hold" in done.out
    assert "ok    the backend onnx gives the formula's numbers (24)" in done.out
    assert "ok    definition gentle (1)" in done.out
    assert re.search(r"backend straight: all \d\d+ checks hold", done.out)
    assert "source jsonlines: all 2 checks hold" in done.out


def test_nothing_of_it_is_loaded_before_it_is_used(with_plugin):
    code = """
import sys
from dotnn import plugins
from dotnn.commands import application
application(first="check"), application(first="--help")
assert "straight" in plugins.names("backend") and "squareplus" in plugins.names("operation")
plugins.backend("reference")
from dotnn.compiler import check_file
from pathlib import Path
check_file(Path(sys.argv[1]))
assert not any(name.startswith("dotnn_straight") for name in sys.modules)
plugins.backend("straight")
assert "dotnn_straight.backend" in sys.modules and "dotnn_straight.operation" not in sys.modules
"""
    done = with_plugin.python("-c", code, str(ROOT / "specs" / "digits.nn"))
    assert done.code == 0, done.err


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("hatchling", "pip")), reason="its builder is not installed"
)
def test_it_installs_as_packages_do(tmp_path):
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(tmp_path), str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dotnn_straight" / "std" / "gentle.nn").is_file()
    points = next(tmp_path.glob("dotnn_straight-*.dist-info")) / "entry_points.txt"
    assert "backend.straight = dotnn_straight.plugin" in points.read_text()


def test_the_page_holds_exactly_this_code():
    page = (ROOT / "backends" / "README.md").read_text(encoding="utf-8")
    assert "## Write a backend in an hour" in page
    shown = dict(re.findall(r"<!-- file: tests/plugin/(\S+) -->\n```\w+\n(.*?)```\n", page, re.DOTALL))
    wanted = {"pyproject.toml", "dotnn_straight/plugin.py", "dotnn_straight/backend.py", "dotnn_straight/spelling.py"}
    assert set(shown) == wanted
    assert {name: text == (PLUGIN / name).read_text(encoding="utf-8") for name, text in shown.items()} == dict.fromkeys(
        wanted, True
    )


def test_a_definition_of_its_own_may_be_shadowed(with_plugin, rings):
    text = (rings / "rings.nn").read_text()
    (rings / "own.nn").write_text(text + "\nfunction gentle(x, width = 1) { return x / width }\n")
    done = with_plugin.nn("check", "own.nn", folder=rings)
    assert done.code == 0, done.err
    assert "note: `gentle` is your own here, and not the package dotnn-straight's" in done.err
