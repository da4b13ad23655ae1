"""Sources whose columns are arrays: IDX files and NumPy's. Nothing is unpickled, all is counted before it expands."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest

from dotnn.data import load, open_source, read_rows
from dotnn.program import RawColumn

PICTURES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
LABELS = np.array([0, 1, 2, 1, 0], np.uint8)
CODES = {"uint8": 8, "int8": 9, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array, dims=None) -> bytes:
    dims = array.shape if dims is None else dims
    head = bytes([0, 0, CODES[array.dtype.name], len(dims)]) + b"".join(struct.pack(">I", d) for d in dims)
    numbers: bytes = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return head + numbers


def npy(array, **settings) -> bytes:
    held = io.BytesIO()
    np.save(held, array, **settings)
    return held.getvalue()


def npz(**arrays) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def zipped(members: dict[str, bytes], how=zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return held.getvalue()


def raw(name, dims=(), dtype="f32", **more):
    return RawColumn(name="x", columns=(name,), dtype=dtype, dims=dims, **more)


def read(bench, reader, *files, of):
    found = load(bench.data(*files, reader=reader), [of], bench.spans, bench.folder)
    return found.splits["train"].arrays["x"]


# ---- IDX


def test_idx(bench):
    bench.write("images-idx3-ubyte", idx(PICTURES))
    bench.write("labels.gz", gzip.compress(idx(LABELS), mtime=0))
    data = bench.data("images-idx3-ubyte", "labels.gz", reader="idx")
    table = open_source(data, bench.folder)
    assert table.header == ("pixels", "labels")
    assert [(f.dtype, f.dims) for f in table.forms.values()] == [("uint8", (2, 3)), ("uint8", ())]
    found = load(data, [raw("pixels", (2, 3), "u8"), bench.whole("labels", 3)], bench.spans, bench.folder)
    arrays = found.splits["train"].arrays
    assert arrays["x"].dtype == np.uint8
    assert arrays["x"].tolist() == PICTURES.tolist()
    assert arrays["y"].tolist() == LABELS.tolist()


@pytest.mark.parametrize("name", CODES)
def test_idx_types(bench, name):
    array = np.array([[1, 2], [100, 3]], name)
    bench.write("a", idx(array))
    assert read(bench, "idx", "a", of=raw("pixels", (2,))).tolist() == array.tolist()


def test_idx_far_down(bench):
    array = np.arange(30_000, dtype=np.int32).reshape(-1, 3)
    bench.write("a.gz", gzip.compress(idx(array), mtime=0))
    assert read(bench, "idx", "a.gz", of=raw("pixels", (3,))).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is empty"),
        (b"\0\0", "does not begin"),
        (b"x,y\n1,2\n", "does not begin"),
        (b"\0\0\x07\x01\0\0\0\1\1", "does not begin"),
        (b"\0\0\x08\0", "0 dims"),
        (b"\0\0\x08\xff" + b"\0" * 2000, "255 dims"),
        (b"\0\0\x08\x02\0\0\0\1", "2 dims"),
        (idx(PICTURES)[:-1], "promise 46 bytes, and it has 45"),
        (idx(PICTURES) + b"\0", "promise 46 bytes, and it has 47"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "promise"),
    ],
)
def test_idx_files_that_are_none(bench, refused, content, part):
    bench.write("a", content)
    problem = refused("D056", lambda: read(bench, "idx", "a", of=raw("pixels", (2, 3))))
    assert part in problem.title_text


def test_idx_packed_and_cut(bench, refused):
    bench.write("a.gz", gzip.compress(idx(PICTURES)[:-1], mtime=0))
    assert (
        "its end is missing" in refused("D056", lambda: read(bench, "idx", "a.gz", of=raw("pixels", (2, 3)))).title_text
    )
    bench.write("a.gz", gzip.compress(idx(PICTURES) + b"1", mtime=0))
    assert "goes on" in refused("D056", lambda: read(bench, "idx", "a.gz", of=raw("pixels", (2, 3)))).title_text
    bench.write("a.gz", gzip.compress(idx(PICTURES), mtime=0)[:-12])
    refused("D013", lambda: read(bench, "idx", "a.gz", of=raw("pixels", (2, 3))))


def test_idx_that_promises_too_much(bench, refused):
    """16 TB, said in a few bytes."""
    bench.write("a.gz", gzip.compress(idx(PICTURES, dims=(2**31, 2**13, 1)), mtime=0))
    refused("D014", lambda: open_source(bench.data("a.gz", reader="idx"), bench.folder))


def test_idx_files_that_do_not_belong_together(bench, refused):
    bench.write("a", idx(PICTURES))
    bench.write("b", idx(LABELS[:4]))
    problem = refused("D057", lambda: open_source(bench.data("a", "b", reader="idx"), bench.folder))
    assert problem.title_text == "a has 5 rows, and b has 4"
    bench.write("b", idx(PICTURES))
    refused("D058", lambda: open_source(bench.data("a", "b", reader="idx"), bench.folder))


def test_an_exam_of_other_dims(bench, refused):
    bench.write("a", idx(PICTURES))
    bench.write("b", idx(PICTURES.reshape(5, 3, 2)))
    data = bench.data("a", tests=["b"], reader="idx")
    assert "an array 3x2" in refused("D021", lambda: open_source(data, bench.folder)).help_text


# ---- NumPy


def test_npz(bench):
    bench.write("a.npz", npz(image=PICTURES, digit=LABELS, size=np.array(3), names=np.array(["a", "b", "é", "b", "a"])))
    table = open_source(bench.data("a.npz", reader="npz"), bench.folder)
    assert table.header == ("image", "digit", "names")
    assert read(bench, "npz", "a.npz", of=raw("image", (2, 3))).tolist() == PICTURES.tolist()
    assert read(bench, "npz", "a.npz", of=raw("names", (), "i64", classes=("a", "b", "é"))).tolist() == [0, 1, 2, 1, 0]


def test_npy_side_by_side(bench):
    bench.write("in/image.npy", npy(PICTURES))
    bench.write("digit.npy", npy(LABELS))
    table = open_source(bench.data("in/image.npy", "digit.npy", reader="npz"), bench.folder)
    assert table.header == ("image", "digit")


def test_several_npz_are_one_table(bench):
    bench.write("a.npz", npz(x=LABELS))
    bench.write("b.npz", npz(x=LABELS[:2]))
    assert len(read(bench, "npz", "a.npz", "b.npz", of=raw("x"))) == 7


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", ">u8", "|b1", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_types(bench, dtype, order):
    array = np.array([[1, 0, 1], [0, 1, 1]], dtype, order=order)
    bench.write("a.npy", npy(array))
    assert read(bench, "npz", "a.npy", of=raw("a", (3,))).tolist() == array.astype(float).tolist()


def test_arrays_of_other_lengths_matter_where_they_are_read(bench, refused):
    bench.write("a.npz", npz(x_train=LABELS, x_test=LABELS[:2]))
    assert len(read(bench, "npz", "a.npz", of=raw("x_train"))) == 5
    both = RawColumn(name="x", columns=("x_train", "x_test"), dtype="f32", dims=(2,))
    problem = refused("D057", lambda: read(bench, "npz", "a.npz", of=both))
    assert problem.title_text == "`x_train` has 5 rows, and `x_test` has 2"


class Harm:
    """What a pickle may do."""

    def __reduce__(self):
        import os

        return os.abort, ()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.npy", npy(np.array([Harm()], object), allow_pickle=True), "D060"),
        ("a.npz", npz(a=np.array([Harm(), Harm()], object)), "D060"),
        ("a.npy", npy(np.zeros(3, "i4,f4")), "D060"),
        ("a.npy", npy(np.zeros(3, "M8[s]")), "D060"),
        ("a.npy", npy(np.zeros(3, complex)), "D060"),
        ("a.npy", npy(np.zeros(3, "S4")), "D060"),
        ("a.npy", b"", "D059"),
        ("a.npy", b"x,y\n1,2\n", "D059"),
        ("a.npz", b"x,y\n1,2\n", "D059"),
        ("a.npy", npy(LABELS)[:-1], "D059"),
        ("a.npy", npy(LABELS) + b"0", "D059"),
        ("a.npy", npy(LABELS)[:40], "D059"),
        ("a.npy", b"\x93NUMPY\x09\x00" + npy(LABELS)[8:], "D059"),
        ("a.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': (2147483647, 2147483647)}"), "D059"),
        ("a.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "D059"),
        ("a.npy", header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 40 + ")}"), "D059"),
        ("a.npy", header("__import__('os').abort()"), "D059"),
        ("a.npy", header("[" * 3000), "D059"),
        ("a.npy", header("9" * 9000), "D059"),
        ("a.npz", zipped({"a.txt": b"hello"}), "D059"),
        ("a.npz", zipped({"a.npy": npy(LABELS), "b.npy": b"nothing"}), "D059"),
        ("a.npz", zipped({"a.npy": npy(LABELS)}, zipfile.ZIP_BZIP2), "D059"),
        ("a.npz", zipped({}), "D017"),
        ("a.npz", npz(a=LABELS)[:-30], "D059"),
        ("a.npz", zipped({"a.npy": npy(np.zeros(50_000_000, np.uint8))}), "D014"),
    ],
    ids=range(25),
)
def test_numpy_files_that_are_refused(bench, refused, name, content, code):
    bench.write(name, content)
    refused(code, lambda: read(bench, "npz", name, of=raw("a")))


def test_damage_within(bench, refused):
    whole = bytearray(npz(a=np.arange(10_000) ** 2 % 977))
    middle = len(whole) // 2
    whole[middle : middle + 8] = bytes(byte ^ 255 for byte in whole[middle : middle + 8])
    bench.write("a.npz", bytes(whole))
    refused("D059", lambda: read(bench, "npz", "a.npz", of=raw("a")))


def test_a_locked_archive(bench, refused):
    whole = bytearray(zipped({"a.npy": npy(LABELS)}))
    at = whole.index(b"PK\x01\x02")
    whole[at + 8] |= 1
    bench.write("a.npz", bytes(whole))
    assert "password" in refused("D059", lambda: read(bench, "npz", "a.npz", of=raw("a"))).title_text


@pytest.mark.parametrize(
    ("array", "of", "code", "part"),
    [
        (np.array([1, np.nan]), raw("a"), "D024", "a.npy, row 2: `nan`"),
        (np.array([1, np.inf]), raw("a"), "D024", "row 2"),
        (np.array([1e300, 1]), raw("a"), "D028", "row 1"),
        (np.array([0.0, 1.5]), raw("a", (), "i64"), "D026", "row 2: `1.5`"),
        (np.array([0, 7]), raw("a", (), "i64", bound=5), "D027", "row 2: `7`"),
        (np.array([0, -1]), raw("a", (), "i64", bound=5), "D027", "row 2: `-1`"),
        (np.array([[0, 1], [3, 9]]), raw("a", (2,), "i64", bound=5), "D027", "row 2: `9`"),
        (np.array([0, 2**64 - 1], np.uint64), raw("a", (), "i64"), "D028", "row 2"),
        (np.zeros((2, 3)), raw("a", (2,)), "D049", "an array 3 in each row"),
        (np.zeros((2, 3)), raw("a"), "D049", "one value is needed"),
        (np.zeros((0, 3)), raw("a", (3,)), "D018", "no row"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit(bench, refused, array, of, code, part):
    bench.write("a.npy", npy(array))
    assert part in refused(code, lambda: read(bench, "npz", "a.npy", of=of)).title_text


# ---- a stranger's arrays


class Arrays:
    """Satisfies ``dotnn.plugins.ArrayTable``; ``blocks`` are given as they are."""

    shown = "made"

    def __init__(self, columns, blocks):
        self.made, self.given = columns, blocks

    def columns(self):
        return self.made

    def arrays(self, names, rows):
        return iter(self.given)


@pytest.mark.parametrize(
    ("columns", "blocks"),
    [
        ({}, []),
        ({"": ("f4", ())}, []),
        ({"a": ("f4", ()), "b": ("f4", ())}, [[np.zeros(2)]]),
        ({"a": ("f4", (2,))}, [[np.zeros((3, 3))]]),
        ({"a": ("f4", ())}, [[np.array([None])]]),
        ({"a": ("f4", ())}, [[[1, 2]]]),
        ({"a": ("f4", (2**40,))}, []),
    ],
)
def test_a_strangers_arrays_are_looked_at(columns, blocks, refused):
    from tests.data.conftest import place

    from dotnn.data.source import GivenArrays

    def use():
        table = GivenArrays("mine", Arrays(columns, blocks), place(2))
        list(table.blocks(table.header()))

    assert refused("D051", use).title_text.startswith("the plugin behind `source mine` does not work: ")


# ---- in a spec, and asked


SPEC = """
data digits {
  SOURCE
  image = PIXELS / 16 as [4]
  label = LABELS as int < 3
  split train 60%, val 40%
}
net Small(image: [b, 4]) -> logits: [b, 3] { logits = image -> dense(3) }
train Small on digits {
  loss cross_entropy(logits, label)
  answer argmax(logits) as label
  optimizer sgd(lr = 0.1)
  batch 4
  epochs 2
}
"""


@pytest.mark.parametrize("reader", ["idx", "npz"])
def test_in_a_spec(bench, reader):
    from dotnn.compiler import check_file, compile_file

    generator = np.random.default_rng(1)
    pixels, labels = generator.integers(0, 16, (20, 2, 2), np.uint8), generator.integers(0, 3, 20, np.uint8)
    bench.write("image", idx(pixels))
    bench.write("label", idx(labels))
    bench.write("d.npz", npz(pixels=pixels, label=labels))
    line = {"idx": 'source idx "image", "label"', "npz": 'source npz "d.npz"'}[reader]
    text = SPEC.replace("SOURCE", line).replace("PIXELS", "pixels")
    # An array may have the name of the column that is made of it.
    bench.write("s.nn", text.replace("LABELS", "labels" if reader == "idx" else "label"))
    assert check_file(bench.folder / "s.nn").summary == ("Small learns 15 numbers from digits",)
    made = compile_file(bench.folder / "s.nn")
    by_name = {raw.name: raw for raw in made.program.inputs}
    assert (by_name["image"].dtype, by_name["image"].dims) == ("u8", (2, 2))
    rows = made.dataset.splits
    assert rows["train"].arrays["image"].shape == (12, 2, 2)
    given = read_rows(bench.folder / ("image" if reader == "idx" else "d.npz"), made.program.inputs)
    assert given["image"].tolist() == pixels.tolist()


def test_values_cannot_be_typed_where_the_input_is_an_array(refused):
    from dotnn.data import read_values

    assert "an array 2x3" in refused("D062", lambda: read_values(["1"], [raw("a", (2, 3))])).title_text


@pytest.mark.parametrize(
    ("name", "argument", "files"),
    [
        ("table", "a.csv", {"a.csv": b"x,y\n1,2\n"}),
        ("table", "a.jsonl", {"a.jsonl": b'{"x": 1, "y": 2}\n'}),
        ("idx", "a", {"a": idx(PICTURES)}),
        ("npz", "a.npz", {"a.npz": npz(a=PICTURES, b=LABELS)}),
        ("npz", "a.npy", {"a.npy": npy(PICTURES)}),
    ],
)
def test_our_own_pass_the_battery(name, argument, files):
    from dotnn.testing import check_source

    check_source(name, argument, files).require()


def test_every_source_of_ours_is_tried_here():
    from dotnn.entries import BUILT_IN

    assert {entry.name for entry in BUILT_IN if entry.kind == "source"} <= {
        "table",
        "idx",
        "npz",
        "text",
        "mail",
        "images",
    }
