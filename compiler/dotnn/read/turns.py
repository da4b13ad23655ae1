"""Steps: `step critic updates Critic { … }` and `every batch critic`, by which several objectives take turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lark import Token

from dotnn import spec
from dotnn.read.expressions import Branch, branch, kids
from dotnn.read.settings import Line, MalformedSetting, Settings
from dotnn.read.updating import Updating
from dotnn_grammar.problems import Note, Problem, perhaps
from dotnn_grammar.source import Span


class BelongsIntoAStep(Problem):
    code = "R200"
    title = "`{word}` stands beside steps, and each step has its own"
    label = "of which step?"
    help = "move it into a step: step {step} updates … {{ … }}"
    word: str
    step: str


class NeverTaken(Problem):
    code = "R201"
    title = "the step `{name}` is never taken"
    label = "no `every` line names it"
    help = "say when: every batch {names}"
    name: str
    names: str


class NoSuchStep(Problem):
    code = "R202"
    title = "there is no step called `{name}`"
    label = "not a step of this block"
    help = "{near}"
    name: str
    near: str


class TakenTwice(Problem):
    code = "R203"
    title = "`{name}` is named twice"
    label = "a step is taken once a batch at most"
    help = "take it once; to take another one less often: every 5 batches NAME"
    name: str


class TwoSteps(Problem):
    code = "R204"
    title = "two steps are called `{name}`"
    label = "the second of that name"
    help = "its loss is known by that name: give it another one"
    name: str


class OfTheBlock(Problem):
    code = "R205"
    title = "`{word}` does not belong into a step"
    label = "it holds for all steps together"
    help = "move it out of the step, into the `train` block itself"
    word: str


OUTSIDE = (
    "error", "metric", "answer", "batch", "epochs", "steps", "seed", "accumulate", "precision", "stop", "keep", "start",
    "average", "every", "step",
)  # fmt: skip
"""Lines of the block itself."""


class StepBlock(Updating):
    """`step NAME updates NET, NET.part { … }`."""

    block = "a step"
    forms = Updating.updating

    def setting(self, tree: Branch) -> None:
        word = kids(tree)[0]
        if str(word) in OUTSIDE:
            raise OfTheBlock(span=self.reader.span(word), word=str(word)).error()
        super().setting(tree)

    def read(self, tree: Branch) -> spec.Step | None:
        """The step, or None where ``problems`` says what is wrong with it."""
        name, updates, *parts = kids(tree)
        listed = [branch(part) for part in parts if part is not None]
        patterns = [part for part in listed if part.data == "pattern"]
        head = self.reader.span(tree).to(self.reader.span(patterns[-1]))
        if str(updates) != "updates":
            near = perhaps(str(updates), ("updates",), "a step says which net it moves")
            reason, form = f"`{updates}` cannot stand here: {near}", "step NAME updates NET { … }"
            raise MalformedSetting(span=self.reader.span(updates), word="step", reason=reason, form=form).error()
        for part in listed:
            if part.data != "pattern":
                self.attempt(self.line, part)
        self.objective_lines(head)
        if self.problems or self.loss is None or self.optimizer is None:
            return None
        return spec.Step(
            span=head,
            name=str(name),
            updates=tuple(
                spec.Updates(span=self.reader.span(pattern), pattern=self._pattern(pattern)) for pattern in patterns
            ),
            assigns=tuple(self.assigns),
            loss=self.loss,
            optimizer=self.optimizer,
            clip=self.clip,
            decays=tuple(self.decays),
            rates=tuple(self.rates),
            freezes=tuple(self.freezes),
        )


def every(block: Settings, line: Line) -> spec.Every:
    """`every batch critic, forger`, `every 5 batches forger`. Raises ``ProblemError``."""
    reader = block.reader
    if not line.phrases:
        raise block.malformed(line, "how often, and which step?", line.head)
    first, *others = line.phrases
    count: spec.Expression | None = None
    clauses = list(first.clauses)
    if first.value is not None:
        count = reader.expression(first.value)
    elif len(clauses) == 2 and clauses[0].value is None:  # `every n batches forger`, where n is a param
        count = spec.Name(span=clauses[0].span, name=clauses[0].word)
        del clauses[0]
    if len(clauses) != 1 or clauses[0].word not in ("batch", "batches") or clauses[0].value is None:
        raise block.malformed(line, "`batch` or `batches` and the names of steps are missing", first.span)
    if (clauses[0].word == "batches") != (count is not None):
        raise block.malformed(line, "`every batch` or `every 5 batches`", first.span)
    if isinstance(count, spec.Number) and (not isinstance(count.value, int) or count.value < 1):
        raise block.malformed(line, "a whole number from 1 up is needed", count.span)
    names: list[spec.Name] = []
    for value, span in ((clauses[0].value, first.span), *((each.value, each.span) for each in others)):
        named = None if value is None or isinstance(value, Token) else reader.expression(value)
        if not isinstance(named, spec.Name):
            raise block.malformed(line, "the name of a step is needed", named.span if named is not None else span)
        names.append(named)
    for each in others:
        if each.clauses:
            raise block.malformed(line, f"`{each.clauses[0].word}` does not belong here", each.clauses[0].span)
    return spec.Every(span=line.span, count=count, steps=tuple(names))


def problems_of(
    steps: Mapping[str, Span], every: Sequence[spec.Every], beside: Sequence[tuple[str, Span]]
) -> list[Problem]:
    """What is wrong with the turns of a block's steps, which are given by name.

    beside: lines of the block that a step should have.
    """
    names = list(steps)
    if not names:
        near = "write one: step NAME updates NET { loss …, optimizer … }"
        return [NoSuchStep(span=line.steps[0].span, name=line.steps[0].name, near=near) for line in every]
    problems: list[Problem] = [BelongsIntoAStep(span=span, word=word, step=names[0]) for word, span in beside]
    taken: dict[str, Span] = {}
    for name in (name for line in every for name in line.steps):
        if name.name not in names:
            near = perhaps(name.name, names, f"the steps are: {', '.join(names)}")
            problems.append(NoSuchStep(span=name.span, name=name.name, near=near))
        elif name.name in taken:
            note = Note(span=taken[name.name], text="named here first")
            problems.append(TakenTwice(span=name.span, name=name.name, notes=(note,)))
        taken.setdefault(name.name, name.span)
    listed = ", ".join(names)
    untaken = [] if problems else [name for name in names if name not in taken]
    return [*problems, *(NeverTaken(span=steps[name], name=name, names=listed) for name in untaken)]
