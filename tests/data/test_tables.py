from __future__ import annotations

import gzip

import pytest

from dotnn.data import load, open_source
from dotnn.data.tables import BLOCK


def zipped(content: bytes) -> bytes:
    """Without the time of day, which would give the test another name in each process."""
    return gzip.compress(content, mtime=0)


def read(bench, name="rows.csv", *, columns=("x",)):
    return load(bench.data(name), [bench.number(*columns)], bench.spans, bench.folder).splits["train"].arrays["x"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", b"x,y\n1,a\n2,b\n"),
        ("rows.csv", b"x,y\n1,a\n2,b"),
        ("rows.csv", b"x,y\r\n1,a\r\n2,b\r\n"),
        ("rows.csv", b"x,y\r1,a\r2,b\r"),
        ("rows.csv", b"\xef\xbb\xbfx,y\n1,a\n2,b\n"),
        ("rows.csv", b'\xef\xbb\xbf"x",y\n1,a\n2,b\n'),
        ("rows.csv", b'x,y\n"1","a, ""b""\nc"\n"2",b\n'),
        ("rows.csv", b"x,y\n1,a\n2,b\n\n\n"),
        ("rows.csv", b" x , y\n 1 ,a\n 2,b\n"),
        ("rows.csv", "x,y\n1,\u2028é\n2,b\n".encode()),
        ("ROWS.CSV", b"x,y\n1,a\n2,b\n"),
        ("rows.tsv", b"x\ty\n1\ta, b\n2\tb\n"),
        ("rows.csv.gz", zipped(b"x,y\n1,a\n2,b\n")),
        ("rows.tsv.gz", zipped(b"x\ty\n1\ta\n2\tb\n")),
        ("rows.csv.gz", zipped(b"x,y\n1,a\n") + zipped(b"2,b\n") + b"\0\0"),
    ],
)
def test_forms_of_a_table(bench, name, content):
    bench.write(name, content)
    assert open_source(bench.data(name), bench.folder).header == ("x", "y")
    assert read(bench, name).tolist() == [1, 2]


@pytest.mark.parametrize(("name", "packed"), [("rows.csv", b""), ("rows.csv.gz", b""), ("rows.csv.gz", zipped(b""))])
def test_empty(bench, refused, name, packed):
    bench.write(name, packed)
    problem = refused("D017", lambda: open_source(bench.data(name), bench.folder))
    assert problem.title_text == f"`{name}` is empty"
    assert problem.span.line == 2


@pytest.mark.parametrize("content", ["\n1,2\n", " , \n1,2\n", "\ufeff"])
def test_no_names(bench, refused, content):
    bench.write("rows.csv", content)
    refused("D017", lambda: open_source(bench.data("rows.csv"), bench.folder))


@pytest.mark.parametrize("content", ["x,y", "x,y\n", "x,y\n\n\n"])
def test_header_only(bench, refused, content):
    bench.write("rows.csv", content)
    assert open_source(bench.data("rows.csv"), bench.folder).header == ("x", "y")
    assert "`rows.csv`" in refused("D018", lambda: read(bench)).title_text


def test_duplicate_column(bench, refused):
    bench.write("rows.csv", "x,y,x\n1,2,3\n")
    problem = refused("D019", lambda: open_source(bench.data("rows.csv"), bench.folder))
    assert problem.title_text == "rows.csv:1 names the column `x` twice"
    bench.write("rows.csv", "x,,\n1,2,3\n")
    assert "(no name)" in refused("D019", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text


def test_one_column_without_a_name_is_fine(bench):
    bench.write("rows.csv", ",x\n0,5\n")
    assert read(bench).tolist() == [5]


@pytest.mark.parametrize(
    ("content", "title", "help_part"),
    [
        ("x,y\n1,2\n3\n", "the row at rows.csv:3 has 1 cell, but the first line names 2 columns", "`y`"),
        ("x,y\n1,2,3\n", "the row at rows.csv:2 has 3 cells, but the first line names 2 columns", "`3`"),
        ('x,y\n"1\n",2\n3\n', "the row at rows.csv:4 has 1 cell, but the first line names 2 columns", "`y`"),
        ("x,y\n1,2\n\n3,4\n", "the row at rows.csv:3 has no cells, but the first line names 2 columns", "empty line"),
        ("x\n1\n\n\n2\n", "the row at rows.csv:3 has no cells, but the first line names 1 column", "empty line"),
    ],
)
def test_ragged(bench, refused, content, title, help_part):
    bench.write("rows.csv", content)
    problem = refused("D020", lambda: read(bench))
    assert problem.title_text == title
    assert help_part in problem.help_text


def test_ragged_far_down(bench, refused):
    bench.write("rows.csv", "x,y\n" + "1,2\n" * (2 * BLOCK + 7) + "1\n")
    assert f"rows.csv:{2 * BLOCK + 9} " in refused("D020", lambda: read(bench)).title_text


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("x,y\n1,2\n", "`z` is missing"),
        ("x\n1\n", "`y` is missing, with 1 more"),
        ("x,y,z,w\n1,2,3,4\n", "`w` is new"),
        ("x,z,y\n1,2,3\n", "the same names stand in another order"),
    ],
)
def test_headers_that_differ(bench, refused, other, difference):
    bench.write("a.csv", "x,y,z\n1,2,3\n")
    bench.write("b.csv", other)
    problem = refused("D021", lambda: open_source(bench.data("?.csv"), bench.folder))
    assert problem.title_text == "`b.csv` has other columns than `a.csv`"
    assert problem.help_text.startswith(difference + ";")
    refused("D021", lambda: open_source(bench.data("a.csv", tests=["b.csv"]), bench.folder))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("rows.csv", "x;y\n1;2\n", "semicolons, not by commas"),
        ("rows.csv", "x\ty\n1\t2\n", "tabs, not by commas"),
        ("rows.tsv", "x,y\n1,2\n", "commas, not by tabs"),
    ],
)
def test_separator(bench, refused, name, content, found):
    bench.write(name, content)
    assert found in refused("D022", lambda: open_source(bench.data(name), bench.folder)).title_text


def test_encoding(bench, refused):
    bench.write("rows.csv", "x,y\n1,a\n2,é\n".encode("latin-1"))
    problem = refused("D015", lambda: read(bench))
    assert problem.title_text == "rows.csv:3 is not UTF-8 text: byte 0xe9 cannot stand there"
    bench.write("rows.csv", "x,é\r\n1,a\r\n".encode("latin-1"))
    assert "rows.csv:1 " in refused("D015", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text
    bench.write("rows.csv", "x,y\r\n1,a\r\n2,b\r\n3,é\r\n".encode("latin-1"))
    assert "rows.csv:4 " in refused("D015", lambda: read(bench)).title_text


def test_the_character_for_the_unreadable_is_a_character(bench):
    bench.write("rows.csv", "x,\ufffd\n1,2\n")
    assert read(bench, columns=("\ufffd",)).tolist() == [2]


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings(bench, refused, code):
    bench.write("rows.csv", "x,y\n1,2\n".encode(code))
    refused("D015", lambda: open_source(bench.data("rows.csv"), bench.folder))


def test_zero_byte_in_a_row(bench, refused):
    bench.write("rows.csv", b"x,y\n1,2\n3,\0\n")
    assert "rows.csv:3 " in refused("D015", lambda: read(bench)).title_text


def test_gzip_by_another_name(bench, refused):
    bench.write("rows.csv", zipped(b"x,y\n1,2\n"))
    assert "name it .gz" in refused("D015", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text


def test_quotes(bench, refused):
    bench.write("rows.csv", 'x,y\n1,2\n3,"never closed\n4,5\n6,7\n')
    problem = refused("D016", lambda: read(bench))
    assert problem.title_text == "the row at rows.csv:3 cannot be read: a quoted cell has no end"
    bench.write("rows.csv", 'x,y\n1,"a"b\n')
    assert "rows.csv:2 " in refused("D016", lambda: read(bench)).title_text
    bench.write("rows.csv", "x,y\n1," + "a" * 200_000 + "\n")
    assert "131,072" in refused("D046", lambda: read(bench)).title_text


def test_damaged_archive(bench, refused):
    whole = zipped(b"x,y\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(20_000)))
    for name, content, reason in (
        ("a.csv.gz", b"x,y\n1,2\n", "it is not a gzip file"),
        ("b.csv.gz", whole[:-9], "its end is missing"),
        ("c.csv.gz", whole[:-8] + b"12345678", "its contents are damaged"),
        ("d.csv.gz", whole + b"more", "its contents are damaged"),
    ):
        bench.write(name, content)
        problem = refused("D013", lambda name=name: read(bench, name))
        assert problem.title_text == f"`{name}` cannot be unpacked: {reason}"


def test_a_bomb_is_counted_before_it_is_kept(bench, refused):
    import tracemalloc

    bomb = zipped(b"x\n" + b"1\n" * 50_000_000)
    bench.write("rows.csv.gz", bomb)
    tracemalloc.start()
    problem = refused("D014", lambda: read(bench, "rows.csv.gz"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than 200 times" in problem.title_text
    assert peak < 250 * len(bomb) < 30_000_000


def test_a_small_table_of_equal_rows_is_no_bomb(bench):
    packed = zipped(b"x\n" + b"1\n" * 200_000)
    assert 200 * len(packed) < 400_000
    bench.write("rows.csv.gz", packed)
    assert len(read(bench, "rows.csv.gz")) == 200_000


def test_a_first_line_that_goes_over_several_lines(bench):
    lines = "a\n" * 100
    bench.write("rows.csv", f'x,"{lines}"\n1,2\n')
    header = open_source(bench.data("rows.csv"), bench.folder).header
    assert header == ("x", lines.strip())
    assert read(bench).tolist() == [1]
