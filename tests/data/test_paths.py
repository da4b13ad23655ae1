from __future__ import annotations

import os
import socket
import sys

import pytest

from dotnn.data import find_classes, load, open_source
from dotnn.data.paths import show

TABLE = "x,y\n1,0\n2,1\n"


@pytest.mark.parametrize("name", ["/etc/passwd.csv", "C:/rows.csv", "\\\\host\\rows.csv", "C:rows.csv"])
def test_absolute(bench, refused, name):
    problem = refused("D002", lambda: open_source(bench.data(name), bench.folder))
    assert problem.span.line == 2
    assert name in problem.title_text


@pytest.mark.parametrize("name", ["../rows.csv", "a/../../rows.csv", "..", "a/b/../../../rows.csv", "../*.csv"])
def test_out_of_the_folder(bench, refused, name):
    inner = bench.folder / "inner"
    inner.mkdir()
    bench.write("rows.csv", TABLE)
    refused("D003", lambda: open_source(bench.data(name), inner))


def test_dots_that_stay_inside_are_fine(bench):
    bench.write("rows.csv", TABLE)
    assert open_source(bench.data("a/.././rows.csv"), bench.folder).header == ("x", "y")


def test_symbolic_link_to_a_file(bench, refused):
    bench.write("rows.csv", TABLE)
    (bench.folder / "link.csv").symlink_to("rows.csv")
    problem = refused("D004", lambda: open_source(bench.data("link.csv"), bench.folder))
    assert "`link.csv`" in problem.title_text


def test_symbolic_link_on_the_way(bench, refused):
    bench.write("real/rows.csv", TABLE)
    (bench.folder / "way").symlink_to("real")
    assert "`way`" in refused("D004", lambda: open_source(bench.data("way/rows.csv"), bench.folder)).title_text
    assert "`way`" in refused("D004", lambda: open_source(bench.data("way/*.csv"), bench.folder)).title_text


def test_dangling_link(bench, refused):
    (bench.folder / "link.csv").symlink_to("nothing.csv")
    refused("D004", lambda: open_source(bench.data("link.csv"), bench.folder))


def test_the_folder_itself_may_be_reached_by_a_link(bench):
    bench.write("real/rows.csv", TABLE)
    (bench.folder / "way").symlink_to("real")
    assert open_source(bench.data("rows.csv"), bench.folder / "way").header == ("x", "y")


def test_hard_link(bench, refused):
    os.link(bench.write("rows.csv", TABLE), bench.folder / "other.csv")
    assert "2 names" in refused("D005", lambda: open_source(bench.data("other.csv"), bench.folder)).title_text


def test_folder(bench, refused):
    bench.write("all.csv/one.csv", TABLE)
    problem = refused("D006", lambda: open_source(bench.data("all.csv"), bench.folder))
    assert "is a folder" in problem.title_text
    assert '"all.csv/*.csv"' in problem.help_text
    refused("D006", lambda: open_source(bench.data("."), bench.folder))


def test_pipe_is_refused_and_not_waited_for(bench, refused):
    os.mkfifo(bench.folder / "rows.csv")
    assert "is a pipe" in refused("D006", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text


def test_socket(bench, refused, monkeypatch):
    # The path of a socket is short by nature, so it is given from within.
    monkeypatch.chdir(bench.folder)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("rows.csv")
    assert "is a socket" in refused("D006", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text


def test_device(bench, refused, monkeypatch):
    from pathlib import Path

    if not Path("/dev/null").is_char_device():
        pytest.skip("no devices here")
    assert "is a device" in refused("D006", lambda: open_source(bench.data("null"), Path("/dev"))).title_text


def test_a_pipe_put_there_in_the_meantime(bench, refused):
    from dotnn.data.paths import find_files, open_table

    path = bench.write("rows.csv", TABLE)
    (file,) = find_files(bench.data("rows.csv").sources[0], bench.folder)
    path.unlink()
    os.mkfifo(path)
    refused("D006", lambda: open_table(file))
    path.unlink()
    path.symlink_to("/etc/hostname")
    refused("D011", lambda: open_table(file))


def test_zero_character(bench, refused):
    refused("D007", lambda: open_source(bench.data("rows\0.csv"), bench.folder))


def test_missing_with_a_near_name(bench, refused):
    bench.write("data/digits.csv.gz", "")
    problem = refused("D008", lambda: open_source(bench.data("data/digit.csv.gz"), bench.folder))
    assert problem.title_text == "there is no file `data/digit.csv.gz`"
    assert problem.help_text == "did you mean `data/digits.csv.gz`?"
    assert (
        "`data/digits.csv.gz`"
        in refused("D008", lambda: open_source(bench.data("date/digits.csv.gz"), bench.folder)).help_text
    )


def test_missing_with_what_is_there(bench, refused):
    bench.write("data/a.csv", TABLE)
    bench.write("data/.hidden", "")
    problem = refused("D008", lambda: open_source(bench.data("data/measurements.tsv"), bench.folder))
    assert problem.help_text == "`data` holds `a.csv`; a path starts from the folder of the spec"
    (bench.folder / "none").mkdir()
    assert "is empty" in refused("D008", lambda: open_source(bench.data("none/a.csv"), bench.folder)).help_text


def test_a_file_where_a_folder_should_be(bench, refused):
    bench.write("rows.csv", TABLE)
    refused("D008", lambda: open_source(bench.data("rows.csv/more.csv"), bench.folder))


def test_a_name_too_long(bench, refused):
    problem = refused("D011", lambda: open_source(bench.data("a" * 5000 + ".csv"), bench.folder))
    assert len(problem.title_text) < 300
    refused("D009", lambda: open_source(bench.data("*" + "a" * 5000 + ".csv"), bench.folder))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_forbidden(bench, refused):
    bench.write("rows.csv", TABLE).chmod(0)
    assert "permission denied" in refused("D011", lambda: open_source(bench.data("rows.csv"), bench.folder)).title_text


def test_pattern_is_sorted_and_read_as_one(bench):
    for name, value in (("c", 3), ("a", 1), ("b", 2)):
        bench.write(f"rows/{name}.csv", f"x\n{value}\n")
    bench.write("rows/.hidden.csv", "x\n9\n")
    data = bench.data("rows/*.csv")
    found = load(data, [bench.number("x")], bench.spans, bench.folder)
    assert found.splits["train"].arrays["x"].tolist() == [1, 2, 3]


def test_pattern_in_a_folder_name_and_several_files_in_their_order(bench):
    bench.write("run1/rows.csv", "x\n1\n")
    bench.write("run2/rows.csv", "x\n2\n")
    bench.write("first.csv", "x\n3\n")
    bench.write("run3", "a file, which has no rows.csv below it")
    data = bench.data("first.csv", "run?/rows.csv")
    found = load(data, [bench.number("x")], bench.spans, bench.folder)
    assert found.splits["train"].arrays["x"].tolist() == [3, 1, 2]


def test_a_file_whose_name_looks_like_a_pattern(bench):
    bench.write("rows[1].csv", TABLE)
    assert open_source(bench.data("rows[1].csv"), bench.folder).header == ("x", "y")


def test_pattern_without_a_match(bench, refused):
    bench.write("rows.csv", TABLE)
    problem = refused("D009", lambda: open_source(bench.data("row?.tsv"), bench.folder))
    assert problem.title_text == "no file matches `row?.tsv`"
    assert "`rows.csv`" in problem.help_text


def test_a_pattern_does_not_lead_through_a_link(bench, refused):
    bench.write("real.csv", TABLE)
    (bench.folder / "z.csv").symlink_to("real.csv")
    refused("D004", lambda: open_source(bench.data("*.csv"), bench.folder))


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.parquet.gz", "rows.xlsx", "rows.csv.zip"])
def test_suffix(bench, refused, name):
    bench.write(name, TABLE)
    refused("D010", lambda: open_source(bench.data(name), bench.folder))


def test_one_file_twice(bench, refused):
    bench.write("rows.csv", TABLE)
    data = bench.data("rows.csv", tests=["./rows.csv"])
    assert refused("D012", lambda: open_source(data, bench.folder)).span.line == 7
    refused("D012", lambda: open_source(bench.data("*.csv", "rows.csv"), bench.folder))


def test_reader_of_another_version(bench, refused):
    bench.write("rows.csv", TABLE)
    assert (
        "`pictures`"
        in refused("D001", lambda: open_source(bench.data("rows.csv", reader="pictures"), bench.folder)).title_text
    )


def test_no_source(bench, refused):
    assert refused("D037", lambda: open_source(bench.data(), bench.folder)).span.line == 1


def test_every_door_is_guarded(bench, refused):
    data = bench.data("../rows.csv")
    refused("D003", lambda: load(data, [bench.number("x")], bench.spans, bench.folder))
    refused("D003", lambda: find_classes(data, "x", bench.spans["x"], bench.folder))


def test_what_a_stranger_wrote_is_shown_safely():
    assert show("a\x1b[31mb\nc") == "a\ufffd[31mb\ufffdc"
    assert show("x" * 100) == "x" * 39 + "…"
