"""Texts as numbers: a tokenizer cuts them into pieces, the training rows say which pieces there are.

    say = column text as words(vocab = 4_000, length = 32)

Four numbers are the same whatever the tokenizer: 0 fills up what is shorter (`pad`), 1 stands for what training never
saw, 2 and 3 are `start` and `end`. The pieces follow from 4 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

from dotnn.data.paths import show
from dotnn.plugins import Tokenizer, Vocabulary, tokenizer
from dotnn.program import Setting, Tokens
from dotnn_grammar.limits import limits
from dotnn_grammar.problems import Problem, ProblemError, perhaps
from dotnn_grammar.source import Span

PAD, UNKNOWN, START, END = range(4)
CONSTANTS: Mapping[str, int] = {"pad": PAD, "start": START, "end": END}
"""What a spec may call them."""
OWN = ("", "\ufffd", "", "")
"""How these four are shown."""

VOCAB = 10_000
"""How many numbers there are at most, where a spec does not say."""


class UnknownSetting(Problem):
    code = "D063"
    title = "`{word}` has no setting called `{name}`"
    label = "not a setting"
    help = "{advice}"
    word: str
    name: str
    advice: str


class WrongSetting(Problem):
    code = "D064"
    title = "`{name} = {value}` is no {name} of pieces"
    label = "this setting"
    help = "{advice}"
    name: str
    value: str
    advice: str


class NoPieces(Problem):
    code = "D065"
    title = "no training row has a piece in the column `{column}`"
    label = "nothing to learn from"
    help = "look whether this is the column that is meant, and whether `{word}` suits its texts"
    column: str
    word: str


class TokenizerBreaks(Problem):
    code = "D066"
    title = "the tokenizer `{word}` does not work: {why}"
    label = "texts are cut here"
    help = "tell those who wrote it (`nn plugins` says which package it is)"
    word: str
    why: str


Encode = Callable[[str], list[int]]


def fitted(word: str, given: Mapping[str, Setting], texts: Iterable[str], column: str, span: Span | None) -> Tokens:
    """What a tokenizer makes of the training texts. Raises D063 to D066.

    given: the settings as the spec has them; `vocab` and `length` belong to all tokenizers.
    """
    cutter = tokenizer(word)
    settings = _settings(cutter, given, span)
    vocab, length = settings.pop("vocab"), settings.pop("length")
    ends = {name: bool(settings.pop(name)) for name in ("start", "end")}
    kept = texts if isinstance(texts, Sized) else list(texts)
    made: Vocabulary = _guarded(lambda: cutter.fit(kept, int(vocab) - len(OWN), settings), word, span)
    pieces = tuple(made.pieces)
    if not all(isinstance(piece, str) for piece in pieces) or len(pieces) > int(vocab) - len(OWN):
        raise TokenizerBreaks(span=span, word=word, why="it makes other pieces than were asked for").error()
    if not pieces:
        raise NoPieces(span=span, column=show(column), word=word).error()
    tokens = Tokens(
        tokenizer=word, settings=settings, pieces=(*OWN, *pieces), state=str(made.state), length=int(length), **ends
    )
    if not length:
        encode = encoder(tokens, span)
        longest = max((len(row_of(tokens, encode(text))) for text in kept), default=1)
        tokens = tokens.model_copy(update={"length": max(longest, 1)})
    return tokens


def _settings(cutter: Tokenizer, given: Mapping[str, Setting], span: Span | None) -> dict[str, Any]:
    known: dict[str, Any] = {"vocab": VOCAB, "length": 0, "start": False, "end": False, **cutter.settings}
    for name, value in given.items():
        if name not in known:
            advice = perhaps(name, known, f"its settings are: {', '.join(known)}")
            raise UnknownSetting(span=span, word=cutter.name, name=name, advice=advice).error()
        if type(value) is not type(known[name]):
            advice = f"give it as in `{name} = {_written(known[name])}`"
            raise WrongSetting(span=span, name=name, value=_written(value), advice=advice).error()
    least = {"vocab": len(OWN) + 1, "length": 1}
    for name, smallest in least.items():
        chosen = given.get(name)
        if isinstance(chosen, int) and not smallest <= chosen < limits().dim:
            advice = f"{smallest} is the least: four numbers are `pad`, what is unknown, `start` and `end`"
            if name == "length":
                advice = "a text needs a place or more; without the setting it is the longest text of training"
            raise WrongSetting(span=span, name=name, value=str(chosen), advice=advice).error()
    return {**known, **given}


def _written(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def encoder(tokens: Tokens, span: Span | None = None) -> Encode:
    """A text's numbers, as many as it has pieces. Raises ``ProblemError``."""
    word = tokens.tokenizer
    cutter = tokenizer(word)
    own = Vocabulary(tokens.pieces[len(OWN) :], tokens.state)
    inner: Callable[[str], Sequence[int]] = _guarded(lambda: cutter.encoder(own, tokens.settings), word, span)
    count = len(own.pieces)

    def encode(text: str) -> list[int]:
        numbers = [int(n) for n in _guarded(lambda: inner(text), word, span)]
        if any(n < -1 or n >= count for n in numbers):
            raise TokenizerBreaks(span=span, word=word, why="it gives numbers of pieces that there are not").error()
        return [UNKNOWN if n < 0 else n + len(OWN) for n in numbers]

    return encode


def row_of(tokens: Tokens, numbers: Sequence[int]) -> list[int]:
    """A text of its own: with `start` and `end` where they are asked for."""
    return [*([START] if tokens.start else []), *numbers, *([END] if tokens.end else [])]


def moved(numbers: Sequence[int], later: int) -> Sequence[int]:
    """What stands ``later`` places later; before the first piece, and after the last, there is `pad`."""
    return numbers[later:] if later >= 0 else [*([PAD] * -later), *numbers]


def decoded(tokens: Tokens, numbers: Iterable[int], span: Span | None = None) -> str:
    """The text of these numbers, up to `end`; without `pad` and `start`."""
    pieces = []
    for number in numbers:
        if number == END:
            break
        if number not in (PAD, START):
            pieces.append(tokens.pieces[number])
    text: str = _guarded(lambda: tokenizer(tokens.tokenizer).join(pieces), tokens.tokenizer, span)
    return text


def _guarded(act: Callable[[], Any], word: str, span: Span | None) -> Any:
    """What a stranger's code gives; whatever goes wrong in it becomes a problem with a place."""
    try:
        return act()
    except ProblemError as wrong:
        raise ProblemError([problem.model_copy(update={"span": span}) for problem in wrong.problems]) from None
    except (Exception, SystemExit) as wrong:
        from dotnn.plugins.registry import reason

        raise TokenizerBreaks(span=span, word=word, why=reason(wrong)).error() from None
