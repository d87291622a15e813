"""What the beginning of a file says of its picture, and why some pictures are not read."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import simplejpeg
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

from segfeed.errors import DataError

T = TypeVar("T")

JPEG, PNG = b"\xff\xd8", b"\x89PNG"  # how these files begin
TIFF = b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"
MAX_PIXELS = 178_956_970  # that a file's header may declare: 512 MB as RGB, and Pillow's own limit
SMALLER = "Cut the picture into tiles; if it should be smaller, copy the file again from its source."
ORIENTATION = 0x0112


class Header(NamedTuple):
    """One picture as its file declares it."""

    kind: str  # PNG, JPEG, TIFF or another name of Pillow's
    height: int  # in pixels as stored, before the orientation turns them
    width: int
    orientation: int = 1  # 1 to 8, as in EXIF
    bits: int = 8  # of a sample
    palette: bool = False  # the samples are indices of colours
    alpha: bool = False  # pixels may be transparent
    inverted: bool = False  # 0 is white


def read_header(path: str | Path, data: bytes) -> Header:
    """The header of a file with these bytes.

    Raises DataError for a file that is not known or damaged, that declares more than `MAX_PIXELS`, and that holds
    more than one picture, other channels than grey, RGB and transparency, or a camera's raw picture.
    """
    header = decode_or_raise(path, data, lambda: _header(path, data))
    check_size(path, data, header.height, header.width)
    return header


def check_size(path: str | Path, data: bytes, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{path}: its {len(data)} bytes declare {height}×{width} = {height * width / 1e6:.0f} megapixels, "
            f"and at most {MAX_PIXELS / 1e6:.0f} are decoded. {SMALLER}",
            "decompression bomb",
        )


def upright_size(header: Header) -> tuple[int, int]:
    """(height, width) of the picture once it is turned as its orientation says."""
    return (header.width, header.height) if header.orientation > 4 else (header.height, header.width)


def _header(path: str | Path, data: bytes) -> Header | None:
    if data[:4] == PNG and data[12:16] == b"IHDR":
        return _png(path, data)
    if data[:2] == JPEG:
        return _jpeg(data)
    if data.startswith(TIFF):
        return _tiff(path, data)
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        return None
    with image:
        _refuse_several(path, getattr(image, "n_frames", 1))
        bitmap = image.format == "PPM" and image.mode == "1"  # in PBM 1 is black
        palette = image.mode in ("1", "P", "PA") or image.format == "GIF"
        kind, bits, alpha = image.format or "", 16 if image.mode[0] in "IF" else 8, image.has_transparency_data
        return Header(kind, image.height, image.width, _orientation(image), bits, palette, alpha, bitmap)


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag: OpenCV passes over it too
        return 1
    return turn if turn in range(1, 9) else 1


def _jpeg(data: bytes) -> Header:
    turn = 1
    if b"Exif\0\0" in data:
        with contextlib.suppress(UnidentifiedImageError):
            turn = _orientation(Image.open(io.BytesIO(data)))
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return Header("JPEG", height, width, turn)
    except ValueError:  # Pillow forgives more
        with Image.open(io.BytesIO(data)) as image:
            return Header("JPEG", image.height, image.width, turn)


def _png(path: str | Path, data: bytes) -> Header:
    if is_cut(data):  # Pillow forgives it
        raise _cut(path, data)
    chunks, at = {}, 8
    while at + 8 <= len(data) and (name := data[at + 4 : at + 8]) != b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        chunks[name] = data[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    if b"acTL" in chunks:  # the first picture is part of the animation if fcTL stands before it
        _refuse_several(path, int.from_bytes(chunks[b"acTL"][:4], "big") + (b"fcTL" not in chunks))
    turn = 1
    if b"eXIf" in data or b"Raw profile type" in data:
        turn = _orientation(Image.open(io.BytesIO(data)))
    return Header("PNG", height, width, turn, bits, colour == 3, colour in (4, 6) or b"tRNS" in chunks)


# --- TIFF: tags as in Adobe's TIFF 6.0 (1992), DNG 1.7 for the raw ones ----------------------

GREY_FROM_WHITE, GREY, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6  # PhotometricInterpretation
COLOUR_SAMPLES = {GREY_FROM_WHITE: 1, GREY: 1, RGB: 3, PALETTE: 1, INKS: 4, YCBCR: 3}
SMALLER_COPY = 1  # NewSubfileType: a reduced picture of another page


def _tiff(path: str | Path, data: bytes) -> Header:
    first, *others = _pages(data)
    if first.get(50706) or first.get(254, 0) & SMALLER_COPY:  # DNGVersion
        raise _raw_file(path)
    inner = [tags for offset in _tuple(first.get(330)) for tags in _pages(data, offset)]  # SubIFDs
    sides = int(first[257]), int(first[256])  # ValueError for a tag of another type
    if any(tags.get(257, 0) > sides[0] or tags.get(256, 0) > sides[1] for tags in inner):
        raise _raw_file(path)
    wholes = [tags for tags in others + inner if not tags.get(254, 0) & SMALLER_COPY]
    depth = first.get(32997, 1)  # ImageDepth
    stack = str(first.get(270, "")).partition("\nimages=")[2].split("\n")[0]  # ImageJ's own, without a page for each
    _refuse_several(path, max(1 + len(wholes), depth, int(stack) if stack.isdecimal() else 1))
    colours, samples = first.get(262, GREY), first.get(277, 1)
    extra = _tuple(first.get(338))  # 1 and 2 are transparency
    if colours not in COLOUR_SAMPLES:
        raise DataError(
            f"{path}: the colours of this TIFF are of kind {colours} (PhotometricInterpretation), expected grey, RGB "
            f"or a palette. Convert the picture to RGB and save it again.",
            "other channels",
        )
    if samples != COLOUR_SAMPLES[colours] + len(extra) or any(kind not in (1, 2) for kind in extra) or len(extra) > 1:
        raise DataError(
            f"{path}: {samples} channels, expected grey or RGB. Save the channels that you want as RGB.",
            "other channels",
        )
    bits = int(max(_tuple(first.get(258, 1))))
    turn = first.get(ORIENTATION, 1)
    turn = turn if turn in range(1, 9) else 1
    return Header("TIFF", *sides, turn, bits, colours == PALETTE, bool(extra), colours == GREY_FROM_WHITE)


def _pages(data: bytes, at: int | None = None) -> list[dict[int, Any]]:
    """The tags of each page, from the one at an offset on."""
    big = 43 in data[2:4]  # BigTIFF
    stream, directory = io.BytesIO(data), ImageFileDirectory_v2(data[: 16 if big else 8])
    pages: list[dict[int, Any]] = []
    seen: set[int] = set()
    at = directory.next if at is None else at
    while at and at not in seen:
        seen.add(at)
        stream.seek(at)
        directory.load(stream)
        pages.append(dict(directory))
        at = directory.next
    return pages


def _tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _raw_file(path: str | Path) -> DataError:
    return DataError(
        f"{path}: a camera's raw file, of which only the small preview can be read. "
        f"Develop it with the camera's program and save it as PNG or JPEG.",
        "raw file",
    )


def _refuse_several(path: str | Path, count: int) -> None:
    if count > 1:
        raise DataError(
            f"{path}: holds {count} pictures (pages, slices or frames), expected one. "
            f"Save each of them as a file of its own, images and masks under the same names.",
            "several pictures",
        )


# --- Files that no decoder takes -------------------------------------------------------------

CONVERT = "Convert it to PNG."
OTHER_CONTENTS = (  # where, how it begins, what it is, and the cure
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the picture itself", "Run `git lfs pull`."),
    (4, b"ftyphei", "HEIC", CONVERT),
    (4, b"ftyphev", "HEIC", CONVERT),
    (4, b"ftypmif1", "HEIF", CONVERT),
    (4, b"ftypmsf1", "HEIF", CONVERT),
    (4, b"JXL ", "JPEG XL", CONVERT),
    (0, b"\xff\x0a", "JPEG XL", CONVERT),
    (4, b"ftypcrx", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"FUJIFILM", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"IIRO", "a camera's raw file", "Develop it with the camera's program and save it as PNG or JPEG."),
    (0, b"8BPS", "a file of Photoshop", "Export it as PNG."),
    (0, b"gimp xcf", "a file of GIMP", "Export it as PNG."),
    (0, b"%PDF", "a PDF", CONVERT),
    (0, b"PK\3\4", "a ZIP archive", "Unpack it."),
    (0, b"\x1f\x8b", "compressed with gzip", "Unpack it."),
    (0, b"\x93NUMPY", "an array of NumPy", CONVERT),
    (0, b"\x89HDF", "a file of HDF5", CONVERT),
    (128, b"DICM", "a DICOM file", CONVERT),
    (0, b"<", "text, perhaps a web page or SVG, and no pixels", "Download the picture itself, or convert it to PNG."),
    (0, b"{", "text (JSON), and no pixels", "Move it out of this folder."),
)
OTHER_JPEG = {  # the second byte of the marker that begins a frame, as in ITU-T T.81, and T.87 for F7
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "coded by arithmetic"),
    **dict.fromkeys((0xCB, 0xCD, 0xCE, 0xCF), "lossless or hierarchical"),
    0xF7: "lossless (JPEG-LS)",
}


def decode_or_raise(path: str | Path, data: bytes, read: Callable[[], T | None]) -> T:
    """Call `read`; if it fails or returns None, raise a DataError that names the file."""
    try:
        found = read()
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error} {SMALLER}", "decompression bomb") from error
    except Exception as error:  # a damaged file makes decoders raise anything, struct.error and MemoryError included
        raise _not_decoded(path, data, f"cannot be decoded ({error})") from error
    if found is None:
        raise _not_decoded(path, data, f"not an image that can be decoded (it begins with {data[:4]!r})")
    return found


def _not_decoded(path: str | Path, data: bytes, measured: str) -> DataError:
    for at, start, name, cure in OTHER_CONTENTS:
        if data.startswith(start, at):
            return DataError(f"{path}: the file is {name}. {cure}")
    if is_cut(data):
        return _cut(path, data)
    if unusual := _unusual_jpeg(data) if data[:2] == JPEG else _unusual_tiff(data) if data.startswith(TIFF) else "":
        return DataError(f"{path}: a {unusual}, which is not read. Save it again with 8 bits, as PNG.")
    return DataError(
        f"{path}: {measured}. Open it in an image viewer; save it again, or copy it again from its source."
    )


def _cut(path: str | Path, data: bytes) -> DataError:
    words = f"{path}: the file is cut off ({len(data)} bytes, no end). Copy it again from its source."
    return DataError(words, "truncated file")


def is_cut(data: bytes) -> bool:
    """Whether a JPEG that does not decode well, or a PNG, lacks the mark of its end."""
    if data[:2] == JPEG:  # the mark of a small picture in the header comes before the large one's pixels
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data[:4] == PNG and b"IEND" not in data


def _unusual_jpeg(data: bytes) -> str:
    """What decoders do not know of a JPEG; nothing if it is usual."""
    at = 2
    while at + 4 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7):
            if marker in OTHER_JPEG:
                return f"JPEG that is {OTHER_JPEG[marker]}"
            return "" if data[at + 4] == 8 else f"JPEG of {data[at + 4]} bits"
        at += 2 + length
    return ""


def _unusual_tiff(data: bytes) -> str:
    try:
        tags = _pages(data)[0]
    except Exception:  # damaged
        return ""
    compression, form, bits = tags.get(259, 1), max(_tuple(tags.get(339, 1))), max(_tuple(tags.get(258, 1)))
    if compression not in (1, 5, 8, 32773, 32946):
        name = {50000: "Zstandard", 34925: "LZMA", 34887: "LERC", 50001: "WebP", 34712: "JPEG 2000"}.get(
            compression, COMPRESSION_INFO.get(compression, "")
        )
        return f"TIFF with compression {compression} {name}".rstrip()
    return f"TIFF of {bits} bits{', floating point' if form == 3 else ''}" if bits not in (1, 8) else ""
