"""Tables in other forms than CSV: packed otherwise, JSON lines, Parquet and Arrow; many files by one pattern."""

from __future__ import annotations

import bz2
import json
import lzma
from collections.abc import Callable

import pytest

from dotnn.data import load, open_source

ROWS = "x,y\n1,a\n2,b\n"
PACK: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "bz2": bz2.compress}


def read(bench, name, *, column="x"):
    data = load(bench.data(name), [bench.number(column)], bench.spans, bench.folder)
    return data.splits["train"].arrays["x"]


# ---- packed


@pytest.mark.parametrize("end", PACK)
def test_packed(bench, end):
    pack = PACK[end]
    bench.write(f"rows.csv.{end}", pack(ROWS.encode()))
    assert open_source(bench.data(f"rows.csv.{end}"), bench.folder).header == ("x", "y")
    assert read(bench, f"rows.csv.{end}").tolist() == [1, 2]
    bench.write(f"two.csv.{end}", pack(b"x,y\n1,a\n") + pack(b"2,b\n"))
    assert read(bench, f"two.csv.{end}").tolist() == [1, 2]


@pytest.mark.parametrize("end", PACK)
def test_packed_the_same_data_has_the_same_fingerprint(bench, end):
    bench.write("plain.csv", ROWS)
    bench.write(f"rows.csv.{end}", PACK[end](ROWS.encode()))
    prints = [
        load(bench.data(name), [bench.number("x")], bench.spans, bench.folder).fingerprint
        for name in ("plain.csv", f"rows.csv.{end}")
    ]
    assert prints[0] == prints[1]


@pytest.mark.parametrize("end", PACK)
def test_packed_and_damaged(bench, refused, end):
    kind = {"xz": "an xz", "bz2": "a bzip2"}[end]
    whole = PACK[end](b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(40_000)))
    for name, content, reason in (
        ("a", ROWS.encode(), f"it is not {kind} file"),
        ("b", whole[:-20], "its end is missing"),
        ("c", whole[: len(whole) // 2] + b"what is this" + whole[len(whole) // 2 :], "its contents are damaged"),
    ):
        bench.write(f"{name}.csv.{end}", content)
        problem = refused("D013", lambda name=name: read(bench, f"{name}.csv.{end}"))
        assert problem.title_text.endswith(f"cannot be unpacked: {reason}"), problem.title_text


@pytest.mark.parametrize("end", PACK)
def test_packed_and_named_otherwise(bench, refused, end):
    bench.write("rows.csv", PACK[end](ROWS.encode()))
    problem = refused("D015", lambda: open_source(bench.data("rows.csv"), bench.folder))
    assert f"name it .{end}" in problem.title_text


def test_a_sample_is_not_the_whole_file(bench, monkeypatch):
    """What `nn check` looks at: the bytes that are read do not grow with the file."""
    from dotnn.data import check_sample
    from dotnn.data import tables as room
    from dotnn.data.unpack import content as before

    taken = []

    def counted(file):
        for block in before(file):
            taken.append(len(block))
            yield block

    monkeypatch.setattr(room, "content", counted)
    bench.write("rows.csv", "x,y\n" + "1.5,2\n" * 2_000_000)
    assert check_sample(bench.data("rows.csv"), [bench.number("x")], bench.spans, bench.folder) == 200
    assert sum(taken) <= 3 << 20


def test_classes_of_a_sample(bench):
    from dotnn.data import find_classes

    bench.write("rows.csv", "k\n" + "a\n" * 50 + "b\n" * 50)
    span = bench.spans["y"]
    assert find_classes(bench.data("rows.csv"), "k", span, bench.folder, most=100) == (("a", "b"), True)
    assert find_classes(bench.data("rows.csv"), "k", span, bench.folder, most=99) == (("a", "b"), False)
    # Those that a glance sees; one class is no reason to complain there.
    assert find_classes(bench.data("rows.csv"), "k", span, bench.folder, most=49) == (("a",), False)


# ---- many files


def test_a_pattern(bench, refused):
    for name, value in (("b", 2), ("a", 1), ("c", 3)):
        bench.write(f"part/{name}.csv", f"x,y\n{value},q\n")
    assert read(bench, "part/*.csv").tolist() == [1, 2, 3]
    assert read(bench, "part/[ab].csv").tolist() == [1, 2]
    refused("D009", lambda: read(bench, "part/*.tsv"))


# ---- JSON lines


LINES = '{"x": 1, "y": "a"}\n{"y": "b", "x": 2.50}\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES),
        ("rows.ndjson", LINES.strip()),
        ("rows.jsonl", LINES.replace("\n", "\r\n")),
        ("rows.jsonl", "\ufeff" + LINES),
        ("rows.jsonl", LINES + "\n\n"),
        ("rows.jsonl.xz", lzma.compress(LINES.encode())),
    ],
)
def test_json_lines(bench, name, content):
    bench.write(name, content)
    assert open_source(bench.data(name), bench.folder).header == ("x", "y")
    assert read(bench, name).tolist() == [1, 2.5]


def test_json_values(bench, refused):
    row = {"f": 0.1, "i": 9007199254740993, "t": True, "n": None, "s": " é ", "d": {"a": 1}, "l": [1, 2]}
    bench.write("rows.jsonl", json.dumps(row) + "\n")
    table = open_source(bench.data("rows.jsonl"), bench.folder)
    (block,) = table.files[0].blocks(table.header)
    assert block.cells[0][:5] == ["0.1", "9007199254740993", "true", "", " é "]
    problem = refused("D048", lambda: read(bench, "rows.jsonl", column="l"))
    assert problem.title_text == "rows.jsonl:1: the column `l` holds more than one value: a list of 2"
    refused("D048", lambda: read(bench, "rows.jsonl", column="d"))
    refused("D025", lambda: read(bench, "rows.jsonl", column="n"))
    refused("D023", lambda: read(bench, "rows.jsonl", column="t"))


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("[1, 2]", "D052", "it is a list"),
        ("7", "D052", "it is a single value"),
        ("{'x': 1}", "D052", "at character 2"),
        ('{"x": 1,}', "D052", "at character"),
        ('{"x": 1} {"x": 2}', "D052", "extra data"),
        ('{"x": 1, "x": 2}', "D052", "the key `x` twice"),
        ("[" * 100_000, "D052", "nested too deep"),
        ('{"x": 1, "y": "b", "z": 2}', "D053", "the key `z`"),
        ("", "D052", "it is empty"),
    ],
)
def test_json_lines_that_are_none(bench, refused, line, code, part):
    bench.write("rows.jsonl", '{"x": 1, "y": "a"}\n' + line + '\n{"x": 3, "y": "c"}\n')
    problem = refused(code, lambda: read(bench, "rows.jsonl"))
    assert problem.title_text.startswith("rows.jsonl:2 ")
    assert part in problem.title_text


@pytest.mark.parametrize("text", ["nan", "NaN", "Infinity", "1e999", "-1e999"])
def test_json_numbers_that_are_none(bench, refused, text):
    bench.write("rows.jsonl", '{"x": ' + text + "}\n")
    code = {"nan": "D052", "1e999": "D028", "-1e999": "D028"}.get(text, "D024")
    refused(code, lambda: read(bench, "rows.jsonl"))


def test_json_lines_without_rows(bench, refused):
    bench.write("rows.jsonl", "\n \n")
    refused("D017", lambda: open_source(bench.data("rows.jsonl"), bench.folder))
    bench.write("rows.jsonl", "{}\n")
    refused("D017", lambda: open_source(bench.data("rows.jsonl"), bench.folder))


# ---- Parquet and Arrow


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="needs the extra `data`: pip install -e '.[data]'")


def written(bench, arrow, name, columns):
    import pyarrow.feather
    import pyarrow.parquet

    table = arrow.table(columns)
    path = str(bench.folder / name)
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(table, path, row_group_size=2)
    elif name.endswith(".feather"):
        pyarrow.feather.write_feather(table, path)
    else:
        with arrow.OSFile(path, "wb") as sink, arrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)


NAMES = ("rows.parquet", "rows.feather", "rows.arrow")


@pytest.mark.parametrize("name", NAMES)
def test_arrow(bench, arrow, name):
    kinds = arrow.array(["cat", "dog", "cat", "dog", "cat"]).dictionary_encode()
    written(bench, arrow, name, {"x": [1, 2, 3, 4, 5], "k": kinds, "r": [0.5, 1.5, 2.5, 3.5, 4.5], "n": [[1]] * 5})
    assert open_source(bench.data(name), bench.folder).header == ("x", "k", "r", "n")
    raws = [
        bench.number("r"),
        bench.kind("k", "cat", "dog"),
        bench.whole("x", 6, name="i"),
        bench.number("r", "x", name="two"),
    ]
    found = load(bench.data(name), raws, bench.spans, bench.folder)
    rows = found.splits["train"].arrays
    assert rows["x"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert rows["y"].tolist() == [0, 1, 0, 1, 0]
    assert rows["i"].tolist() == [1, 2, 3, 4, 5]
    assert rows["two"].tolist()[1] == [1.5, 2]
    assert found.fingerprint == load(bench.data(name), raws, bench.spans, bench.folder).fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_arrow_values_that_do_not_fit(bench, arrow, refused, name):
    written(
        bench,
        arrow,
        name,
        {"x": [1.0, float("nan"), 3.0], "m": [1, None, 3], "h": [1.0, 2.0, 2.5], "big": [1, 2, 70], "n": [[1]] * 3,
         "t": ["1", "2", "three"]},
    )  # fmt: skip
    assert "row 2" in refused("D024", lambda: read(bench, name)).title_text
    assert (
        refused("D025", lambda: read(bench, name, column="m")).title_text
        == f"{name}, row 2: the column `m` has no value"
    )
    refused("D048", lambda: read(bench, name, column="n"))
    assert "row 3: `three`" in refused("D023", lambda: read(bench, name, column="t")).title_text

    def whole(column, bound=None):
        return load(bench.data(name), [bench.whole(column, bound)], bench.spans, bench.folder)

    assert "row 3: `2.5`" in refused("D026", lambda: whole("h")).title_text
    assert "row 3: `70`" in refused("D027", lambda: whole("big", 10)).title_text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["cut", "text", "empty", "altered"])
def test_arrow_files_that_are_none(bench, arrow, refused, name, how):
    written(bench, arrow, name, {"x": list(range(1000))})
    path = bench.folder / name
    whole = path.read_bytes()
    content = {
        "cut": whole[: len(whole) // 2],
        "text": b"x,y\n1,2\n" * 40,
        "empty": b"",
        "altered": whole[:40] + b"\xff" * 200 + whole[240:],
    }[how]
    path.write_bytes(content)
    try:
        refused("D055", lambda: read(bench, name))
    except pytest.fail.Exception:
        if how != "altered":  # other numbers are a file as well
            raise


def test_arrow_without_the_extra(bench, refused, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    bench.write("rows.parquet", b"PAR1")
    problem = refused("D054", lambda: open_source(bench.data("rows.parquet"), bench.folder))
    assert "dotnn[data]" in problem.help_text


def test_a_parquet_file_that_is_a_bomb(bench, arrow, refused):
    import numpy as np

    written_rows = np.zeros(20_000_000, np.int64)
    import pyarrow.parquet

    table = arrow.table({"x": written_rows})
    pyarrow.parquet.write_table(table, str(bench.folder / "rows.parquet"), compression="zstd")
    refused("D014", lambda: open_source(bench.data("rows.parquet"), bench.folder))
