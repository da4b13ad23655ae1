"""What the script needs so far: each definition once, in an order in which Python can read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from dotnn import spec
from dotnn.elaborate.library import STD
from dotnn.elaborate.values import Known
from dotnn.elaborate.vocabulary import PRIMITIVES, SETTINGS
from dotnn_torch.script.lines import Class, Function, write_function
from dotnn_torch.script.modules import write_class
from dotnn_torch.script.text import Namer, class_name, first_paragraph
from dotnn_torch.script.trace import Trace


@dataclass
class Book:
    """Everything that was written."""

    trace: Trace
    namer: Namer = field(default_factory=Namer)
    params: dict[str, str] = field(default_factory=dict)
    """The constant of the script for each param that is used."""
    helpers: set[str] = field(default_factory=set)
    sections: list[list[str]] = field(default_factory=list)
    """Functions and classes, as they are finished."""
    functions: dict[int, Function] = field(default_factory=dict)
    classes: dict[int, Class] = field(default_factory=dict)
    definitions: dict[str, Known] = field(default_factory=dict)
    """By the name of the class."""
    here: spec.Part | None = None
    """The innermost part of the person's own text that is being written."""
    attributes: dict[str, tuple[str, str, list[int]]] = field(default_factory=dict)
    """Of the path of each part and weight: its parent's path, what it is called there, its turns."""

    idle: dict[str, bool] = field(default_factory=dict)
    """By the name of an objective: whether it moves weights that do not touch its loss."""

    steps: dict[str, str] = field(default_factory=dict)
    """The function of each step that takes turns with others."""

    @cached_property
    def nets(self) -> list[Known]:
        """Those that learn."""
        user, roots = self.trace.builder.library.user, {path.partition(".")[0] for path in self.trace.weights}
        made = [known for name, known in user.items() if name in roots and known.definition.word == "net"]
        for known in made if len(made) > 1 else ():
            self.attributes[known.name] = ("", known.name, [])
        return made

    @property
    def whole(self) -> str:
        """What the script calls all that learns."""
        return "nets" if len(self.nets) > 1 else "net"

    def param(self, name: str) -> str:
        if name not in self.params:
            self.params[name] = self.namer(name.upper())
        return self.params[name]

    def random(self, bits: str) -> None:
        self.helpers |= {"random", f"random{bits}"}

    def doc(self, known: Known) -> str:
        return first_paragraph(known.definition.doc) if known.scope == STD else known.definition.doc

    def tells(self, default: spec.Expression) -> bool:
        """Whether a default can be written: a plain number, or what some place has taken."""
        plain = default.operand if isinstance(default, spec.Unary) else default
        return isinstance(plain, spec.Number | spec.Truth | spec.Text) or bool(self.trace.values(default))

    def alias(self, known: Known) -> str | None:
        """The operation that a function merely passes its arguments to, if it is such a one."""
        match known.definition.body:
            case (spec.Return(values=(spec.Call(function=spec.Name(name=name), arguments=given),)),):
                inputs = [p.name for p in known.definition.inputs]
                plain = [(a.name, a.value.name) for a in given if isinstance(a.value, spec.Name)]
                passed = [word for name_given, word in plain if name_given in (None, word)]
                own = name == known.name and name in PRIMITIVES and passed == inputs and len(passed) == len(given)
                if own and all(n in SETTINGS.get(name, ()) for n in inputs[1:]):
                    return name
        return None

    def function(self, known: Known) -> Function:
        key = id(known.definition)
        if key not in self.functions:
            self.functions[key] = made = Function(self.namer(known.name), ())
            write_function(self, known, made)
            self.sections.append(made.lines)
        return self.functions[key]

    def klass(self, known: Known) -> Class:
        key = id(known.definition)
        if key not in self.classes:
            net = known.definition.word == "net"
            self.classes[key] = made = Class(self.namer(known.name if net else class_name(known.name)))
            self.definitions[made.name] = known
            write_class(self, known, made)
            self.sections.append(made.lines)
        return self.classes[key]

    def torch_path(self, path: str) -> str:
        """What PyTorch calls the part or weight of this path: `hidden.W`."""
        if path not in self.attributes:
            return ""
        parent, attribute, turns = self.attributes[path]
        return ".".join(w for w in (self.torch_path(parent), attribute, *map(str, turns)) if w)
