"""`column text as pairs(vocab = 200, length = 12)`: a piece is two letters that stand side by side."""

from collections import Counter
from itertools import pairwise

from dotnn.plugins import Vocabulary


class Pairs:
    """Satisfies `dotnn.plugins.Tokenizer`."""

    name = "pairs"
    summary = "two letters that stand side by side are a piece"

    def __init__(self):
        self.settings = {}  # beside `vocab` and `length`, which all have

    def fit(self, texts, most, settings):
        seen = Counter(pair for text in texts for pair in cut(text))
        commonest = sorted(seen, key=lambda pair: (-seen[pair], pair))  # of equals always the same first
        return Vocabulary(tuple(commonest[:most]))

    def encoder(self, vocabulary, settings):
        places = {piece: place for place, piece in enumerate(vocabulary.pieces)}
        return lambda text: [places.get(pair, -1) for pair in cut(text)]

    def join(self, pieces):
        return "".join(piece[:1] for piece in pieces) + "".join(pieces[-1:])[1:]


def cut(text):
    return [a + b for a, b in pairwise(text)]
