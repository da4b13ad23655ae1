"""What this package brings. What is heavy is imported where it is used."""

from pathlib import Path

from dotnn.plugins import Command, hook

API = 1


@hook
def dotnn_backends():
    from dotnn_straight.backend import Straight

    return [Straight()]


@hook
def dotnn_operations():
    from dotnn_straight.operation import SQUAREPLUS

    return [SQUAREPLUS]


@hook
def dotnn_sources():
    from dotnn_straight.source import JsonLines

    return [JsonLines()]


@hook
def dotnn_tokenizers():
    from dotnn_straight.tokenizer import Pairs

    return [Pairs()]


@hook
def dotnn_loggers():
    from dotnn_straight.logger import Prose

    return [Prose()]


@hook
def dotnn_std():
    return [Path(__file__).parent / "std"]


@hook
def dotnn_commands():
    return [Command("straight", straight)]


def straight(file: Path, graph: str = "predict") -> None:
    """Print what the backend `straight` makes of a graph of a spec."""
    from dotnn.compiler import compile_file
    from dotnn_straight.backend import write_function

    print(write_function(compile_file(file).program.graphs[graph]), end="")
