"""What the beginning of a file says of its picture, and why some pictures are not read."""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from segfeed.errors import DataError
from segfeed.files import PICTURE_START
from segfeed.unreadable import (
    CONVERT,
    JPEG,
    PNG,
    SMALLER,
    TIFF,
    as_tuple,
    cut_off,
    decode_or_raise,
    is_cut,
    jpeg_segments,
    tiff_pages,
)

MAX_PIXELS = 178_956_970  # that a file's header may declare: 512 MB as RGB, and Pillow's own limit
OTHER_KINDS = {"GIF", "BMP", "DIB", "WEBP", "AVIF", "JPEG2000", "PPM"}  # that are read besides PNG, JPEG and TIFF
ORIENTATION = 0x0112
IEND = b"IEND\xaeB`\x82"  # the end of a PNG, with its checksum


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
    odd_tiles: bool = False  # of 8 bits, without compression, and of pixels that are no multiple of 1024


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
    if data[:4] in TIFF:
        return _tiff(path, data)
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        return None
    with image:
        _refuse_several(path, getattr(image, "n_frames", 1))
        kind, bits = image.format or "", 16 if image.mode[0] in "IF" else 8
        if kind not in OTHER_KINDS:
            raise DataError(f"{path}: a file of the kind {kind}, which is not read. {CONVERT}")
        palette = image.mode in ("1", "P", "PA") or kind == "GIF"
        bitmap = kind == "PPM" and image.mode == "1"  # in PBM 1 is black
        if kind == "PPM" and not bitmap and int(_without_comments(data[: image.tile[0].offset]).split()[3]) > 255:
            bits = 16  # Pillow makes 8 of them
        _refuse_second(path, _behind(data, image, bits))
        if kind == "BMP" and image.mode == "1" and data[28] > 1:
            palette = False  # Pillow takes 4 or 8 bits a pixel for one; OpenCV reads them
        alpha = image.has_transparency_data
        return Header(kind, image.height, image.width, _orientation(image), bits, palette, alpha, bitmap)


def _behind(data: bytes, image: ImageFile.ImageFile, bits: int) -> bytes:
    """What follows a picture of one of `OTHER_KINDS`, as far as its kind says where it ends."""
    match image.format:
        case "BMP":
            end = int.from_bytes(data[2:6], "little")
        case "WEBP":
            end = 8 + int.from_bytes(data[4:8], "little")
        case "GIF":
            joint = re.search(rb";\s*(?=GIF8)", data)
            end = joint.end() if joint else 0
        case "PPM" if data[1:2] in b"123":  # text
            text = _without_comments(data[image.tile[0].offset :])
            return text[text.find(b"P") :]
        case "PPM":
            samples = image.width * len(image.getbands())
            end = image.tile[0].offset + image.height * (-(-samples // 8) if image.mode == "1" else samples * bits // 8)
        case _:  # JPEG 2000, AVIF
            end = data.find(data[:12], 12)
    return data[end:] if end > 0 else b""


def _without_comments(text: bytes) -> bytes:
    return re.sub(rb"#[^\r\n]*", b"", text)


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag: OpenCV passes over it too
        return 1
    return turn if turn in range(1, 9) else 1


def jpeg_orientation(data: bytes) -> int:
    """How EXIF says a JPEG must be turned, 1 to 8."""
    if any(marker == 0xE1 and data.startswith(b"Exif\0\0", at) for marker, at in jpeg_segments(data)):
        with contextlib.suppress(UnidentifiedImageError):
            return _orientation(Image.open(io.BytesIO(data)))
    return 1


def _jpeg(data: bytes) -> Header:
    turn = jpeg_orientation(data)
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return Header("JPEG", height, width, turn)
    except ValueError:  # Pillow forgives more
        with Image.open(io.BytesIO(data)) as image:
            return Header("JPEG", image.height, image.width, turn)


def _png(path: str | Path, data: bytes) -> Header:
    if is_cut(data):  # Pillow forgives it
        raise cut_off(path, data)
    chunks, at = {}, 8
    while at + 8 <= len(data) and (name := data[at + 4 : at + 8]) != b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        chunks[name] = data[at + 8 : at + 8 + length]
        at += 12 + length
    _refuse_second(path, data[data.find(IEND) + len(IEND) :])
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
    first, *others = tiff_pages(data)
    if first.get(50706) or first.get(254, 0) & SMALLER_COPY:  # DNGVersion
        raise _raw_file(path)
    inner = [tags for offset in as_tuple(first.get(330)) for tags in tiff_pages(data, offset)]  # SubIFDs
    sides = int(first[257]), int(first[256])  # ValueError for a tag of another type
    if any(tags.get(257, 0) > sides[0] or tags.get(256, 0) > sides[1] for tags in inner):
        raise _raw_file(path)
    wholes = [tags for tags in others + inner if not tags.get(254, 0) & SMALLER_COPY]
    depth = first.get(32997, 1)  # ImageDepth
    colours, samples = first.get(262, GREY), first.get(277, 1)
    text = str(first.get(270, ""))  # two programs tell there of pictures without a page of their own
    imagej, tifffile = re.search(r"^images=(\d+)", text, re.MULTILINE), re.match(r'\{"shape": \[([\d, ]+)\]', text)
    told = int(imagej[1]) if imagej else 1
    if tifffile:
        told = math.prod(map(int, tifffile[1].split(","))) // max(1, sides[0] * sides[1] * samples)
    metamorph = len(as_tuple(first.get(33629)))  # UIC2Tag of MetaMorph: a value for each picture
    _refuse_several(path, max(1 + len(wholes), depth, told, metamorph, 1 + _has_second_tiff(data, first)))
    extra = as_tuple(first.get(338))  # 1 and 2 are transparency
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
    bits = int(max(as_tuple(first.get(258, 1))))
    if bits not in (1, 2, 4, 8, 16, 32, 64) or (bits > 8 and extra and samples == 2):  # OpenCV reads them wrongly
        with_alpha = " and transparency" if extra else ""
        raise DataError(f"{path}: a TIFF of {bits} bits{with_alpha}, which is not read. Save it again as PNG.")
    odd_tiles = bits == 8 and first.get(259, 1) == 1 and first.get(322, 0) * first.get(323, 0) % 1024 > 0
    if data[:4] == b"MM\0+" and (bits < 8 or colours == PALETTE or extra or odd_tiles):  # Pillow must read these
        raise DataError(
            f"{path}: a BigTIFF in big-endian order that has a palette, transparency, small tiles or less than 8 bits, "
            f"which is not read. Save it again as PNG."
        )
    turn = first.get(ORIENTATION, 1)
    turn = turn if turn in range(1, 9) else 1
    palette, inverted = colours == PALETTE, colours == GREY_FROM_WHITE
    return Header("TIFF", *sides, turn, bits, palette, bool(extra), inverted, odd_tiles)


def _has_second_tiff(data: bytes, first: dict[int, Any]) -> bool:
    """Whether another TIFF of the same size follows the last strip or tile, as in files that were joined."""
    starts, lengths = (as_tuple(first.get(tile, first.get(strip))) for tile, strip in ((324, 273), (325, 279)))
    joint = data.find(data[:4], max(map(sum, zip(starts, lengths, strict=False)), default=len(data)))
    with contextlib.suppress(Exception):  # what was found is not a TIFF
        second = tiff_pages(data[joint:])[0]
        return joint > 0 and all(second[tag] == first[tag] for tag in (256, 257))
    return False


def _raw_file(path: str | Path) -> DataError:
    return DataError(
        f"{path}: a camera's raw file, of which only the small preview can be read. "
        f"Develop it with the camera's program and save it as PNG or JPEG.",
        "raw file",
    )


def _refuse_several(path: str | Path, count: int) -> None:
    if count > 1:
        raise _several(path, f"{count} pictures")


def _refuse_second(path: str | Path, behind: bytes) -> None:
    """DataError if another picture begins behind the first, as in files that were joined."""
    if PICTURE_START.match(behind[:100].lstrip()):
        raise _several(path, "more than one picture")


def _several(path: str | Path, found: str) -> DataError:
    return DataError(
        f"{path}: holds {found} (pages, slices or frames), expected one. "
        f"Save each of them as a file of its own, images and masks under the same names.",
        "several pictures",
    )
