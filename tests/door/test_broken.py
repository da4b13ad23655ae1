"""Plugins that are broken in every way: each is named with its reason, and everything else works."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "specs" / "digits.nn")

GOOD = """
from dotnn.plugins import hook
API = 1
class Mine:
    name = "mine"
    summary = "fine"
@hook
def dotnn_backends():
    return [Mine()]
"""

BROKEN = {
    "import error": ("import nowhere_to_be_found", "importing broken raised ModuleNotFoundError"),
    "raises at import": ("1 / 0", "importing broken raised ZeroDivisionError: division by zero"),
    "syntax": ("def (", "importing broken raised SyntaxError"),
    "exits": ("import sys; sys.exit(7)", "importing broken ends Python (exit status 7)"),
    "raising hook": (GOOD.replace("return [Mine()]", "raise ValueError('no luck')"), "raised ValueError: no luck"),
    "exiting hook": (GOOD.replace("return [Mine()]", "raise SystemExit(2)"), "dotnn_backends raised SystemExit: 2"),
    "hook that gives none": (GOOD.replace("return [Mine()]", "return None"), "raised TypeError"),
    "nameless": (GOOD.replace('name = "mine"', ""), "offers a Mine without a name"),
    "other name": (GOOD.replace('"mine"', '"yours"'), "does not offer `mine`, but `yours`"),
    "no version": (GOOD.replace("API = 1", ""), "it lacks `API = 1`"),
    "wrong version": (GOOD.replace("API = 1", "API = 99"), "written for version 99 of the door, and this is version 1"),
    "misspelt hook": (
        GOOD.replace("dotnn_backends", "dotnn_bakends"),
        "there is no hook called dotnn_bakends; did you mean `dotnn_backends`",
    ),
}

DEADLY = {
    "dies": ("import os; os._exit(5)", "importing broken ended Python (exit status 5)"),
    "talks": ("print('{')\n" + GOOD.replace("API = 1", "API = 2"), "version 2"),
}

HANGING = {"hangs": ("import time; time.sleep(600)", "importing broken did not end within 3 seconds")}


def word(kind):
    return kind.replace(" ", "_")


def lab_with(new_lab, kinds):
    """A package for each kind, broken in its way, and one that is whole."""
    lab = new_lab()
    for kind, (text, _) in kinds.items():
        name, module = f"mine-{word(kind)}", f"broken_{word(kind)}"
        text = text.replace('"mine"', f'"{name}"')
        lab.add(f"package-{word(kind)}", {f"backend.{name}": module}, {module: text})
    lab.add("good-package", {"backend.good": "good"}, {"good": GOOD.replace('"mine"', '"good"')})
    return lab


def said_of(kind, why):
    """The reason, in which the broken module and what it offers have the names of that kind."""
    names = {"importing broken": f"importing broken_{word(kind)}", "`mine`": f"`mine-{word(kind)}`"}
    for old, new in names.items():
        why = why.replace(old, new)
    return why


REST = """
import sys
from dotnn.commands import main
try:
    main(['--help'])
except SystemExit as end:
    print(end.code)
main(['check', sys.argv[1]])
"""


def rest_works(lab):
    done = lab.python("-c", REST, DIGITS)
    assert done.code == 0, done.err
    assert "\n0\n" in done.out
    assert "digits.nn: fine" in done.out + done.err


@pytest.mark.parametrize(
    ("kinds", "patience"), [({**BROKEN, **DEADLY}, "60"), (HANGING, "3")], ids=["in every way", "for ever"]
)
def test_what_is_broken_is_named_and_the_rest_works(kinds, patience, new_lab):
    """All of them at once: none hides another, and none keeps what is whole from working."""
    lab = lab_with(new_lab, kinds)
    done = lab.nn("plugins", "--patience", patience, "--format", "json")
    assert done.code == 0, done.err
    found = {(one["kind"], one["name"]): one for one in done.json()}
    broken = {key: one["why"] for key, one in found.items() if one["why"]}
    mine = {("backend", f"mine-{word(kind)}") for kind in kinds}
    late = "did not end within"  # on a machine with much else to do so may what is whole, and it is said of it alone
    assert {key for key, why in broken.items() if key in mine or late not in why} == mine
    for kind, (_, why) in kinds.items():
        assert said_of(kind, why) in broken["backend", f"mine-{word(kind)}"]
    assert found["backend", "good"]["summary"] == "fine"
    assert found["backend", "onnx"]["built_in"]
    rest_works(lab)


EACH = """
import sys
from dotnn.commands import main
first, *words = sys.argv[1:]
for word in words:
    try:
        main([part.replace("HERE", word) for part in first.split()])
    except SystemExit as end:
        print(f"end {end.code}", file=sys.stderr, flush=True)
"""
"""One command for several words, in one Python: what it says of each, and how it ends, on stderr."""


def each(lab, command, words, folder):
    done = lab.python("-c", EACH, command, *words, folder=folder)
    parts = done.err.split("end 1\n")
    assert parts.pop() == "", done.err
    assert "Traceback" not in done.err
    return dict(zip(words, parts, strict=True))


def test_who_asks_for_it_is_told(new_lab, tmp_path):
    names = [f"mine-{word(kind)}" for kind in BROKEN]
    told = each(lab_with(new_lab, BROKEN), f"train {DIGITS} --backend HERE", names, tmp_path)
    for kind, (_, why) in BROKEN.items():
        text = told[f"mine-{word(kind)}"]
        assert f"error[P003]: the backend `mine-{word(kind)}` of package-{word(kind)} 1.0 does not work" in text
        assert said_of(kind, why) in text.replace("\n", " ")


def test_the_table_says_what_is_not_used(new_lab):
    lab = lab_with(new_lab, {"exits": BROKEN["exits"]})
    done = lab.nn("plugins")
    assert done.out.split("\n\n")[1] == (
        "Not used:\n  backend mine-exits of package-exits 1.0: importing broken_exits ends Python (exit status 7)\n"
    )


def test_a_word_that_is_no_kind_is_named(new_lab):
    lab = new_lab()
    lab.add("odd", {"bakend.mine": "good", "plain": "good"}, {"good": GOOD})
    found = [one for one in lab.nn("plugins", "--format", "json").json() if one["why"]]
    assert [(one["kind"], one["name"]) for one in found] == [("", "plain"), ("bakend", "mine")]
    assert all("its entry point names no kind of thing" in one["why"] for one in found)
    rest_works(lab)


OURS = """
from dotnn.plugins import hook
API = 1
class Mine:
    name = "reference"
    summary = "not ours"
@hook
def dotnn_backends():
    return [Mine()]
"""


def test_our_own_name_stays_ours(new_lab, tmp_path):
    lab = new_lab()
    lab.add("taker", {"backend.reference": "taker", "command.train": "taker"}, {"taker": OURS})
    found = [one for one in lab.nn("plugins", "--format", "json").json() if one["package"] == "taker"]
    assert found[0]["why"] == "not used, since dotnn's own has this name too"
    done = lab.nn("train", DIGITS, "--backend", "reference", "--steps", "1", "--format", "json", folder=tmp_path)
    assert done.code == 0, done.err
    note = "note: the backend `reference` of taker 1.0 is not used, since dotnn's own has this name too"
    assert done.err.count(note) == 1


def test_of_two_strangers_the_first_by_name_has_it(new_lab):
    lab = new_lab()
    for package in ("b-package", "a-package"):
        module = package[0]
        lab.add(package, {"backend.mine": module}, {module: GOOD.replace("fine", package)})
    code = "from dotnn import plugins; print(plugins.backend('mine').summary); plugins.backend('mine')"
    done = lab.python("-c", code)
    assert (done.out, done.code) == ("a-package\n", 0)
    assert (
        done.err == "note: the backend `mine` of b-package 1.0 is not used, since that of a-package has this name too\n"
    )
    found = {one["package"]: one["why"] for one in lab.nn("plugins", "--format", "json").json()}
    assert found["a-package"] == ""
    assert found["b-package"] == "not used, since that of a-package has this name too"


STD = """
from pathlib import Path
from dotnn.plugins import hook
API = 1
@hook
def dotnn_std():
    return [Path(__file__).parent / "words"]
"""


def test_definitions_come_after_the_users_and_our_own(new_lab, tmp_path):
    lab = new_lab()
    (lab.site / "words").mkdir()
    (lab.site / "words" / "relu.nn").write_text("function relu(x) { return 100 * x }\n")
    (lab.site / "words" / "twice.nn").write_text("function twice(x) { return 2 * x }\n")
    (lab.site / "words" / "torn.nn").write_text("function torn(x) { return }\n")
    lab.add("words", {f"std.{name}": "words_plugin" for name in ("relu", "twice", "torn")}, {"words_plugin": STD})
    code = """
from dotnn.elaborate.library import standard_text
print(standard_text("relu").name, standard_text("twice").name, standard_text("nothing"))
"""
    done = lab.python("-c", code)
    assert done.out == "std/relu.nn words/twice.nn None\n"
    assert "note: the std `relu` of words 1.0 is not used, since dotnn's own has this name too" in done.err
    text = Path(DIGITS).read_text()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.csv.gz").write_bytes((ROOT / "specs" / "data" / "digits.csv.gz").read_bytes())
    (tmp_path / "a.nn").write_text(text.replace("-> relu", "-> twice"))
    assert lab.nn("check", str(tmp_path / "a.nn")).code == 0
    (tmp_path / "b.nn").write_text(text.replace("-> relu", "-> torn"))
    done = lab.nn("check", str(tmp_path / "b.nn"))
    assert done.code == 1
    assert "words/torn.nn" in done.err
    assert "Traceback" not in done.err


def test_an_error_in_a_plugins_verb_is_not_called_ours(new_lab):
    lab = new_lab()
    text = """
from dotnn.plugins import Command, hook
API = 1
def fall(): raise ValueError("I fell")
@hook
def dotnn_commands():
    return [Command("fall", fall)]
"""
    lab.add("faller", {"command.fall": "faller", "command.gone": "nowhere"}, {"faller": text})
    done = lab.nn("fall")
    assert done.code == 3
    assert "This is a bug of the plugin faller, not yours: ValueError: I fell" in done.err
    done = lab.nn("gone")
    assert (done.code, "error[P003]" in done.err) == (1, True)
    rest_works(lab)


SOURCE = """
from dotnn.plugins import hook
API = 1
class Table:
    shown = "rows"
    def header(self): HEADER
    def rows(self): ROWS
class Source:
    name = "NAME"
    summary = "rows"
    def tables(self, argument, place): return [Table()]
@hook
def dotnn_sources():
    return [Source()]
"""

USES = """
data d { source NAME 3
  x = columns a to b
  y = column c as class }
net N(x: [b, 2]) -> s: [b, 2] { s = x -> dense(2) }
train N on d { loss cross_entropy(s, y)
  optimizer sgd()
  batch 2
  epochs 1 }
"""


WRONG_SOURCES = [
    ("1 / 0", "return []", "ZeroDivisionError"),
    ("return []", "return []", "its columns have no names"),
    ("return ['a', 'a', 'c']", "return []", "two of its columns have one name"),
    ("return ['a', 'b', 'c']", "return []", "it has no rows"),
    ("return ['a', 'b', 'c']", "return None", "TypeError"),
    ("return ['a', 'b', 'c']", "return [['1', '2']]", "row 1 is not one text for each of the 3 columns"),
    ("return ['a', 'b', 'c']", "return [[1, 2, 3]]", "row 1 is not one text for each"),
    ("return ['a', 'b', 'c']", "yield ['1', '2', 'u']; raise SystemExit(3)", "SystemExit"),
    ("return ['a', 'b', 'c']", "yield ['1', 'two', 'u']; yield ['1', '2', 'v']", "two"),
    ("return ['a', 'b']", "yield ['1', '2']", "no column `c`"),
]


def test_a_source_that_does_not_work_is_told_with_its_place(new_lab, tmp_path):
    lab, names = new_lab(), [f"made{number}" for number in range(len(WRONG_SOURCES))]
    for name, (header, rows, _) in zip(names, WRONG_SOURCES, strict=True):
        text = SOURCE.replace("HEADER", header).replace("ROWS", rows).replace("NAME", name)
        lab.add(f"maker-{name}", {f"source.{name}": f"maker_{name}"}, {f"maker_{name}": text})
        (tmp_path / f"{name}.nn").write_text(USES.replace("NAME", name))
    told = each(lab, "train HERE.nn", names, tmp_path)
    for name, (_, _, said) in zip(names, WRONG_SOURCES, strict=True):
        assert said in told[name]
        assert f"{name}.nn:" in told[name]


def test_who_uses_what_never_comes_back_may_stop_it(new_lab, tmp_path):
    """`nn plugins` has a time-out; any other verb waits for the plugin that it was asked to use, until Ctrl-C."""
    lab = lab_with(new_lab, HANGING)
    code = """
import signal, sys, threading
from dotnn.commands import main
main_thread = threading.main_thread().ident
threading.Timer(1.5, lambda: signal.pthread_kill(main_thread, signal.SIGINT)).start()
main(["train", sys.argv[1], "--backend", "mine-hangs"])
"""
    done = lab.python("-c", code, DIGITS, folder=tmp_path, patience=60)
    assert (done.code, done.err) == (130, "Stopped.\n")
