"""`nn check` for programs, and the gradients of the user's own net beside finite differences."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dotnn import operation as registry
from dotnn.operation import lookup
from dotnn.testing.slopes import check_slopes
from dotnn_grammar.problems import ProblemError

ROOT = Path(__file__).parents[2]

BENT = """
data points {
  source table "points.csv"
  place = columns a to b
  kind  = column kind as class
}
net Bent(place: [b, 2]) -> y: [b] {
  weight w: [2] ~ zeros
  weight still: [2] ~ ones
  h = HERE
  y = sum(h, over = -1)
}
train Bent on points {
  loss mean(y^2)
  optimizer sgd(lr = 0.1)
  batch 4
  epochs 1
}
"""


def bent(folder, here):
    path = folder / "bent.nn"
    path.write_text(BENT.replace("HERE", here))
    return path


def wrong_rule(monkeypatch, name, factor):
    right = lookup(name)
    rule = right.gradient
    assert rule is not None

    def wrong(*values, **attributes):
        return [flow and flow * factor for flow in rule(*values, **attributes)]

    monkeypatch.setitem(registry._operations, name, replace(right, gradient=wrong))


def test_the_gradients_of_ones_own_net(folder, nn):
    code, out, err = nn("check", "points.nn", "--gradients")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "points.nn: fine"
    assert lines[2].startswith("  The gradient of Sides beside finite differences, on 8 rows")
    assert lines[3].split() == ["weight", "compared", "worst", "at", "gradient", "difference", "apart"]
    names = ["hidden.W", "hidden.b", "scores.dense[1].W", "scores.dense[1].b"]
    assert [line.split()[0] for line in lines[4:-1]] == [f"Sides.{name}" for name in names]
    assert lines[-1].startswith("  It is right: in Sides.")


def test_a_wrong_rule_is_found_and_named(folder, nn, monkeypatch):
    wrong_rule(monkeypatch, "matmul", 1.0001)
    code, out, err = nn("check", "points.nn", "--gradients")
    assert code == 1
    assert "It is right" not in out
    assert "error[K002]: the gradient of `Sides` is not the derivative of its loss: by `Sides.hidden.W`, at [" in err
    assert "the rule of `matmul` is wrong by itself" in err
    code, out, _ = nn("check", "points.nn", "--gradients", "--format", "json")
    checked, found, problem = (json.loads(line) for line in out.splitlines())
    assert (code, checked["event"], found["event"], problem["code"]) == (1, "checked", "gradients", "K002")
    assert not found["ok"]
    worst = next(weight for weight in found["weights"] if weight["name"] == found["worst"])
    assert worst["off"] == pytest.approx(1e-4, rel=0.01) or worst["off"] == pytest.approx(2e-4, rel=0.01)


def test_one_number_that_is_wrong_among_thousands_is_found(monkeypatch):
    """The steepest numbers are always looked at, and all at once along a line."""
    from dotnn.testing import slopes

    path = ROOT / "specs" / "digits.nn"
    assert check_slopes(path).ok
    right = slopes._weight

    def off(name, gradient, measure, chance):
        changed = gradient.copy()
        if name == "Digits.hidden.W":
            changed[np.unravel_index(np.argmax(np.abs(changed)), changed.shape)] *= 1.001
        return right(name, changed, measure, chance)

    monkeypatch.setattr(slopes, "_weight", off)
    found = check_slopes(path)
    assert [weight.name for weight in found.weights if not weight.ok] == ["Digits.hidden.W"]
    assert found.worst.name == "Digits.hidden.W"
    assert found.wrong_operations == ()
    with pytest.raises(ProblemError) as caught:
        found.require()
    assert "this is a bug of ours" in caught.value.problems[0].help_text


@pytest.mark.parametrize(
    "here",
    [
        "place * w",
        "relu(w * place * 0)",  # bent everywhere, to this side and that
        "abs(w - w) + w * place",
        "stop(w * place) * still + w * place",
        "(place * w + place) -> dropout(0.5)",
        "max(place * w, w)",
    ],
)
def test_bends_stops_and_noise_are_no_mistakes(folder, here):
    found = check_slopes(bent(folder, here))
    assert found.ok, found
    assert found.rows == 4


def test_at_a_bend_there_is_nothing_to_compare(folder, nn):
    """The gradient lies between the slope to one side and that to the other; what lies outside is still a mistake."""
    found = check_slopes(bent(folder, "place * still + place * relu(w - stop(w))"))
    slopes = next(weight.slopes for weight in found.weights if weight.name == "Bent.w")
    assert found.ok
    assert sum(slope.bend for slope in slopes) == len(slopes)
    code, out, _ = nn("check", "bent.nn", "--gradients")
    assert code == 0
    assert "stood at a bend" in out


def test_a_loss_without_a_number(folder, nn):
    bent(folder, "place * w + log(place * 0 - 1)")
    code, _, err = nn("check", "bent.nn", "--gradients")
    assert code == 1
    assert "error[K001]: the loss of `Bent` on its first 4 rows is nan" in err


def test_one_block_of_a_file(folder, nn):
    bent(folder, "place * w")
    code, out, _ = nn("check", "bent.nn:Bent", "--gradients", "--format", "json")
    assert code == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["checked", "gradients"]


# ---- problems for programs


def test_problems_as_json_github_and_sarif(folder, nn):
    (folder / "bad.nn").write_text("net {\n")
    (folder / "worse.nn").write_text("use 3\n")
    code, out, err = nn("check", "points.nn", "bad.nn", "--format", "json")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, err, [event["event"] for event in events]) == (1, "", ["checked", "problem"])
    assert events[1]["span"]["file"] == "bad.nn"
    code, out, err = nn("check", "points.nn", "bad.nn", "--format", "github")
    assert (code, err) == (1, "")
    assert out.startswith("::error file=bad.nn,line=1,")
    code, out, err = nn("check", "points.nn", "bad.nn", "worse.nn", "--format", "sarif")
    assert (code, err) == (1, "")
    document = json.loads(out)
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert {result["ruleId"] for result in run["results"]} == {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == ["bad.nn", "worse.nn"]
    assert all(place["region"]["startLine"] == 1 for place in places)
    (folder / "my net.nn").write_text("net {\n")
    _, out, _ = nn("check", "my net.nn", "--format", "sarif")
    assert '"uri": "my%20net.nn"' in out
    code, out, _ = nn("check", "points.nn", "--format", "sarif")
    assert (code, json.loads(out)["runs"][0]["results"]) == (0, [])


READS = """
data notes {
  source table "notes.csv"
  say  = column text as words
  kind = column kind as class
}
net Reads(say: int[b, t] < vocab) -> scores: [b, 2] {
  weight table: [vocab, 3] ~ normal(0, 0.5)
  x = table[say]
  scan over t cut 2 with h = zeros[b, 3] { h = tanh(x + (h -> dense(3) as again)) }
  scores = last(h, over = t) -> dense(2)
}
train Reads on notes {
  loss cross_entropy(scores, kind)
  optimizer sgd(lr = 0.1)
  batch 4
  epochs 1
}
"""


def reads(folder, *changes):
    words = ["a b c d e f g", "b a", "c d e a b c", "d a f"]
    rows = "".join(f"{words[n % 4]},{'xy'[n % 2]}\n" for n in range(12))
    (folder / "notes.csv").write_text("text,kind\n" + rows)
    text = READS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "reads.nn"
    path.write_text(text)
    return path


def test_what_a_scan_cuts_is_held_for_the_differences_too(tmp_path):
    assert check_slopes(reads(tmp_path)).ok


def test_a_cut_in_a_scan_of_open_length_cannot_be_checked_and_says_so(tmp_path):
    path = reads(tmp_path, ("batch 4", "batch 4 by length"))
    with pytest.raises(ProblemError) as raised:
        check_slopes(path)
    assert raised.value.problems[0].code == "K003"
    assert check_slopes(reads(tmp_path, ("batch 4", "batch 4 by length"), ("cut 2 ", ""))).ok


def test_gradients_are_checked_where_several_batches_make_an_update(tmp_path):
    assert check_slopes(reads(tmp_path, ("batch 4", "batch 2\n  accumulate 3"))).ok
