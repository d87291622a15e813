"""The pixels of a file: an image as RGB, or what a file holds as it was stored."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from segfeed.errors import DataError, cannot_open
from segfeed.files import raw_bytes
from segfeed.headers import Header, check_size, jpeg_orientation, read_header, upright_size
from segfeed.threads import CORES
from segfeed.unreadable import JPEG, cut_off, decode_or_raise

try:
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # OpenCV and Pillow give the same pixels, more slowly
    decode_image_png_u8 = None


def read_image(path: str | Path, for_size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file as RGB uint8, (H, W, 3), turned upright as its EXIF tag says.

    With `for_size` (height, width) a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, the
    smallest that divides it and is still 1.5 times as large: libjpeg leaves out the detail that nobody needs, and
    `resize_image` averages the rest.
    Grey becomes three equal channels and a palette becomes its colours. Raises DataError for a file
    that is missing, empty, unreadable or larger than `MAX_PIXELS`, that holds several pictures or other channels,
    for 16-bit values and for transparent pixels: there is more than one way to make those 8-bit RGB, and only you
    know the right one.
    """
    return read_image_and_size(path, for_size)[0]


def read_image_and_size(path: str | Path, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """The pixels as in `read_image`, and (height, width) of the whole image."""
    data = read_bytes(path)
    if data[:2] == JPEG:
        return _read_jpeg(path, data, for_size)
    image = decode_image(path, data, read_header(path, data))
    return image, image.shape[:2]


def decode_image(path: str | Path, data: bytes, header: Header) -> np.ndarray:
    """The pixels as in `read_image`, of the bytes of a file that is no JPEG."""
    image = decode_rgb(path, data, header)
    if image.dtype != np.uint8:
        raise DataError(
            f"{path}: {image.dtype} pixels up to {image.max()}, expected 8-bit. "
            f"Scale them to 0–255 by the full range of your camera and save again.",
            "image not of 8 bits",
        )
    if transparent := share_of_transparent(path, data, header):
        raise DataError(
            f"{path}: {transparent:.1%} of the pixels are transparent. "
            f"Lay the image on the background you want and save it without an alpha channel.",
            "transparent image",
        )
    return image


REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def _read_jpeg(path: str | Path, data: bytes, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    turn = jpeg_orientation(data)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        check_size(path, data, height, width)
        wanted = for_size if for_size is None or turn < 5 else for_size[::-1]
        scale = max(
            n
            for n in (1, 2, 4, 8)
            if n == 1 or (wanted and height >= 1.5 * n * wanted[0] and width >= 1.5 * n * wanted[1])
            if height % n == width % n == 0  # else the last row or column would be padded, and the picture stretched
        )
        header = Header("JPEG", height, width, turn)
        inks = colours in {"CMYK", "YCCK"}  # OpenCV turns them into light, but does not say what is damaged
        least = (1, 1) if inks else (height // scale, width // scale) if scale > 1 else (0, 0)
        image = simplejpeg.decode_jpeg(data, "CMYK" if inks else "RGB", min_height=least[0], min_width=least[1])
        if not inks:
            return upright(image, header), upright_size(header)
    except DataError:
        raise
    except (ValueError, MemoryError) as error:  # OpenCV reads more kinds, and says what is wrong with the others
        if "premature end" in str(error).lower():  # and it makes grey of what is missing
            raise cut_off(path, data) from error
        header, scale = read_header(path, data), 1
    if scale == 1:
        image = _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    else:
        image = _decode(path, data, REDUCED[scale] | cv2.IMREAD_IGNORE_ORIENTATION)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return upright(image, header), upright_size(header)


def decode_rgb(path: str | Path, data: bytes, header: Header) -> np.ndarray:
    """The colours of a picture, (H, W, 3), of the type in which they are stored, upright; grey is a colour."""
    if not header.palette and (samples := _png_samples(data, header)) is not None:
        return np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else np.ascontiguousarray(samples[..., :3])
    # OpenCV misreads some of these
    if header.palette or (header.kind == "PPM" and header.bits == 8) or _few_bits(header):
        return _by_pillow(path, data, header, "RGB")
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    if header.kind == "TIFF" and header.bits > 16:  # of which OpenCV makes no colours
        stored = decode_stored(path, data, header)
        return np.repeat(stored[..., None], 3, axis=2) if stored.ndim == 2 else stored[..., 2::-1]
    return upright(_decode(path, _in_strips(path, data, header), flags), header)


def decode_stored(path: str | Path, data: bytes, header: Header) -> np.ndarray:
    """The samples of a picture as they were written, upright: (H, W), or (H, W, C) in OpenCV's order.

    Of a palette these are the indices, and of 1, 2 or 4 bits a sample values up to 1, 3 or 15.
    """
    if (samples := _png_samples(data, header)) is not None:
        return samples[..., 0] if samples.shape[2] == 1 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    if header.palette or _few_bits(header):
        stored = _by_pillow(path, data, header, None)
        if header.palette or stored.dtype == bool:
            return stored.astype(np.uint8)
    else:
        if header.kind == "PPM" and data[1:2] in b"123":  # OpenCV and Pillow scale them
            raise DataError(f"{path}: a file of numbers as text (P{data[1:2].decode()}). Save the mask as PNG.")
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        stored = upright(_decode(path, _in_strips(path, data, header), flags), header)
    return stored // (255 // (2**header.bits - 1)) if header.bits < 8 else stored


PNG_MODES = {0: "mono", 2: "rgb", 3: "mono", 6: "rgba"}  # by the colour type of the file
# kornia-rs keeps Python's lock while it decodes: with more cores OpenCV, on all of them at once, is faster
MOST_CORES = {"mono": 6, "rgb": 2, "rgba": 2}


def _png_samples(data: bytes, header: Header) -> np.ndarray | None:
    """The samples of a PNG of 8 bits, upright, (H, W, C), in the order of the file: those of a palette are indices.

    None where kornia-rs does not decode it, or would be slower: others do then, say what is wrong, or forgive it.
    """
    if decode_image_png_u8 is None or header.kind != "PNG" or header.bits != 8:
        return None
    mode = PNG_MODES.get(data[25])
    transparent_colour = header.alpha and data[25] in (0, 2)
    if mode is None or transparent_colour or MOST_CORES[mode] < CORES or not _chunks_are_whole(data):
        return None
    try:
        return upright(decode_image_png_u8(data, (header.height, header.width), mode), header)
    except Exception:
        return None


def _chunks_are_whole(data: bytes) -> bool:
    """Whether a PNG is there to its end; kornia-rs compares the checksums of IDAT, the pixels, alone."""
    at, name = 8, b""
    while name != b"IEND" and at + 12 <= len(data):
        end, name = at + 8 + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name != b"IDAT" and zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        at = end + 4
    return name == b"IEND"


def palette_of(path: str | Path, data: bytes) -> np.ndarray:
    """The colours of a palette, RGB, uint8 (256, 3); greys in their order for a file without one."""

    def read() -> Sequence[int]:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "PNG" and image.palette:  # getpalette would decode the pixels
                return image.palette.palette
            return image.getpalette() or []

    colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    declared = np.array(list(decode_or_raise(path, data, read)), np.uint8).reshape(-1, 3)
    colours[: len(declared)] = declared
    return colours


def share_of_transparent(path: str | Path, data: bytes, header: Header) -> float:
    """Which share of the pixels is not wholly opaque."""
    if not header.alpha:
        return 0.0
    return float(np.mean(_by_pillow(path, data, header, "RGBA")[..., 3] < 255))


def _few_bits(header: Header) -> bool:
    return header.kind == "TIFF" and header.bits < 8


def _by_pillow(path: str | Path, data: bytes, header: Header, mode: str | None) -> np.ndarray:
    def read() -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert(mode) if mode else image)

    return upright(decode_or_raise(path, data, read), header)


def _in_strips(path: str | Path, data: bytes, header: Header) -> bytes:
    """The same picture for OpenCV, which does not read its odd tiles."""

    def saved_again() -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            image.save(file := io.BytesIO(), "TIFF")
        return file.getvalue()

    return decode_or_raise(path, data, saved_again) if header.odd_tiles else data


def upright(pixels: np.ndarray, header: Header) -> np.ndarray:
    """The picture turned as its orientation says; OpenCV and Pillow have turned a TIFF already."""
    turn = 1 if header.kind == "TIFF" else header.orientation
    if turn == 1:
        return pixels
    if turn > 4:
        pixels, turn = pixels.swapaxes(0, 1), turn - 4
    rows, columns = -1 if turn in (3, 4) else 1, -1 if turn in (2, 3) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def read_bytes(path: str | Path) -> bytes:
    """The bytes of an image file; DataError if it cannot be opened or is empty."""
    try:
        data = raw_bytes(path)
    except OSError as error:
        raise cannot_open(path, error) from error
    if not data:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from its source.", "empty file")
    return data


def _decode(path: str | Path, data: bytes, flags: int) -> np.ndarray:
    """Decode by OpenCV, with `flags` of its `imdecode`; DataError, by the file's name, if that fails."""
    # From memory, because cv2.imread cannot open a path with Korean letters on Windows.
    return decode_or_raise(path, data, lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flags))
