"""Our own tokenizers: characters, words, and pairs of bytes that are merged. They come in by the hook, as others do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dotnn.entries import hook
from dotnn.plugins.hooks import Setting, Vocabulary
from dotnn_grammar.problems import Problem

API = 1

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class NeedsText(Problem):
    code = "D067"
    title = "`bpe` needs the package tokenizers, which is not installed"
    help = "install it with: pip install 'dotnn[text]'; or cut texts by `words` or `characters`"


class TooFewPieces(Problem):
    code = "D068"
    title = "`bpe` needs a `vocab` of {least} or more"
    help = "every byte is a piece to begin with: bpe(vocab = 4_000)"
    least: int


def most_common(found: Iterable[str], most: int) -> tuple[str, ...]:
    """The commonest pieces; among those of one count the first in the order of their characters."""
    counted = Counter(found)
    return tuple(sorted(counted, key=lambda piece: (-counted[piece], piece))[:most])


def numbering(pieces: Sequence[str]) -> Callable[[str], int]:
    """From a piece to its number; -1 for one that is not known."""
    numbers = {piece: number for number, piece in enumerate(pieces)}
    return lambda piece: numbers.get(piece, -1)


class Characters:
    """Satisfies ``dotnn.plugins.Tokenizer``."""

    name = "characters"
    summary = "each character is a piece"
    settings: Mapping[str, Setting] = {}

    def fit(self, texts: Iterable[str], most: int, settings: Mapping[str, Setting]) -> Vocabulary:
        return Vocabulary(most_common((c for text in texts for c in text), most))

    def encoder(self, vocabulary: Vocabulary, settings: Mapping[str, Setting]) -> Callable[[str], Sequence[int]]:
        number = numbering(vocabulary.pieces)
        return lambda text: [number(c) for c in text]

    def join(self, pieces: Sequence[str]) -> str:
        return "".join(pieces)


class Words:
    """Satisfies ``dotnn.plugins.Tokenizer``."""

    name = "words"
    summary = "words, and signs by themselves; in small letters unless `lower = no`"
    settings: Mapping[str, Setting] = {"lower": True}

    def fit(self, texts: Iterable[str], most: int, settings: Mapping[str, Setting]) -> Vocabulary:
        return Vocabulary(most_common((w for text in texts for w in self._words(text, settings)), most))

    def encoder(self, vocabulary: Vocabulary, settings: Mapping[str, Setting]) -> Callable[[str], Sequence[int]]:
        number = numbering(vocabulary.pieces)
        return lambda text: [number(word) for word in self._words(text, settings)]

    def join(self, pieces: Sequence[str]) -> str:
        return re.sub(r" ([.,;:!?)\]])", r"\1", " ".join(pieces))

    def _words(self, text: str, settings: Mapping[str, Setting]) -> list[str]:
        return WORD.findall(text.lower() if settings.get("lower", True) else text)


class Pairs:
    """Byte-pair encoding: the commonest pair of pieces becomes a piece, again and again, over the bytes of UTF-8, so
    that nothing is unknown (Sennrich, Haddow and Birch 2016, arXiv:1508.07909). Satisfies ``dotnn.plugins.Tokenizer``.
    """

    name = "bpe"
    summary = "pairs of bytes, merged as often as `vocab` allows (extra `text`)"
    settings: Mapping[str, Setting] = {}

    def fit(self, texts: Iterable[str], most: int, settings: Mapping[str, Setting]) -> Vocabulary:
        library = _library()
        alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
        if most < len(alphabet):
            raise TooFewPieces(least=len(alphabet) + 4).error()
        made = library.Tokenizer(library.models.BPE())
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(vocab_size=most, initial_alphabet=alphabet, show_progress=False)
        made.train_from_iterator(iter(texts), trainer)
        numbers = made.get_vocab()
        return Vocabulary(tuple(sorted(numbers, key=lambda piece: numbers[piece])), made.to_str())

    def encoder(self, vocabulary: Vocabulary, settings: Mapping[str, Setting]) -> Callable[[str], Sequence[int]]:
        made = _library().Tokenizer.from_str(vocabulary.state)
        return lambda text: list(made.encode(text).ids)

    def join(self, pieces: Sequence[str]) -> str:
        library = _library()
        return str(library.decoders.ByteLevel().decode(list(pieces)))


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise NeedsText().error() from None
    return tokenizers


@hook
def dotnn_tokenizers() -> Sequence[Any]:
    return (Characters(), Words(), Pairs())
