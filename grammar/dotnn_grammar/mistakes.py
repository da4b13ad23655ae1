"""The mistakes of form that a file can have; `meant.py` finds out which one it is."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class Unexpected(Problem):
    code = "G001"
    title = "{found} cannot stand here"
    label = "expected {expected}"
    help = "{advice}"
    found: str
    expected: str
    advice: str = ""


class StrangeCharacter(Problem):
    code = "G002"
    title = "`{character}` means nothing here"
    label = "this character"
    help = "{advice}"
    character: str
    advice: str


class OpenText(Problem):
    code = "G003"
    title = 'this text has no closing `"`'
    label = "it starts here"
    help = 'a text ends on the line where it starts: put `"` after its last letter'


class Unclosed(Problem):
    code = "G004"
    title = "this `{bracket}` is never closed"
    label = "opened here"
    help = "put `{closing}` where it ends"
    bracket: str
    closing: str


class ClosesNothing(Problem):
    code = "G005"
    title = "this `{bracket}` closes nothing"
    label = "there is no `{opening}` for it"
    help = "take it away, or put `{opening}` where it begins"
    bracket: str
    opening: str


class ClosesOther(Problem):
    code = "G006"
    title = "`{opening}` is closed by `{bracket}`"
    label = "expected `{closing}`"
    help = "close the brackets in the order in which they were opened, the last one first"
    opening: str
    bracket: str
    closing: str


class OtherSpelling(Problem):
    code = "G007"
    title = "`{written}` is not written like this here"
    label = "{reason}"
    help = "{advice}"
    written: str
    reason: str = "another language's sign"
    advice: str


class UnknownDeclaration(Problem):
    code = "G008"
    title = "a line of the file cannot start with `{word}`"
    label = "not a word that starts a declaration"
    help = "{advice}"
    word: str
    advice: str


class Mixed(Problem):
    code = "G009"
    title = "a chain and an operator meet without parentheses"
    label = "is it part of the chain, or not?"
    help = "put the chain in parentheses: `x + (x -> layer)`, `(x -> layer) * 2`"


class ReservedWord(Problem):
    code = "G010"
    title = "`{word}` has a meaning of its own and cannot be a name"
    label = "a reserved word"
    help = "{advice}"
    word: str
    advice: str


class SideBySide(Problem):
    code = "G011"
    title = "two values stand side by side"
    label = "something is missing before this"
    help = "{advice}"
    advice: str


class UnknownStatement(Problem):
    code = "G012"
    title = "a line cannot start with `{word}`"
    label = "expected `=` after this name, or a word that starts a line"
    help = "{advice}"
    word: str
    advice: str


class SpacedPercent(Problem):
    code = "G013"
    title = "a percentage is written without a space"
    label = "here `%` is the remainder of a division"
    help = "write `{number}%`"
    number: str


class EarlyEnd(Problem):
    code = "G014"
    title = "this line ends too early"
    label = "expected {expected}"
    help = "{advice}"
    expected: str
    advice: str = "finish the line; it may go on after a comma, an operator or an open bracket"


class ComparedTwice(Problem):
    code = "G015"
    title = "two comparisons in a row"
    label = "the second one"
    help = "compare two values at a time: `0 < x and x < 3`"


class OneEqual(Problem):
    code = "G016"
    title = "`=` gives a name its value; it does not compare"
    label = "expected a comparison"
    help = "to ask whether two values are equal write `==`"


class TwoEqual(Problem):
    code = "G017"
    title = "`==` compares; it does not give a name its value"
    label = "expected `=`"
    help = "write one `=`"


class BraceBelow(Problem):
    code = "G018"
    title = "the `{{` stands on a line of its own"
    label = "expected `{{` at the end of this line"
    help = "move the `{{` up, to the end of the line that it belongs to"
