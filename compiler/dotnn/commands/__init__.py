"""The command `nn`: one file a verb, each with one function. What a verb needs is imported when it runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer

VERBS = ("check", "compile", "train", "resume", "eval", "predict", "runs", "show", "ir")

OURS, INTERRUPTED = 3, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `nn`; always ends in SystemExit.

    Exit codes: 0 fine, 1 the input is wrong, 2 usage, 3 a bug of ours, 4 training diverged, 130 and 143 interrupted.
    """
    sys.path[:] = [folder for folder in sys.path if folder]  # the current folder holds the user's files, not ours
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    application(debug)([word for word in words if word != "--debug"], prog_name="nn")


def application(debug: bool = False) -> typer.Typer:
    """Every verb under one roof."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="A first try: nn train specs/digits.nn. With --debug a bug shows its traceback.",
    )
    app.callback()(_nn)
    for verb in VERBS:
        module = importlib.import_module(f"dotnn.commands.{verb}")
        settings = getattr(module, "SETTINGS", {})
        app.command(verb, context_settings=settings)(guarded(getattr(module, verb), debug))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"nn {version('dotnn')}")
        raise typer.Exit


def _nn(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Neural networks from a text: a .nn file says what is learned, from what, and what counts as a mistake."""


def guarded(function: Callable[..., Any], debug: bool) -> Callable[..., Any]:
    """The verb, with every error turned into words and an exit code."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = function(*args, **kwargs)
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            _close_pipe()  # who read our output has heard enough
            code = 0
        except typer.Exit:
            raise
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):
                raise
            code = explain(error, debug)
        raise typer.Exit(code or 0)

    return run


def explain(error: Exception, debug: bool) -> int:
    """Says what went wrong, on stderr; returns the exit code."""
    from dotnn.commands import desk
    from dotnn_grammar.problems import ProblemError

    if isinstance(error, ProblemError):
        desk.tell(error)
        if debug:
            _traceback(error)
        return 1
    if isinstance(error, MemoryError):
        typer.echo("There is not enough memory for this. A smaller batch or a smaller net needs less.", err=True)
        return 1
    if isinstance(error, OSError):
        where = f"`{error.filename}`: " if error.filename else ""
        typer.echo(f"The system refused: {where}{error.strerror or error}", err=True)
        if debug:
            _traceback(error)
        return 1
    words = f"{type(error).__name__}: {error}".splitlines()[0]
    typer.echo(f"This is a bug of nn, not yours: {words}", err=True)
    if debug:
        _traceback(error)
    else:
        again = "Please report it, with the spec and what the same command prints with --debug at its end."
        typer.echo(again, err=True)
    return OURS


def _traceback(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)


def _close_pipe() -> None:
    """Keeps Python from complaining, at its end, that nobody reads any more."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
