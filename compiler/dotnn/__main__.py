"""`python -m dotnn` is `nn`."""

import sys

if not sys.flags.safe_path and sys.path:
    # Python puts the current folder first here: a stray csv.py beside a spec must not be imported.
    del sys.path[0]

from dotnn.commands import main

main()
