"""Who brings what: found by name in the packages' metadata, loaded when it is first used, kept apart when it breaks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pluggy

from dotnn.entries import API, BUILT_IN, EVERY, GROUP, KINDS, Entry, strangers
from dotnn.plugins.hooks import Hooks
from dotnn_grammar.problems import Problem, ProblemError, perhaps


class NoSuchBackend(Problem):
    code = "P001"
    title = "there is no backend called `{name}`"
    help = "{near}"
    name: str
    near: str


class NoSuchLogger(Problem):
    code = "P002"
    title = "there is no logger called `{name}`"
    help = "{near}"
    name: str
    near: str


class NoSuchTokenizer(Problem):
    code = "P004"
    title = "there is no tokenizer called `{name}`"
    help = "{near}"
    name: str
    near: str


class BrokenPlugin(Problem):
    code = "P003"
    title = "the {what} does not work: {why}"
    help = "mend the package or take it away: `nn plugins` shows all there are, and everything else works without it"
    what: str
    why: str


class BrokenError(Exception):
    """A plugin that cannot be used; the text says why."""


class Registry:
    """The things of these entries. say: told once of each clash."""

    def __init__(self, entries: Sequence[Entry], say: Callable[[str], None] | None = None) -> None:
        self.entries = tuple(entries)
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(Hooks)
        self._say = say or _on_stderr
        self._broken: dict[str, str] = {}
        self._offers: dict[tuple[str, str], dict[str, Any]] = {}
        self._said: set[str] = set()

    def names(self, kind: str) -> list[str]:
        """Every name of that kind, our own first. Nothing of a stranger's is loaded."""
        named: dict[str, None] = {}
        for entry in self._of(kind):
            named.update(dict.fromkeys(self.offers(entry) if entry.name == EVERY else [entry.name]))
        return [*named, *(name for name in self._in_hand(kind) if name not in named)]

    def find(self, kind: str, name: str) -> Any:
        """The thing of that name. Raises KeyError where nobody brings it, ``ProblemError`` where who does is broken."""
        in_hand = self._in_hand(kind)
        if name in in_hand:
            return in_hand[name]
        claims = list(self.claims(kind, name))
        if not claims:
            raise KeyError(name)
        first, *others = claims
        for other in others:
            self._tell(clash(other, first))
        try:
            return self.thing(first, name)
        except BrokenError as broken:
            raise BrokenPlugin(what=str(first), why=str(broken)).error() from None

    def claims(self, kind: str, name: str) -> Iterator[Entry]:
        """Who brings this name: the first has it, our own before all others."""
        for entry in self._of(kind):
            if entry.name == name or (entry.name == EVERY and name in self.offers(entry)):
                yield entry

    def thing(self, entry: Entry, name: str) -> Any:
        """What an entry brings under that name. Raises ``BrokenError``."""
        offered = self.offers(entry)
        if name not in offered:
            there = ", ".join(f"`{n}`" for n in offered) or "nothing"
            raise BrokenError(f"{KINDS[entry.kind]} in {entry.module} does not offer `{name}`, but {there}")
        return offered[name]

    def offers(self, entry: Entry) -> dict[str, Any]:
        """What the hook of the entry's module offers, by name. Raises ``BrokenError``."""
        if entry.kind not in KINDS:
            known = ", ".join(KINDS)
            raise BrokenError(f"its entry point names no kind of thing: write KIND.{entry.name}, with one of {known}")
        if (entry.module, entry.kind) not in self._offers:
            module = self._load(entry.module)
            self._offers[entry.module, entry.kind] = dict(self._ask(module, entry.kind))
        return self._offers[entry.module, entry.kind]

    def _of(self, kind: str) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.kind == kind)

    def _in_hand(self, kind: str) -> dict[str, Any]:
        """What comes from objects that were registered directly (a test, a program that embeds dotnn)."""
        modules = {entry.module for entry in self.entries}
        found: dict[str, Any] = {}
        for name, plugin in self.manager.list_name_plugin():
            if name not in modules and plugin is not None:
                found.update(self._ask(plugin, kind))
        return found

    def _load(self, name: str) -> Any:
        """The module, its hooks checked. Raises ``BrokenError``, the same each time."""
        if name in self._broken:
            raise BrokenError(self._broken[name])
        if self.manager.has_plugin(name):
            return self.manager.get_plugin(name)
        try:
            module = _import(name)
            self._check(module)
            self.manager.register(module, name)
            self._check_pending(module, name)
        except BrokenError as broken:
            self._broken[name] = str(broken)
            raise
        return module

    def _check(self, module: Any) -> None:
        version = getattr(module, "API", None)
        if version is None:
            raise BrokenError(f"{module.__name__} does not say for which door it was written: it lacks `API = {API}`")
        if version != API:
            raise BrokenError(f"it was written for version {version!r} of the door, and this is version {API}")

    def _check_pending(self, module: Any, name: str) -> None:
        """pluggy takes a hook of a wrong name in silence."""
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError:
            self.manager.unregister(module)
            known = set(KINDS.values())
            wrong = sorted(n for n in vars(module) if n.startswith(f"{GROUP}_") and n not in known)
            asked = wrong[0] if wrong else "one of its hooks"
            near = perhaps(asked, known, f"there are {', '.join(sorted(known))}")
            raise BrokenError(f"there is no hook called {asked}; {near}") from None

    def _ask(self, plugin: Any, kind: str) -> Iterator[tuple[str, Any]]:
        """What one plugin's hook offers, with names. Raises ``BrokenError``."""
        caller = getattr(self.manager.hook, KINDS[kind])
        for found in (impl for impl in caller.get_hookimpls() if impl.plugin is plugin):
            try:
                offered = list(found.function())
            except (Exception, SystemExit) as wrong:
                raise BrokenError(f"its hook {KINDS[kind]} raised {reason(wrong)}") from None
            for thing in offered:
                yield from _named(kind, thing)

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"note: {text}")


def clash(other: Entry, first: Entry) -> str:
    """That two bring one name, in words."""
    whose = "dotnn's own" if first.built_in else f"that of {first.package}"
    return f"the {other} is not used, since {whose} has this name too"


def _named(kind: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """A thing by its name; a folder of definitions by the name of each. Raises ``BrokenError``."""
    if kind == "std":
        try:
            files = sorted(file.name for file in thing.iterdir() if file.name.endswith(".nn"))
        except (OSError, AttributeError) as wrong:
            raise BrokenError(f"its hook {KINDS[kind]} offers no folder: {reason(wrong)}") from None
        yield from ((file[: -len(".nn")], thing / file) for file in files)
        return
    name = getattr(thing, "name", None)
    if not isinstance(name, str) or not name:
        raise BrokenError(f"its hook {KINDS[kind]} offers a {type(thing).__name__} without a name")
    yield name, thing


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as wrong:
        raise BrokenError(f"importing {name} {_ended(wrong)}") from None


def _ended(wrong: BaseException) -> str:
    if isinstance(wrong, SystemExit):
        return f"ends Python (exit status {wrong.code})"
    return f"raised {reason(wrong)}"


def reason(wrong: BaseException) -> str:
    """An exception in one line."""
    if isinstance(wrong, ProblemError):
        return wrong.problems[0].title_text
    first = str(wrong).strip().split("\n")[0]
    return f"{type(wrong).__name__}: {first}" if first else type(wrong).__name__


def _on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@cache
def registry() -> Registry:
    """Everything there is here."""
    return Registry((*BUILT_IN, *strangers()))


def lookup(kind: str, name: str, problem: type[NoSuchBackend] | type[NoSuchLogger] | type[NoSuchTokenizer]) -> Any:
    """What a name stands for. Raises ``problem`` with the nearest names where nothing has it."""
    try:
        return registry().find(kind, name)
    except KeyError:
        known = registry().names(kind)
        raise problem(name=name, near=perhaps(name, known, f"there are: {', '.join(known)}")).error() from None


def working(kind: str) -> Mapping[str, Any]:
    """Everything of that kind that works, by name (loads all of it)."""
    found: dict[str, Any] = {}
    for name in registry().names(kind):
        try:
            found[name] = registry().find(kind, name)
        except ProblemError as broken:
            registry()._tell(broken.problems[0].title_text)
    return found
