"""The folder of a run, what is said, and what a guess gets."""

import io
import json
import math
import stat

import numpy as np
import pytest

from dotnn import plugins
from dotnn.data import Dataset, Rows
from dotnn.program import Apart, Figure, Patience, Plan, Watch
from dotnn.training import run
from dotnn.training.baseline import baseline
from dotnn.training.display import Lines, Screen, clock, is_share, shown, sparkline
from dotnn.training.loop import train
from dotnn.training.rules import Best, Rules, keeper
from dotnn.training.store import LOG
from dotnn.training.summary import summary
from dotnn_grammar.problems import ProblemError


@pytest.fixture
def backend():
    return plugins.backend("reference")


def code_of(caught):
    return caught.value.problems[0].code


# ---- the folder


def test_folders_are_numbered_and_never_taken_twice(make_program, tmp_path):
    program = make_program()
    names = [run.make_folder(program, runs=tmp_path).name for _ in range(3)]
    assert names == ["points-Net-001", "points-Net-002", "points-Net-003"]
    (tmp_path / "points-Net-007").mkdir()
    assert run.make_folder(program, runs=tmp_path).name == "points-Net-008"


@pytest.mark.parametrize(
    ("spec", "name", "folder"),
    [("digits.nn", "Digits", "digits"), ("xor.nn", "Deep", "xor-Deep"), ("my net.nn", "A", "my_net-A")],
)
def test_the_name_of_a_run(make_program, spec, name, folder):
    assert run.run_name(make_program().model_copy(update={"spec": spec, "name": name})) == folder


def test_a_folder_that_holds_something_is_refused(make_program, tmp_path):
    empty = tmp_path / "new" / "deep"
    assert run.make_folder(make_program(), empty) == empty
    (empty / "x").write_text("mine")
    with pytest.raises(ProblemError) as caught:
        run.make_folder(make_program(), empty)
    assert code_of(caught) == "T010"
    assert (empty / "x").read_text() == "mine"


def test_a_file_in_the_way_is_a_problem(make_program, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(ProblemError) as caught:
        run.make_folder(make_program(), runs=tmp_path / "runs")
    assert code_of(caught) == "T011"


def test_writing_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    run.write(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProblemError) as caught:
        run.write(path, "new")
    assert code_of(caught) == "T011"
    assert "space" in caught.value.problems[0].help_text
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_whole_run_is_written_and_read_back(make_program, dataset, backend, tmp_path):
    watch = Watch(split="val", figure="loss")
    program = make_program(rate=30.0, epochs=40, keep=watch, stop=(Patience(watch=watch, epochs=3),))
    folder = run.make_folder(program, tmp_path / "r")
    run.begin(folder, program, "# the spec\n")
    outcome = train(program, dataset, backend, plugins.Options(), [run.Log(folder)])
    run.finish(folder, program, outcome, backend, plugins.Options())
    assert (folder / "spec.nn").read_text() == "# the spec\n"
    assert run.read_program(folder) == program
    kept, last = run.read_weights(folder), outcome.last
    assert {n: a.tobytes() for n, a in kept.items()} == {n: a.tobytes() for n, a in outcome.state.items()}
    assert kept["step"].shape == ()
    assert last is not None
    assert (folder / "last.safetensors").exists()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, outcome.epochs + 1))
    more = {"seconds", "rate", "norm", "change", "rows_per_second", "memory"}
    assert set(lines[0]) == {"event", "epoch", "step", "train", "val"} | more
    result = json.loads((folder / "result.json").read_text())
    assert result["ending"] == "stopped"
    assert result["kept"] == outcome.kept
    assert result["test"] == pytest.approx(outcome.splits["test"])
    assert not [p for p in folder.iterdir() if ".tmp" in p.name]
    assert all(p.stat().st_mode & stat.S_IRUSR for p in folder.iterdir())


@pytest.mark.parametrize(("name", "code"), [("program.json", "T013"), ("weights.safetensors", "T013")])
def test_a_broken_run_is_a_problem(make_program, tmp_path, name, code):
    (tmp_path / name).write_bytes(b"\x07broken")
    with pytest.raises(ProblemError) as caught:
        (run.read_program if name == "program.json" else run.read_weights)(tmp_path)
    assert code_of(caught) == code
    for read in (run.read_program, run.read_weights):
        with pytest.raises(ProblemError) as caught:
            read(tmp_path / "nowhere")
        assert code_of(caught) == "T019"


def test_events_have_exactly_the_promised_keys(make_program, dataset, backend, tmp_path):
    out = io.StringIO()
    outcome = train(make_program(), dataset, backend, plugins.Options(), [run.Events("Net", out)])
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [list(e) for e in events] == [["event", "name", "epoch", "step", "train", "val"]] * 3
    assert set(events[0]["train"]) == set(events[0]["val"]) == {"loss", "error"}
    done = run.done_event(tmp_path, outcome)
    assert list(done) == ["event", "run", "steps", "epochs", "seconds", "train", "val", "test"]
    assert run.plain({"loss": math.nan, "error": 0.5}) == {"loss": None, "error": 0.5}
    assert run.plain(None) is None


# ---- rules


def test_the_best_of_a_metric_is_the_highest():
    course = [0.2, 0.5, math.nan, 0.4, 0.6]
    watch = Watch(split="val", figure="f1")
    highest, lowest = Best(watch, highest=True), Best(watch)
    assert [highest.improves({"val": {"f1": v}}, i) for i, v in enumerate(course, 1)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert [lowest.improves({"val": {"f1": v}}, i) for i, v in enumerate(course, 1)] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_among_equals_the_lower_loss_is_the_better():
    best = Best(Watch(split="val", figure="error"), tie="loss")
    course = [(0.1, 0.5), (0.1, 0.4), (0.1, 0.45), (0.2, 0.1), (0.1, math.nan)]
    better = [best.improves({"val": {"error": e, "loss": loss}}, i) for i, (e, loss) in enumerate(course, 1)]
    assert better == [True, True, False, False, False]


def test_patience_counts_from_the_lowest_and_an_equal_value_has_not_fallen():
    watch = Watch(split="val", figure="error")
    rules = Rules(Plan(batch=1, epochs=9, stop=(Patience(watch=watch, epochs=2),)))
    course = [0.5, 0.4, 0.4, 0.3, 0.3, 0.35]
    stops = [rules.stop({"val": {"error": v}}, i) for i, v in enumerate(course, 1)]
    assert [bool(s) for s in stops] == [False, False, False, False, False, True]


def test_patience_waits_for_a_rise_where_the_spec_says_so():
    watch = Watch(split="val", figure="found", highest=True)
    rules = Rules(Plan(batch=1, epochs=9, stop=(Patience(watch=watch, epochs=2),)))
    course = [0.5, 0.6, 0.4, 0.7, 0.7, 0.1]
    stops = [rules.stop({"val": {"found": v}}, i) for i, v in enumerate(course, 1)]
    assert stops == [None] * 5 + ["val.found has not risen for 2 epochs"]


@pytest.mark.parametrize(("highest", "better"), [(True, [True, True, False]), (False, [True, False, True])])
def test_the_spec_says_which_value_of_a_metric_is_kept(make_program, highest, better):
    program = make_program(keep=Watch(split="val", figure="found", highest=highest))
    best = keeper(program)
    assert best is not None
    assert [best.improves({"val": {"found": v}}, i) for i, v in enumerate([0.5, 0.6, 0.4], 1)] == better


# ---- a guess


def test_the_commonest_answer_is_measured_by_the_specs_own_error(make_program, dataset, backend):
    guess = baseline(make_program(), dataset, backend, plugins.Options(), "test")
    train_labels, test_labels = (dataset.splits[s].arrays["label"] for s in ("train", "test"))
    commonest = int(np.bincount(train_labels).argmax())
    assert guess is not None
    assert guess.words == f"always answering {['left', 'right'][commonest]}"
    assert guess.figures["error"] == pytest.approx((test_labels != commonest).mean())
    shares = np.bincount(train_labels) / len(train_labels)
    assert guess.figures["loss"] == pytest.approx(-np.log(shares[test_labels]).mean(), rel=1e-5)


def test_the_best_single_number_of_a_squared_loss_is_the_mean(make_regression, backend):
    y = np.random.default_rng(1).normal(7.0, 2.0, 40).astype(np.float32)
    rows = {
        n: Rows(len(a), {"x": np.zeros((len(a), 1), np.float32), "y": a}) for n, a in (("train", y), ("test", y[:9]))
    }
    guess = baseline(make_regression(), Dataset(splits=rows, fingerprint="0"), backend, plugins.Options(), "test")
    assert guess is not None
    assert guess.figures["loss"] == pytest.approx(((y[:9] - y.mean()) ** 2).mean(), rel=1e-3)
    assert float(guess.words.split()[-1]) == pytest.approx(y.mean(), rel=1e-3)


def test_no_guess_where_the_answer_is_not_one_of_the_outputs(make_program, dataset, backend):
    program = make_program().model_copy(update={"outputs": ("logits", "more")})
    assert baseline(program, dataset, backend, plugins.Options(), "test") is None
    assert baseline(make_program(), dataset, backend, plugins.Options(), "elsewhere") is None


# ---- what is said


def test_plain_lines_one_an_epoch(make_program, dataset, backend):
    out = io.StringIO()
    train(make_program(), dataset, backend, plugins.Options(), [Lines(out)])
    lines = out.getvalue().splitlines()
    assert "50 to learn from, 13 to check itself on, 11 kept for the exam" in lines[0]
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert lines[3].split() == ["epoch", "train", "loss", "train", "error", "val", "loss", "val", "error"]
    assert [line.split()[0] for line in lines[4:]] == ["1", "2", "3"]


def test_long_trainings_say_little_but_always_the_last_epoch(make_program, dataset, backend):
    out = io.StringIO()
    train(make_program(epochs=203), dataset, backend, plugins.Options(), [Lines(out)])
    numbers = [line.split()[0] for line in out.getvalue().splitlines()[4:]]
    assert numbers[0] == "1"
    assert numbers[-1] == "203"
    assert len(numbers) <= 53


def test_the_screen_shows_epochs_and_gives_the_terminal_back(make_program, dataset, backend):
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    train(make_program(epochs=12), dataset, backend, plugins.Options(), [Screen(console)])
    text = out.getvalue()
    assert "val error" in text
    assert "left at most" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_the_summary_tells_figures_places_and_what_next(make_program, dataset, backend, tmp_path):
    program = make_program(epochs=2)
    outcome = train(program, dataset, backend, plugins.Options())
    guess = baseline(program, dataset, backend, plugins.Options(), "test")
    text = summary(program, outcome, tmp_path, [LOG, run.WEIGHTS], guess, ["nn show points.nn"])
    assert "2 epochs (14 steps" in text
    assert f"{100 * outcome.splits['test']['error']:.1f} %" in text
    assert "always answering" in text
    assert str(tmp_path / "weights.safetensors") in text
    assert "predict.onnx" not in text
    assert text.endswith("  nn show points.nn")


def test_numbers_for_people(make_program):
    assert [shown(v) for v in (None, math.nan, 0.123456, 12345.6)] == ["-", "-", "0.1235", "1.235e+04"]
    assert shown(0.0261, share=True) == "2.6 %"
    assert [clock(s) for s in (0.84, 12.2, 125, 11400)] == ["0.8 s", "12 s", "2 min 5 s", "3 h 10 min"]
    assert sparkline([3, 2, 1]) == "█▅▁"
    assert sparkline([1]) == ""
    assert len(sparkline(list(range(1000)))) == 30
    texts = {"argmax(logits) != label": True, "abs(y - t)": False, "x -> f": False, "abs(a) where t != pad": False}
    for text, share in texts.items():
        figures = (Figure(name="error", role="error", text=text),)
        assert is_share(make_program().model_copy(update={"figures": figures}), "error") is share


def test_patience_does_not_count_epochs_at_whose_end_nothing_is_measured():
    watch = Watch(split="val", figure="bleu", highest=True)
    apart = Figure(name="bleu", role="metric", text="bleu", apart=Apart(graph="metric.bleu", every=3))
    rules = Rules(Plan(batch=1, epochs=99, stop=(Patience(watch=watch, epochs=2),)), (apart,))
    course = [math.nan, math.nan, 0.1, math.nan, math.nan, 0.2, math.nan, math.nan, 0.2]
    assert [bool(rules.stop({"val": {"bleu": v}}, i)) for i, v in enumerate(course, 1)] == [False] * 8 + [True]
    diverged = Rules(Plan(batch=1, epochs=99, stop=(Patience(watch=watch, epochs=2),)))
    assert [bool(diverged.stop({"val": {"bleu": math.nan}}, i)) for i in (1, 2)] == [False, True]
