"""Files altered by chance, drawn by number: words lost, doubled, swapped; bytes lost, doubled, turned; files mixed."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]

TOKEN = re.compile(r'"[^"\n]*"|\w+|->|\.\.\.?|[=!<>]=|//|\s+|.')
SIGNS = ("+", "-", "*", "/", "//", "%", "@", "^", "==", "!=", "<", ">", "and")
NUMBERS = ("0", "1", "2", "-1", "2.5", "1e9", "1e39", "100000", "2^40", "9" * 20, "b", "n", "yes", '"a"', "relu")
VALUES = (
    "3", "0", "x", "x[0]", "x.T", "(1, 2)", "[2, n]", "sum", "max", "fold", "random", "fill", "normalise", "stop",
    "pick", "zeros", "zeros[3]", "glorot", "adam", "cosine", "chance", "relu(3)", "dense(2)", "N", "b", "yes", "...",
    "1..3",
)  # fmt: skip
WORDS = frozenset(
    re.findall(
        r"\w+",
        """param data source table columns column to as class split train val test stratify seed function layer net
        optimizer return weight state when training else if repeat in require loss error metric answer batch epochs
        steps clip norm decay for stop keep best not or has fallen on int then until epoch init yes no""",
    )
)
ODD = (
    "\0", "\r", "\t", ";", "\n", "{", "}", "(", ")", "[", "]", '"', "\\", "#", "%", "$", "...", "->", "- >", "=", "==",
    "\ufeff", "\u00e9", "\u2212", "\u201c", "\u2028", "\U0001f642", "\u202e", "1e999", "07", "0x1F", "1_", "_", "'",
    "`", "lambda", "import os", "data d {", "train on d {", "net N(", "use \"x\"", "scan", "claim", "where", "until",
    "then",
)  # fmt: skip


def specs() -> list[Path]:
    """Every file of the language in the repository."""
    folders = ("specs", "compiler/dotnn/std", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.nn")]
    return sorted(path for path in found if "plugin" not in path.parts)


def altered(text: str, random: Random) -> str:
    """One to three words lost, doubled, swapped or put in the place of others; mostly so that it can still be read."""
    words = TOKEN.findall(re.sub(r"#[^\n]*", "", text))
    places = [i for i, word in enumerate(words) if not word.isspace()]
    names = [w for w in words if re.fullmatch(r"[A-Za-z_]\w*", w) and w not in WORDS]
    kind = [i for i in places if words[i] in SIGNS or words[i] in names or words[i][0].isdigit()]
    if not kind:
        return text + random.choice(VALUES)
    for _ in range(random.choice((1, 1, 2, 3))):
        i, j, k = random.choice(places), random.choice(places), random.choice(kind)
        match random.randrange(8):
            case 0:
                words[i] = ""
            case 1:
                words[i] += " " + words[i]
            case 2:
                words[i], words[j] = words[j], words[i]
            case 3:
                words[i] = random.choice(VALUES + NUMBERS)
            case _ if words[k] in SIGNS:
                words[k] = random.choice(SIGNS)
            case _ if words[k][:1].isdigit():
                words[k] = random.choice(NUMBERS)
            case _:
                words[k] = random.choice((*names, *VALUES))
    return "".join(words)


def scrambled(text: str, other: str, random: Random) -> str:
    """A text whose bytes were changed here and there, or that goes on as another one does."""
    raw = bytearray(text.encode())
    for _ in range(random.choice((1, 1, 1, 2, 4, 12))):
        here, there = sorted(random.randrange(len(raw) + 1) for _ in range(2))
        near = min(len(raw), here + random.choice((1, 1, 2, 5, 20)))
        match random.randrange(8):
            case 0:
                del raw[here:near]
            case 1:
                raw[here:here] = raw[here:near] * random.choice((1, 1, 2, 30))
            case 2:
                raw[here:here] = random.choice(ODD).encode()
            case 3 if here < len(raw):
                raw[here] ^= 1 << random.randrange(8)
            case 4 if here < len(raw):
                raw[here:near] = random.choice(ODD).encode()
            case 5:
                del raw[here : there if random.random() < 0.3 else near]
            case 6:
                cut = random.randrange(len(other) + 1)
                raw[here:] = other[cut:].encode()
            case _:
                raw[near:near] = raw[here:near]
    return raw.decode("utf-8", "replace")


def drawn(number: int, texts: list[str]) -> str:
    """The altered text of this number."""
    random = Random(f"scrambled {number}")
    text, other = random.choice(texts), random.choice(texts)
    return altered(text, random) if random.random() < 0.4 else scrambled(text, other, random)
