"""The pixels of a file: an image as RGB, or what a file holds as it was stored."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from segfeed.errors import DataError, TooLargeError
from segfeed.files import raw_bytes

T = TypeVar("T")

JPEG, PNG = b"\xff\xd8", b"\x89PNG"  # how these files begin
MAX_PIXELS = 178_956_970  # that a file's header may declare: 512 MB as RGB, and Pillow's own limit
SMALLER = "Cut the picture into tiles; if it should be smaller, copy the file again from its source."


def read_image(path: str | Path, for_size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file as RGB uint8, (H, W, 3), turned upright as its EXIF tag says.

    With `for_size` (height, width) a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, the
    smallest that divides it and is still 1.5 times as large: libjpeg leaves out the detail that nobody needs, and
    `resize_image` averages the rest.
    Grey becomes three equal channels and a palette becomes its colours. Raises DataError for a file
    that is missing, empty, unreadable or larger than `MAX_PIXELS`, for 16-bit values and for transparent
    pixels: there is more than one way to make those 8-bit RGB, and only you know the right one.
    """
    return read_image_and_size(path, for_size)[0]


def read_image_and_size(path: str | Path, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """The pixels as in `read_image`, and (height, width) of the whole image."""
    data = read_bytes(path)
    if data[:2] == JPEG:
        return _read_jpeg(path, data, for_size)
    image = decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:
        raise DataError(
            f"{path}: {image.dtype} pixels up to {image.max()}, expected 8-bit. "
            f"Scale them to 0–255 by the full range of your camera and save again."
        )
    if decode_or_raise(path, lambda: Image.open(io.BytesIO(data)).has_transparency_data):
        alpha = decode(path, data, cv2.IMREAD_UNCHANGED)[..., -1]
        if alpha.min() < 255:
            raise DataError(
                f"{path}: {np.mean(alpha < 255):.1%} of the pixels are transparent. "
                f"Lay the image on the background you want and save it without an alpha channel."
            )
    return image, image.shape[:2]


REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def _read_jpeg(path: str | Path, data: bytes, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    may_turn = b"Exif\0\0" in data  # may carry an orientation: OpenCV rotates it, and the sides may swap
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        by_opencv = may_turn or colours in {"CMYK", "YCCK"}  # simplejpeg does not turn inks into light; OpenCV does
        sizes = [] if for_size is None else [for_size, for_size[::-1]][: 1 + by_opencv]
        scale = max(
            n
            for n in (1, 2, 4, 8)
            if n == 1 or (sizes and all(height >= 1.5 * n * h and width >= 1.5 * n * w for h, w in sizes))
            if height % n == width % n == 0  # else the last row or column would be padded, and the picture stretched
        )
        if not by_opencv:
            smaller = height // scale, width // scale
            return simplejpeg.decode_jpeg(data, min_height=smaller[0], min_width=smaller[1]), (height, width)
    except (ValueError, MemoryError):
        scale = 1  # OpenCV reads more kinds, and says what is wrong with the others
    if scale == 1:
        image = decode(path, data, cv2.IMREAD_COLOR_RGB)
        return image, image.shape[:2]
    image = cv2.cvtColor(decode(path, data, REDUCED[scale]), cv2.COLOR_BGR2RGB)
    turned = image.shape[:2] != (height // scale, width // scale)
    return image, (width, height) if turned else (height, width)


def read_stored(path: str | Path, data: bytes) -> np.ndarray:
    """The pixels of a file as they were stored: (H, W) or (H, W, C) in OpenCV's order; of a palette, the indices."""
    if _has_palette(data):  # OpenCV would give its colours
        return decode_or_raise(path, lambda: np.array(Image.open(io.BytesIO(data))))
    return decode(path, data, cv2.IMREAD_UNCHANGED)


def colours_of(path: str | Path, data: bytes, stored: np.ndarray) -> np.ndarray:
    """The colours, RGB (H, W, 3), of a file as stored: grey is a colour, and a palette is looked up."""
    if _has_palette(data):
        return decode_or_raise(path, lambda: np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    return np.repeat(stored[..., None], 3, axis=2) if stored.ndim == 2 else stored[..., 2::-1]


def _has_palette(data: bytes) -> bool:
    return data[:4] == PNG and data[25:26] == b"\x03"


# --- From a file to its bytes, and from bytes to pixels --------------------------------------


def read_bytes(path: str | Path) -> bytes:
    """The bytes of an image file; DataError if it cannot be opened, is empty or declares too many pixels."""
    try:
        data = raw_bytes(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the path and the permissions.") from error
    if not data:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from its source.")
    height, width = decode_or_raise(path, lambda: _declared_size(data))
    if height * width > MAX_PIXELS:
        raise TooLargeError(
            f"{path}: its {len(data)} bytes declare {height}×{width} = {height * width / 1e6:.0f} megapixels, "
            f"and at most {MAX_PIXELS / 1e6:.0f} are decoded. {SMALLER}"
        )
    return data


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as the header says, before anything is decoded; None if no decoder knows the file."""
    if data[:4] == PNG and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data[:2] == JPEG:
        try:
            return simplejpeg.decode_jpeg_header(data)[:2]
        except ValueError:
            pass  # Pillow forgives more
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except UnidentifiedImageError:
        return None


def decode(path: str | Path, data: bytes, flags: int) -> np.ndarray:
    """Decode by OpenCV, with `flags` of its `imdecode`; DataError, by the file's name, if that fails."""
    # From memory, because cv2.imread cannot open a path with Korean letters on Windows.
    return decode_or_raise(path, lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def decode_or_raise(path: str | Path, read: Callable[[], T | None]) -> T:
    """Call `read`; if it fails or returns None, raise a DataError that names the file."""
    try:
        found = read()
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{path}: {error} {SMALLER}") from error
    except Exception as error:  # a damaged file makes decoders raise anything, struct.error and MemoryError included
        raise _damaged(path, f"cannot be decoded ({error})") from error
    if found is None:
        raise _damaged(path, f"not an image that can be decoded (it begins with {raw_bytes(path)[:4]!r})")
    return found


def _damaged(path: str | Path, measured: str) -> DataError:
    data = raw_bytes(path)
    if is_cut(data):
        return DataError(f"{path}: the file is cut off ({len(data)} bytes, no end). Copy it again from its source.")
    return DataError(
        f"{path}: {measured}. Open it in an image viewer; save it again, or copy it again from its source."
    )


def is_cut(data: bytes) -> bool:
    """Whether a JPEG that does not decode well, or a PNG, lacks the mark of its end."""
    if data[:2] == JPEG:  # the mark of a small picture in the header comes before the large one's pixels
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data[:4] == PNG and b"IEND" not in data
