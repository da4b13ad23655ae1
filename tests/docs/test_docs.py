"""The documentation runs: every command in it, every `nn` block, and what it says that they print.

How a page is read (CONTRIBUTING.md, "Documentation", says it for writers):

* A fence `sh` holds commands. They run in order, page by page, in a folder that looks like a fresh clone in which the
  first command of the README has been run. A fence `text` directly below holds what they print, on stderr too.
  A line `…` stands for any lines, `…` within a line for anything. With `text measured` numbers may differ as they do
  from machine to machine: shares by 1.5 points, others by a factor of two; times are not compared.
* A fence `nn` is a whole file if it has a `train`; else `<!-- nn: … -->` above it says where it belongs.
* `<!-- not run: REASON -->` above a fence: only pytest's own commands, which are collected and not run, and `.ci/run`.

`pytest tests/docs --update-goldens` writes what is printed into the pages.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest
from tests.sets import NOT_COPIED, make_photos, make_sets

from dotnn.compiler import check_file
from dotnn.fetch.known import NAMES
from dotnn_grammar.problems import ProblemError

ROOT = Path(__file__).parents[2]
LEFT_OUT = {".git", ".venv", "runs", "build", "node_modules"}


def all_pages() -> list[str]:
    found = [p.relative_to(ROOT) for p in ROOT.rglob("*.md")]
    return sorted(p.as_posix() for p in found if not any(part in LEFT_OUT or part[0] == "." for part in p.parts))


PAGES = all_pages()


@dataclass(frozen=True)
class Fence:
    page: str
    line: int
    """Of the first line inside."""
    info: str
    text: str
    marker: str
    """The comment directly above, without its signs."""

    @property
    def word(self) -> str:
        return self.info.split()[0] if self.info else ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def fences(page: str) -> list[Fence]:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found: list[Fence] = []
    begun: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if begun is None:
            begun = number
            continue
        above = lines[begun - 1] if begun else ""
        marker = re.fullmatch(r"<!-- (.*) -->", above)
        text = "".join(f"{inner}\n" for inner in lines[begun + 1 : number])
        found.append(Fence(page, begun + 2, lines[begun][3:].strip(), text, marker[1] if marker else ""))
        begun = None
    assert begun is None, f"{page}:{begun}: a fence is not closed"
    return found


# ---- commands


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a person has after the README's first command: the files, and `.venv/bin/nn`."""
    for name in ("specs", "compiler", "grammar", "backends"):
        ignored = shutil.ignore_patterns("runs", "build", "__pycache__", *NAMES, ".*-*")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name, words in {"nn": "-m dotnn", "python": ""}.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(0o755)
    return tmp_path


def run(clone: Path, commands: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr as they come."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
    path = os.pathsep.join([*(str(ROOT / room) for room in ("compiler", "grammar", "backends"))])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone,
        env={**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def shell(page: str) -> list[tuple[Fence, Fence | None]]:
    """Each fence of commands, with the fence of what they print."""
    found = fences(page)
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    pairs: list[tuple[Fence, Fence | None]] = []
    for fence, after in zip_longest(found, found[1:]):
        if fence.word != "sh":
            continue
        end = fence.line + fence.text.count("\n")
        between = lines[end : after.line - 2] if after else []
        follows = after is not None and after.word == "text" and not any(line.strip() for line in between)
        pairs.append((fence, after if follows else None))
    return pairs


def commands_of(fence: Fence) -> str:
    """The main command without its set-up: the environment is there already."""
    return fence.text.rsplit("&&", 1)[-1].strip() if fence.marker == "ci: train" else fence.text


def by_hand(fence: Fence) -> bool:
    return fence.marker == "ci: test" or fence.marker.startswith("not run: ")


@pytest.mark.parametrize("page", [p for p in PAGES if any(not by_hand(f) for f, _ in shell(p))])
def test_every_command_prints_what_the_page_says(page: str, clone: Path, update_goldens: bool) -> None:
    wrong: list[str] = []
    for fence, expected in shell(page):
        if by_hand(fence):
            continue
        code, out = run(clone, commands_of(fence))
        if ("error[" in expected.text if expected else False) == (code == 0):
            wrong.append(f"{fence.where}: exit code {code}\n{out}")
        elif expected is not None and not matches(expected.text, out, "measured" in expected.info):
            if update_goldens:
                rewrite(expected, out)
            else:
                wrong.append(f"{expected.where}: the page says\n{expected.text}\nand printed is\n{out}")
    assert not wrong, "\n".join(wrong)


def test_what_is_not_run_is_a_developers_command(clone: Path) -> None:
    """Its tests are collected, so that paths and options are right; the rest is what .ci/run runs."""
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    checked = 0
    for page in PAGES:
        for fence, _ in shell(page):
            if not fence.marker.startswith("not run: "):
                continue
            for line in fence.text.splitlines():
                command = line.split("#")[0].strip()
                if command.startswith(".venv/bin/pytest"):
                    words = command.split()[1:]
                    more = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]
                    done = subprocess.run(
                        [sys.executable, "-m", "pytest", *words, *more], cwd=ROOT, capture_output=True, timeout=120
                    )
                    assert done.returncode == 0, f"{fence.where}: {command}\n{done.stdout.decode()}"
                elif command.startswith(".venv/bin/python -m "):
                    help = [sys.executable, *command.split()[1:], "--help"]
                    done = subprocess.run(help, cwd=ROOT, capture_output=True, timeout=120)
                    assert done.returncode == 0, f"{fence.where}: {command}\n{done.stderr.decode()}"
                else:
                    first = command.split("&&")[0].strip()
                    known = command == ".ci/run" or first.removesuffix(" --fix").split(" --")[0] in ci
                    assert known or first.startswith(("git diff", "python3 -m venv", ".venv/bin/pip")), fence.where
                checked += 1
    assert checked >= 3


# ---- what is printed

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?!\w)(?: %)?")
TIME = re.compile(r"\b\d[\d,.]* (?:s|ms|min)\b")


def near(one: str, other: str) -> bool:
    a, b = (float(text.rstrip(" %").replace(",", "")) for text in (one, other))
    if one.endswith("%"):
        return abs(a - b) <= 1.5
    return a == b or (a * b > 0 and 0.5 <= a / b <= 2)


def same_line(expected: str, printed: str, measured: bool) -> bool:
    expected, printed = expected.rstrip(), printed.rstrip()
    if expected == printed:
        return True
    if "…" in expected:
        pattern = ".*".join(re.escape(piece) for piece in expected.split("…"))
        return re.fullmatch(pattern, printed) is not None
    if not measured:
        return False
    expected, printed = (TIME.sub("TIME", line) for line in (expected, printed))
    words = [" ".join(NUMBER.sub("0", line).split()) for line in (expected, printed)]
    ours, theirs = NUMBER.findall(expected), NUMBER.findall(printed)
    return words[0] == words[1] and all(near(a, b) for a, b in zip(ours, theirs, strict=True))


def matches(expected: str, printed: str, measured: bool) -> bool:
    """Whether the lines are the same, where a line `…` stands for any number of lines."""
    pieces: list[list[str]] = [[]]
    for line in expected.splitlines():
        if line.strip() == "…":
            pieces.append([])
        else:
            pieces[-1].append(line)
    lines = printed.splitlines()
    first, last = pieces[0], pieces[-1] if len(pieces) > 1 else []

    def fits(piece: list[str], at: int) -> bool:
        part = lines[at : at + len(piece)]
        return len(part) == len(piece) and all(same_line(e, p, measured) for e, p in zip(piece, part, strict=True))

    if len(pieces) == 1:
        return len(lines) == len(first) and fits(first, 0)
    end = len(lines) - len(last)
    if end < len(first) or not fits(first, 0) or not fits(last, end):
        return False
    at = len(first)
    for piece in pieces[1:-1]:
        found = next((i for i in range(at, end - len(piece) + 1) if fits(piece, i)), None)
        if found is None:
            return False
        at = found + len(piece)
    return True


def rewrite(expected: Fence, printed: str) -> None:
    """Puts what is printed into the page; a `…` keeps as many lines before it and after it as there were."""
    pieces = re.split(r"^ *…\n", expected.text, flags=re.MULTILINE)
    assert len(pieces) <= 2, f"{expected.where}: with more than one `…` this is yours to write"
    lines = printed.splitlines(keepends=True)
    if len(pieces) == 1:
        text = printed
    else:
        before, after = (piece.count("\n") for piece in pieces)
        text = "".join([*lines[:before], "…\n", *(lines[-after:] if after else [])])
    page = ROOT / expected.page
    whole = page.read_text(encoding="utf-8")
    assert whole.count(expected.text) == 1, f"{expected.where}: the same text stands twice"
    page.write_text(whole.replace(expected.text, text), encoding="utf-8")


@pytest.mark.parametrize(
    ("expected", "printed", "measured", "same"),
    [
        ("a\nb\n", "a\nb\n", False, True),
        ("a\n", "a\nb\n", False, False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", False, True),
        ("a\n…\nd\n", "a\nb\nc\n", False, False),
        ("a\n…\nc\n…\n", "a\nb\nd\n", False, False),
        ("a … c\n", "a b c\n", False, True),
        ("loss 0.5\n", "loss 0.51\n", False, False),
        ("loss 20.5  3 s\n", "loss  20.1 900 s\n", True, True),
        ("loss 20.5\n", "loss 9.0\n", True, False),
        ("error 2.2 %\n", "error 3.3 %\n", True, True),
        ("error 2.2 %\n", "error 3.9 %\n", True, False),
        ("epoch 26 kept\n", "epoch 24 kept\n", True, True),
        ("epoch 26 kept\n", "epoch 26 lost\n", True, False),
        ("W[64, 64]\n", "W[64, 10]\n", False, False),
    ],
)
def test_how_pages_are_compared(expected: str, printed: str, measured: bool, same: bool) -> None:
    assert matches(expected, printed, measured) == same


# ---- nn

SPEC = """{declarations}
param hidden = 8

data digits {{
{data}
}}

net Digits(image: [b, 8, 8]) -> logits: [b, 10] {{
{net}
}}

train Digits on digits {{
{train}
}}
"""

DATA = """
source table "data/digits.csv.gz"
image = columns p0 to p63 / 16 as [8, 8]
label = column digit as int < 10
split train 70%, val 15%, test 15% stratify label
"""

TRAIN = """
loss cross_entropy(logits, label)
error argmax(logits) != label
optimizer sgd(lr = 0.1)
batch 32
epochs 3
"""


def with_lines(usual: str, given: str) -> str:
    """The usual lines of a block, where the given ones do not say otherwise: by their first word."""
    words = {line.split()[0] for line in given.splitlines() if line.strip() and not line.lstrip().startswith("#")}
    words |= {"epochs"} if "steps" in words else set()
    return "\n".join([*(line for line in usual.split("\n") if not line or line.split()[0] not in words), given])


def whole(fence: Fence) -> str:
    """The file that a block of `nn` is, or belongs to."""
    word, _, rest = fence.marker.removeprefix("nn: ").partition(" ")
    parts = {"declarations": "", "data": DATA, "net": "logits = image -> flatten -> dense(10)", "train": TRAIN}
    if not fence.marker:
        return fence.text
    if word == "net":  # definitions, and a chain that uses them
        parts |= {"declarations": fence.text, "net": f"logits = {rest}"}
    elif word == "line":  # definitions, and a line of `train` that uses them
        parts |= {"declarations": fence.text, "train": with_lines(TRAIN, rest)}
    elif fence.marker == "nn: in net":  # statements that make `logits` of `image`
        parts["net"] = fence.text
    elif fence.marker == "nn: in data":
        parts["data"] = with_lines(DATA, fence.text)
    elif fence.marker == "nn: in train":
        parts["train"] = with_lines(TRAIN, fence.text)
    elif fence.marker == "nn: after train":  # claims, also of other data
        pale = "\ndata pale = digits where { image = 0.5 * image }\n"
        return SPEC.format(**parts) + pale + fence.text
    else:
        raise AssertionError(f"{fence.where}: `{fence.marker}` says nothing that is known")
    return SPEC.format(**parts)


def nn_blocks() -> list[Fence]:
    return [fence for page in PAGES for fence in fences(page) if fence.word == "nn"]


def bare(spec: str) -> str:
    """A spec without its comments."""
    lines = [re.sub(r"\s+#.*$", "", line) for line in spec.splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\n{2,}", "\n\n", re.sub(r"\{\n\n", "{\n", "\n".join(lines))).strip() + "\n"


@pytest.mark.parametrize("fence", nn_blocks(), ids=lambda fence: fence.where)
def test_every_block_of_nn_compiles(
    fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_goldens: bool
) -> None:
    of_file = re.fullmatch(r"nn: (specs/\w+\.nn) without its comments", fence.marker)
    if of_file:
        text = bare((ROOT / of_file[1]).read_text(encoding="utf-8"))
        if update_goldens and fence.text != text:
            page = ROOT / fence.page
            page.write_text(page.read_text(encoding="utf-8").replace(fence.text, text), encoding="utf-8")
        else:
            assert fence.text == text
    else:
        text = whole(fence)
    shutil.copytree(ROOT / "specs" / "data", tmp_path / "data", ignore=NOT_COPIED)
    make_sets(tmp_path / "data")
    make_photos(tmp_path / "photos")
    (tmp_path / "data" / "book.txt").write_text("Once upon a time there was a page.\n" * 20, encoding="utf-8")
    steps = "".join(f"{100 + step % 12}\n" for step in range(144))
    (tmp_path / "data" / "series.csv").write_text(f"passengers\n{steps}", encoding="utf-8")
    (tmp_path / "block.nn").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    try:
        check_file(Path("block.nn"))
    except ProblemError as error:
        raise AssertionError(
            "\n".join(f"{fence.where}: {p.title_text} ({p.label_text})" for p in error.problems)
        ) from None


def test_a_fence_has_a_language_that_is_checked() -> None:
    """Only languages that a test reads: a `nn` block cannot hide as plain text."""
    words = {"sh", "text", "nn", "json", "python", "toml"}
    assert [f.where for page in PAGES for f in fences(page) if f.word not in words] == []
    readers: dict[str, Callable[[str], object]] = {"python": lambda text: compile(text, "page", "exec")}
    for page in PAGES:
        for fence in fences(page):
            readers.get(fence.word, str)(fence.text)


# ---- what must be there


def test_the_readme_has_its_two_commands_each_on_one_line() -> None:
    marked = {f.marker: f.text for f in fences("README.md") if f.marker.startswith("ci: ")}
    assert sorted(marked) == ["ci: test", "ci: train"]
    for text in marked.values():
        assert text.count("\n") == 1
        assert text.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert marked["ci: train"].rstrip().endswith("nn train specs/digits.nn")


def test_links_lead_somewhere() -> None:
    wrong = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)", text):
            if not target.startswith("http") and not ((ROOT / page).parent / target).exists():
                wrong.append(f"{page}: {target}")
    assert wrong == []
