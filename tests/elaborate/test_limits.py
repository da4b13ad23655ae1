"""A spec from a stranger: what would fill the memory or the stack is refused at once."""

import time

import pytest

HEAD = "net N(x: [b, 3]) -> y: [b, 3] {\n"


def nested(number, body, last):
    """Definitions that lead to one another."""
    lines = [f"function f{i}(x) {{ {body.replace('NEXT', f'f{i + 1}(x)')} }}" for i in range(number)]
    return "\n".join(
        [*lines, f"function f{number}(x) {{ {last} }}", HEAD + "  y = f0(x) -> dense(3)\n}".replace("f0(x)", "(f0(x))")]
    )


BOMBS = {
    "a billion layers": HEAD + "repeat 1000{repeat 1000{repeat 1000{x=x->dense(3)}}};y=x}",
    "many layers": HEAD + "repeat 100000{x=x->dense(3)};y=x}",
    "empty turns": HEAD + "repeat 9999999999{};y=x}",
    "turns in turns": HEAD + "repeat 100000{repeat 100000{}};y=x}",
    "repeats across layers": (
        "layer f()(x){repeat 99999{x=x->dense(3)};return x}\n"
        "layer g()(x){repeat 99999{x=x->f};return x}\n" + HEAD + "y=x->g}"
    ),
    "a weight of 40 GB": HEAD + "weight w: [100_000, 100_000] ~ zeros\n y = x -> dense(3)}",
    "a wide layer": HEAD + "y = x -> dense(2_000_000_000) -> dense(3)}",
    "a tensor of 40 GB": HEAD + "y = (x -> dense(3)) + sum(zeros[100_000, 100_000])}",
    "a size beyond 2^31": HEAD + "y = x -> dense(2^40) -> dense(3)}",
    "a tower of powers": HEAD + "y = (x -> dense(3)) * ((4_294_967_295^64)^64)^64}",
    "deep definitions": nested(80, "return NEXT", "return x"),
    "deep expressions in deep definitions": nested(60, f"return {'(' * 20}NEXT{' + 1)' * 20}", "return x"),
    "deep branches": nested(62, f"{'if yes { ' * 20} return {'(' * 14}NEXT{' + 1)' * 14} {'}' * 20}", "return x"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_too_large_is_refused_quickly(bench, name):
    bench.problem(HEAD + "y = x -> nothing}")  # reads the grammar
    start = time.monotonic()
    problem = bench.problem(BOMBS[name])
    assert time.monotonic() - start < 5  # half a second on a machine of its own
    assert problem.code in ("B003", "B020", *(f"B08{i}" for i in range(8)))


def test_what_is_large_but_fits_is_built(bench):
    graphs = bench.graphs(HEAD + "repeat 100 { x = x -> dense(3) -> relu }; y = x -> dense(3)}", after="build")
    assert sum(fed.learned for fed in graphs["train"].inputs) == 202
