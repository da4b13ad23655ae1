"""Runs that are ended by kills, failing disks and signals go on as if nothing had been; `lab.py` is the laboratory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LAB = Path(__file__).parent / "lab.py"

pytestmark = pytest.mark.skipif(not sys.platform.startswith(("linux", "darwin")), reason="needs fork and signals")


@pytest.mark.parametrize(
    ("experiment", "case", "count", "least"),
    [
        ("calls", "digits", 30, 20),
        ("calls", "small", 15, 10),
        ("errors", "small", 40, 30),
        ("kills", "digits", 15, 5),
        ("kills", "small", 15, 5),
        ("signals", "digits", 15, 5),
        ("signals", "small", 15, 5),
    ],
)
def test_however_it_ends_it_goes_on(experiment, case, count, least, kills):
    """``least``: as many must at least have been resumed, else nothing was shown."""
    if kills and experiment in ("kills", "signals"):
        count = kills
    elif kills:
        count = 0
    # How soon a run ends is measured by the battery, on a machine that has time; here only that it ends.
    within = "2.5" if kills else "60"
    words = [sys.executable, str(LAB), experiment, case, "--count", str(count), "--within", within]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3600)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["lost"] == 0
    assert found["resumed"] >= least, found
