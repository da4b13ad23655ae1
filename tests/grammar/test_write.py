"""A Spec printed and read again is the same Spec."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnn import spec
from dotnn.read import read_text
from dotnn.write import write_expression, write_spec
from dotnn_grammar.source import Source, Span

ROOT = Path(__file__).parents[2]
HERE = Span(file="x", line=1, column=1, end_line=1, end_column=1)
FILES = [*sorted((ROOT / "specs").glob("*.nn")), *sorted((ROOT / "compiler/dotnn/std").glob("*.nn"))]
FILES += sorted((ROOT / "tests/problems").glob("*.fix"))


def bare(part: object) -> object:
    """Without places."""
    if isinstance(part, tuple):
        return [bare(p) for p in part]
    if isinstance(part, spec.Part | spec.Spec):
        kept = {n: bare(getattr(part, n)) for n in type(part).model_fields if n not in ("span", "file")}
        return (type(part).__name__, kept)
    return part


def read(text: str) -> spec.Spec:
    return read_text(Source(name="x", text=text))


def value(text: str) -> spec.Expression:
    return read(f"param x = {text}").params[0].value


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_files_print_and_read_again(path: Path) -> None:
    whole = read(path.read_text(encoding="utf-8"))
    text = write_spec(whole)
    assert bare(read(text)) == bare(whole)
    assert write_spec(read(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "a + b * c", "(a + b) * c", "a - (b - c)", "-a^2", "(-a)^2", "a^b^c", "(a^b)^c", "-(-a)" , "not (a and b)",
        "(a == b) == c", "(a if b else c) if d else e", "a if b else c if d else e", "f(x, over = (h, w))",
        "x[i, 0..t, ...]", "(x -> f -> g(2) as h) + 1", "(x + 1) -> f", "7%", "12.5%", "0.1%", "1000%", "(7%)(a)",
        "f(lr = a(2) then (b then c) then 0.1 until epoch 10)", "f(1 until epoch (2 * n))", "[a, b = 2, [c]]",
        "1e-05", '"a \\"b\\" \\\\"', "(a, b)", "yes", "a.b.T", "(a..b)[1]",
    ],
)  # fmt: skip
def test_expressions_print_with_the_parentheses_that_they_need(text: str) -> None:
    assert bare(value(write_expression(value(text)))) == bare(value(text))
    assert write_expression(value(text)).replace(" ", "") == text.replace(" ", "").replace("-(-a)", "--a")


def make(kind: type[Any], **fields: Any) -> Any:
    return kind(span=HERE, **fields)


names = st.sampled_from(["a", "b", "column", "then", "where", "train"])
leaves: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda n: make(spec.Name, name=n), names),
    st.builds(lambda v: make(spec.Number, value=v), st.integers(0, 2**63 - 1)),
    st.builds(lambda v: make(spec.Number, value=v), st.floats(0, 1e300)),
    st.builds(lambda v: make(spec.Number, value=float(f"{v}e-5"), percent=True), st.integers(0, 10**8)),
    st.builds(lambda v: make(spec.Text, value=v), st.text('ab"\\\n\t{é#;', max_size=5)),
    st.builds(lambda v: make(spec.Truth, value=v), st.booleans()),
)


SIGNS = ["+", "-", "*", "/", "//", "%", "@", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"]


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    many = st.lists(inner, min_size=2, max_size=3).map(tuple)
    argument = st.builds(lambda n, v: make(spec.Argument, name=n, value=v), st.none() | names, inner)
    few = st.lists(argument, max_size=3).map(tuple)
    items = st.lists(inner | st.just(make(spec.Rest)), min_size=1, max_size=3).map(tuple)
    stage = st.builds(lambda c, n: make(spec.Stage, call=c, name=n), inner, st.none() | names)
    stages = st.lists(stage, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(lambda o, x, y: make(spec.Binary, operator=o, left=x, right=y), st.sampled_from(SIGNS), inner, inner),
        st.builds(lambda o, x: make(spec.Unary, operator=o, operand=x), st.sampled_from(["-", "not"]), inner),
        st.builds(lambda f, a: make(spec.Call, function=f, arguments=a), inner, few),
        st.builds(lambda x, i: make(spec.Index, value=x, items=i), inner, items),
        st.builds(lambda x, n: make(spec.Member, value=x, name=n), inner, names),
        st.builds(lambda a, b, c: make(spec.Choose, condition=a, then=b, otherwise=c), inner, inner, inner),
        st.builds(lambda a, b: make(spec.Range, start=a, stop=b), inner, inner),
        st.builds(lambda a: make(spec.List, items=a), few),
        st.builds(lambda a: make(spec.Several, items=a), many),
        st.builds(lambda a, s: make(spec.Chain, start=a, stages=s), inner, stages),
        st.builds(lambda p: make(spec.Then, phases=p), many),
        st.builds(lambda v, c: make(spec.Until, value=v, unit="epoch", count=c), inner, inner),
    )


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(st.recursive(leaves, grow, max_leaves=12))
def test_whatever_is_printed_reads_back(expression: Any) -> None:
    assert bare(value(write_expression(expression))) == bare(expression)
