"""A drawn net as the text of a spec, and the table that it learns from."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from tests.peers.nets import OWN, Expression, Net, Statement

TABLE = "rows.csv"


def spec_text(net: Net) -> str:
    """The spec, which reads its rows from ``rows.csv`` beside it."""
    inputs = []
    if net.reals is not None:
        inputs.append(f"x: [{', '.join(map(str, ('b', *net.reals)))}]")
    if net.tokens is not None:
        inputs.append(f"token: int[{', '.join(map(str, ('b', *net.tokens)))}] < {net.vocabulary}")
    answer = "label" if net.loss == "cross_entropy" else "target"
    lines = ["data drawn {", f'  source table "{TABLE}"', *(f"  {line}" for line in _columns(net)), "}", ""]
    for word in net.own:
        settings, result, body, returned = OWN[word]
        lines.append(f"layer {word}({', '.join(settings)})(x: [..., n]) -> {result} {{")
        lines += [*_block(body, "  "), f"  return {write(returned)}", "}", ""]
    output = ", ".join(map(str, net.output))
    lines += [f"net Drawn({', '.join(inputs)}) -> out: [{output}] {{", *_block(net.body, "  "), "}", ""]
    lines += ["train Drawn on drawn {", f"  loss {net.loss}(out, {answer})", "  optimizer sgd(lr = 1)"]
    lines += ["  batch 5", "  steps 1", "  seed 3"]
    if net.clip is not None:
        lines.append(f"  clip norm {net.clip}")
    lines += [f"  decay {rate} for {pattern}" for rate, pattern in net.decays]
    return "\n".join([*lines, "}", ""])


def _columns(net: Net) -> Iterator[str]:
    if net.reals is not None:
        yield f"x = columns x0 to x{prod(net.reals) - 1} as [{', '.join(map(str, net.reals))}]"
    if net.tokens is not None:
        sizes = ", ".join(map(str, net.tokens))
        yield f"token = columns t0 to t{prod(net.tokens) - 1} as int[{sizes}] < {net.vocabulary}"
    *places, classes = net.output[1:]
    if net.loss == "mse":
        sizes = ", ".join(map(str, net.output[1:]))
        yield f"target = columns y0 to y{prod(map(int, net.output[1:])) - 1} as [{sizes}]"
    elif places:
        sizes = ", ".join(map(str, places))
        yield f"label = columns y0 to y{prod(map(int, places)) - 1} as int[{sizes}] < {classes}"
    else:
        yield f"label = column y0 as int < {classes}"


def table_text(batch: dict[str, Any]) -> str:
    """The rows as CSV: each array of the batch flat, under the letter of its columns."""
    letters = {"x": "x", "token": "t", "label": "y", "target": "y"}
    flat = {letters[name]: array.reshape(len(array), -1) for name, array in batch.items()}
    head = [f"{letter}{i}" for letter, array in flat.items() for i in range(array.shape[1])]
    rows = [
        [repr(number) for array in flat.values() for number in array[row].tolist()]
        for row in range(len(next(iter(flat.values()))))
    ]
    return "\n".join(",".join(row) for row in [head, *rows]) + "\n"


def _block(body: tuple[Statement, ...], indent: str) -> list[str]:
    lines: list[str] = []
    for statement in body:
        match statement:
            case ("assign", name, value):
                lines.append(f"{indent}{name} = {write(value)}")
            case ("bind", name, layer, settings):
                lines.append(f"{indent}{name} = {layer}({_settings(settings)})")
            case ("weight", name, sizes, init):
                lines.append(f"{indent}weight {name}: [{', '.join(map(str, sizes))}] ~ {init}")
            case ("repeat", variable, turns, inner):
                lines.append(f"{indent}repeat {variable} in 0..{turns} {{")
                lines += [*_block(inner, indent + "  "), f"{indent}}}"]
            case _:
                raise ValueError(statement)
    return lines


def _settings(settings: dict[str, Any]) -> str:
    words = {True: "yes", False: "no"}
    return ", ".join(f"{k} = {words[v] if isinstance(v, bool) else v}" for k, v in settings.items())


def write(e: Expression) -> str:
    """An expression as text, with parentheses round all that has parts."""
    match e:
        case ("name", name):
            return str(name)
        case ("number", number):
            return str(number)
        case ("negative", x):
            return f"(-{write(x)})"
        case ("binary", operator, a, b):
            return f"({write(a)} {operator} {write(b)})"
        case ("choose", x, operator, bound, a, b):
            return f"({write(a)} if {write(x)} {operator} {bound} else {write(b)})"
        case ("call", function, values, axis):
            over = "" if axis is None else f", over = {axis}"
            return f"{function}({', '.join(write(v) for v in values)}{over})"
        case ("gather", table, index):
            return f"{table}[{index}]"
        case ("rows", table, count):
            return f"{table}[0..{count}]"
        case ("first", x, count):
            return f"{write(x)}[..., 0..{count}]"
        case ("transposed", x):
            return f"{write(x)}.T"
        case ("chain", start, stages):
            return f"({' -> '.join([write(start), *map(_stage, stages)])})"
    raise ValueError(e)


def _stage(stage: Expression) -> str:
    match stage:
        case ("layer", word, settings, name):
            given = f"({_settings(settings)})" if settings else ""
            return f"{word}{given}" + (f" as {name}" if name else "")
        case (_, name):
            return str(name)
    raise ValueError(stage)
