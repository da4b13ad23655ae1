"""Many altered specs at once, on every core; or as many as code coverage leads to.

python -m tests.fuzz.run 100000           # drawn by number: the same ones each time
python -m tests.fuzz.run 100000 --from 1000000
python -m tests.fuzz.run --drawn 5000     # whole specs from the IR: print, parse, equal
python -m tests.fuzz.run --guided 300     # with atheris (pip install atheris), for 300 seconds
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from tests.fuzz.judge import Fault, judge_text, texts
from tests.fuzz.mutate import drawn, specs

STRETCH = 500


@cache
def _texts() -> list[str]:
    return texts(specs())


def stretch(first: int, last: int) -> tuple[Counter[str], list[str]]:
    """The texts of these numbers: how many were read and explained, and what else came out."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    for number in range(first, last):
        try:
            counts["read" if judge_text(drawn(number, _texts())) else "explained"] += 1
        except Fault as fault:
            counts["fault"] += 1
            faults.append(f"number {number}: {fault}")
    return counts, faults


def many(count: int, first: int) -> int:
    start = time.monotonic()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    ends = [(n, min(n + STRETCH, first + count)) for n in range(first, first + count, STRETCH)]
    with ProcessPoolExecutor() as pool:
        for found, wrong in pool.map(stretch, *zip(*ends, strict=True)):
            counts += found
            faults += wrong
            for fault in wrong:
                print(fault, flush=True)
    took = time.monotonic() - start
    print(
        f"{count:,} altered files in {took:.0f} s: {counts['read']:,} can be read, {counts['explained']:,} are"
        f" explained with a place, {counts['fault']:,} neither"
    )
    return 1 if faults else 0


def from_ir(count: int) -> int:
    from hypothesis import HealthCheck, Phase, given, settings
    from tests.fuzz.bare import bare, read
    from tests.fuzz.draw import specs as whole

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(whole())
    def same(spec):
        from dotnn.write import write_spec

        assert bare(read(write_spec(spec))) == bare(spec)

    start = time.monotonic()
    same()
    print(
        f"{count:,} specs drawn from the IR in {time.monotonic() - start:.0f} s: printed and read again, each the same"
    )
    return 0


def guided(seconds: int, corpus: Path | None) -> int:
    """Texts that reach lines of the reader that no other did, found by atheris (libFuzzer)."""
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("This needs atheris: pip install atheris", file=sys.stderr)
        return 2
    folder = corpus or Path("corpus")
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(_texts()):
        (folder / f"spec-{number}").write_text(text, encoding="utf-8")

    def one(data: bytes) -> None:
        judge_text(data.decode("utf-8", "replace"))

    atheris.instrument_all()
    words = [
        sys.argv[0],
        str(folder),
        f"-max_total_time={seconds}",
        "-max_len=6000",
        "-timeout=30",
        "-print_final_stats=1",
    ]
    atheris.Setup(words, one)
    atheris.Fuzz()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("count", nargs="?", type=int, default=0, help="how many altered files")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first number")
    parser.add_argument("--drawn", type=int, default=0, help="how many specs drawn from the IR")
    parser.add_argument("--guided", type=int, default=0, metavar="SECONDS", help="follow coverage, with atheris")
    parser.add_argument("--corpus", type=Path, help="where --guided keeps what it found")
    given = parser.parse_args()
    code = 0
    if given.count:
        code |= many(given.count, given.first)
    if given.drawn:
        code |= from_ir(given.drawn)
    if given.guided:
        code |= guided(given.guided, given.corpus)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
