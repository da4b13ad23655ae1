"""Memory over a long run is flat, short batches included. The whole of 100,000 steps is a command of the benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

LOOP = Path(__file__).parents[1] / "benchmarks" / "loop.py"

STEPS = 30_000
MOST = 4_000_000
"""Bytes: less than 150 for each of these steps. The log's last thousand epochs take one of these millions."""


def test_memory_stays_flat():
    words = [sys.executable, str(LOOP), "--memory", str(STEPS)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["warm"] > 10_000_000
    assert found["last"] - found["warm"] < MOST, found
