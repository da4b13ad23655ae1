"""What a tokenizer must pass: the same pieces for the same texts, as many as asked, numbers that stand for them."""

from __future__ import annotations

from collections.abc import Sequence

from dotnn import plugins
from dotnn.plugins import Tokenizer, Vocabulary
from dotnn.testing.report import FailedError, Report, check_each

TEXTS = (
    "The river rose; the bank was under water.",
    "A bank lends money, and wants more of it back!",
    "l'été, naïve, Straße, 日本語, русский, \U0001f600",
    "  spaces \t and\nlines  ",
    "1,000.5 % of x_1 = y^2",
    "a",
)
STRANGE = ("", " ", "\u0000", "\ud7ff\ue000", "zzzz qqqq", "\u202eodd\u200b", "x" * 10_000)


def check_tokenizer(tokenizer: Tokenizer | str, texts: Sequence[str] = TEXTS, most: int = 400) -> Report:
    """A tokenizer, fitted on these texts with so many pieces at most, and given others.

    tokenizer: itself, or its name.
    """
    cutter = plugins.tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    settings = dict(cutter.settings)

    def fit(count: int = most) -> Vocabulary:
        return cutter.fit(list(texts), count, settings)

    def same(_: int) -> None:
        if fit() != fit():
            raise FailedError("fitted twice on the same texts it keeps other pieces")

    def few(count: int) -> None:
        pieces = fit(count).pieces
        if not pieces or len(pieces) > count or len(set(pieces)) < len(pieces):
            raise FailedError(f"of {count} pieces at most it makes {len(pieces)}, {len(set(pieces))} of them different")
        if not all(isinstance(piece, str) for piece in pieces):
            raise FailedError("a piece is no text")

    def numbers(text: str) -> None:
        made = fit()
        found = [list(cutter.encoder(Vocabulary(made.pieces, made.state), settings)(text)) for _ in range(2)]
        if found[0] != found[1]:
            raise FailedError("the same text has other numbers the second time")
        if any(not -1 <= int(number) < len(made.pieces) for number in found[0]):
            raise FailedError(f"it gives {found[0]}, and there are {len(made.pieces)} pieces")

    def known(text: str) -> None:
        made = fit(1 << 20)
        found = cutter.encoder(made, settings)(text)
        if -1 in found:
            raise FailedError("with room for all pieces, one of a training text is unknown")
        if text.strip() and not isinstance(cutter.join([made.pieces[n] for n in found]), str):
            raise FailedError("join() gives no text")

    checks = (
        check_each("the same texts give the same pieces", range(1), same, "break ties by the pieces themselves"),
        check_each("as many pieces as asked, each once", (most, most // 2 + 100), few, "keep the commonest"),
        check_each("numbers of pieces, the same each time", (*texts, *STRANGE), numbers, "give -1 for what is unknown"),
        check_each("training texts are made of its pieces", texts, known, "encode() must cut as fit() does"),
    )
    return Report(f"tokenizer {cutter.name}", checks)
