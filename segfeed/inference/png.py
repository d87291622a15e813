"""PNG and npz files written row by row, so that no whole picture need be held in memory.

The format is W3C's (PNG, third edition, 2025); rows are stored unfiltered, and compressed by zlib.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GREY, PALETTE = 0, 3  # colour types


class PngWriter:
    """Grey of 16 bits, or, with `palette`, class indices of 8 bits that a viewer shows in these colours."""

    def __init__(self, path: Path, height: int, width: int, palette: Sequence[tuple[int, int, int]] = ()):
        self._file = open(path, "wb")  # noqa: SIM115
        self._dtype = np.dtype(np.uint8 if palette else ">u2")
        self._compress = zlib.compressobj(3 if palette else 1)
        self._file.write(b"\x89PNG\r\n\x1a\n")
        kind = PALETTE if palette else GREY
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * self._dtype.itemsize, kind, 0, 0, 0))
        if palette:
            self._chunk(b"PLTE", bytes(value for colour in palette for value in colour))

    def write(self, rows: np.ndarray) -> None:
        """The next rows, (n, width)."""
        values = np.ascontiguousarray(rows, self._dtype).view(np.uint8).reshape(len(rows), -1)
        filtered = np.zeros((len(rows), values.shape[1] + 1), np.uint8)  # each row begins with its filter, 0
        filtered[:, 1:] = values
        if data := self._compress.compress(filtered.data):
            self._chunk(b"IDAT", data)

    def close(self) -> None:
        self._chunk(b"IDAT", self._compress.flush())
        self._chunk(b"IEND", b"")
        self._file.close()

    def _chunk(self, name: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


class NpzWriter:
    """One array, float16 (height, width, channels), under the name `probabilities`, as `numpy.load` reads it."""

    def __init__(self, path: Path, shape: tuple[int, int, int]):
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._array = self._zip.open("probabilities.npy", "w", force_zip64=True)
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._array, header)

    def write(self, rows: np.ndarray) -> None:
        """The next rows, (n, width, channels)."""
        self._array.write(np.ascontiguousarray(rows, "<f2").tobytes())

    def close(self) -> None:
        self._array.close()
        self._zip.close()
