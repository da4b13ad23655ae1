"""`nn probe`: what it says of a net's inside is what NumPy computes from the same weights."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest

from dotnn.insight.save import as_npz

FIRST, TURN, LAST = "Sides.hidden", "Sides.turn[{}].h.dense", "Sides.scores.dense"


def asked(nn, trained, *words):
    code, out, err = nn("probe", trained.run, *words, "--format", "json")
    assert (code, err) == (0, "")
    return {path: np.array(numbers) for path, numbers in json.loads(out).items()}


def forward(w, place):
    """Everything on the way, by its path."""
    made = {"Sides.hidden": place @ w[f"{FIRST}.W"] + w[f"{FIRST}.b"]}
    h = made["Sides.bent"] = np.tanh(made["Sides.hidden"])
    for turn in range(2):
        part = TURN.format(turn)
        made[f"Sides.turn[{turn}].h.twice.half"] = 2 * h
        made[part] = 2 * h @ w[f"{part}.W"] + w[f"{part}.b"]
        h = made[f"Sides.turn[{turn}].h"] = h + made[part]
    made["scores"] = h @ w[f"{LAST}.W"] + w[f"{LAST}.b"]
    return made


def softmax(scores):
    made = np.exp(scores - scores.max(1, keepdims=True))
    return made / made.sum(1, keepdims=True)


def losses(w, place, kind):
    shares = softmax(forward(w, place)["scores"])
    return -np.log(shares[np.arange(len(kind)), kind])


def slope(f, x, step=1e-6):
    """Finite differences of a sum."""
    made = np.empty_like(x)
    for place in np.ndindex(x.shape):
        moved = x.copy()
        moved[place] += step
        up = f(moved)
        moved[place] -= 2 * step
        made[place] = (up - f(moved)) / (2 * step)
    return made


def test_every_named_tensor_is_what_numpy_computes(nn, trained):
    paths = list(forward(trained.weights, np.ones((1, 2))))
    found = asked(nn, trained, *paths, "place", "loss", "kind", "answer", "--all")
    assert list(found["examples"]) == list(range(12))
    expected = forward(trained.weights, found["place"])
    for path in paths:
        np.testing.assert_allclose(found[path], expected[path], rtol=2e-5, atol=1e-6, err_msg=path)
    assert found["loss"] == pytest.approx(losses(trained.weights, found["place"], found["kind"]).mean(), rel=1e-5)
    assert (found["answer"] == expected["scores"].argmax(1)).all()


def test_examples_are_those_that_were_asked_for(nn, trained):
    whole = asked(nn, trained, "scores", "--all")["scores"]
    some = asked(nn, trained, "scores", "--example", "7", "--example", "2..4")
    assert list(some["examples"]) == [7, 2, 3]
    np.testing.assert_allclose(some["scores"], whole[[7, 2, 3]], rtol=1e-5)
    assert len(asked(nn, trained, "scores", "--on", "train", "--all")["scores"]) == 36


def test_weights_are_there_as_they_are(nn, trained):
    found = asked(nn, trained, f"{LAST}.W", "hidden.b")
    np.testing.assert_array_equal(found[f"{LAST}.W"], trained.weights[f"{LAST}.W"])
    np.testing.assert_array_equal(found["hidden.b"], trained.weights["Sides.hidden.b"])


def test_the_gradient_by_a_column_is_that_of_each_examples_own_loss(nn, trained):
    found = asked(nn, trained, "grad(loss, place)", "place", "kind", "--all", "--backend", "reference")
    expected = slope(lambda x: losses(trained.weights, x, found["kind"]).sum(), found["place"])
    np.testing.assert_allclose(found["grad(loss, place)"], expected, rtol=1e-4, atol=1e-6)
    alone = asked(nn, trained, "grad(loss, place)", "--example", "5")["grad(loss, place)"]
    np.testing.assert_allclose(alone[0], expected[5], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("part", [f"{FIRST}.W", f"{TURN.format(0)}.b", f"{LAST}.W"])
def test_the_gradient_by_a_weight_is_that_of_the_mean_loss(nn, trained, part):
    found = asked(nn, trained, f"grad(loss, {part})", "place", "kind", "--all")

    def mean(value):
        return losses({**trained.weights, part: value}, found["place"], found["kind"]).mean()

    expected = slope(mean, trained.weights[part])
    np.testing.assert_allclose(found[f"grad(loss, {part})"], expected, rtol=1e-4, atol=1e-6)


def test_the_gradient_by_a_tensor_on_the_way(nn, trained):
    found = asked(nn, trained, "grad(loss, scores)", "scores", "kind", "--all")
    expected = softmax(found["scores"])
    expected[np.arange(12), found["kind"]] -= 1
    np.testing.assert_allclose(found["grad(loss, scores)"], expected, rtol=1e-4, atol=1e-6)
    found = asked(nn, trained, "grad(loss, Sides.turn[1].h)", "--all")
    np.testing.assert_allclose(
        found["grad(loss, Sides.turn[1].h)"], expected @ trained.weights[f"{LAST}.W"].T, rtol=1e-4, atol=1e-6
    )


@pytest.mark.peers
def test_torch_has_the_same_gradients(nn, trained):
    torch = pytest.importorskip("torch")
    part = f"{TURN.format(0)}.W"
    asks = [f"grad(loss, {part})", "grad(loss, Sides.bent)"]
    found = asked(nn, trained, *asks, "place", "kind", "--all", "--backend", "reference")
    w = {name: torch.tensor(array, requires_grad=array.dtype.kind == "f") for name, array in trained.weights.items()}
    h = bent = torch.tanh(torch.tensor(found["place"]) @ w[f"{FIRST}.W"] + w[f"{FIRST}.b"])
    bent.retain_grad()
    for turn in range(2):
        h = h + 2 * h @ w[f"{TURN.format(turn)}.W"] + w[f"{TURN.format(turn)}.b"]
    loss = torch.nn.functional.cross_entropy(h @ w[f"{LAST}.W"] + w[f"{LAST}.b"], torch.tensor(found["kind"]))
    loss.backward()
    np.testing.assert_allclose(found[asks[0]], w[part].grad.numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[asks[1]] / 12, bent.grad.numpy(), rtol=1e-5, atol=1e-7)


def test_an_expression_of_what_has_a_name(nn, trained):
    found = asked(nn, trained, "softmax(scores)", "grad(scores[0..b, 1], place)", "scores", "place", "--all")
    np.testing.assert_allclose(found["softmax(scores)"], softmax(found["scores"]), rtol=1e-5)
    expected = slope(lambda x: forward(trained.weights, x)["scores"][:, 1].sum(), found["place"])
    np.testing.assert_allclose(found["grad(scores[0..b, 1], place)"], expected, rtol=1e-4, atol=1e-5)


def test_a_metric_is_that_of_the_examples(nn, trained):
    found = asked(nn, trained, "mixed", "answer", "kind", "--all")
    expected = np.zeros((3, 3))
    np.add.at(expected, (found["kind"], found["answer"]), 1)
    assert (found["mixed"] == expected).all()


# ---- other rows


def test_rows_of_a_table(nn, trained):
    (trained.folder / "new.csv").write_text("b,a,other\n0.5,0.25,x\n-1,0,y\n")
    found = asked(nn, trained, "place", "Sides.hidden", "--on", trained.folder / "new.csv", "--all")
    assert found["place"].tolist() == [[0.5, 1.0], [0.0, -2.0]]
    expected = forward(trained.weights, found["place"])["Sides.hidden"]
    np.testing.assert_allclose(found["Sides.hidden"], expected, rtol=1e-5)
    code, _, err = nn("probe", trained.run, "loss", "--on", trained.folder / "new.csv")
    assert code == 1
    assert "`kind`" in err


def test_rows_of_another_block(nn, trained):
    spec = trained.run / "spec.nn"
    text = spec.read_text()
    spec.write_text(text + "\ndata moved = points where { place = place + 10 }\n")
    try:
        near = asked(nn, trained, "place", "--all")["place"]
        found = asked(nn, trained, "place", "scores", "--on", "moved.test", "--all")
    finally:
        spec.write_text(text)
    np.testing.assert_allclose(found["place"], near + 10, rtol=1e-6)
    expected = forward(trained.weights, found["place"])["scores"]
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-4, atol=1e-5)


def test_other_rows_than_those_that_it_learned_from_are_told(nn, trained):
    table = trained.folder / "points.csv"
    text = table.read_text()
    table.write_text(text + "0,0,left\n")
    try:
        code, _, err = nn("probe", trained.run, "scores")
    finally:
        table.write_text(text)
    assert code == 0
    assert err.startswith("note: the tables have changed")


# ---- for people


def test_without_a_path_everything_is_listed(nn, trained):
    code, out, err = nn("probe", trained.run)
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line}
    told = {path: lines[path] for path in (*forward(trained.weights, np.ones((1, 2))), f"{FIRST}.W", "kind", "loss")}
    assert set(told.values()) == {"tensor", "weight", "column", "figure"}
    assert "i64[b]" in out


def test_small_tensors_are_printed_whole_and_large_ones_told(nn, trained):
    code, out, _ = nn("probe", trained.run, "scores", "kind", "hidden.W", "--example", 0, "--example", 1)
    assert code == 0
    assert "Sides.hidden.W [2, 4]\n" in out or "hidden.W [2, 4]\n" in out
    assert out.count("scores [3]") == 2
    assert "example 0 of points.test" in out
    assert any(f"kind  {n} ({name})" in out for n, name in enumerate(("=over", "left", "right")))


def test_a_picture_is_shaded():
    from dotnn.insight.ask import Answer
    from dotnn.insight.show import lines

    picture = np.linspace(0, 1, 16).reshape(1, 4, 4)
    drawn = list(lines(Answer("image", picture, each=True), 0, drawn=True))
    assert drawn == [
        "image [4, 4], from 0 (blank) to 1",
        "    ....::",
        "  ::--====",
        "  ++++**##",
        "  ##%%%%@@",
    ]
    slopes = list(lines(Answer("grad(loss, image)", -picture, each=True, gradient=True), 0, drawn=True))
    assert slopes == ["grad(loss, image) [4, 4], without signs: up to 1", *drawn[1:]]
    plain = list(lines(Answer("image", picture, each=True), 0, drawn=False))
    assert plain[0] == "image [4, 4]"
    large = list(lines(Answer("W", np.array([[0.0] * 50 + [1.0] * 49 + [np.nan]]), each=False), 0, drawn=True))
    assert large == ["W [1, 100]  least 0, mean 0.4949, greatest 1, 50% are 0, 1 not finite"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("hiden",), "I001", "did you mean `hidden`"),
        (("Sides.hidden.V",), "I001", "did you mean `Sides.hidden."),
        (("dense.W",), "I001", "there are: "),
        (("scores +",), "I002", "no path and no expression"),
        (("random([3])",), "I002", "drawn at random"),
        (("grad(loss)",), "I002", "two paths"),
        (("2 * grad(loss, place)",), "I002", "stands alone"),
        (("twice",), "I001", "nothing in this net is called `twice`"),
        (("grad(loss, kind)",), "I003", "whole numbers"),
        (("grad(answer, place)",), "I003", "no small change"),
        (("grad(loss, grad)",), "I001", "`grad`"),
        (("foo(scores)",), "B001", "foo"),
        (("fill(1, [100_000, 100_000])",), "B084", "10,000,000,000"),
        (("scores", "--example", "12"), "C030", "there are 12 rows, the last is 11"),
        (("scores", "--example", "x"), "C030", "that is no number"),
        (("scores", "--example", "4..4"), "C030", "nothing in between"),
        (("scores", "--on", "tset"), "T042", "did you mean `test`"),
        (("scores", "--save", "x.xls"), "I010", ".npz, .csv, .json or .png"),
        (("hidden.W", "--save", "x.csv"), "I011", "the examples share it"),
    ],
)
def test_what_cannot_be_shown_is_said_with_a_way_out(nn, trained, words, code, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = nn("probe", trained.run, *words)
    assert (status, out) == (1, "")
    assert f"error[{code}]" in err
    assert said in err
    assert not list(tmp_path.iterdir())


# ---- files


def test_numbers_are_saved_as_they_are(nn, trained, tmp_path):
    expected = asked(nn, trained, "scores", "kind", "--all")
    code, out, _ = nn("probe", trained.run, "scores", "kind", "--all", "--save", tmp_path / "x.npz")
    assert (code, out.strip()) == (0, str(tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as held:
        assert held["scores"].dtype == np.float32
        np.testing.assert_allclose(held["scores"], expected["scores"], rtol=1e-6)
        assert (held["example"] == expected["examples"]).all()
    nn("probe", trained.run, "scores", "kind", "--all", "--save", tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["kind"] == expected["kind"].tolist()
    nn("probe", trained.run, "scores", "--by", "kind", "--all", "--save", tmp_path / "x.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert list(rows[0]) == ["example", "scores[0]", "scores[1]", "scores[2]", "kind"]
    np.testing.assert_allclose([float(r["scores[1]"]) for r in rows], expected["scores"][:, 1], rtol=1e-6)
    assert {r["kind"] for r in rows} <= {"'=over", "left", "right"}


def test_a_picture_needs_matplotlib_and_says_so(nn, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    code, _, err = nn("probe", trained.run, "scores", "--save", tmp_path / "x.png")
    assert code == 1
    assert "error[I012]" in err
    assert "dotnn[plot]" in err


@pytest.mark.parametrize("words", [("hidden[0..b, 0..2]", "--by", "kind"), ("scores",), ("hidden.W",), ("place",)])
def test_a_picture_is_drawn(nn, trained, tmp_path, words):
    pytest.importorskip("matplotlib")
    code, _, err = nn("probe", trained.run, *words, "--all", "--save", tmp_path / "x.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_an_archive_takes_any_name() -> None:
    """`np.savez` has parameters of its own called `file` and `allow_pickle`."""
    arrays: dict[str, Any] = {
        "example": np.arange(2),
        "file": np.ones((2, 3), np.float32),
        "allow_pickle": np.array([True, False]),
    }
    with np.load(io.BytesIO(as_npz(arrays)), allow_pickle=False) as held:
        assert {name: held[name].tolist() for name in held} == {name: a.tolist() for name, a in arrays.items()}
