"""Disks that are full, closed, broken or gone: what, where, how much; and the checkpoint before is whole."""

import errno
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dotnn.training.checkpoint import Altered, Facts, LogMark, Position, Snapshot, Standing, decode, encode
from dotnn.training.files import DISK, Disk, amount, put
from dotnn.training.store import Every, Store, checkpoints, every, newest
from dotnn_grammar.problems import ProblemError

FACTS = Facts(spec="a", graph="b", data="c", versions={"numpy": "2"}, device="cpu", threads={"train": 1})


def snapshot(step, size=40):
    numbers = np.random.default_rng(step)
    state: dict[str, np.ndarray] = {
        "W": numbers.normal(size=(size, 3)).astype(np.float32),
        "key": np.array([2**64 - 1], np.uint64),
        "step": np.array(step),
    }
    position = Position(
        step=step,
        epoch=1,
        done=step,
        seconds=0.1,
        epoch_seconds=0.1,
        rows=7,
        totals={"loss": 0.1 + 0.2},
        best=Standing(value=float("nan"), tie=float("inf"), epoch=0),
        patience=(),
        kept_epoch=0,
        rate=1e-3,
        norm=None,
        change=None,
    )
    return Snapshot(position, state, {"W": state["W"] * 2}, LogMark(bytes=3, sha256="d"), {"f1.a": np.array([0.1])})


def same(one, other):
    for a, b in ((one.state, other.state), (one.kept, other.kept), (one.tally, other.tally)):
        assert {n: (x.dtype, x.shape, x.tobytes()) for n, x in a.items()} == {
            n: (x.dtype, x.shape, x.tobytes()) for n, x in b.items()
        }
    assert repr(one.position) == repr(other.position)
    assert one.log == other.log


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path, FACTS)
    store.save(snapshot(12))
    found = newest(tmp_path)
    same(found.snapshot, snapshot(12))
    assert found.manifest.facts == FACTS
    assert (tmp_path / "LATEST").read_text() == "ckpt-000012\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LATEST", "ckpt-000012"]


def test_the_newest_are_kept(tmp_path):
    store = Store(tmp_path, FACTS, most=3)
    for step in (5, 10, 1_000_000, 1_000_001):
        store.save(snapshot(step))
        store.save(snapshot(step))
    assert [s for s, _ in checkpoints(tmp_path)] == [1_000_001, 1_000_000, 10]
    assert Store(tmp_path, FACTS, most=0).most == 2


def test_every_bit_that_is_flipped_and_every_byte_that_is_cut_is_noticed(tmp_path):
    numbers = random.Random(3)
    path = tmp_path / "ckpt-000007"
    path.mkdir()
    files = encode(snapshot(7), FACTS)
    for name, whole in files.items():
        (path / name).write_bytes(whole)
    decode(path)
    for trial in range(1000):
        name = numbers.choice(list(files))
        data = bytearray(files[name])
        if trial % 4:
            data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
        else:
            del data[numbers.randrange(len(data)) :]
        (path / name).write_bytes(data)
        with pytest.raises(Altered):
            decode(path)
        (path / name).write_bytes(files[name])
    decode(path)
    (path / "kept.safetensors").unlink()
    with pytest.raises(Altered, match="missing"):
        decode(path)


def test_a_checkpoint_under_another_name_is_noticed(tmp_path):
    Store(tmp_path, FACTS).save(snapshot(7))
    (tmp_path / "ckpt-000007").rename(tmp_path / "ckpt-000008")
    with pytest.raises(ProblemError) as caught:
        newest(tmp_path)
    assert "its name says another" in caught.value.problems[0].help_text


class Fails(Disk):
    """The ``at``-th call of one kind fails."""

    def __init__(self, name, number):
        self.name, self.number = name, number

    def __getattribute__(self, name):
        if name != "name" and name == self.name:
            number = self.number

            def fail(*paths):
                raise OSError(number, os.strerror(number), str(paths[0]))

            return fail
        return super().__getattribute__(name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT, errno.EDQUOT])
@pytest.mark.parametrize("call", ["make", "write", "sync", "rename", "replace"])
def test_whatever_fails_the_checkpoint_before_is_whole(tmp_path, call, number):
    Store(tmp_path, FACTS).save(snapshot(5))
    store = Store(tmp_path, FACTS, disk=Fails(call, number), step=5)
    with pytest.raises(ProblemError) as caught:
        store.save(snapshot(10))
    problem = caught.value.problems[0]
    words = f"{problem.title_text} {problem.help_text}"
    assert problem.code == "T014"
    assert "step 10" in words
    assert os.strerror(number)[1:] in words
    assert str(tmp_path) in words
    assert f"nn resume {tmp_path}" in words
    if number in (errno.ENOSPC, errno.EDQUOT):
        assert "it needs" in words
        assert "are free" in words
    assert newest(tmp_path).path.name == ("ckpt-000010" if call == "replace" else "ckpt-000005")
    assert [p for p in tmp_path.iterdir() if ".tmp-" in p.name] == []


def test_a_file_that_may_not_grow_leaves_the_former_whole(tmp_path):
    """The system's own refusal: a file may not be larger than 20 kB."""
    store = Store(tmp_path, FACTS)
    store.save(snapshot(5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ProblemError) as caught:
            store.save(snapshot(10, size=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "file too large" in caught.value.problems[0].title_text
    same(newest(tmp_path).snapshot, snapshot(5))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_dev_full_is_said_to_be_full():
    handle = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space"):
            DISK.append(handle, b"a line\n")
    finally:
        os.close(handle)


def test_a_disk_of_two_megabytes(place):
    """Checkpoints fill it: `nn` says what, where and how much, and the run goes on once there is room."""
    disk = place / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        words = ["train", "small.nn", "--set", "hidden=3000", "--epochs", "20", "--checkpoint-every", "1 step"]
        found = nn_alone(*words, "--keep-checkpoints", "50", "--out", "disk/run")
        assert found.returncode == 1, found.stderr
        assert "no space left on device" in found.stderr
        assert "it needs" in found.stderr
        assert "nothing before step" in found.stderr
        assert newest(disk / "run").notes == ()
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True, capture_output=True)
        again = nn_alone("resume", "disk/run", "--epochs", "5")
        assert again.returncode == 0, again.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True, capture_output=True)


def test_a_folder_that_is_closed(place):
    folder = place / "closed"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        found = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True)
        if found.returncode:
            pytest.skip("this user may write everywhere, and may not mount")
    try:
        done = nn_alone("train", "small.nn", "--out", "closed/run")
        assert done.returncode == 1
        assert "cannot be written: " in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True)


def nn_alone(*words):
    return subprocess.run([sys.executable, "-m", "dotnn", *words], capture_output=True, text=True, timeout=120)


def test_a_folder_that_is_taken_away(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    store = Store(folder, FACTS)
    store.save(snapshot(5))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ProblemError) as caught:
        store.save(snapshot(10))
    assert "no longer there" in caught.value.problems[0].help_text


def test_whole_or_nothing(tmp_path):
    path = tmp_path / "a"
    put(DISK, path, b"old")
    for call in ("write", "sync", "replace"):
        with pytest.raises(OSError, match="Input"):
            put(Fails(call, errno.EIO), path, b"new")
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_distances():
    assert every("500 steps") == Every(steps=500)
    assert every("1step") == Every(steps=1)
    assert every(" 30 s") == Every(seconds=30)
    assert every("2.5 min") == Every(seconds=150)
    assert every("1 h") == Every(seconds=3600)
    assert every(None).usual
    assert every(str(Every(seconds=150))) == Every(seconds=150)
    for text in ("often", "0 s", "1.5 steps", "-3 s", "5"):
        with pytest.raises(ProblemError):
            every(text)
    assert [amount(n) for n in (12, 231_736, 2_000_000_000)] == ["12 bytes", "231.7 kB", "2.0 GB"]


def test_when_one_is_due(tmp_path):
    usual = Store(tmp_path, FACTS)
    assert usual.due(epoch_ended=True)
    assert not usual.due(epoch_ended=False)
    usual.cost = 1e6
    assert not usual.due(epoch_ended=True)  # they would take more than a twentieth of the time
    counted = Store(tmp_path, FACTS, Every(steps=10))
    assert [counted.next_step(n) for n in (0, 9, 10, 11)] == [10, 10, 20, 20]
    counted.cost = 1e6
    assert counted.due(epoch_ended=True)
    assert usual.next_step(3) == -1
