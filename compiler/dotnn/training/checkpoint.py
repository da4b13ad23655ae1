"""A checkpoint: everything that a run under way consists of, as bytes that know whether they are whole.

| file | what is in it |
|---|---|
| `tensors.safetensors` | the state: weights, optimizer slots, statistics, step, key |
| `kept.safetensors` | the state that a run would end with: that of the best epoch, or of the last whole one |
| `manifest.json` | the position in the run, what it belongs to, and the SHA-256 of each file and of itself |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

TENSORS, KEPT, MANIFEST = "tensors.safetensors", "kept.safetensors", "manifest.json"

RUNNING = "running/"
"""Before the name of a total of the epoch under way; no state tensor has a slash in its name."""

State = dict[str, np.ndarray[Any, Any]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Standing(_Frozen):
    """The best value of a watched figure so far, that of the figure that decides between equals, and its epoch."""

    value: float
    tie: float
    epoch: int


class Position(_Frozen):
    """Where a run stands after a step, before anything that the end of an epoch brings."""

    step: int
    epoch: int
    """Under way, from 1."""
    done: int
    """Steps of this epoch."""
    seconds: float
    """Of training, since the beginning."""
    epoch_seconds: float
    rows: int
    """Of this epoch, so far."""
    totals: dict[str, float]
    """The loss and what else is a mean over the rows, added up over this epoch."""
    best: Standing | None
    patience: tuple[Standing, ...]
    kept_epoch: int
    rate: float | None
    norm: float | None
    change: float | None
    """How far the last step moved the weights, relative to their length."""


class LogMark(_Frozen):
    """How much of log.jsonl belongs to a checkpoint."""

    bytes: int
    sha256: str


class Facts(_Frozen):
    """What a checkpoint belongs to."""

    spec: str
    """SHA-256 of the spec's text, with what it uses."""
    graph: str
    """SHA-256 of the train graph's JSON."""
    data: str
    """The fingerprint of the tables."""
    versions: dict[str, str]
    device: str
    threads: dict[str, int | None]
    """Of each graph's session."""


class Part(_Frozen):
    """A file of the checkpoint."""

    bytes: int
    sha256: str


class Manifest(_Frozen):
    """What lies beside the tensors of a checkpoint: the files and their checksums, and where the run stood."""

    format: Literal[1] = 1
    files: dict[str, Part]
    facts: Facts
    position: Position
    log: LogMark
    sha256: str = ""
    """Of this manifest, with this line empty."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    position: Position
    state: State
    kept: State | None
    """None where nothing would be gone back to."""
    log: LogMark
    tally: State
    """The totals of this epoch's other figures."""


class Altered(Exception):
    """The files are not those that were written; the text says how."""


def encode(snapshot: Snapshot, facts: Facts) -> dict[str, bytes]:
    """The files of a checkpoint, in the order in which they are written: the manifest last."""
    tally = {f"{RUNNING}{name}": array for name, array in snapshot.tally.items()}
    files = {TENSORS: pack(snapshot.state | tally)}
    if snapshot.kept is not None:
        files[KEPT] = pack(snapshot.kept)
    parts = {name: Part(bytes=len(data), sha256=digest(data)) for name, data in files.items()}
    bare = Manifest(files=parts, facts=facts, position=snapshot.position, log=snapshot.log)
    return {**files, MANIFEST: seal(bare)}


def seal(manifest: Manifest) -> bytes:
    """The manifest's one form, its own digest inside."""
    bare = manifest.model_copy(update={"sha256": ""})
    return _text(bare.model_copy(update={"sha256": digest(_text(bare))}))


def decode(folder: Path) -> tuple[Manifest, Snapshot]:
    """Reads a checkpoint back. Raises ``Altered`` where a bit of it is not as it was, ``OSError`` where it cannot."""
    manifest = _manifest(_read(folder, MANIFEST))
    states: dict[str, State] = {}
    for name, part in manifest.files.items():
        data = _read(folder, name)
        if len(data) != part.bytes:
            raise Altered(f"{name} has {len(data):,} bytes, and {part.bytes:,} were written")
        if digest(data) != part.sha256:
            raise Altered(f"{name} was changed after it was written")
        states[name] = unpack(data)
    if TENSORS not in states:
        raise Altered(f"{MANIFEST} names no {TENSORS}")
    tensors = states[TENSORS]
    state = {name: array for name, array in tensors.items() if not name.startswith(RUNNING)}
    tally = {name.removeprefix(RUNNING): array for name, array in tensors.items() if name.startswith(RUNNING)}
    return manifest, Snapshot(manifest.position, state, states.get(KEPT), manifest.log, tally)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise Altered(f"{name} is missing") from None


def _manifest(data: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise Altered(f"{MANIFEST} is not whole") from None
    if seal(manifest) != data:
        raise Altered(f"{MANIFEST} was changed after it was written")
    return manifest


def _text(manifest: Manifest) -> bytes:
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack(state: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """A state as safetensors."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()})


def unpack(data: bytes) -> State:
    """A state from its safetensors. Raises ``Altered``."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError):
        raise Altered("it is not a whole safetensors file") from None
