"""Sentence pairs from the catalogues that programs are translated by: what is in a `.po` file, made into a table.

A catalogue has whole sentences, and forms with gaps (`%d days`, `Add another %(model)s`). Gaps are filled with numbers,
or with things that the catalogue itself has words for, so that the same form stands there with many fillings: whoever
learns it must say the form and bring over what fills it, often to another place (`3 days` is `siku 3`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from dotnn.fetch.archives import members
from dotnn.fetch.make import Files
from dotnn.fetch.problems import UnreadablePackage

GAP = re.compile(r"%\((?P<long>\w+)\)[sd]|%(?P<short>[sd])|\{(?P<brace>\w+)\}")
ODD = re.compile(r"[<>`“”\"'’\\|{}%]|https?:|www|\.py|[a-z]_[a-z]|\w/\w|\.\w")
"""What is markup or a program's own, once gaps are filled."""
NUMBERS = re.compile(r"d|\w*count\w*|\w*number|\w*value|\w*length|size|cnt|sel")
"""Gaps for a number; `%s` is one too beside the words of COUNTED."""
COUNTED = re.compile(r"\b(KB|MB|GB|TB|PB|hours?)\b")
OTHERS = re.compile(r"s|\w*name\w*|\w*label|models?|items|fields?|app")
"""Gaps for a thing."""
THINGS = re.findall(
    r"\w[\w ]*\w",
    """
    user, users, group, groups, permission, permissions, site, sites, session, sessions, redirect, redirects, password,
    username, message, messages, iterations, salt, hash, tags, bookmarklets, documentation, first name, last name,
    email address, flat page, flat pages, log entry, log entries, content type, content types, display name,
    template name, domain name, change message
    """,
)
"""What fills the other gaps, as far as the catalogue has a word for it."""
FILLINGS = 24
"""Of a gap, at most."""
WORDS = 12
"""Of a sentence, at most."""

Pair = tuple[str, str]


def swahili_of_django(package: Path) -> Files:
    """`en-sw.tsv`: English and Swahili, a pair a line, from the catalogues of Django and its parts."""
    catalogues = dict(members(package, lambda name: name.endswith(".po") and "/locale/sw/" in name))
    if not catalogues:
        raise UnreadablePackage(package=f"`{package.name}`", why="it has no catalogue of Swahili").error()
    found: dict[str, str] = {}
    for _, text in sorted(catalogues.items()):
        for english, swahili in entries(text.decode("utf-8")):
            found.setdefault(english, swahili)
    lines = [f"{english}\t{swahili}" for english, swahili in sentences(found)]
    yield "en-sw.tsv", ("\n".join(["en\tsw", *lines]) + "\n").encode()


def entries(catalogue: str) -> Iterator[Pair]:
    """Each text of a `.po` file with its translation: of what is counted the plural; nothing that is marked unsure."""
    for block in re.split(r"\n\s*\n", catalogue):
        if re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE):
            continue
        said: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            begun = re.match(r'(msgid_plural|msgid|msgstr(?:\[\d\])?)\s+"(.*)"$', line)
            if begun is not None:
                key = begun[1]
                said[key] = begun[2]
            elif key and line.startswith('"'):
                said[key] += line[1:-1]
        ways = (("msgid", "msgstr"), ("msgid_plural", "msgstr[1]"))
        for pair in ((said.get(one, ""), said.get(other, "")) for one, other in ways):
            if all(text.strip() for text in pair):
                yield _plain(pair[0]), _plain(pair[1])


def _plain(text: str) -> str:
    """Without escapes, on one line."""
    return " ".join(text.replace("\\n", " ").replace('\\"', '"').replace("\\\\", "\\").split())


def sentences(found: Mapping[str, str]) -> Iterator[Pair]:
    """The pairs of a catalogue with their gaps filled, each once, in the order of the English."""
    things = [(word, found[word]) for word in THINGS if word in found]
    made: dict[str, str] = {}
    for english, swahili in sorted(found.items()):
        for one, other in filled(english, swahili, things):
            fits = not ODD.search(one + other) and all(0 < len(text.split()) <= WORDS for text in (one, other))
            if fits and one != other and re.search(r"[a-z]", one):
                made.setdefault(one, other)
    yield from sorted(made.items())


def filled(english: str, swahili: str, things: Sequence[Pair]) -> Iterator[Pair]:
    """The pair itself where it has no gap; else with its gaps filled, the same ones on both sides."""
    gaps = list(dict.fromkeys(found[0] for found in GAP.finditer(english)))
    if not gaps:
        yield english, swahili
        return
    if sorted(gaps) != sorted({found[0] for found in GAP.finditer(swahili)}) or len(gaps) > 2:
        return
    choices = [_choices(gap, english, things) for gap in gaps]
    for fillings in zip(*choices, strict=False):
        one, other = english, swahili
        for gap, (here, there) in zip(gaps, fillings, strict=True):
            one, other = one.replace(gap, here), other.replace(gap, there)
        yield one, other


def _choices(gap: str, english: str, things: Sequence[Pair]) -> list[Pair]:
    """What a gap may hold, in an order like chance and the same everywhere; nothing where nobody knows."""
    found = GAP.fullmatch(gap)
    assert found is not None
    name = found["long"] or found["short"] or found["brace"]
    numbers = [(str(n), str(n)) for n in range(2, 100)]
    is_number = NUMBERS.fullmatch(name) is not None or (name == "s" and COUNTED.search(english) is not None)
    choices = numbers if is_number else list(things) if OTHERS.fullmatch(name) else []
    return sorted(choices, key=lambda pair: sha256(f"{english} {gap} {pair[0]}".encode()).digest())[:FILLINGS]
