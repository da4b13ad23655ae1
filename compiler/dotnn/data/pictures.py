"""Folders of pictures as rows: `source images "photos/*/*.png" size [64, 64]`. Each file is one picture.

Columns: `pixels` (red, green and blue, or grey, each 0 to 255, as `[c, h, w]`), `folder`, `file`. A picture is turned
as its camera says, its first frame is taken, what can be seen through is laid on white, and all of it is stretched to
the size.
Pillow (extra `pictures`) reads PNG, JPEG, GIF, BMP, WebP, TIFF and PPM.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dotnn import spec
from dotnn.data.arrays import Form
from dotnn.data.files import FilesTable
from dotnn.data.paths import TableFile
from dotnn_grammar.problems import Problem
from dotnn_grammar.source import Span

KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
ENDS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
MOST = 1 << 27
"""Bytes of one file."""
SPOTS = 40_000_000
"""Spots of one picture: more than any camera at hand, a quarter of a gigabyte once it is opened."""
PIXELS = "pixels"


class NeedsPillow(Problem):
    code = "D073"
    title = "pictures are read by the package Pillow, which is not installed"
    label = "these are pictures"
    help = "install it with: pip install 'dotnn[pictures]'; or write the pictures as arrays into a NumPy file (.npz)"


class NotAPicture(Problem):
    code = "D074"
    title = "`{file}` cannot be read as a picture: {why}"
    label = "read here"
    help = "PNG, JPEG, GIF, BMP, WebP, TIFF and PPM are pictures that can be read{way}"
    file: str
    why: str
    way: str


class TooManySpots(Problem):
    code = "D075"
    title = "`{file}` would be {width:,} x {height:,} spots, and {most:,} are the most"
    label = "read as a picture"
    help = "make it smaller; a file that promises so much may be a trap"
    file: str
    width: int
    height: int
    most: int


class NoSize(Problem):
    code = "D076"
    title = "how large are the pictures?"
    label = "rows of one table have one size"
    help = 'say to which height and width they are stretched: source images "photos/*/*.png" size [64, 64]'


def read_picture(file: TableFile, raw: bytes, size: tuple[int, int], grey: bool) -> dict[str, npt.NDArray[np.uint8]]:
    """`pixels`: ``u8[c, h, w]``, with one channel where it is grey. Raises D073 to D075."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise NeedsPillow(span=file.span).error() from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is counted here
            with Image.open(io.BytesIO(raw), formats=KINDS) as opened:
                width, height = opened.size
                if width * height > SPOTS:
                    raise TooManySpots(span=file.span, file=file.shown, width=width, height=height, most=SPOTS).error()
                opened.load()
                turned: Any = ImageOps.exif_transpose(opened)
                flat = _flat(turned, "L" if grey else "RGB")
    except UnidentifiedImageError:
        raise _unreadable(file, "it does not begin as one" if raw else "it is empty").error() from None
    except Image.DecompressionBombError:
        raise _unreadable(file, "it promises more spots than any picture has").error() from None
    except _UnfitError as wrong:
        raise _unreadable(file, str(wrong)).error() from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as wrong:
        is_cut = "truncated" in str(wrong)
        raise _unreadable(file, "it ends too early" if is_cut else "it begins as one and is damaged").error() from None
    if flat.size != (size[1], size[0]):
        flat = flat.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    made = np.asarray(flat, np.uint8)
    return {PIXELS: made[None] if grey else np.ascontiguousarray(made.transpose(2, 0, 1))}


class _UnfitError(Exception):
    """Why a sound picture is none for us."""


def _unreadable(file: TableFile, why: str) -> NotAPicture:
    """Among the rows of a spec bad ones can be left out; a file that was named alone is the one that is meant."""
    way = "" if file.span is None else "; take the file out, or write `on bad row skip`"
    return NotAPicture(span=file.span, file=file.shown, why=why, way=way)


def _flat(picture: Any, mode: str) -> Any:
    """In one of the two modes, laid on white."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits a spot
        deep = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray((np.clip(deep, 0, 65535) // 257).astype(np.uint8))
    elif picture.mode == "F":
        raise _UnfitError("its spots are real numbers, not light from 0 to 255")
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, seen)
    return picture if picture.mode == mode else picture.convert("RGB").convert(mode)


def pictures(files: Sequence[TableFile], shown: str, size: tuple[int, int], grey: bool) -> FilesTable:
    """These files as a table of pictures."""
    forms: Mapping[str, Form] = {PIXELS: Form("uint8", (1 if grey else 3, *size))}
    return FilesTable(
        "picture", files, shown, forms, partial(read_picture, size=size, grey=grey), MOST, f"{size} {grey}"
    )


def size_of(line: spec.SourceLine, span: Span | None = None) -> tuple[int, int]:
    """Height and width, once they are numbers. Raises D076."""
    numbers = [part.value for part in line.size if isinstance(part, spec.Number)]
    if len(numbers) != 2:
        raise NoSize(span=span or line.span).error()
    return int(numbers[0]), int(numbers[1])


class PictureSource:
    """Satisfies ``dotnn.plugins.DataSource``."""

    name = "images"
    summary = "picture files: `pixels` as [c, h, w], and the `folder` of each (extra `pictures`)"

    def join(self, arguments: Sequence[str], place: Any) -> Sequence[FilesTable]:
        files = [file for argument in arguments for file in place.files(argument)]
        return [pictures(files, " and ".join(arguments), size_of(place.line), place.line.grey)]

    def tables(self, argument: str, place: Any) -> Sequence[FilesTable]:
        return self.join((argument,), place)
