"""Everything in the standard library, because it is there, from its own `try:` lines: no list of names stands here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.shelf.conftest import GOLDENS

from dotnn.elaborate.library import standard, standard_names
from dotnn.testing import check_definition, goldens, keep
from dotnn.testing.peer import ALONE
from dotnn.testing.shelf import Shelved

NAMES = standard_names()
STD = Path(__file__).parents[2] / "compiler/dotnn/std"


def shelved(name, peers=ALONE):
    known = standard(name)
    assert known is not None
    return Shelved(known.definition, peers, kept=GOLDENS)


@pytest.mark.parametrize("name", NAMES)
def test_it_agrees_with_its_peer_because_it_is_on_the_shelf(name, update_goldens, request):
    if update_goldens:
        keep(STD / f"{name}.nn", request.getfixturevalue("peers"), GOLDENS)
    told = shelved(name).told
    assert told.tries, f"std/{name}.nn has no `try:` line; std/README.md says how one is written"
    assert told.sources, f"std/{name}.nn does not say where it comes from: add a `source:` line"
    assert told.formula or len(shelved(name).definition.body) == 1, f"std/{name}.nn has no formula above it"
    check_definition(STD / f"{name}.nn", kept=GOLDENS).require()


@pytest.mark.peers
@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDENS.glob("*.txt")))
def test_the_kept_numbers_are_what_the_peer_says(name, peers):
    _skip_without(peers, name)
    for head, made in shelved(name, peers).answers().items():
        kept = goldens.read(shelved(name).file)[head]
        assert set(kept) == set(made)
        for what, array in made.items():
            np.testing.assert_allclose(kept[what], array, rtol=1e-12, atol=1e-13 * max(1, abs(array).max(initial=0)))


def _skip_without(peers, name):
    wanted = {tried.peer.library for tried in shelved(name).told.tries if tried.peer is not None}
    missing = sorted(library for library in wanted if not peers.has(library))
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def test_no_numbers_are_kept_for_what_is_gone():
    kept = {path.stem for path in GOLDENS.glob("*.txt")}
    assert kept <= set(NAMES)
    for name in kept:
        heads = {goldens.heading(t) for t in shelved(name).told.tries if t.peer and t.peer.library != "numpy"}
        assert set(goldens.read(GOLDENS / f"{name}.txt")) == heads, f"{name}.txt holds numbers of a line that is gone"
