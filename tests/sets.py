"""The sets that `nn data get` fetches, in tests: where they are, and small made ones of the same form.

Tests that walk over every spec take the made ones (``specs_folder``), so that they are quick and need nothing fetched.
Tests of a promised result take the real ones, and skip where they are absent (``needs``).
"""

import atexit
import gzip
import random
import shutil
import struct
import tempfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dotnn.fetch.known import NAMES
from dotnn.fetch.make import idx

ROOT = Path(__file__).parents[1]
SPECS = ROOT / "specs"
NOT_COPIED = shutil.ignore_patterns(*NAMES, ".*", "runs", "build")
"""What `shutil.copytree` leaves out of `specs`, or of `specs/data`."""


def needs(name: str) -> Path:
    """The folder of a fetched set; skips the test where it is absent."""
    folder = SPECS / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the set `{name}` is absent; it comes with: nn data get {name}")
    return folder


def copy_data(folder: Path, text: str = "") -> None:
    """`specs/data` as `folder/data`, with those fetched sets alone that a spec's text mentions (skips where absent)."""
    if not (folder / "data").exists():
        shutil.copytree(SPECS / "data", folder / "data", ignore=NOT_COPIED)
    for name in NAMES:
        if f'"data/{name}/' in text and not (folder / "data" / name).exists():
            shutil.copytree(needs(name), folder / "data" / name)


@cache
def specs_folder() -> Path:
    """All specs with their data, in the place of fetched sets the made ones; gone when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix="dotnn-specs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for spec in SPECS.glob("*.nn"):
        shutil.copy(spec, folder)
    copy_data(folder)
    make_sets(folder / "data")
    return folder


def make_sets(folder: Path) -> None:
    """Small sets of the forms that `nn data get` writes: pictures with a blot whose place is the label, …"""
    draw = random.Random(5)
    for name, parts in (("mnist", {"": 200}), ("fashion", {"train-": 300, "t10k-": 60})):
        (folder / name).mkdir(parents=True)
        for part, count in parts.items():
            pictures, labels = _pictures(count, len(part))
            end = ".idx.gz" if name == "mnist" else ".gz"
            (folder / name / f"{part}images{end}").write_bytes(gzip.compress(idx(pictures), mtime=0))
            (folder / name / f"{part}labels{end}").write_bytes(gzip.compress(idx(labels), mtime=0))
    for kind, words in (("ham", "meeting patch list thanks regards kernel"), ("spam", "free money offer click now")):
        (folder / "spam" / kind).mkdir(parents=True)
        for number in range(60):
            text = " ".join(draw.choice([*words.split(), "the", "a", "and", "you"]) for _ in range(20))
            mail = f"From: someone@example.org\nSubject: {text[:20]}\n\n{text}\n"
            (folder / "spam" / kind / f"{kind}-1.{number:05}.txt").write_text(mail, encoding="utf-8")
    (folder / "swahili").mkdir()
    pairs = [("one", "moja"), ("two", "mbili"), ("three", "tatu"), ("four", "nne"), ("five", "tano"), ("six", "sita")]
    rows = ["en\tsw"]
    for _ in range(200):
        chosen = draw.choices(pairs, k=draw.randrange(1, 6))
        rows.append("\t".join(" ".join(side) for side in zip(*chosen, strict=True)))
    (folder / "swahili" / "en-sw.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "grimm").mkdir()
    told = "once upon a time there was king queen wolf frog in the wood who said"
    tale = " ".join(draw.choice(told.split()) for _ in range(4_000))
    (folder / "grimm" / "tales.txt").write_text(tale + ".\n", encoding="utf-8")


def make_photos(folder: Path) -> None:
    """`cat/0.png` and so on, and `dog/…`: pictures of one colour each, 10 x 8."""
    for kind, colour in (("cat", b"\xf0\x20\x20"), ("dog", b"\x20\x20\xf0")):
        (folder / kind).mkdir(parents=True)
        lines = zlib.compress((b"\0" + colour * 10) * 8)
        head = struct.pack(">IIBBBBB", 10, 8, 8, 2, 0, 0, 0)
        made = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in ((b"IHDR", head), (b"IDAT", lines), (b"IEND", b"")))
        for number in range(10):
            (folder / kind / f"{number}.png").write_bytes(made)


def _chunk(word: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + word + data + struct.pack(">I", zlib.crc32(word + data))


def _pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """u8[count, 28, 28] and u8[count], 0 to 9."""
    draw = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    pictures = draw.integers(0, 60, (count, 28, 28)).astype(np.uint8)
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        top, left = 2 + 12 * (label // 5), 1 + 5 * (label % 5)
        picture[top : top + 10, left : left + 5] += 150
    return pictures, labels
