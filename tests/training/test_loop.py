"""The loop: what it measures, when it ends, which weights it keeps."""

import math

import numpy as np
import pytest

from dotnn import plugins
from dotnn.data import Dataset, Rows
from dotnn.program import Patience, Reached, Watch
from dotnn.training.events import Limits, Observer
from dotnn.training.loop import train
from dotnn.training.measure import Flag


@pytest.fixture
def backend():
    return plugins.backend("reference")


class Listener(Observer):
    def __init__(self):
        self.begun, self.epochs, self.ends = [], [], []

    def started(self, start):
        self.begun.append(start)

    def epoch(self, epoch):
        self.epochs.append(epoch)

    def ended(self, outcome):
        self.ends.append(outcome)


def learn(program, dataset, backend, **more):
    listener = Listener()
    outcome = train(program, dataset, backend, plugins.Options(), [listener], **more)
    assert listener.ends == [outcome]
    assert len(listener.begun) == 1
    return outcome, listener


def by_hand(program, rows, state):
    """loss and error of all rows at once."""
    scores = rows.arrays["x"] @ state["Net.W"]
    label = rows.arrays["label"]
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return -logs[np.arange(rows.count), label].mean(), (scores.argmax(1) != label).mean()


def test_it_learns_and_figures_are_those_of_whole_splits(make_program, dataset, backend):
    program = make_program(epochs=20)
    outcome, listener = learn(program, dataset, backend)
    assert (outcome.ending, outcome.epochs, outcome.steps) == ("done", 20, 20 * 7)
    assert outcome.splits["test"]["error"] < 0.2
    assert outcome.history[-1].splits["train"]["loss"] < outcome.history[0].splits["train"]["loss"]
    for split, rows in dataset.splits.items():
        loss, error = by_hand(program, rows, outcome.state)
        assert outcome.splits[split]["loss"] == pytest.approx(loss, rel=1e-5)
        assert outcome.splits[split]["error"] == pytest.approx(error)
    assert list(outcome.splits) == ["train", "val", "test"]
    assert [e.number for e in listener.epochs] == list(range(1, 21))
    assert listener.epochs[2].step == 21
    assert listener.epochs[0].rate == 0.5
    assert listener.begun[0].rows == {"train": 50, "val": 13, "test": 11}


def test_running_figures_weigh_the_short_last_batch_by_its_rows(make_program, dataset, backend):
    outcome, _ = learn(make_program(rate=0.0, epochs=1), dataset, backend)
    # With a rate of 0 the weights stand still: the mean over the steps is the mean over the rows.
    loss, error = by_hand(None, dataset.splits["train"], outcome.state)
    assert outcome.history[0].splits["train"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert outcome.history[0].splits["train"]["error"] == pytest.approx(error, rel=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(make_program, dataset, backend):
    one, two = (learn(make_program(), dataset, backend)[0].state["Net.W"] for _ in range(2))
    other = learn(make_program(seed=2), dataset, backend)[0].state["Net.W"]
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


def test_a_plan_in_steps_ends_in_the_middle_of_an_epoch(make_program, dataset, backend):
    outcome, listener = learn(make_program(epochs=None, steps=10), dataset, backend)
    assert (outcome.ending, outcome.steps, outcome.epochs) == ("done", 10, 2)
    assert [e.step for e in listener.epochs] == [7, 10]
    assert outcome.state["step"] == 10


def test_limits_only_shorten(make_program, dataset, backend):
    assert learn(make_program(), dataset, backend, limits=Limits(epochs=2))[0].steps == 14
    assert learn(make_program(), dataset, backend, limits=Limits(steps=3))[0].steps == 3
    assert learn(make_program(), dataset, backend, limits=Limits(epochs=99))[0].steps == 21


def test_patience_stops_and_the_best_weights_come_back(make_program, dataset, backend):
    watch = Watch(split="val", figure="loss")
    # So large a rate that the loss on val soon rises.
    program = make_program(rate=30.0, epochs=60, keep=watch, stop=(Patience(watch=watch, epochs=3),))
    outcome, listener = learn(program, dataset, backend)
    losses = [e.splits["val"]["loss"] for e in listener.epochs]
    best = int(np.argmin(losses)) + 1
    assert outcome.ending == "stopped"
    assert outcome.reason == "val.loss has not fallen for 3 epochs"
    assert outcome.epochs == best + 3
    assert outcome.kept == best
    assert outcome.splits["val"]["loss"] == pytest.approx(min(losses), rel=1e-6)
    assert listener.epochs[best - 1].best
    assert not any(e.best for e in listener.epochs[best:])
    assert outcome.last is not None
    assert outcome.last["step"] == 7 * outcome.epochs
    assert outcome.state["step"] == 7 * best


def test_a_goal_that_is_reached_stops(make_program, dataset, backend):
    goal = Reached(watch=Watch(split="val", figure="error"), operator="<", bound=0.3)
    outcome, listener = learn(make_program(epochs=50, stop=(goal,)), dataset, backend)
    assert outcome.ending == "stopped"
    assert listener.epochs[-1].splits["val"]["error"] < 0.3
    assert all(e.splits["val"]["error"] >= 0.3 for e in listener.epochs[:-1])


def test_an_interruption_ends_after_the_step_and_keeps_what_was_learned(make_program, dataset, backend):
    flag = Flag()

    class Interrupts(Observer):
        def epoch(self, epoch):
            if epoch.number == 2:
                flag.raised = 2

    outcome = train(make_program(epochs=50), dataset, backend, plugins.Options(), [Interrupts()], flag)
    assert (outcome.ending, outcome.epochs, outcome.steps) == ("interrupted", 2, 14)
    assert outcome.state["step"] == 14
    assert "test" in outcome.splits


def test_divergence_names_the_step_and_keeps_the_last_good_epoch(make_program, dataset, backend):
    rows = dataset.splits["train"]
    spoilt = {"x": rows.arrays["x"].copy(), "label": rows.arrays["label"]}
    spoilt["x"][17] = np.inf
    splits = {**dataset.splits, "train": Rows(rows.count, spoilt)}
    with np.errstate(all="ignore"):
        outcome, listener = learn(make_program(), Dataset(splits=splits, fingerprint="0"), backend)
    assert outcome.ending == "diverged"
    assert listener.epochs == []
    assert outcome.problem is not None
    assert outcome.problem.code == "T001"
    assert 1 <= outcome.problem.step <= 7
    assert outcome.problem.step == outcome.steps
    assert "first weights" in outcome.problem.help_text
    assert outcome.state["step"] == 0
    assert np.isfinite(outcome.state["Net.W"]).all()
    assert math.isfinite(outcome.splits["test"]["loss"])


def test_divergence_after_a_good_epoch_goes_back_to_it(make_program, dataset, backend):
    class Spoils(Listener):
        def epoch(self, epoch):
            super().epoch(epoch)
            if epoch.number == 2:
                dataset.splits["train"].arrays["x"][:] = np.nan

    listener = Spoils()
    with np.errstate(all="ignore"):
        outcome = train(make_program(epochs=9), dataset, backend, plugins.Options(), [listener])
    assert (outcome.ending, outcome.epochs, outcome.kept) == ("diverged", 3, 2)
    assert outcome.state["step"] == 14
    assert outcome.problem is not None
    assert "epoch 2" in outcome.problem.help_text


def test_without_other_splits_only_train_is_measured(make_program, dataset, backend):
    only = Dataset(splits={"train": dataset.splits["train"]}, fingerprint="0")
    outcome, listener = learn(make_program(), only, backend)
    assert list(outcome.splits) == ["train"]
    assert list(listener.epochs[0].splits) == ["train"]
