"""Host programs: training a bundle without dotnn."""

from __future__ import annotations

from dotnn.data.lengths import size_columns
from dotnn.program import Program
from dotnn_grammar.problems import Problem

PYTHON = '''\
"""Trains {name} from {spec} with onnxruntime and numpy alone.  Run it with:  python host.py [threads]"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

here = Path(__file__).parent
manifest = json.loads((here / "manifest.json").read_text(encoding="utf-8"))
graphs, plan = manifest["graphs"], manifest["plan"]
options = ort.SessionOptions()
options.intra_op_num_threads = int(sys.argv[1]) if len(sys.argv) > 1 else 0  # 0: as many as there are cores
options.add_session_config_entry("session.set_denormal_as_zero", "1")


def run(session, feeds):
    made = session.run(None, {{fed.name: feeds[fed.name] for fed in session.get_inputs()}})
    return dict(zip([output.name for output in session.get_outputs()], made))


init, order, train = [ort.InferenceSession(here / graphs[n]["file"], options) for n in ("init", "order", "train")]
columns = [fed["name"] for fed in graphs["train"]["inputs"] if fed["role"] in ("data", "label", "weight")]
data = {{name: np.load(here / "data" / f"{{name}}.npy") for name in columns}}
rows, batch, seed = len(data[columns[0]]), plan["batch"], np.array(plan["seed"])
steps_left = plan["steps"] or plan["epochs"] * -(-rows // batch)
state, epoch = run(init, {{"seed": seed}}), 0  # every weight, drawn at random
while steps_left:
    places = next(iter(run(order, {{"seed": seed, "epoch": np.array(epoch), "n": np.array(rows)}}).values()))
    losses = []
    for first in range(0, rows, batch)[:steps_left]:
        picked = places[first : first + batch]
        made = run(train, {{**state, **{{name: data[name][picked] for name in columns}}}})
        state |= {{name: made[after] for name, after in graphs["train"]["state"]}}
        losses, steps_left = losses + [made["loss"]] * len(picked), steps_left - 1
    epoch += 1
    print(f"epoch {{epoch}}: loss {{np.mean(losses):.4f}}")
np.savez(here / "weights.npz", **state)
'''


BY_ROWS = (
    "    losses = []",
    '        losses, steps_left = losses + [made["loss"]] * len(picked), steps_left - 1',
    "np.mean(losses)",
)
BY_PLACES = (
    "    total, count = 0.0, 0.0",
    '        total, count, steps_left = total + made["loss.total"], count + made["loss.count"], steps_left - 1',
    "total / count",
)
"""The same where rows do not all count alike, so that a batch counts by its places or weights."""


EACH = (("loss {np.mean(losses):.4f}", "losses {np.mean(losses, axis=0).round(4)}"),)
"""The same where several steps take turns, each with a loss."""


BY_LENGTH = (
    (
        "steps_left = plan",
        '''lengths = np.load(here / "data" / "lengths.npy")  # of each row: how many like it make a batch, and its sizes
sizes = {sizes}  # of which column of these a text has its size


def together(places):
    """Rows of the same sizes, as many as make a batch; at the end what is left, the shortest first."""
    waiting, full = {{}}, []
    for row in places:
        kind = tuple(lengths[row, 1:])
        waiting.setdefault(kind, []).append(row)
        if len(waiting[kind]) == lengths[row, 0]:
            full.append(waiting.pop(kind))
    return full + [waiting[kind] for kind in sorted(waiting)]


steps_left = plan''',
    ),
    (" * -(-rows // batch)", ' * plan["per_epoch"]'),
    (
        """    for first in range(0, rows, batch)[:steps_left]:
        picked = places[first : first + batch]
        made = run(train, {{**state, **{{name: data[name][picked] for name in columns}}}})
""",
        """    for picked in together(places)[:steps_left]:
        feeds = {{name: data[name][picked] for name in columns}}
        feeds |= {{name: feeds[name][:, : lengths[picked[0], at]] for name, at in sizes.items()}}
        made = run(train, {{**state, **feeds}})
""",
    ),
)
"""The same where rows of like length make a batch."""


class NoSuchHost(Problem):
    code = "X007"
    title = "no host program is written in `{name}`"
    help = "there are: {known}"
    name: str
    known: str


HOSTS = {"python": ("host.py", PYTHON)}


def host(program: Program, language: str) -> tuple[str, str]:
    """File name and text of the host program: short, to be read by whoever wants to know how training goes.

    Beside it lies the bundle, and in data/NAME.npy the rows of the training split for each column of train.onnx.
    Raises ``ProblemError`` where there is none in that language.
    """
    if language not in HOSTS:
        raise NoSuchHost(name=language, known=", ".join(HOSTS)).error()
    file, text = HOSTS[language]
    sizes: dict[str, int] = {}
    if program.plan.by_length:
        for usual, other in BY_LENGTH:
            text = text.replace(usual, other)
        sizes = size_columns(program.inputs)
    text = text.format(name=program.name, spec=program.spec, sizes=sizes)
    if any(output.name == "loss.total" for output in program.graphs["train"].outputs):
        for rows, places in zip(BY_ROWS, BY_PLACES, strict=True):
            text = text.replace(rows, places)
    if len(losses := [figure.name for figure in program.figures if figure.role == "loss"]) > 1:
        named = ", ".join(f'"{name}"' for name in losses)
        for old, new in (('made["loss"]', f"[made[name] for name in ({named})]"), *EACH):
            text = text.replace(old, new)
    return file, text
