"""Loggers: what TensorBoard is given, what a broken one does to training (nothing), how one comes in."""

import struct
import sys

import pytest

from dotnn import plugins
from dotnn.training.events import Observer
from dotnn.training.loggers import FOLDER, Guarded, open_loggers
from dotnn.training.loop import train
from dotnn_grammar.problems import ProblemError


@pytest.fixture
def backend():
    return plugins.backend("reference")


def events(folder):
    """Every event of every file, by TensorBoard's own format: length, check sum, event, check sum."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def written(folder):
    """name -> [(step, value)]"""
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_gets_every_number_of_every_epoch(make_program, dataset, backend, tmp_path):
    pytest.importorskip("tensorboardX", reason="pip install 'dotnn[tensorboard]'")
    program = make_program(epochs=4)
    said: list[str] = []
    logs = open_loggers(["tensorboard"], tmp_path, program, said.append)
    outcome = train(program, dataset, backend, plugins.Options(), logs)
    found = written(tmp_path / FOLDER)
    assert said == []
    for split in ("train", "val"):
        for name in ("loss", "error"):
            course = [(e.step, pytest.approx(e.splits[split][name], rel=1e-6)) for e in outcome.history]
            assert found[f"{name}/{split}"] == course
    assert found["run/rate"] == [(7, 0.5), (14, 0.5), (21, 0.5), (28, 0.5)]
    assert found["loss/test"] == [(28, pytest.approx(outcome.splits["test"]["loss"], rel=1e-6))]
    assert {"run/norm", "run/rows_per_second", "error/test"} <= set(found)


def test_a_run_that_goes_on_takes_back_what_came_after_its_checkpoint(tmp_path, make_program, dataset):
    pytest.importorskip("tensorboardX", reason="pip install 'dotnn[tensorboard]'")
    from tensorboardX.proto.event_pb2 import SessionLog

    from dotnn.training.events import Start

    (log,) = open_loggers(["tensorboard"], tmp_path, make_program(), print)
    log.started(Start(make_program(), {}, 7, 3, 21, at=14))
    log.close()
    begins = [event.step for event in events(tmp_path / FOLDER) if event.session_log.status == SessionLog.START]
    assert begins == [15]


def test_without_the_extra_the_message_names_it(monkeypatch, make_program, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ProblemError) as caught:
        open_loggers(["tensorboard"], tmp_path, make_program(), print)
    problem = caught.value.problems[0]
    assert problem.code == "T045"
    assert problem.help_text == "pip install 'dotnn[tensorboard]'"


def test_an_unknown_logger_is_a_problem(make_program, tmp_path):
    with pytest.raises(ProblemError) as caught:
        open_loggers(["tensorbord"], tmp_path, make_program(), print)
    problem = caught.value.problems[0]
    assert problem.code == "P002"
    assert "did you mean `tensorboard`?" in problem.help_text


def test_a_broken_logger_does_not_end_training(make_program, dataset, backend):
    class Breaks(Observer):
        def __init__(self):
            self.seen = 0

        def epoch(self, epoch):
            self.seen += 1
            raise OSError(28, "No space left on device")

    said: list[str] = []
    inner = Breaks()
    outcome = train(make_program(), dataset, backend, plugins.Options(), [Guarded("mine", inner, said.append)])
    assert outcome.ending == "done"
    assert inner.seen == 1
    assert len(said) == 1
    assert said[0].startswith("note: the logger mine writes no more, training goes on: OSError")


def test_a_logger_of_a_stranger_comes_in_by_the_same_hook(make_program, tmp_path, dataset, backend):
    epochs = []

    class Mine:
        name = "mine"
        summary = "a list"

        def open(self, folder, program):
            class Listens(Observer):
                def epoch(self, epoch):
                    epochs.append(epoch.number)

            return Listens()

    class Plugin:
        @plugins.hook
        def dotnn_loggers(self):
            return (Mine(),)

    plugin = Plugin()
    plugins.manager().register(plugin)
    try:
        logs = open_loggers(["mine"], tmp_path, make_program(), print)
        train(make_program(), dataset, backend, plugins.Options(), logs)
    finally:
        plugins.manager().unregister(plugin)
    assert epochs == [1, 2, 3]
    assert "mine" not in plugins.loggers()
