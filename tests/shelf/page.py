"""The page of the standard library: what stands on the shelf, from what each definition says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dotnn.elaborate.library import standard, standard_names
from dotnn.spec import Definition, Return
from dotnn.testing.lines import told
from dotnn.write import write_definition, write_expression

PAGE = Path(__file__).parents[2] / "compiler/dotnn/std/README.md"

GROUPS = {
    "layers": "Layers, which may own weights",
    "functions": "Functions: activations, and what else makes one tensor of another",
    "figures": "Losses and metrics: functions of a guess and the truth",
    "optimizers": "Optimizers",
    "schedules": "Schedules",
    "starts": "Initialisers and distributions",
}


def group(definition: Definition) -> str:
    inputs = [parameter.name for parameter in definition.inputs]
    if definition.word != "function":
        return f"{definition.word}s"
    if "shape" in inputs:
        return "starts"
    if definition.settings is not None:
        return "schedules"
    return "figures" if {"truth", "right"} & set(inputs) else "functions"


def tables() -> str:
    """One table a group."""
    shelf: dict[str, list[Definition]] = {name: [] for name in GROUPS}
    for name in standard_names():
        known = standard(name)
        assert known is not None
        shelf[group(known.definition)].append(known.definition)
    return "\n".join(line for name, title in GROUPS.items() for line in _table(title, shelf[name]))


def _table(title: str, definitions: list[Definition]) -> Iterator[str]:
    yield from (f"### {title}", "", "| definition | what it does | formula | source |", "|---|---|---|---|")
    for definition in definitions:
        said = told(definition.doc)
        head = write_definition(definition.model_copy(update={"doc": ""})).split("\n")[0]
        head = re.sub(r"^\w+ |\s*\{.*$", "", head).removeprefix(definition.name)
        formula = "<br>".join(f"`{line}`" for line in said.formula or _returned(definition))
        cells = (f"[{definition.name}]({definition.name}.nn)`{head}`", said.summary, formula, "; ".join(said.sources))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _returned(definition: Definition) -> Iterator[str]:
    """The one line that it is made of, where there is no other."""
    match definition.body:
        case (Return(values=(value,)),):
            yield write_expression(value)


def page(text: str) -> str:
    """The page with its tables written anew."""
    begin, end = "<!-- the shelf -->\n", "<!-- the end of the shelf -->"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{tables()}{end}{rest.partition(end)[2]}"
