"""Problems as text for people, and as JSON and annotations for programs."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Source, Span

TAB = 4
LONGEST = 160
"""Columns of a line that are shown at most."""

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Kinds of characters that order a terminal about, or break its lines."""

IN_URI = frozenset(string.ascii_letters + string.digits + "-._~/")

RED, BLUE, BOLD, PLAIN = "\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"


def render(problem: Problem, sources: Mapping[str, Source], color: bool = False) -> str:
    """A problem with the lines that it is about, marked; ends without a newline."""
    paint = _paint if color else _leave
    lines = [paint(f"error[{problem.code}]", RED) + paint(f": {clean(problem.title_text)}", BOLD)]
    places = [(problem.span, problem.label_text, "^")] if problem.span else []
    places += [(note.span, note.text, "-") for note in problem.notes]
    shown = [span for span, _, _ in places if span.file in sources]
    width = max((len(str(span.line)) for span in shown), default=1)
    margin = " " * width
    bar = paint("|", BLUE)
    for number, (span, text, sign) in enumerate(places):
        arrow = "-->" if number == 0 else ":::"
        lines.append(f"{margin}{paint(arrow, BLUE)} {clean(str(span))}")
        if span.file not in sources:
            continue
        code, caret = mark(sources[span.file].line(span.line), span, sign)
        lines.append(f"{margin} {bar}")
        lines.append(f"{paint(str(span.line).rjust(width), BLUE)} {bar} {code}".rstrip())
        marked = paint(f"{caret.lstrip()} {clean(text)}".rstrip(), RED if sign == "^" else BLUE)
        lines.append(f"{margin} {bar} {' ' * (len(caret) - len(caret.lstrip()))}{marked}")
    if problem.help_text:
        if shown:
            lines.append(f"{margin} {bar}")
        lines.append(f"{margin} {paint('=', BLUE)} {paint('help', BOLD)}: {clean(problem.help_text)}")
    return "\n".join(lines)


def render_all(problems: Iterable[Problem], sources: Mapping[str, Source], color: bool = False) -> str:
    """Every problem, an empty line between two."""
    return "\n\n".join(render(problem, sources, color) for problem in problems) + "\n"


def mark(line: str, span: Span, sign: str) -> tuple[str, str]:
    """The line as it is shown, and below it the marks under the stretch (its first line, where it has several)."""
    line = line.rstrip("\r\n")
    start = min(span.column - 1, len(line))
    end = span.end_column - 1 if span.end_line == span.line else len(line.split("#")[0].rstrip())
    before = expand(line[:start])
    marked = expand(line[start : max(end, start)], len_shown(before))
    after = expand(line[max(end, start) :], len_shown(before) + len_shown(marked))
    left, long = len_shown(before), max(1, len_shown(marked))
    shown = before + marked + after
    if len_shown(shown) > LONGEST:
        if left + min(long, 20) > LONGEST - 10:
            return cut(marked + after), sign * min(long, LONGEST)
        shown, long = cut(shown), min(long, LONGEST - left)
    return shown, " " * left + sign * long


def cut(text: str) -> str:
    """A line that is not too long for a terminal."""
    return text[: LONGEST - 4] + " ..." if len(text) > LONGEST else text


def expand(text: str, column: int = 0) -> str:
    """``text`` with tabs as spaces and without what a terminal would take for an order."""
    out: list[str] = []
    for char in text:
        shown = " " * (TAB - column % TAB) if char == "\t" else clean(char)
        out.append(shown)
        column += len_shown(shown)
    return "".join(out)


def clean(text: str) -> str:
    """Control characters are shown as a sign: a file must not be able to steer the terminal."""
    return "".join("\ufffd" if unicodedata.category(c) in UNSEEN and c != "\n" else c for c in text)


def len_shown(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def to_json(problem: Problem) -> dict[str, object]:
    """A problem as plain values, for `--format json`."""

    def place(span: Span | None) -> dict[str, object] | None:
        return None if span is None else span.model_dump()

    return {
        "event": "problem",
        "code": problem.code,
        "title": problem.title_text,
        "label": problem.label_text,
        "help": problem.help_text,
        "span": place(problem.span),
        "notes": [{"text": note.text, "span": place(note.span)} for note in problem.notes],
    }


def to_github(problem: Problem) -> str:
    """A problem as an annotation of a GitHub workflow."""
    text = problem.title_text + (f" ({problem.help_text})" if problem.help_text else "")
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    if problem.span is None:
        return f"::error title={problem.code}::{text}"
    span = problem.span
    file = span.file.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
    return f"::error file={file},line={span.line},col={span.column},title={problem.code}::{text}"


def to_sarif(problems: Sequence[Problem], version: str) -> dict[str, object]:
    """Problems as SARIF 2.1.0, which code hosts and editors read. version: of this program."""
    codes = sorted({problem.code for problem in problems})
    driver = {"name": "nn", "version": version, "rules": [{"id": code} for code in codes]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(p) for p in problems]}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(problem: Problem) -> dict[str, object]:
    text = problem.title_text + (f" ({problem.help_text})" if problem.help_text else "")
    result: dict[str, object] = {"ruleId": problem.code, "level": "error", "message": {"text": text}}
    if problem.span is not None:
        result["locations"] = [{"physicalLocation": _place(problem.span)}]
    if problem.notes:
        notes = [{"physicalLocation": _place(note.span), "message": {"text": note.text}} for note in problem.notes]
        result["relatedLocations"] = notes
    return result


def _place(span: Span) -> dict[str, object]:
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"artifactLocation": {"uri": _uri(span.file)}, "region": region}


def _uri(path: str) -> str:
    """A path as part of a URI: what means something there as `%20`."""
    return "".join(char if char in IN_URI else "".join(f"%{byte:02X}" for byte in char.encode()) for char in path)


def _paint(text: str, style: str) -> str:
    return f"{style}{text}{PLAIN}" if text else ""


def _leave(text: str, style: str) -> str:
    return text
