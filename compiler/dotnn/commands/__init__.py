"""The command `nn`: one file a verb, each with one function. What a verb needs is imported when it runs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer

from dotnn.commands.plugin import VERBS, dotnn_commands
from dotnn.entries import Command, Entry, strangers

__all__ = ["VERBS", "application", "explain", "guarded", "main"]

LIMITED = ("check", "data", "compile", "train", "resume", "eval", "claims", "probe", "ir")
"""Verbs that read a spec, and so ask how much it may ask for."""

OURS, INTERRUPTED = 3, 130
WrongUse: Any = typer.BadParameter.__mro__[2]
"""What typer raises for every word on the command line that does not fit; it exports none but the most special."""
OURSELVES = "nn"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `nn`; always ends in SystemExit.

    Exit codes: 0 fine, 1 the input is wrong, 2 usage, 3 a bug of ours, 4 training diverged, 130 and 143 interrupted.
    """
    sys.path[:] = [folder for folder in sys.path if folder]  # the current folder holds the user's files, not ours
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    rest = [word for word in words if word != "--debug"]
    try:
        code = application(debug, rest[0] if rest else "")(rest, prog_name="nn", standalone_mode=False)
    except WrongUse as wrong:
        wrong.message = wrong.message.replace("Value error, ", "")  # pydantic's own words, by way of typer
        wrong.show()
        code = wrong.exit_code
    except typer.Abort:
        code = INTERRUPTED
    raise SystemExit(code or 0)


def application(debug: bool = False, first: str = "") -> typer.Typer:
    """Every verb under one roof. first: the first word of the command line; for one of ours no other is looked for."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="A first try: nn train specs/digits.nn. With --debug a bug shows its traceback.",
    )
    app.callback()(_nn)
    for command in dotnn_commands():
        function = limited(command.run) if command.name in LIMITED else command.run
        app.command(command.name, context_settings=command.settings)(guarded(function, debug))
    for name, entry in () if first in VERBS else _others():
        app.command(name, add_help_option=False, context_settings=ANYTHING)(_stranger(entry, debug))
    return app


ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


def _others() -> Iterable[tuple[str, Entry]]:
    """Verbs that plugins bring, by name; our own names stay ours."""
    brought = {entry.name: entry for entry in reversed(strangers()) if entry.kind == "command"}
    return ((name, brought[name]) for name in sorted(brought) if name not in VERBS)


def _stranger(entry: Entry, debug: bool) -> Callable[..., Any]:
    """A plugin's verb, which is loaded when it is asked for."""

    def run(context: typer.Context) -> None:
        from dotnn.plugins import command

        found: list[Command] = []
        _excused(lambda: found.append(command(entry.name)), debug, OURSELVES)
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        whose = f"the plugin {entry.package}"
        app.command(entry.name, context_settings=found[0].settings)(guarded(found[0].run, debug, whose))
        app(context.args, prog_name=f"nn {entry.name}")

    run.__doc__ = f"Comes from the package {entry.package}."
    return run


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


def limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """The verb with two options more, which say how much a spec may ask for while it runs."""
    limit = Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=N", help="Allow a spec more of something: layers=1_000_000."),
    ]
    allow_path = Annotated[
        bool, typer.Option("--allow-path", help="Read files that lie outside the spec's folder, and through links.")
    ]

    @wraps(function)
    def run(*args: Any, limit: list[str] | None = None, allow_path: bool = False, **kwargs: Any) -> Any:
        from dotnn_grammar.limits import allowing, limits_of

        with allowing(limits_of(limit or [], allow_path)):
            return function(*args, **kwargs)

    signature = inspect.signature(function, eval_str=True)
    word = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter("limit", word, default=None, annotation=limit),
        inspect.Parameter("allow_path", word, default=False, annotation=allow_path),
    ]
    vars(run)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), *more])
    run.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    run.__annotations__ |= {"limit": limit, "allow_path": allow_path}
    return run


def guarded(function: Callable[..., Any], debug: bool, whose: str = OURSELVES) -> Callable[..., Any]:
    """The verb, with every error turned into words and an exit code. whose: who wrote it."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        raise typer.Exit(_excused(lambda: function(*args, **kwargs), debug, whose) or 0)

    return run


def _excused(act: Callable[[], Any], debug: bool, whose: str) -> Any:
    """What it gives; an error ends in words and ``typer.Exit``."""
    try:
        return act()
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _close_pipe()  # who read our output has heard enough
        raise typer.Exit from None
    except typer.Exit:
        raise
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("typer", "click"):
            raise
        raise typer.Exit(explain(error, debug, whose)) from None


def explain(error: Exception, debug: bool, whose: str = OURSELVES) -> int:
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
    typer.echo(f"This is a bug of {whose}, not yours: {words}", err=True)
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
