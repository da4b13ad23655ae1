"""Folders of pictures as rows: size, channels, turning, what is laid on white, what is no picture, and bombs."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data.paths import TableFile
from dotnn.data.pictures import read_picture

Image = pytest.importorskip("PIL.Image", reason="needs the extra `pictures`: pip install -e '.[pictures]'")
FILE = TableFile(path=Path("a.png"), shown="a.png")


def saved(picture, kind="PNG", **more) -> bytes:
    made = io.BytesIO()
    picture.save(made, kind, **more)
    return made.getvalue()


def pixels(raw, size=(4, 6), grey=False):
    return read_picture(FILE, raw, size, grey)["pixels"]


def test_channels_come_first_and_numbers_stay():
    numbers = np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8)
    for kind in ("PNG", "BMP", "PPM", "TIFF"):
        found = pixels(saved(Image.fromarray(numbers), kind))
        assert found.dtype == np.uint8
        assert np.array_equal(found, numbers.transpose(2, 0, 1)), kind
    grey = pixels(saved(Image.fromarray(numbers).convert("L")), grey=True)
    assert grey.shape == (1, 4, 6)
    assert np.array_equal(pixels(saved(Image.fromarray(numbers).convert("L")))[0], grey[0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    white = Image.new(mode, (6, 4), {"I;16": 65535, "CMYK": (0, 0, 0, 0), "P": 0}.get(mode, "white"))
    if mode == "P":
        white.putpalette([255, 255, 255] * 256)
    for grey in (False, True):
        assert pixels(saved(white, kind), grey=grey).min() == 255


def test_what_can_be_seen_through_lies_on_white():
    assert pixels(saved(Image.new("RGBA", (6, 4), (0, 0, 0, 0)))).min() == 255
    assert pixels(saved(Image.new("RGBA", (6, 4), (0, 0, 0, 255)))).max() == 0


def test_it_is_turned_as_the_camera_says():
    lying = np.zeros((4, 6, 3), np.uint8)
    lying[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    turned = pixels(saved(Image.fromarray(lying), exif=exif), size=(6, 4))
    assert turned[0, :, -1].min() == 255
    assert turned[0, :, :-1].max() == 0


def test_it_is_stretched():
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 200
    found = pixels(saved(Image.fromarray(half)), grey=True)[0]
    assert found[:, :2].max() == 0
    assert found[:, 4:].min() == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises so much and holds next to nothing."""

    def chunk(word: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + word + data + struct.pack(">I", zlib.crc32(word + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "D074"),
        (b"junk", "D074"),
        (b"\x89PNG\r\n\x1a\n", "D074"),
        (saved(Image.new("RGB", (60, 40)))[:60], "D074"),
        (saved(Image.effect_noise((60, 40), 50).convert("RGB"), "JPEG")[:700], "D074"),
        (saved(Image.new("F", (6, 4)), "TIFF"), "D074"),
        (bomb(9_000, 9_000), "D075"),
        (bomb(60_000, 60_000), "D074"),
    ],
)
def test_what_is_no_picture(refused, raw, code):
    problem = refused(code, lambda: pixels(raw))
    assert "a.png" in problem.title_text


SPEC = """
param side = 8
data photos {
  source images "photos/*/*.*" size [side, side]
  image = pixels / 255 as [3, h = side, w = side]
  label = folder as class
  split train 50%, test 50% stratify label
}
net N(image: [b, 3, h, w]) -> s: [b, 2] { s = image -> flatten -> dense(2) }
train N on photos { loss cross_entropy(s, label); optimizer adam; batch 4; epochs 1; answer argmax(s) as label }
"""


@pytest.fixture
def photos(tmp_path):
    for kind, colour in (("red", (250, 9, 9)), ("blue", (9, 9, 250))):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(6):
            made = saved(Image.new("RGB", (10 + number, 9), colour), "JPEG" if number % 2 else "PNG")
            (tmp_path / "photos" / kind / f"{number}.{'jpg' if number % 2 else 'png'}").write_bytes(made)
    (tmp_path / "see.nn").write_text(SPEC)
    return tmp_path


def test_a_spec_of_pictures(photos):
    made = compile_file(photos / "see.nn")
    (image, label) = made.program.inputs
    assert (image.dims, image.dtype, image.reader, label.classes) == ((3, 8, 8), "u8", "images", ("blue", "red"))
    train = made.dataset.splits["train"].arrays
    for name, array in train.items():
        assert len(array) == 6, name
    of_red = train["label"] == 1
    assert train[image.name][of_red][:, 0].min() > 200
    assert train[image.name][of_red][:, 2].max() < 50


def test_grey_by_the_form_of_the_column(photos):
    path = photos / "see.nn"
    path.write_text(SPEC.replace("[3, h = side", "[1, h = side").replace("b, 3, h", "b, 1, h"))
    assert compile_file(path).program.inputs[0].dims == (1, 8, 8)
    path.write_text(
        SPEC.replace("[side, side]\n", "[side, side] grey\n", 1).replace("[3, h", "[1, h").replace("b, 3", "b, 1")
    )
    assert compile_file(path).program.inputs[0].dims == (1, 8, 8)


def test_a_damaged_one_is_an_error_or_left_out(photos, refused):
    (photos / "photos/red/9.png").write_bytes(b"junk")
    path = photos / "see.nn"
    problem = refused("D074", lambda: compile_file(path))
    assert "photos/red/9.png" in problem.title_text
    path.write_text(SPEC.replace("split", "on bad row skip\n  split"))
    made = compile_file(path)
    assert made.dataset.skipped is not None
    assert made.dataset.skipped.count == 1
    assert sum(part.count for part in made.dataset.splits.values()) == 12


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (" size [side, side]", "", "D076"),
        ("size [side, side]", "size [side]", "R012"),
        ("size [side, side]", "size [side, side] pretty", "R012"),
        ("size [side, side]", "size [0, side]", "B002"),
        ("size [side, side]", "size [2.5, side]", "B002"),
        ("photos/*/*.*", "../photos/*/*.*", "D003"),
    ],
)
def test_lines_that_make_no_sense(photos, refused, old, new, code):
    path = photos / "see.nn"
    path.write_text(SPEC.replace(old, new, 1))
    refused(code, lambda: check_file(path))


def test_without_the_extra(photos, refused, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    (photos / "photos/red/new.png").write_bytes(b"not looked at before")
    problem = refused("D073", lambda: compile_file(photos / "see.nn"))
    assert "dotnn[pictures]" in problem.help_text
