"""What can stand in the way of writing texts with a net."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class LooksAhead(Problem):
    code = "W001"
    title = "`{output}` looks at tokens that come after its own, so no text can be written with it"
    label = "{what}"
    help = "{way}"
    output: str
    what: str
    way: str


class NothingToWrite(Problem):
    code = "W002"
    title = "`{name}` has not learned what comes next in a text"
    help = (
        "let the data say what comes next, `next = token shifted by 1`, and the loss compare with it; "
        "or name the column that is continued: --column NAME"
    )
    name: str


class SeveralToWrite(Problem):
    code = "W003"
    title = "the net could continue {names}"
    help = "say which: --column {name}"
    names: str
    name: str


class NotTokens(Problem):
    code = "W004"
    title = "the net reads no column `{name}`"
    help = "{near}"
    name: str
    near: str


class NoSuchOutput(Problem):
    code = "W005"
    title = "nothing gives, for each place of `{name}`, a score for each token"
    help = "{near}"
    name: str
    near: str


class NotGenerated(Problem):
    code = "W009"
    title = "`generate` cannot write here: {why}"
    label = "what is to be written?"
    help = "{way}"
    why: str
    way: str


class NoSuchPart(Problem):
    code = "W010"
    title = "the metric `{name}` is to be measured on `{part}`, and the data has no such part"
    label = "on which rows?"
    help = "{near}"
    name: str
    part: str
    near: str


class NoPrompt(Problem):
    code = "W006"
    title = "a text needs a beginning"
    help = "{way}"
    way: str


class OutOfRange(Problem):
    code = "W007"
    title = "`--{option} {value}`: {why}"
    help = "{way}"
    option: str
    value: str
    why: str
    way: str


class NotAToken(Problem):
    code = "W008"
    title = "`{value}` is no token of `{name}`"
    help = 'its tokens are whole numbers from 0 to {last}: --prompt "3 1 4"'
    value: str
    name: str
    last: int
