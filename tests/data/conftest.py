from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dotnn import spec
from dotnn.program import RawColumn
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Span


def place(line: int) -> Span:
    return Span(file="try.nn", line=line, column=1, end_line=line, end_column=9)


class Bench:
    """A folder with tables and the data block that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spans = {"x": place(3), "y": place(4)}

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def data(
        self,
        *files: str,
        tests: Sequence[str] = (),
        shares: dict[str, float] | None = None,
        stratify: str | None = None,
        in_order: bool = False,
        seed: int = 1,
        columns: tuple[spec.Column, ...] = (),
        reader: str = "table",
    ) -> spec.Data:
        sources = [spec.SourceLine(span=place(2), role="source", reader=reader, files=files)] if files else []
        if tests:
            sources.append(spec.SourceLine(span=place(7), role="test", reader=reader, files=tuple(tests)))
        split = None
        if shares:
            parts = tuple(spec.Share(span=place(5), name=name, share=share) for name, share in shares.items())
            split = spec.Split(span=place(5), shares=parts, stratify=stratify, in_order=in_order)
        return spec.Data(span=place(1), name="trial", sources=tuple(sources), columns=columns, split=split, seed=seed)

    def column(self, first: str, last: str | None = None) -> spec.ColumnOf:
        return spec.ColumnOf(span=place(3), first=first, last=last)

    def line(self, name: str, column: str, word: str | None = None) -> spec.Column:
        type_text = spec.TypeText(span=place(4), word=word) if word else None
        return spec.Column(span=place(4), name=name, value=self.column(column), type=type_text)

    def number(self, *columns: str, name: str = "x") -> RawColumn:
        dims = (len(columns),) if len(columns) > 1 else ()
        return RawColumn(name=name, columns=columns, dtype="f32", dims=dims)

    def whole(self, column: str, bound: int | None = None, name: str = "y") -> RawColumn:
        return RawColumn(name=name, columns=(column,), dtype="i64", bound=bound, role="label")

    def kind(self, column: str, *classes: str, name: str = "y") -> RawColumn:
        return RawColumn(name=name, columns=(column,), dtype="i64", classes=classes, role="label")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def refused() -> Callable[..., Problem]:
    """Runs something that must be refused with this code, and hands the problem back, its wording filled in."""

    def run(code: str, act: Callable[[], object]) -> Problem:
        with pytest.raises(ProblemError) as caught:
            act()
        (problem,) = caught.value.problems
        assert problem.code == code, f"{problem.code} {problem.title_text}"
        for text in (problem.title_text, problem.label_text, problem.help_text):
            assert "{" not in text
            assert "\n" not in text
        return problem

    return run
