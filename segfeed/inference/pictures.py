"""A picture by its rows: a small one in memory, a large one in a temporary file."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from segfeed.decode import decode_image, read_bytes, read_image
from segfeed.errors import DataError
from segfeed.files import raw_bytes
from segfeed.headers import Header, read_header, upright_size
from segfeed.inference.strips import PartedTiff
from segfeed.transforms import resize_image

LARGE = 2**25  # pixels: 100 MB as RGB
IN_MEMORY = 2**23  # bytes
STEP = 2**22  # pixels of a band, about


class Rows:
    """Rows of one shape and type, kept in a temporary file once they are many; it is gone when nobody needs it."""

    def __init__(self, shape: tuple[int, ...], folder: Path):
        """`shape`: of a row, whose values are uint8; `folder`: where the file lies."""
        self.shape, self._bytes = shape, int(np.prod(shape))
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=os.fspath(folder))  # noqa: SIM115

    def write(self, start: int, rows: np.ndarray) -> None:
        self._file.seek(start * self._bytes)
        self._file.write(np.ascontiguousarray(rows).data)

    def read(self, start: int, stop: int) -> np.ndarray:
        self._file.seek(start * self._bytes)
        return np.frombuffer(self._file.read((stop - start) * self._bytes), np.uint8).reshape(-1, *self.shape)


class Picture(Protocol):
    """uint8 RGB, upright."""

    height: int
    width: int

    def rows(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, width, 3)"""

    def resized(self, size: tuple[int, int]) -> np.ndarray:
        """The whole picture, made small without aliasing, uint8 (height, width, 3)."""


class SmallPicture:
    def __init__(self, pixels: np.ndarray):
        self.height, self.width = pixels.shape[:2]
        self.pixels = pixels

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self.pixels[start:stop]

    def resized(self, size: tuple[int, int]) -> np.ndarray:
        return resize_image(self.pixels, size)


class LargePicture:
    """Its rows lie in a file of `folder`."""

    def __init__(self, path: Path, folder: Path):
        if tiff := PartedTiff.open(path):
            self._begin(tiff.header, folder)
            start = 0
            with contextlib.suppress(DataError):  # some files can be decoded whole only; others say then what is wrong
                for rows in tiff.rows():
                    self._rows.write(start, rows)
                    start += len(rows)
                return
        data = read_bytes(path)
        header = read_header(path, data)
        self._begin(header, folder)
        pixels = turned_view(_stored(path, data, header), header)
        for start in range(0, self.height, step := max(1, STEP // self.width)):
            self._rows.write(start, pixels[start : start + step])

    def _begin(self, header: Header, folder: Path) -> None:
        self.height, self.width = upright_size(header)
        self._rows = Rows((self.width, 3), folder)
        self._latest: tuple[int, int, np.ndarray] | None = None

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Those of the latest call are kept: tiles side by side need the same."""
        if self._latest is None or self._latest[:2] != (start, stop):
            self._latest = start, stop, self._rows.read(start, stop)
        return self._latest[2]

    def resized(self, size: tuple[int, int]) -> np.ndarray:
        """By the mean of the area that a pixel covers, as OpenCV's INTER_AREA.

        `resize_image` does so on sides that shrink 1.5 times or more. Of a picture this large, a side that shrinks less
        is rare, and becomes a little less smooth than there.
        """
        edges = np.arange(size[0] + 1) * self.height / size[0]
        total = np.zeros((size[0], size[1] * 3), np.float32)
        for start, stop in self.bands():
            rows = cv2.resize(
                self.rows(start, stop).astype(np.float32), (size[1], stop - start), interpolation=cv2.INTER_AREA
            )
            inside = np.clip(edges[:, None] - np.arange(start, stop), 0, 1)
            total += np.diff(inside, axis=0).astype(np.float32) @ rows.reshape(stop - start, -1)
        return (total * (size[0] / self.height)).round().astype(np.uint8).reshape(*size, 3)

    def bands(self) -> Iterator[tuple[int, int]]:
        step = max(1, STEP // self.width)
        return ((start, min(self.height, start + step)) for start in range(0, self.height, step))


def _stored(path: Path, data: bytes, header: Header) -> np.ndarray:
    """The pixels before they are turned. OpenCV needs twice their memory for it, simplejpeg once."""
    if header.kind == "JPEG":
        with contextlib.suppress(ValueError):
            if simplejpeg.decode_jpeg_header(data)[2] not in {"CMYK", "YCCK"}:  # whose inks it takes for light
                return simplejpeg.decode_jpeg(data)
    return decode_image(path, data, header._replace(orientation=1))


def turned_view(stored: np.ndarray, header: Header) -> np.ndarray:
    """`decode.upright`, without a copy."""
    turn = 1 if header.kind == "TIFF" else header.orientation
    if turn > 4:
        stored, turn = stored.swapaxes(0, 1), turn - 4
    return stored[:: -1 if turn in (3, 4) else 1, :: -1 if turn in (2, 3) else 1]


def read_picture(path: Path, folder: Path) -> Picture:
    """The picture of a file; temporary files of a large one lie in `folder`. DataError as in `read_image`."""
    return LargePicture(path, folder) if declared_pixels(path) > LARGE else SmallPicture(read_image(path))


def declared_pixels(path: Path) -> int:
    """How many pixels a file declares; 0 if it does not say so."""
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path if os.path.isfile(path) else io.BytesIO(raw_bytes(path))) as image:
            return image.width * image.height
    return 0
