"""What a battery says: which checks were made, how often, and what the smallest failure looks like."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from dotnn_grammar.problems import ProblemError

T = TypeVar("T")


class FailedError(AssertionError):
    """A check that failed; the text says what is wrong."""


@dataclass(frozen=True)
class Check:
    """One line of a report."""

    name: str
    tried: int
    failed: int = 0
    example: str = ""
    """The smallest case that fails, and how."""
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Nothing failed, and something was tried."""
        return self.failed == 0 and self.tried > 0

    def __str__(self) -> str:
        if self.ok:
            return f"  ok    {self.name} ({self.tried})"
        what = f"{self.failed} of {self.tried} failed" if self.tried else "nothing was tried"
        lines = [f"  FAILS {self.name} ({what})"]
        if self.example:
            lines += ["        the smallest that fails:", *(f"          {line}" for line in self.example.splitlines())]
        if self.advice:
            lines.append(f"        what to do: {self.advice}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """What a battery found. ``print(report)`` is meant to be read; ``report.require()`` is for a test."""

    about: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def require(self) -> None:
        """Raises ``FailedError`` with the whole report unless everything held."""
        if not self.ok:
            raise FailedError(str(self))

    def __str__(self) -> str:
        wrong = sum(not check.ok for check in self.checks)
        end = f"{wrong} of {len(self.checks)} checks fail" if wrong else f"all {len(self.checks)} checks hold"
        return "\n".join([f"{self.about}: {end}", *(str(check) for check in self.checks)])


def check_each(
    name: str,
    cases: Iterable[T],
    act: Callable[[T], object],
    advice: str = "",
    size: Callable[[T], float] = lambda case: 0,
    show: Callable[[T], str] = str,
) -> Check:
    """Does something with every case; whatever it raises counts as a failure. Of those the smallest is shown."""
    tried = failed = 0
    smallest: tuple[float, str] | None = None
    for case in cases:
        tried += 1
        try:
            act(case)
        except (Exception, SystemExit) as wrong:
            failed += 1
            if smallest is None or size(case) < smallest[0]:
                smallest = (size(case), f"{show(case)}\n{told(wrong)}".strip())
    return Check(name, tried, failed, smallest[1] if smallest else "", advice if failed or not tried else "")


def told(wrong: BaseException) -> str:
    """An error in words: for one that nobody meant, where it was raised as well."""
    if isinstance(wrong, AssertionError):
        return str(wrong)
    if isinstance(wrong, ProblemError):
        return "\n".join(f"{problem.code}: {problem.title_text}" for problem in wrong.problems)
    frames = traceback.extract_tb(wrong.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(wrong).__name__}: {wrong}{where}"
