"""Numbers too small to be normal: 0 in a graph, as they are everywhere else in the process."""

import subprocess
import sys

TRY = """
import threading
import numpy as np
from dotnn.graph import Type
from dotnn.plugins import Options, backend
from dotnn.tape import Tape

tape = Tape("tiny")
x = tape.input("x", Type(dtype="f32", dims=(4,)), "data")
tape.output("y", x * x, "output")
onnx = backend("onnx")
feeds = {"x": np.full(4, 1e-21, np.float32)}
def here():
    return bool((feeds["x"] * feeds["x"])[0] > 0)
first = onnx.start(onnx.lower(tape.graph(), Options()), Options())
second = onnx.start(onnx.lower(tape.graph(), Options(threads=THREADS)), Options(threads=THREADS))
print(here(), [float(e.run(feeds)["y"][0]) for e in (first, second)], here())
def elsewhere():
    print(here(), float(second.run(feeds)["y"][0]), here())
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
"""


def test_graphs_take_them_for_zero_and_numpy_does_not() -> None:
    for threads in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", TRY.replace("THREADS", threads)], capture_output=True, text=True, check=False
        )
        assert made.stdout.splitlines() == ["True [0.0, 0.0] True", "True 0.0 True"], made.stderr


def test_where_another_made_the_first_session_graphs_run_all_the_same() -> None:
    other = """
import onnxruntime
from dotnn.graph import Type
from dotnn.plugins import Options, backend
from dotnn.tape import Tape
tape = Tape("other")
tape.output("y", tape.input("x", Type(dtype="f32", dims=(4,)), "data") * 2, "output")
onnxruntime.InferenceSession(backend("onnx").lower(tape.graph(), Options()).model, providers=["CPUExecutionProvider"])
"""
    code = other + TRY.replace("THREADS", "1")
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert all(line.startswith("True ") and line.endswith(" True") for line in made.stdout.splitlines())
