"""Claims that were written after a net had learned: checked on its run, where nothing else is said otherwise.

A run keeps the spec that it learned from. Another text of it may claim other things, and name more data to claim them
on; whatever the net was made of and learned from must be the same, or the claims would speak of another net.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dotnn.claims.build import CLAIMS
from dotnn.compiler import compile_file
from dotnn.data import Dataset
from dotnn.job import Text
from dotnn.plan import choose
from dotnn.program import Program
from dotnn.spec import Claim, Spec, Train
from dotnn.training.started import canonical, difference
from dotnn.write import write_spec
from dotnn_grammar.problems import Problem, ProblemError
from dotnn_grammar.source import Source


class OtherNet(Problem):
    code = "T047"
    title = "`{spec}` claims other things than when `{run}` learned, and it differs in more than that"
    help = (
        "only its claims may differ, and data that is new: undo the other changes, or train it anew: nn train {spec}; "
        "what was claimed then is checked by nn claims {run}\n{difference}"
    )
    spec: str
    run: str
    difference: str


@dataclass(frozen=True)
class Reclaimed:
    """A run's program with the claims of another text of its spec, that spec, its rows, the texts for messages."""

    program: Program
    spec: Spec
    dataset: Dataset
    sources: Mapping[str, Source]


def claims_otherwise(own: Spec, path: Path, name: str) -> bool:
    """Whether the spec at this path claims other things of the train block than ``own``. Raises ``ProblemError``."""
    now = Text.read(path).spec
    return _claimed(own, name) != _claimed(now, name)


def said_since(own: Spec, path: Path, name: str) -> str | None:
    """A note where the spec from which a run was started claims other things by now."""
    with suppress(ProblemError, OSError):
        if claims_otherwise(own, path, name):
            return f"note: {path} claims other things by now; to check those add: --spec {path}"
    return None


def reclaimed(run: Path, program: Program, own: Spec, path: Path) -> Reclaimed:
    """The run's program with what the spec at ``path`` claims. Raises ``ProblemError`` (T047 of another net)."""
    name = program.name
    before, now = _learned(own, name, own), _learned(Text.read(path).spec, name, own)
    if canonical(before) != canonical(now):
        raise OtherNet(spec=str(path), run=str(run), difference=difference(before, now)).error()
    compiled = compile_file(path, program.settings, name, program.fold)
    made = compiled.program
    graphs = {name: graph for name, graph in program.graphs.items() if not _claims(name)}
    graphs |= {name: graph for name, graph in made.graphs.items() if _claims(name)}
    update = {"claims": made.claims, "claimed_on": made.claimed_on, "graphs": graphs}
    return Reclaimed(program.model_copy(update=update), Text.read(path).spec, compiled.dataset, compiled.sources)


def _claims(graph: str) -> bool:
    return graph == CLAIMS or graph.startswith(f"{CLAIMS}.")


def _learned(spec: Spec, name: str, own: Spec) -> str:
    """All that the net is made of and learns from: the text without claims, other blocks, and data that is new."""
    known = {data.name for data in own.data}
    train = _block(spec, name).model_copy(update={"claims": ()})
    data = tuple(data for data in spec.data if data.name in known)
    return write_spec(spec.model_copy(update={"trains": (train,), "data": data}))


def _claimed(spec: Spec, name: str) -> list[str]:
    """The claims of a block as they are written."""
    train = _block(spec, name)

    def text(claim: Claim) -> str:
        return write_spec(Spec(file="", trains=(train.model_copy(update={"claims": (claim,)}),)))

    return [text(claim.model_copy(update={"doc": ""})) for claim in train.claims]


def _block(spec: Spec, name: str) -> Train:
    return choose(spec.trains, name, "train block", None, spec.file)
