"""A backend that writes each graph as one straight Python function, and runs that."""

import numpy as np

from dotnn.graph import names_in
from dotnn.plugins import lowering
from dotnn_straight.spelling import SPELLING, WORDS

DTYPES = {
    "bool": "bool",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
    "u64": "uint64",
    "f32": "float32",
    "f64": "float64",
}
SIZES = ("dim", "dims", "rows", "size")
"""Attributes that are sizes, such as 3, `b` or `16*b`. The size `b` is `n_b` in Python."""


class Straight:
    """Satisfies `dotnn.plugins.Backend`."""

    name = "straight"
    summary = "one straight Python function a graph, written with NumPy"

    def lower(self, graph, options):
        return graph, write_function(graph, options.float64)

    def start(self, artefact, options):
        return Executor(*artefact)

    def write(self, program, source, folder, options):
        paths = [folder / f"{name}.py" for name in program.graphs]
        for path, graph in zip(paths, program.graphs.values(), strict=True):
            path.write_text(write_function(graph), encoding="utf-8")
        return paths


def write_function(graph, float64=False):
    """The text of `run(inputs)`, which gives every output by its name."""
    dtypes = {**DTYPES, "f32": "float64"} if float64 else DTYPES
    local = {}
    sizes = set()
    lines = [f"def run(inputs):  # {graph.name}"]
    for fed in graph.inputs:
        local[fed.name] = f"x{len(local)}"
        lines.append(f"    {local[fed.name]} = asarray(inputs[{fed.name!r}], {dtypes[fed.type.dtype]!r})")
    for _ in graph.inputs:  # one size may only be found with the help of another
        for fed in graph.inputs:
            lines += indented(measure(local[fed.name], fed.type.dims, sizes))
    lines += indented(statements(graph.nodes, local, sizes, dtypes))
    outputs = ", ".join(f"{output.name!r}: {local[output.value]}" for output in graph.outputs)
    return "\n".join([*lines, f"    return {{{outputs}}}", ""])


def indented(lines):
    return [f"    {line}" for line in lines]


def statements(nodes, local, sizes, dtypes):
    """A line for each node, and what else it needs; each gets a name in `local`."""
    for node in nodes:
        inputs = [local[name] for name in node.inputs]
        local[node.name] = name = f"v{len(local)}"
        if node.op == "scan":
            yield from step_function(f"step_{name}", node.attributes["body"], sizes, dtypes)
            value = scanned(f"step_{name}", inputs, **node.attributes)
        else:
            value = spell(node, inputs)
        yield f"{name} = asarray({value}, {dtypes[node.type.dtype]!r})"
        yield from measure(name, node.type.dims, sizes)


def step_function(name, body, sizes, dtypes):
    """One step of a scan: from its values to all that it makes, and what it carries on."""
    local, sizes = {}, set(sizes)
    yield f"def {name}(*values):"
    for fed in body.inputs:
        local[fed.name] = f"x{len(local)}"
        yield f"    {local[fed.name]} = asarray(values[{len(local) - 1}], {dtypes[fed.type.dtype]!r})"
        yield from indented(measure(local[fed.name], fed.type.dims, sizes))
    yield from indented(statements(body.nodes, local, sizes, dtypes))
    made = ", ".join(f"{key!r}: {value}" for key, value in local.items())
    after = {output.name: local[output.value] for output in body.outputs if output.name.startswith("next.")}
    yield f"    return {{{made}}}, [{', '.join(after[f'next.{number}'] for number in range(len(after)))}]"


def scanned(step, inputs, *, carried, scanned, dim, back, result, final, body):
    values = ", ".join(inputs)
    return f"scan({step}, [{values}], {carried}, {scanned}, {size_text(dim)}, {back}, {result!r}, {final})"


def measure(value, dims, sizes):
    """Lines that give the names in these dims their numbers, where they have none yet."""
    for axis, dim in enumerate(dims):
        unknown = [name for name in names_in(dim) if name not in sizes]
        if len(unknown) == 1:
            rest = "*".join(factor for factor in dim.split("*") if factor != unknown[0])
            sizes.add(unknown[0])
            yield f"n_{unknown[0]} = {value}.shape[{axis}]" + (f" // ({size_text(rest)})" if rest else "")


def spell(node, inputs):
    """The operation as a Python expression."""
    text = SPELLING.get(node.op) or lowering(node.op, "straight")
    if text is None:
        raise NotImplementedError(f"straight cannot spell {node.op}")
    words = {key: size_text(value) if key in SIZES else value for key, value in node.attributes.items()}
    return text.format(*inputs, all=", ".join(inputs), **words)


def size_text(dims):
    """One size, or several, as Python."""
    if isinstance(dims, tuple):
        return f"({''.join(f'{size_text(dim)}, ' for dim in dims)})"
    return "*".join(factor if factor.isdigit() else f"n_{factor}" for factor in str(dims).split("*"))


class Executor:
    """Satisfies `dotnn.plugins.Executor`."""

    def __init__(self, graph, text):
        self.graph = graph
        words = dict(WORDS)
        exec(compile(text, f"<{graph.name}>", "exec"), words)
        self.function = words["run"]

    def run(self, feeds, session=None):
        state = session.state() if session else {}
        with np.errstate(all="ignore"):
            return {name: np.array(value) for name, value in self.function({**state, **feeds}).items()}

    def train(self, state):
        return Session(self, state)


class Session:
    """Satisfies `dotnn.plugins.Session`."""

    def __init__(self, executor, state):
        self.executor = executor
        self.after = {after.name: fed.name for fed, after in executor.graph.states()}
        self.load(state)

    def load(self, state):
        wanted = [fed.name for fed in self.executor.graph.inputs if fed.role == "state"]
        self.held = {name: np.array(state[name]) for name in wanted}

    def state(self):
        return {name: array.copy() for name, array in self.held.items()}

    def step(self, batch):
        made = self.executor.run({**self.held, **batch})
        self.held |= {name: made.pop(after) for after, name in self.after.items()}
        return made
