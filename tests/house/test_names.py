"""No layer, loss, optimizer, schedule or initialiser of the standard library is named outside it.

A name of std that is no operation may not stand in code: as a name, an attribute, an argument or in a text. In
comments and docstrings it may only be shown as an example of the language, between backticks.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from dotnn.elaborate.library import standard_names
from dotnn.elaborate.vocabulary import PRIMITIVES
from dotnn.operation import known
from dotnn_grammar.layout import DATA_WORDS, TRAIN_WORDS

ROOT = Path(__file__).parents[2]

ENGLISH = {
    "agree", "chance", "constant", "cover", "he", "linear", "normal", "ones", "precision", "recall", "shift", "uniform",
    "zeros",
}  # fmt: skip
"""Names of std that Python code cannot do without (``np.zeros``, "normal" in a sentence): never a text of their own."""

PRESCRIBED = {
    ("backends/dotnn_training_info/evaluator.py", "max_pool"),
    ("backends/dotnn_training_info/optimizers.py", "nesterov"),
    ("backends/dotnn_onnx/device.py", "conv"),
    ("backends/dotnn_torch/convolve.py", "conv"),
    ("backends/dotnn_torch/convolve.py", "flatten"),
    ("backends/dotnn_torch/script/convolve.py", "conv"),
    ("backends/dotnn_torch/script/words.py", "flatten"),
    ("grammar/dotnn_grammar/parse.py", "positions"),
}
"""Words that others prescribe: modes and options of ONNX, onnxruntime and Lark, functions of PyTorch."""

SETTINGS = {*DATA_WORDS, *TRAIN_WORDS}
"""Words of the language, whatever std may call by them."""

OPERATIONS = {"hide", "norm"}
"""Operations in all but the writing: the language counts them among its own, and std spells them out."""

NAMES = {n for n in standard_names() if n not in (*PRIMITIVES, *SETTINGS, *OPERATIONS) and not known(n)}
STRICT = NAMES - ENGLISH

WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")


def sources() -> list[Path]:
    rooms = [ROOT / room for room in ("grammar", "compiler", "backends")]
    return sorted(p for room in rooms for pattern in ("*.py", "*.lark") for p in room.rglob(pattern))


def strict(text: str) -> set[str]:
    """The strict names among the words of a text; `_adam` and `adam_step` hold the word too."""
    words = {word for found in WORD.findall(text) for word in (found, *found.split("_"))}
    words |= {n for n in STRICT if "_" in n and re.search(rf"(?<![a-z0-9]){n}(?![a-z0-9])", text)}
    return words & STRICT


def outside_ticks(prose: str) -> str:
    """A comment without its examples of the language."""
    return re.sub(r"``.*?``|`.*?`", " ", prose, flags=re.DOTALL)


def named(text: str) -> Iterator[tuple[int, str]]:
    """Every place in Python code where std is named."""
    tree = ast.parse(text)
    docs, lists = set(), set()
    for node in ast.walk(tree):
        for body in [getattr(node, "body", None)]:
            for item in body if isinstance(body, list) else []:
                if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                    docs.add(id(item.value))
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            lists |= {id(n) for n in ast.walk(node.value)}  # names of modules
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=str() as value) if id(node) in docs:
                yield from ((line, name) for name in strict(outside_ticks(value)))
            case ast.Constant(value=str() as value) if id(node) not in lists:
                yield from ((line, name) for name in strict(value) | ({value} & NAMES))
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.keyword(arg=str() as word):
                yield from ((line, name) for name in strict(word))
            case ast.FunctionDef(name=word) | ast.ClassDef(name=word) | ast.alias(name=word):
                yield from ((line, name) for name in strict(word.lower()))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from ((token.start[0], name) for name in strict(outside_ticks(token.string)))


def test_no_definition_of_the_standard_library_is_named_in_code() -> None:
    assert len(sources()) > 60
    found = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            places = list(named(text))
        else:
            places = [(n, name) for n, line in enumerate(text.splitlines(), 1) for name in strict(line)]
        file = path.relative_to(ROOT).as_posix()
        found += [f"{file}:{line}: {name}" for line, name in places if (file, name) not in PRESCRIBED]
    assert found == []


def test_the_walk_covers_the_standard_library() -> None:
    assert len(standard_names()) >= 24
    assert {"dense", "adam", "cosine", "cross_entropy", "glorot", "dropout", "warmup", "relu"} <= STRICT


@pytest.mark.parametrize(
    "text",
    [
        'if name == "adam": pass',
        'if name == "zeros": pass',
        "f'{x} adamw {y}'",
        "RULES = {'he': 1}",
        "def _dense(x): ...",
        "x.cross_entropy",
        "f(dropout=1)",
        "class Adam: ...",
        "x = 1  # as glorot does",
        '"""Like sgd."""',
        "help = 'such as dense(64)'",
    ],
)
def test_a_name_is_seen_wherever_it_stands(text: str) -> None:
    assert len(list(named(text))) >= 1


@pytest.mark.parametrize(
    "text", ["np.zeros(3)", "def chance(self): ...", '"""`dense(64) as hidden`"""', "condensed = 1"]
)
def test_a_word_of_python_or_an_example_is_none(text: str) -> None:
    assert list(named(text)) == []
