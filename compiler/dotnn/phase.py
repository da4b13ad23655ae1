"""One phase of a train block while it is built, and what it gives for a figure."""

from __future__ import annotations

from dataclasses import dataclass, field

from dotnn.elaborate.frame import Frame
from dotnn.elaborate.machine import Machine
from dotnn.elaborate.values import Tensor
from dotnn.graph import Role
from dotnn.inputs.columns import Columns
from dotnn.inputs.weigh import read_by
from dotnn.measures.totals import InParts
from dotnn.tape import Tape, Value


@dataclass(frozen=True)
class Measured:
    """A figure of one batch: a total and a count, or ``parts`` of which it is made when all batches are through."""

    total: Value
    count: Value
    role: Role
    parts: InParts | None = None
    places: Value | None = None
    """How many places the mean is of, where ``count`` is kept from being 0."""
    unlike_rows: bool = False
    """Whether rows count for more or less, so that the means of batches have no mean by rows."""

    def whole(self) -> Value:
        """The figure of a batch as one value, of which its parts can be found again."""
        return self.total / self.count if self.parts is None else self.parts.figure

    def write(self, tape: Tape, name: str) -> None:
        """Outputs `NAME.total` and `NAME.count`, or the parts `NAME.1`, `NAME.2`, …"""
        named = {"total": self.total, "count": self.count}
        if self.parts is not None:
            named = {str(number): value for number, (_, value) in enumerate(self.parts.totals, start=1)}
        for word, value in named.items():
            tape.output(f"{name}.{word}", value, self.role)


@dataclass
class Phase:
    """One phase being built: its machine, the columns it reads, and what it has computed."""

    machine: Machine
    columns: Columns
    frame: Frame
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The net's results."""
    weighing: list[str] = field(default_factory=list)
    """Values that are weights of rows."""
    judging: list[str] = field(default_factory=list)
    """Values that are weighed, or not."""

    def only_weights(self) -> set[str]:
        """The columns that are read for weights of rows, and for nothing else."""
        judged = [o.value for o in self.tape.outputs if o.role == "output"]
        return read_by(self.tape, self.weighing) - read_by(self.tape, [*self.judging, *judged])

    @property
    def tape(self) -> Tape:
        return self.machine.tape
