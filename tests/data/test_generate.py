"""Rows that a spec makes itself: the same draws whatever else changes, and the numbers that the formulas say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data import Dataset, generate
from dotnn.inputs.block import DataBlock
from dotnn.ops.random import use_of
from dotnn.plugins import Hosting, Options, backend
from dotnn.read import read_text
from dotnn.squares import derive_key, squares
from dotnn_grammar.limits import Limits, allowing
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source

Array = np.ndarray[Any, Any]
Drawn = dict[str, Array]

BASE = """
data d {
  source generate 40
  size = uniform(2, 4)
  kind = chance(30%) as int < 2
  noise = normal(kind, 0.5)[3]
  point = [size, 2 * size]
  split train 75%, test 25%
  seed 7
}
"""


def block_of(text: str, name: str = "d", **params: Any) -> DataBlock:
    spec = read_text(Source(name="d.nn", text=text))
    return DataBlock(next(data for data in spec.data if data.name == name), Path(), spec, params)


def dataset(text: str, name: str = "d", **params: Any) -> Dataset:
    block = block_of(text, name, **params)
    raws = {n: block.drawn(n, len(block.lineage.wordings[n]) - 1) for n in block.columns}
    return block.load(raws, {n: c.span for n, c in block.columns.items()})


def draw(text: str, name: str = "d", **params: Any) -> Drawn:
    """Every column, all rows in order."""
    text = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("split"))
    return dataset(text, name, **params).splits["train"].arrays


def uniform(use: str, seed: int, rows: int, each: int, bits: int = 24) -> Array:
    """By the formula of ops/random.py, with the row for the step."""
    counters = (np.arange(rows, dtype=np.uint64)[:, None] << np.uint64(32)) + np.arange(each, dtype=np.uint64)
    if bits == 24:
        return (squares(counters, derive_key(seed) + use_of(use)) >> np.uint64(8)) * 2.0**-24
    return (squares(counters, derive_key(seed) + use_of(use)) >> np.uint64(16)) * 2.0**-16


def refused(text: str, code: str, act: Callable[[str], Any] = draw) -> Problem:
    with pytest.raises(ProblemError) as caught:
        act(text)
    (problem,) = caught.value.problems
    assert problem.code == code, problem.title_text
    return problem


# ---- what is drawn


def test_a_draw_is_one_a_row_by_seed_column_and_row() -> None:
    made = draw(BASE)
    even = uniform("size#0", 7, 40, 1)[:, 0].astype(np.float32)
    assert np.array_equal(made["size"], np.float32(2) + np.float32(2) * even)
    assert np.array_equal(made["kind"], (uniform("kind#0", 7, 40, 1, bits=16)[:, 0] < 0.3).astype(np.int64))
    first, second = (uniform(f"noise#{n}", 7, 40, 3).astype(np.float32) for n in (0, 1))
    bell = np.sqrt(-2 * np.log(1 - first)) * np.cos(np.float32(2 * np.pi) * second)
    assert np.allclose(made["noise"], made["kind"][:, None] + 0.5 * bell, rtol=0, atol=1e-6)
    assert np.array_equal(made["point"], np.stack([made["size"], 2 * made["size"]], 1))
    assert {name: str(array.dtype) for name, array in made.items()} == {
        "size": "float32",
        "kind": "int64",
        "noise": "float32",
        "point": "float32",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("source generate 40", "source generate 55"),
        ("  size = uniform(2, 4)\n", "  fresh = normal(0, 1)[5]\n  size = uniform(2, 4)\n"),
        ("train 75%, test 25%", "train 50%, val 25%, test 25%  stratify kind"),
        (
            "  kind = chance(30%) as int < 2\n  noise = normal(kind, 0.5)[3]\n",
            "  noise = normal(kind, 0.5)[3]\n  kind = chance(30%) as int < 2\n",
        ),
        ("  split train 75%, test 25%\n", ""),
    ],
    ids=["more rows", "another column", "another split", "another order", "no split"],
)
def test_nothing_else_changes_a_draw(before: str, after: str) -> None:
    assert before in BASE
    one, two = draw(BASE), draw(BASE.replace(before, after))
    for name, array in one.items():
        assert np.array_equal(two[name][:40], array), name


def test_another_seed_draws_other_numbers() -> None:
    one, two = draw(BASE), draw(BASE.replace("seed 7", "seed 8"))
    assert not np.array_equal(one["size"], two["size"])
    assert abs(np.corrcoef(one["size"], two["size"])[0, 1]) < 0.5


def test_columns_of_one_row_are_drawn_apart() -> None:
    made = draw(
        """data d {
      source generate 4_000
      a, d = uniform(0, 1), uniform(0, 1)
      c = uniform(0, 1) - uniform(0, 1)
    }"""
    )
    assert abs(np.corrcoef(made["a"], made["d"])[0, 1]) < 0.05
    assert made["c"].std() == pytest.approx(np.sqrt(1 / 6), rel=0.03)
    assert made["a"].mean() == pytest.approx(0.5, abs=0.02)


def test_blocks_of_any_size_hold_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(BASE)
    monkeypatch.setattr(generate, "BLOCK", 200)
    small = draw(BASE)
    assert all(np.array_equal(whole[name], small[name]) for name in whole)


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are, about ``BLOCK`` numbers are computed at once."""
    monkeypatch.setattr(generate, "BLOCK", 2_000)
    block = block_of(BASE)
    drawer = block.generator.drawer([block.drawn("noise", 0)], {})
    sizes = [len(made["noise"]) for _, made in drawer.blocks(0, 200)]
    assert sum(sizes) == 200
    assert max(sizes) < 100


def test_an_equation_is_worked_out_for_each_row() -> None:
    made = draw("""
    data d {
      source generate 30
      cx, cy = uniform(1, 5), uniform(1, 3)
      spot[y, x] = exp(-((x - cx)^2 + (y - cy)^2) / 4)  for y in 0..4, x in 0..6
      ticks[y, x] = 1 if y > 2 and x % 2 == 0 else 0    for y in 0..4, x in 0..6
      both[y, x] = spot[y, x] + ticks[y, x] * cx        for y in 0..4, x in 0..6
      image = 2 * both as [1, 4, 6]
    }""")
    y, x = np.mgrid[0:4, 0:6]
    cx, cy = (made[name][:, None, None].astype(np.float64) for name in ("cx", "cy"))
    spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4)
    assert np.allclose(made["spot"], spot, rtol=1e-5, atol=1e-7)
    assert np.array_equal(made["ticks"], np.broadcast_to((y > 2) & (x % 2 == 0), (30, 4, 6)))
    assert np.allclose(made["image"], 2 * (spot + made["ticks"] * cx)[:, None], rtol=1e-5, atol=1e-6)


def test_functions_of_the_file_and_params_take_part() -> None:
    text = """
    param rows = 12
    param wide = 3
    function doubled(x) { return 2 * x }
    data d {
      source generate rows
      a = uniform(0, wide)[wide]
      total = sum(doubled(a), over = -1) -> doubled
    }"""
    made = draw(text, rows=12, wide=3)
    assert made["a"].shape == (12, 3)
    assert np.allclose(made["total"], 4 * made["a"].sum(1), rtol=1e-6)


def test_yes_and_no_whole_and_small_numbers() -> None:
    made = draw("""
    data d {
      source generate 500
      coin = chance(50%)
      level = floor(uniform(0, 10)) as int < 10
      shade = floor(uniform(0, 256)) as u8
      pair = chance(20%)[2] as bool
      pay = 3 if coin else 1
      same = 5
    }""")
    assert {n: str(a.dtype) for n, a in made.items() if n != "pay"} == {
        "coin": "bool", "level": "int64", "shade": "uint8", "pair": "bool", "same": "int64",
    }  # fmt: skip
    assert set(made["level"]) == set(range(10))
    assert np.array_equal(made["pay"], np.where(made["coin"], 3, 1))
    assert made["pair"].shape == (500, 2)
    assert set(made["same"]) == {5}


def test_each_column_stops_where_it_says_itself() -> None:
    text = "data d {\n  source generate 50\n  a = floor(uniform(0, 10)) as int < 10\n  c = a as int < 5\n}"
    assert "`c`" in refused(text, "D070").title_text


def test_a_draw_inside_an_equation_is_asked_onto_a_line_of_its_own() -> None:
    text = """data d {
      source generate 20
      LINES  for y in 0..3, x in 0..2
    }"""
    problem = refused(text.replace("LINES", "a[y, x] = uniform(0, 1) * y + x"), "B093")
    assert "on a line above" in str(problem.help_text)
    made = draw(text.replace("LINES", "u = uniform(0, 1)\n      a[y, x] = u * y + x"))
    assert np.allclose(made["a"], made["u"][:, None, None] * np.arange(3)[:, None] + np.arange(2), atol=1e-6)


def test_rows_for_the_exam_are_drawn_after_the_others() -> None:
    more = draw(BASE.replace("generate 40", "generate 50"))
    apart = dataset(
        BASE.replace("generate 40", "generate 40\n  test generate 10").replace("split train 75%, test 25%", "")
    )
    assert apart.splits["train"].count == 40
    assert np.array_equal(apart.splits["test"].arrays["noise"], more["noise"][40:])


def test_the_split_is_that_of_a_table_and_evens_out_a_drawn_column() -> None:
    parts = dataset(BASE.replace("test 25%", "test 25%  stratify kind")).splits
    whole = draw(BASE)["kind"]
    assert parts["train"].count + parts["test"].count == 40
    for part, share in (("train", 0.75), ("test", 0.25)):
        assert abs(parts[part].arrays["kind"].sum() - share * whole.sum()) < 1


def test_the_fingerprint_tells_other_rows_apart() -> None:
    assert dataset(BASE).fingerprint == dataset(BASE).fingerprint
    assert dataset(BASE).fingerprint != dataset(BASE.replace("seed 7", "seed 6")).fingerprint


# ---- data made from other data


SHIFTED = (
    BASE.replace("split train 75%, test 25%", "split train 75%, test 25%  stratify kind")
    + """
data moved = d where { size = size * 10 + 1 }
data noisy = d where { noise = noise + normal(0, 1)[3]; kind = chance(90%) as int < 2 }
data twice = noisy where { noise = 2 * noise }
"""
)


def test_a_shift_replaces_a_column_and_what_reads_it() -> None:
    here, there = draw(SHIFTED), draw(SHIFTED, "moved")
    assert np.array_equal(there["size"], here["size"] * np.float32(10) + np.float32(1))
    assert np.array_equal(there["point"], np.stack([there["size"], 2 * there["size"]], 1))
    assert np.array_equal(there["noise"], here["noise"])
    assert np.array_equal(there["kind"], here["kind"])


def test_a_shift_draws_anew_and_leaves_other_draws() -> None:
    here, there, twice = draw(SHIFTED), draw(SHIFTED, "noisy"), draw(SHIFTED, "twice")
    first, second = (uniform(f"noise'#{n}", 7, 40, 3).astype(np.float32) for n in (0, 1))
    fresh = np.sqrt(-2 * np.log(1 - first)) * np.cos(np.float32(2 * np.pi) * second)
    moved = here["noise"] - here["kind"][:, None] + there["kind"][:, None]  # its mean is `kind`, which was replaced too
    assert np.allclose(there["noise"], moved + fresh, atol=1e-5)
    assert np.array_equal(there["kind"], (uniform("kind'#0", 7, 40, 1, bits=16)[:, 0] < 0.9).astype(np.int64))
    assert np.array_equal(twice["noise"], 2 * there["noise"])
    assert np.array_equal(twice["size"], here["size"])


@pytest.mark.parametrize("name", ["moved", "noisy", "twice"])
def test_a_shift_keeps_the_split_even_where_it_evened_out_what_is_replaced(name: str) -> None:
    here, there = dataset(SHIFTED), dataset(SHIFTED, name)
    unmoved = "noise" if name == "moved" else "size"
    for part in ("train", "test"):
        assert np.array_equal(here.splits[part].arrays[unmoved], there.splits[part].arrays[unmoved])


# ---- what cannot be


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a = log(uniform(-1, 0))", "no finite number"),
        ("a = 1 / chance(50%)", "no finite number"),
        ("a = uniform(0, 10) as int < 10", "not whole"),
        ("a = floor(uniform(0, 10)) as int < 5", "outside 0 to 4"),
        ("a = floor(uniform(-9, 0)) as u8", "outside 0 to 255"),
        ("a = floor(uniform(0, 9)) as bool", "outside 0 to 1"),
    ],
)
def test_a_number_that_cannot_be_is_shown_with_its_row(line: str, says: str) -> None:
    problem = refused(f"data d {{\n  source generate 50\n  {line}\n}}", "D070")
    assert says in problem.title_text
    assert "`a`" in problem.title_text
    assert problem.span is not None
    assert problem.span.line == 3


def test_a_column_reads_itself_in_no_roundabout_way() -> None:
    refused("data d {\n  source generate 5\n  a = c + 1\n  c = 2 * a\n}", "B015")
    circle = BASE + "data e = d where { size = noise[0..1]; noise = normal(size, 1)[3] }"
    refused(circle, "B015", lambda text: draw(text, "e"))


@pytest.mark.parametrize("text", ["10_000_000_000", "3_000_000_000"])
def test_too_many_rows_are_refused_before_any_is_drawn(text: str) -> None:
    refused(f"data d {{\n  source generate {text}\n  a = uniform(0, 1)[1_000]\n}}", "B085")


def test_more_numbers_than_allowed_are_refused() -> None:
    with allowing(Limits(numbers=1000)):
        refused(BASE.replace("generate 40", "generate 400"), "B084")


# ---- as a program


TRAIN = """
net N(point: [b, 2], noise: [b, 3]) -> guess: [b] {
  weight w: [2] ~ normal(0, 1)
  guess = sum(point * w, over = -1) + sum(noise, over = -1)
}
train N on d {
  loss mean((guess - kind)^2)
  optimizer sgd(lr = 1e-3)
  batch 8
  epochs 2
}
"""


def test_a_host_is_given_the_drawn_columns(tmp_path: Path) -> None:
    (tmp_path / "s.nn").write_text(BASE + TRAIN, encoding="utf-8")
    made = compile_file(tmp_path / "s.nn")
    inputs = {raw.name: raw for raw in made.program.inputs}
    assert {name: (raw.dtype, raw.dims, raw.role) for name, raw in inputs.items()} == {
        "point": ("f32", (2,), "data"),
        "noise": ("f32", (3,), "data"),
        "kind": ("i64", (), "label"),
    }
    assert inputs["point"].columns == ("point[0]", "point[1]")
    assert inputs["kind"].bound == 2
    drawn = dataset(BASE).splits["train"].arrays
    for name, array in made.dataset.splits["train"].arrays.items():
        assert np.array_equal(array, drawn[name]), name


def test_check_draws_a_sample_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    blocks = generate.Drawer.blocks

    def counting(drawer: generate.Drawer, start: int, stop: int) -> Any:
        drawn.append(stop - start)
        return blocks(drawer, start, stop)

    monkeypatch.setattr(generate.Drawer, "blocks", counting)
    (tmp_path / "s.nn").write_text((BASE + TRAIN).replace("generate 40", "generate 40_000"), encoding="utf-8")
    check_file(tmp_path / "s.nn")
    assert drawn == [generate.SAMPLE]


def test_what_is_fitted_on_generated_rows_is_fitted_on_those_that_train(tmp_path: Path) -> None:
    text = BASE.replace("  split", "  even = standardise(noise)\n  split") + TRAIN.replace("noise", "even")
    (tmp_path / "s.nn").write_text(text, encoding="utf-8")
    made = compile_file(tmp_path / "s.nn")
    assert "noise" in {raw.name for raw in made.program.inputs}
    arrays = [np.asarray(n.attributes["values"]) for n in made.program.graphs["predict"].nodes if n.op == "array"]
    noise = made.dataset.splits["train"].arrays["noise"].astype(np.float64)
    assert np.allclose(arrays[0], noise.mean(0), rtol=1e-6)
    assert np.allclose(arrays[1], noise.std(0), rtol=1e-6)
    assert json.loads(made.program.model_dump_json())["inputs"]


def test_the_host_is_given_the_rows_as_files(tmp_path: Path) -> None:
    (tmp_path / "s.nn").write_text(BASE + TRAIN, encoding="utf-8")
    made = compile_file(tmp_path / "s.nn")
    writer = backend("onnx")
    assert isinstance(writer, Hosting)
    rows = made.dataset.splits["train"].arrays
    writer.write(made.program, made.source, tmp_path / "bundle", Options(), "python", rows)
    for name in ("point", "noise", "kind"):
        assert np.array_equal(np.load(tmp_path / "bundle" / "data" / f"{name}.npy"), rows[name])
