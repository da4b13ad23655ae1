"""Which weights an objective moves, how fast, and what its gradients go through before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dotnn import spec
from dotnn.elaborate.evaluate import evaluate
from dotnn.elaborate.values import Bound, Known
from dotnn.graph import Graph
from dotnn.operation import lookup
from dotnn.plan import scratch
from dotnn.updates.patterns import frozen, last_of
from dotnn.updates.turns import Turn, still
from dotnn_torch.script.book import Book
from dotnn_torch.script.text import free, several
from dotnn_torch.script.updates import Settings, is_schedule

RATE = "lr"
"""The setting of an optimizer that `rate` multiplies."""


@dataclass(frozen=True)
class Steps:
    """How an update is made, as lines. ``before``: once, ahead of the loop; ``each``: in each step, ahead of it."""

    before: list[str]
    each: list[str]

    def mentions(self, word: str) -> bool:
        return any(re.search(rf"\b{word}\b", line) for line in (*self.before, *self.each))


@dataclass(frozen=True)
class Moves:
    """What one objective does to the weights."""

    book: Book
    turn: Turn
    made: str
    """The class of its optimizer."""

    @property
    def optimizer(self) -> str:
        """The variable that holds it."""
        return f"{free(self.turn.name)}_optimizer" if self.turn.name else "optimizer"

    @property
    def frozen(self) -> frozenset[str]:
        weights = self.book.trace.weights
        return still(self.turn, weights) if self.turn.name else frozen(self.turn, weights)

    @property
    def weights(self) -> list[str]:
        """The paths of all that it moves."""
        return [path for path in self.book.trace.weights if path not in self.frozen]

    @property
    def moving(self) -> str:
        """All weights that it moves, as Python."""
        if self.turn.name:
            return self._listed(self.parts(self.weights))
        return "weights" if self.frozen else f"{self.book.whole}.parameters()"

    def held(self) -> list[str]:
        """`freeze`: what stays as it is."""
        if self.turn.name or not self.frozen:
            return []
        whole, parts = self.book.whole, self.parts([path for path in self.book.trace.weights if path in self.frozen])
        lines = [f"{whole}.{spelt(part)}.requires_grad_(False)" for part in parts]
        return [*lines, f"weights = [weight for weight in {whole}.parameters() if weight.requires_grad]"]

    def parts(self, paths: Sequence[str]) -> dict[str, bool]:
        """What PyTorch calls these weights; a part all of whose weights are among them once. True: a weight."""
        wanted = [self.book.torch_path(path) for path in paths]
        loose = [self.book.torch_path(path) for path in self.book.trace.weights if path not in paths]
        parts: dict[str, bool] = {}
        for path in wanted:
            words = path.split(".")
            above = [".".join(words[:end]) for end in range(1, len(words))]
            whole = [a for a in above if not any(w.startswith(f"{a}.") for w in loose)]
            parts[whole[0] if whole else path] = not whole
        return parts

    def _listed(self, parts: dict[str, bool]) -> str:
        """Parts and weights as the weights that they are."""
        whole = self.book.whole
        if len(parts) == 1 and not any(parts.values()):
            return f"{whole}.{spelt(next(iter(parts)))}.parameters()"
        texts = [
            f"{whole}.{spelt(p)}" if single else f"*{whole}.{spelt(p)}.parameters()" for p, single in parts.items()
        ]
        return f"[{', '.join(texts)}]"

    # ---- the optimizer

    @property
    def known(self) -> Known:
        value = self.book.trace.values(self.turn.optimizer)[0]
        return value.known if isinstance(value, Bound) else value

    def steps(self) -> Steps:
        """The optimizer, and what of it changes from step to step."""
        written = self.turn.optimizer
        parameters = self.known.definition.settings or ()
        names = [p.name for p in parameters]
        settings = Settings(self.book)
        fixed: list[str] = []
        moving: dict[str, str] = {}
        position = 0
        for argument in written.arguments if isinstance(written, spec.Call) else ():
            name = argument.name or names[position]
            position += argument.name is None
            if is_schedule(settings.values(argument.value)[0]):
                moving[name] = settings.schedule(name, argument.value)
            else:
                fixed.append(f"{free(name)}={settings.code(argument.value).text}")
        if self.turn.name and settings.memories:
            settings.refuse(written, "a schedule that remembers, in a step beside others,")
        if self.turn.count is not None and moving:
            settings.refuse(written, "a schedule in a step that is taken after several batches only")
        defaults = {p.name: p.default for p in parameters}
        fixed += [f"{free(name)}=0.0" for name in moving if defaults[name] is None]
        if self.turn.rates:
            return self._rated(settings, fixed, moving)
        each = [f'{self.optimizer}.param_groups[0]["{free(name)}"] = {value}' for name, value in moving.items()]
        made = f"{self.optimizer} = {self.made}({', '.join([self.moving, *fixed])})"
        return Steps([made, *settings.memories, *self._without_gradient()], each)

    def _rated(self, settings: Settings, fixed: list[str], moving: dict[str, str]) -> Steps:
        """`rate r for PATTERN`: groups of weights, each with a rate of its own."""
        rates = self.turn.rates
        if RATE not in {p.name for p in self.known.definition.settings or ()}:
            settings.refuse(rates[0], "`rate` with an optimizer that has no setting `lr`")
        if self.turn.name:
            settings.refuse(rates[0], "`rate` in a step beside others")
        chosen = last_of(rates, self.book.trace.weights)
        groups: dict[int, list[str]] = {}
        for path in self.weights:
            groups.setdefault(rates.index(chosen[path]) if path in chosen else -1, []).append(path)
        listed, each = [], []
        for place, (number, own) in enumerate(groups.items()):
            factor = rates[number].factor if number >= 0 else None
            rate = "1" if factor is None else ""
            if factor is not None and is_schedule(settings.values(factor)[0]):
                rate = "1"
                each.append(f'optimizer.param_groups[{place}]["rate"] = {settings.schedule("rate", factor)}')
            elif factor is not None:
                rate = settings.code(factor).text
            listed.append(f'    {{"params": {self._listed(self.parts(own))}, "rate": {rate}}},')
        changing, lr = bool(each), moving.pop(RATE, None)
        if lr and not re.fullmatch(r"[\w.]+|\w+\([^()]*\)", lr):
            lr = f"({lr})"
        before = ["groups = [", *listed, "]", f"optimizer = {self.made}({', '.join(['groups', *fixed])})"]
        before += [*settings.memories, *self._without_gradient()]
        inner = [f'    group["{free(name)}"] = {value}' for name, value in moving.items()]
        every = "for group in optimizer.param_groups:"
        if changing or lr:
            default = 'optimizer.defaults["lr"]'
            inner.append(f'    group["lr"] = group["rate"] * {lr or default}')
        else:
            before += [every, '    group["lr"] *= group["rate"]']
        return Steps(before, [*each, *([every, *inner] if inner else [])])

    # ---- gradients

    @property
    def clear(self) -> str:
        return f"{self.optimizer}.zero_grad({'set_to_none=False' if self.idle else ''})"

    def _without_gradient(self) -> list[str]:
        if not self.idle:
            return []
        return [f"for weight in {self.moving}:",
                "    weight.grad = torch.zeros_like(weight)  # some weights do not touch the loss"]  # fmt: skip

    def gradients(self) -> list[str]:
        """`clip` and `decay`, in the order in which they hold."""
        lines = []
        if self.turn.clip is not None:
            most = self.number(self.turn.clip)
            self.book.helpers.add("clip")
            lines.append(f"clip({self.moving}, {most!r})")
        learned = [fed.name for fed in self.book.trace.program.graphs["train"].inputs if fed.learned]
        chosen = last_of(self.turn.decays, self.book.trace.weights)
        for decay in self.turn.decays:
            rate = self.number(decay.rate)
            own = [w for w in learned if chosen.get(w) is decay and (not self.turn.name or w not in self.frozen)]
            names = [self.book.torch_path(w) for w in own]
            if not names or not rate:
                continue  # a line below says otherwise of all of them
            lines.append(f"for name in {several([chr(34) + n + chr(34) for n in names])}:")
            lines.append(f"    weight = {self.book.whole}.get_parameter(name)")
            lines.append(f"    weight.grad += {rate!r} * weight.detach()")
        return lines

    @property
    def idle(self) -> bool:
        """Whether there are weights to which no gradient flows: PyTorch has none for them, where the spec says 0."""
        key = self.turn.name
        if key not in self.book.idle:
            self.book.idle[key] = self._idle()
        return self.book.idle[key]

    def _idle(self) -> bool:
        program = self.book.trace.program
        graph: Graph = program.graphs["train"]
        if self.turn.name:
            graph = self.book.trace.builder.training(self.turn).tape.graph()
        made = {node.name: node for node in graph.nodes}
        waiting, met = [graph.output("loss").value], set[str]()
        while waiting:
            name = waiting.pop()
            if name not in met:
                met.add(name)
                waiting.extend(made[name].inputs if name in made and lookup(made[name].op).gradient else ())
        learned = [fed.name for fed in graph.inputs if fed.learned]
        if self.turn.name and not set(self.weights) <= set(learned):
            Settings(self.book).refuse(self.turn.loss.value, "a loss that reads not all weights that its step updates")
        return any(name not in met and name not in self.frozen for name in learned)

    def number(self, part: spec.Expression) -> float:
        frame = scratch(self.book.trace.spec, dict(self.book.trace.program.params))
        value = evaluate(frame, part)
        return value if isinstance(value, int | float) else float(value.value)


def spelt(path: str) -> str:
    """The name of a part or weight as Python reaches it."""
    return re.sub(r"\.(\d+)", r"[\1]", path)
