"""What may come out of any text: a spec, which prints and reads again the same; or problems, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unicodedata import category

from tests.fuzz.bare import bare, read

from dotnn.read import read_text
from dotnn.write import write_spec
from dotnn_grammar.problems import ProblemError
from dotnn_grammar.show import render_all
from dotnn_grammar.source import Source

PLACELESS = {"B063", "G030"}
"""A file with nothing to train, or too large: the whole file is the place."""
MOST_SAID = 200_000
"""Letters of everything that is said of one small file."""


class Fault(AssertionError):
    """Something else came out."""


def judge_text(text: str) -> bool:
    """Whether the text can be read by itself. Raises ``Fault``."""
    source = Source(name="x", text=text)
    try:
        made = read_text(source)
    except ProblemError as wrong:
        explained(wrong, {"x": source})
        return False
    except Exception as raw:
        raise Fault(f"{type(raw).__name__}: {raw}\n{text!r}") from raw
    printed = write_spec(made)
    try:
        again = read(printed)
    except ProblemError as wrong:
        raise Fault(f"printed, it does not read: {wrong}\n{text!r}\n{printed}") from None
    # A comment at the beginning of the file is its own, and that of the declaration it stands above.
    if bare(again) != bare(made):
        raise Fault(f"printed, it reads as something else\n{text!r}\n{printed}")
    return True


def judge_check(check: Callable[[], object], text: str) -> bool:
    """Whether the spec compiles. Raises ``Fault``."""
    try:
        check()
    except ProblemError as wrong:
        explained(wrong, dict(wrong.sources))
        return False
    except Exception as raw:
        raise Fault(f"{type(raw).__name__}: {raw}\n{text}") from raw
    return True


def explained(wrong: ProblemError, sources: dict[str, Source]) -> None:
    """Raises ``Fault`` unless each problem has a place in the user's text, and words that can be shown."""
    said = render_all(wrong.problems, sources)
    faults = [] if wrong.problems and said.strip() else ["nothing is said"]
    if len(said) > MOST_SAID:
        faults.append(f"{len(said):,} letters are said")
    if any(c != "\n" and category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in said):
        faults.append("what is said cannot be printed")
    for problem in wrong.problems:
        words = f"{problem.code} {problem.title_text}"
        if problem.span is None:
            faults.extend([] if problem.code in PLACELESS else [f"no place: {words}"])
            continue
        if problem.span.file.startswith("std/"):
            faults.append(f"not the user's line: {words}")
        source = sources.get(problem.span.file)
        if source is not None and not 1 <= problem.span.line <= len(source.lines) + 1:
            faults.append(f"a line that is not there: {words}")
        if source is not None and not 1 <= problem.span.column <= len(source.line(problem.span.line)) + 1:
            faults.append(f"a column that is not there: {words} at {problem.span}")
    if faults:
        raise Fault("; ".join(faults) + "\n" + said)


def texts(paths: list[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in paths]
