"""The person's own package clients: pip, npm, apt-get. Each is asked for one package by its name and version."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dotnn.fetch.problems import NoClient, NotFetched

Client = Literal["pip", "npm", "apt-get"]
TIMEOUT = 900
"""Seconds that a client may take."""


@dataclass(frozen=True)
class Package:
    """A package as one of the clients knows it."""

    client: Client
    name: str
    version: str
    file: str
    """How its file begins and ends, with a `*` between."""
    sha256: str
    """Of that file (hexadecimal)."""
    megabytes: float

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def rebuilt(self) -> bool:
        """Whether others than its makers build the file too, so that what is in it must be compared instead."""
        return self.client == "apt-get"


def fetched(package: Package, folder: Path, advice: str = "") -> Path:
    """The package's file, fetched into a folder. advice: what helps without such a client. Raises H002, H003."""
    words = _words(package, folder.resolve())
    if words is None:
        way = f"install it{', or ' + advice if advice else ''}; a package file that you have is read with --from FILE"
        raise NoClient(client=package.client, what=f"the package {package.name}", advice=way).error()
    again = "look whether the network is there, and ask again; a package file that you have is read with --from FILE"
    try:
        done = subprocess.run(
            words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"it took longer than {TIMEOUT // 60} minutes"
        raise NotFetched(client=package.client, package=str(package), why=why, advice=again).error() from None
    except OSError as wrong:
        why = (wrong.strerror or "it does not start").lower()
        raise NotFetched(client=package.client, package=str(package), why=why, advice=again).error() from None
    found = sorted(folder.glob(package.file))
    if done.returncode or not found:
        why = _said(done.stderr + b"\n" + done.stdout) or f"it ended with {done.returncode}"
        if package.client == "apt-get":
            again += "; it may want `apt-get update` before"
        raise NotFetched(client=package.client, package=str(package), why=why, advice=again).error()
    return found[0]


def _words(package: Package, folder: Path) -> Sequence[str] | None:
    """The command line that fetches it, or None where the client is not there."""
    pinned = f"{package.name}=={package.version}"
    if package.client == "pip":
        by = _pip()
        more = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--disable-pip-version-check"]
        return None if by is None else [*by, "download", "--quiet", *more, "--dest", str(folder), pinned]
    tool = shutil.which(package.client)
    if tool is None:
        return None
    if package.client == "npm":
        pinned = f"{package.name}@{package.version}"
        return [tool, "pack", pinned, "--pack-destination", str(folder), "--ignore-scripts", "--loglevel", "error"]
    return [tool, "download", "-qq", f"{package.name}={package.version}"]


def _pip() -> list[str] | None:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    tool = shutil.which("pip3") or shutil.which("pip")
    return None if tool is None else [tool]


def _said(text: bytes) -> str:
    """What a client said of its failure, in one line: the line that names an error, else its last one."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.decode("utf-8", "replace").splitlines()]
    lines = ["".join(c for c in line if c.isprintable()) for line in lines if line]
    errors = [match[1] for line in lines if (match := re.match(r"(?:npm (?:error|ERR!)|ERROR:|E:) (.+)", line))]
    errors = [
        line for line in errors if not re.match(r"(code|errno|syscall|path|type|dest) |A complete log|\d+ ", line)
    ]
    chosen = next(iter(errors), lines[-1] if lines else "")
    return chosen if len(chosen) <= 200 else chosen[:199] + "…"
