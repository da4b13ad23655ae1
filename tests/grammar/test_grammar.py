"""The grammar itself, and what the reader makes of every form."""

import importlib.util
import logging
import re
from importlib.resources import files
from pathlib import Path

import pytest
from lark import Lark, logger

from dotnn import spec
from dotnn.graph import describe, dump
from dotnn.read import read_definitions, read_file, read_parts, read_text
from dotnn.read.data import NotYet
from dotnn.spec import Spec
from dotnn_grammar.limits import limits
from dotnn_grammar.parse import grammar, parse
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source

ROOT = Path(__file__).parents[2]
TEXT = files("dotnn_grammar").joinpath("nn.lark").read_text(encoding="utf-8")


def source(text: str) -> Source:
    return Source(name="x.nn", text=text)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ProblemError) as caught:
        read_text(source(text))
    return caught.value.problems


def body(text: str) -> tuple[spec.Statement, ...]:
    return read_text(source(f"layer f(n)(x: [b]) -> [b] {{\n{text}\n}}")).definitions[0].body


def value(text: str) -> spec.Expression:
    assign = body(f"y = {text}")[0]
    assert isinstance(assign, spec.Assign)
    return assign.values[0]


def test_the_grammar_is_short() -> None:
    assert len(TEXT.splitlines()) < 200


def test_the_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    # Lark resolves shift/reduce conflicts silently and tells its log; reduce/reduce conflicts raise.
    caplog.set_level(logging.DEBUG, logger=logger.name)
    logger.setLevel(logging.DEBUG)
    try:
        Lark(TEXT, parser="lalr", lexer="basic", maybe_placeholders=True, debug=True)
    finally:
        logger.setLevel(logging.CRITICAL)
    assert not [r.message for r in caplog.records if "conflict" in r.message.lower()]


@pytest.mark.skipif(importlib.util.find_spec("interegular") is None, reason="strict mode compares terminals with it")
def test_the_grammar_is_strict() -> None:
    strict = Lark(TEXT, parser="lalr", lexer="basic", maybe_placeholders=True, strict=True)
    assert strict.terminals


def test_a_conflict_would_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=logger.name)
    logger.setLevel(logging.DEBUG)
    try:
        Lark(TEXT + '\nstrange: "if" choice block\n_again: if_\n', parser="lalr", lexer="basic", debug=True)
        Lark('start: e\ne: e "+" e | "1"\n', parser="lalr", lexer="basic", debug=True)
    finally:
        logger.setLevel(logging.CRITICAL)
    assert [r.message for r in caplog.records if "conflict" in r.message.lower()]


def test_the_parser_is_built_once() -> None:
    assert grammar() is grammar()


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.nn")), ids=lambda p: p.name)
def test_every_spec_reads_and_goes_through_json(path: Path) -> None:
    whole, sources = read_file(path)
    assert Spec.model_validate_json(dump(whole)) == whole
    assert list(sources) == [str(path)]


@pytest.mark.parametrize("path", sorted((ROOT / "compiler/dotnn/std").glob("*.nn")), ids=lambda p: p.stem)
def test_every_definition_of_the_library_reads(path: Path) -> None:
    definitions = read_definitions(Source(name=f"std/{path.name}", text=path.read_text(encoding="utf-8")))
    assert [d.name for d in definitions] == [path.stem]
    assert definitions[0].doc


def test_digits_is_what_it_says() -> None:
    whole, _ = read_file(ROOT / "specs/digits.nn", "digits.nn")
    (train,) = whole.trains
    assert (train.name, train.data) == ("Digits", "digits")
    assert train.stop is not None
    assert isinstance(train.stop.patience, int)
    assert train.answer is not None
    assert train.answer.column == "label"
    (data,) = whole.data
    assert [c.name for c in data.columns] == ["image", "label"]
    assert data.split is not None
    assert [(s.name, s.share) for s in data.split.shares] == [("train", 0.7), ("val", 0.15), ("test", 0.15)]
    assert data.split.stratify == "label"
    assert whole.params[0].doc.startswith("How many features")
    assert whole.doc.startswith("Recognise a handwritten digit.")


def test_the_schema_is_published() -> None:
    assert "Definition" in describe(Spec)["$defs"]


# ---- lexical


@pytest.mark.parametrize(
    "text",
    [
        "y = x +\n  1",
        "y = x\n  -> f\n  # a comment between\n\n  -> g",
        "y = f(\n x,\n  1\n)",
        "y =\n  x",
        "if n { y = x }\n\n# why\nelse { y = 1 }",
        "y = x ; z = y",
        ";\n\n y = x ;; ",
        "weight W: [n,\n n] ~\n zeros",
        "y = x and\n n",
        "y = f(a, b,)",
        "\ty\t=\tx\r\n",
    ],
)
def test_newlines_end_statements_only_where_they_should(text: str) -> None:
    assert body(text)


def test_newlines_end_statements() -> None:
    assert len(body("y = x\nz = y\n\n# so\nreturn z")) == 3
    assert len(body("y = x ; z = y ; return z")) == 3


@pytest.mark.parametrize(
    ("text", "number", "percent"),
    [("3", 3, False), ("1e-3", 1e-3, False), ("10_000", 10_000, False), ("80%", 0.8, True), ("7%", 0.07, True)],
)
def test_numbers(text: str, number: float, percent: bool) -> None:
    read = value(text)
    assert isinstance(read, spec.Number)
    assert (read.value, read.percent) == (number, percent)
    assert type(read.value) is type(number)


@pytest.mark.parametrize("text", ["7%n", "7%3", "7%(n)", "7 % n", "7 %n"])
def test_remainders_are_no_percentages(text: str) -> None:
    read = value(text)
    assert isinstance(read, spec.Binary)
    assert read.operator == "%"


def test_words_mean_something_only_where_they_stand() -> None:
    text = """
    data = test + seed
    train, loss = column, columns
    to = on
    step = then * until
    where = batch[window]
    return error
    """
    assert len(body(text)) == 6


def test_words_of_blocks_may_name_columns() -> None:
    lines = ('source table "a.csv"', "to = column from", "columns = columns a to b", 'column = column "mean x"')
    text = "data d {" + "\n".join(lines) + "}"
    assert [c.name for c in read_text(source(text)).data[0].columns] == ["to", "columns", "column"]


# ---- expressions


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("-a^2", "-(a^2)"),
        ("a^-b^c", "a^(-(b^c))"),
        ("not a == b", "not (a == b)"),
        ("a or b and not c", "a or (b and (not c))"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("a + 1 .. b * 2", "(a + 1)..(b * 2)"),
        ("a.b[c](d)", "((a.b)[c])(d)"),
        ("a @ b // c % d", "((a @ b) // c) % d"),
        ("a < b and c >= d", "(a < b) and (c >= d)"),
        ("f(lr = a(200) then b(1) then c)", "f(lr = (a(200)) then (b(1)) then (c))"),
        ("f(lr = 0.1 until epoch 10 then 0.01)", "f(lr = (0.1 until epoch 10) then 0.01)"),
        ("x -> f(2) as h -> g", "(x) -> (f(2)) as h -> (g)"),
    ],
)
def test_what_binds_tighter(text: str, same: str) -> None:
    assert bare(value(text)) == bare(value(same))


def bare(part: object) -> object:
    """Without places."""
    if isinstance(part, tuple):
        return [bare(p) for p in part]
    if isinstance(part, spec.Part):
        kept = {n: bare(getattr(part, n)) for n in type(part).model_fields if n not in ("span", "file")}
        return (type(part).__name__, kept)
    return part


def test_spans_are_exact() -> None:
    assign = read_text(source("layer f(n)(x: [b]) -> [b] {\n  y = x + (x -> g(3))\n}")).definitions[0].body[0]
    assert isinstance(assign, spec.Assign)
    add = assign.values[0]
    assert isinstance(add, spec.Binary)
    assert (add.span.column, add.span.end_column) == (7, 22)
    assert isinstance(add.right, spec.Chain)
    call = add.right.stages[0].call
    assert (call.span.column, call.span.end_column) == (17, 21)
    assert (add.left.span.line, add.left.span.column, add.left.span.end_column) == (2, 7, 8)


# ---- definitions


FORMS = """
# It says what it is.
layer norm(eps = 1e-5, over_all = no)(x: [b, c, ...]) -> m: [c], v: [c] {
  weight scale: [c] ~ ones ; weight shift: [2*c, h = 28] ~ normal(std = 0.02)
  state mean: [c] = 0 ; state n = 0, w = zeros[c]
  when training {
    m, v = moments(x, keep = c)
    mean = 0.9 * mean + 0.1 * m
  } else { m, v = mean, mean }
  require c % 2 == 0: "{c} is odd"
  repeat block in 0..3 { x = x + (x -> norm(eps) as inner -> relu) }
  repeat 3 { x = relu(x) }
  repeat 2*n { x = relu(x) }
  score[b, head, i, j] = q[b, i, head, e] * k[b, j, head, e] / sqrt(e)
  later[i, j] = j > i  for i in 0..t, j in 0..t
  look = softmax(hide(score, where = later), over = (h, w))
  y = table[token] + place[0..t] + z[..., 1] + fold(x, [...])
  q, k = x -> unfold([part = 3, head = heads, e]) -> unstack(over = part)
  if eps == 1 { y = x } else if eps == 2 { y = 2*x } else { y = 3*x }
  f = norm(1)
  y = f(x) - f(y) + (a, b)[1] + table.T
}

function plain(x: int[b, t] < vocab, y: u8[b], k = 2) -> bool[b] { return x > k if k else y }
net N(x: [b, 4], t: int[b]) -> y: [b] { y = x }
optimizer o(lr = 1e-3)(w, g) { state m = 0 ; w = w - lr * (m + g) }
"""


def test_every_form_of_a_definition_reads() -> None:
    whole = read_text(source(FORMS))
    layer, function, net, optimizer = whole.definitions
    assert layer.doc == "It says what it is."
    assert [r.name for r in layer.results] == ["m", "v"]
    assert layer.settings is not None
    assert [p.name for p in layer.settings] == ["eps", "over_all"]
    assert function.settings is None
    assert function.inputs[0].type is not None
    assert function.inputs[0].type.word == "int"
    assert net.word == "net"
    assert optimizer.settings is not None
    assert Spec.model_validate_json(dump(whole)) == whole


TRAIN = """
train N on d {{
  fake = N(normal[b, 4])
  loss mean((y - t)^2) where t != 3
  error y != t
  metric off = mean(abs(y - t))
  metric bits = loss / log(2)
  {extra}
  optimizer o(lr = 0.1 until epoch 10 then 0.01)
  batch 32
  steps 5_000
}}
"""


def train(extra: str) -> spec.Train:
    return read_text(source(TRAIN.format(extra=extra))).trains[0]


def test_every_line_of_train_reads() -> None:
    block = train(
        "clip norm 1.0\n decay 0.01 for *.W\n decay 5e-4 for encoder.block[2].*\n keep best val.error\n"
        'stop when val.error < 1%\n answer argmax(y) as label\n seed 3\n start from "runs/a"'
    )
    assert [d.pattern for d in block.decays] == ["*.W", "encoder.block[2].*"]
    assert block.stop is not None
    assert block.stop.patience is None
    assert block.keep is not None
    assert (block.keep.split, block.keep.figure) == ("val", "error")
    assert block.start is not None
    assert block.start.run == "runs/a"
    assert block.answer is not None
    assert block.answer.column == "label"
    assert block.loss is not None
    assert block.loss.where is not None
    assert isinstance(block.clip, spec.Number)
    assert [m.name for m in block.metrics] == ["off", "bits"]
    assert [a.targets[0].name for a in block.assigns] == ["fake"]
    assert block.steps is not None


def test_a_chain_may_be_the_answer() -> None:
    block = train("answer y -> softmax as label")
    assert block.answer is not None
    assert block.answer.column == "label"
    assert isinstance(block.answer.value, spec.Chain)
    assert block.answer.value.stages[-1].name is None


def test_every_line_of_data_reads() -> None:
    text = """
data d {
  source table "a.csv", "b.tsv.gz"
  test table "exam.csv"
  a, b = column x, column "mean radius"
  kind = column name as class
  picture = (columns p0 to p3 - 1) / 2 as [2, 2]
  z = standardise(column x) as [1]
  n = column n as int < 10
  split train 90%, val 10% in order
  seed 4
}
"""
    data = read_text(source(text)).data[0]
    assert [s.role for s in data.sources] == ["source", "test"]
    assert data.sources[0].files == ("a.csv", "b.tsv.gz")
    assert [c.name for c in data.columns] == ["a", "b", "kind", "picture", "z", "n"]
    assert data.split is not None
    assert data.split.in_order
    assert data.seed == 4


def test_all_problems_of_a_block_are_told_at_once() -> None:
    text = 'data d {\n  source tabel "a.csv"\n  split train 80%, val 30%\n  seed x\n}\ntrain on d {\n  batch 0\n}'
    codes = [p.code for p in problems(text)]
    assert codes == ["R020", "R022", "R012", "R012", "R013", "R013", "R013"]


def test_windows() -> None:
    text = """data d {
      source table "a.csv"
      next  = x shifted by k - 1
      twice = 2*x^2 shifted by -1
      x     = column a
      window n by 2
      horizon 3
      split train 90%, test 10% in order
    }"""
    (data,) = read_text(source(text)).data
    assert data.windows is not None
    assert isinstance(data.windows.size, spec.Name)
    assert [n.value for n in (data.windows.by, data.windows.horizon) if isinstance(n, spec.Number)] == [2, 3]
    following, twice = data.columns[0].value, data.columns[1].value
    # It holds what stands before it closer than any sign, and its distance is one word.
    assert isinstance(following, spec.Binary)
    assert isinstance(following.left, spec.Shifted)
    assert isinstance(following.left.by, spec.Name)
    assert isinstance(twice, spec.Binary)
    assert isinstance(twice.right, spec.Binary)


@pytest.mark.parametrize(
    ("line", "batched"), [("batch 32", "rows"), ("batch n by length", "length"), ("batch 4_000 tokens", "tokens")]
)
def test_what_a_batch_counts(line: str, batched: str) -> None:
    text = TRAIN.format(extra="").replace("batch 32", line)
    (train,) = read_text(source(text)).trains
    assert train.batched == batched
    assert [p.code for p in problems(text.replace(line, f"{line} of each"))] == ["R012"]


# ---- what this version has not


@pytest.mark.parametrize(
    "line",
    [
        'source json "a.jsonl"',
        'source table "a.json"',
    ],
)
def test_other_data_is_not_in_this_version(line: str) -> None:
    (problem,) = problems(f"data d {{\n  {line}\n  x = column x\n}}")
    assert isinstance(problem, NotYet)


@pytest.mark.parametrize(
    "line",
    [
        "metric m = y on",
        "metric m = y on val on val",
        "metric m = y every 2",
        "metric m = y every 0 epochs",
        "metric m = y epochs",
    ],
)
def test_when_a_metric_is_measured_is_said_in_one_form(line: str) -> None:
    text = TRAIN.format(extra="").replace("batch 32", f"batch 32\n  {line}")
    assert "R012" in [p.code for p in problems(text)]


# ---- hostile input


def test_depth_is_limited() -> None:
    assert isinstance(value("(" * (limits().depth - 1) + "x" + ")" * (limits().depth - 1)), spec.Name)
    (problem,) = problems("param a = " + "(" * 5000)
    assert problem.code == "G031"


@pytest.mark.parametrize(
    "text",
    [
        "1" + " + 1" * 5000,
        "-" * 5000 + "1",
        "not " * 5000 + "x",
        "x" + ".T" * 5000,
        "2" + "^2" * 5000,
        "x if y else " * 5000 + "z",
    ],
    ids=["sum", "minus", "not", "members", "power", "choose"],
)
def test_long_expressions_are_refused(text: str) -> None:
    (problem,) = problems(f"param a = {text}")
    assert problem.code == "G033"


def test_the_deepest_that_is_read_goes_through_json() -> None:
    for text in ("1" + " + 1" * 100, "[" * 50 + "x" + "]" * 50, "f(" * 50 + "x" + ")" * 50, "-" * 100 + "1"):
        try:
            whole = read_text(source(f"param a = {text}"))
        except ProblemError:
            continue
        assert Spec.model_validate_json(dump(whole)) == whole


def test_sizes_are_limited() -> None:
    assert problems("#" + " " * limits().file)[0].code == "G030"
    assert problems(f"param {'a' * 70_000} = 1")[0].code == "G032"
    assert problems("param a = 1\n# \0")[0].code == "G034"
    assert problems(f"param a = {'9' * 400}")[0].code == "R001"
    assert problems("param a = 1e999")[0].code == "R001"


def test_broken_texts_end_in_a_located_problem() -> None:
    """Every cut, and every doubled or missing line, of a file that is right."""
    text = (ROOT / "specs/digits.nn").read_text(encoding="utf-8")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")) + FORMS
    lines = text.splitlines()
    mutants = [text[:place] for place in range(0, len(text), 17)]
    mutants += [text[:place] + text[place + 1 :] for place in range(0, len(text), 23)]
    mutants += ["\n".join(lines[:n] + lines[n + 1 :]) for n in range(len(lines))]
    mutants += ["\n".join([*lines[: n + 1], *lines[n:]]) for n in range(len(lines))]
    mutants += [text[:place] + sign + text[place:] for place in range(0, len(text), 229) for sign in "(}]=->;%*\"'!é"]
    refused = 0
    for mutant in mutants:
        try:
            read_text(source(mutant))
        except ProblemError as wrong:
            refused += 1
            for problem in wrong.problems:
                assert problem.span is not None
                assert 1 <= problem.span.line <= len(mutant.split("\n"))
                assert problem.title_text
                assert not re.search(r"_NL|\$END|LPAR|__ANON|[A-Z]{4,}", problem.label_text.replace("NAME", ""))
    assert refused > len(mutants) // 2


def test_use_lines_are_kept() -> None:
    parts = read_parts(source('use "a.nn"\nuse attend, cross from "b/c.nn"\n'))
    assert [(u.names, u.file) for u in parts.uses] == [((), "a.nn"), (("attend", "cross"), "b/c.nn")]


def test_parse_knows_places() -> None:
    tree = parse(source("param a = 1\n"))
    assert (tree.meta.line, tree.meta.column) == (1, 1)


def test_a_star_alone_may_end_a_line():
    text = "train N on d {\n  loss y\n  optimizer o\n  decay 0.1 for *\n  batch 2\n  steps 1\n}\n"
    (train,) = read_text(Source(name="a.nn", text=text)).trains
    assert [decay.pattern for decay in train.decays] == ["*"]
