"""A text beside a column of texts is its number there."""

import numpy as np
import pytest

from dotnn.compiler import compile_file
from dotnn.plugins import Options, backend
from dotnn_grammar.problems import ProblemError

ROWS = "say,kind\na cat sat,tame\na wolf ran,wild\na cat ran,tame\nthe wolf sat,wild\n"
SPEC = """data beasts {{
  source table "beasts.csv"
  word = column say as words(length = 4)
  kind = column kind as class
}}

{more}
net Beast(word: int[b, t] < vocab, kind: int[b] < 2) -> found: [b, 4] {{
  found = {found}
}}

train Beast on beasts {{
  loss mean((dense_one - 1)^2)
  metric wild = mean(real(kind == "wild"))
  optimizer sgd(lr = 0.1)
  batch 4
  epochs 1
}}
"""


def found(folder, expression, more=""):
    (folder / "beasts.csv").write_text(ROWS)
    text = SPEC.format(found=expression, more=more).replace(
        "  loss mean((dense_one - 1)^2)", "  loss mean((found - 1)^2)"
    )
    text = text.replace(f"  found = {expression}", f"  weight w: [] ~ ones\n  found = w * {expression}")
    (folder / "beasts.nn").write_text(text)
    compiled = compile_file(folder / "beasts.nn")
    rows = compiled.dataset.splits["train"].arrays
    onnx, options = backend("onnx"), Options(threads=1)
    executor = onnx.start(onnx.lower(compiled.program.graphs["predict"], options), options)
    feeds = {"Beast.w": np.ones((), np.float32), **rows}
    return compiled, executor.run({fed.name: feeds[fed.name] for fed in compiled.program.graphs["predict"].inputs})[
        "found"
    ]


CAT = [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
WILD = [[0] * 4, [1] * 4, [0] * 4, [1] * 4]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ('real(word == "cat")', CAT),
        ('real("cat" == word)', CAT),
        ('(1 - real(word != "cat"))', CAT),
        ('real(concat(word[..., 0..2] == "cat", word[..., 2..4] == "cat"))', CAT),
        ('(where_cat(word))', CAT),
        ('(real(kind == "wild")[0..b] -> wide)', WILD),
    ],
)  # fmt: skip
def test_it_stands_for_its_number(tmp_path, expression, wanted):
    more = 'function where_cat(x: int[b, t]) { return real(x == "cat") }\n'
    more += "function wide(x: [b]) { y[b, k] = x[b]  for k in 0..4 ; return y }\n"
    _, made = found(tmp_path, expression, more)
    np.testing.assert_array_equal(made, np.array(wanted, np.float32))


@pytest.mark.parametrize(
    ("expression", "code", "said"),
    [
        ('real(word == "cta")', "B230", "did you mean `cat`?"),
        ('real(word + 1 == "cat")', "B003", "a number or a tensor is needed"),
        ('real(word < "cat")', "B003", "a number or a tensor is needed"),
    ],
)
def test_what_it_cannot_be(tmp_path, expression, code, said):
    with pytest.raises(ProblemError) as refused:
        found(tmp_path, expression)
    problem = refused.value.problems[0]
    assert problem.code == code
    assert said in problem.title_text + problem.help_text
