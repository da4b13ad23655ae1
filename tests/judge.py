"""What the judge does, counted: `python -m tests.judge` walks every operation and prints a line a check.

It is the walk of `tests/door` and `tests/gradients`, which the suite makes too; here it says how much of it there is.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from dotnn.operation import operations
from dotnn.testing import check_op


def main() -> int:
    begun = time.monotonic()
    tried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    names = [operation.name for operation in operations()]
    wrong = []
    for name in names:
        report = check_op(name)
        tried.update({check.name: check.tried for check in report.checks})
        held.update({check.name: check.tried - check.failed for check in report.checks})
        if not report.ok:
            wrong.append(str(report))
    print(f"{len(names)} operations in {time.monotonic() - begun:.0f} s")
    for name, count in tried.items():
        print(f"  {held[name]:>6,} of {count:>6,}  {name}")
    print(*wrong, sep="\n", end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
