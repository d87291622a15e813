"""A large TIFF read by its strips, or its rows of tiles: each is decoded as a small TIFF of its own."""

from __future__ import annotations

import contextlib
import io
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segfeed.decode import decode_image
from segfeed.errors import DataError
from segfeed.headers import Header, read_header
from segfeed.unreadable import TIFF, as_tuple, tiff_pages

WIDTH, LENGTH, OFFSETS, ROWS, COUNTS = 256, 257, 273, 278, 279  # tags, as in Adobe's TIFF 6.0 (1992)
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
COMPRESSION, PLANAR = 259, 284
# depth, compression, colours, fill order, samples, predictor, palette, alpha, format, tables and options of codecs
KEPT = (258, COMPRESSION, 262, 266, 277, 292, 293, 317, 320, 338, 339, 347, 530, 531, 532)
PART = 2**22  # pixels, about, of a part of an uncompressed picture, which can be cut at any row


class PartedTiff:
    """A TIFF file that can be read by parts, upright; `open` gives None for any other, which is to be read whole."""

    def __init__(self, path: Path, header: Header, tags: dict[int, Any]):
        self.path, self.header, self._tags = path, header, tags

    @classmethod
    def open(cls, path: Path) -> PartedTiff | None:
        # a mapped file is read where it is looked at, and why it cannot be read is said by who reads it whole
        with contextlib.suppress(Exception), open(path, "rb") as file:
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if data[:4] in TIFF:
                header, tags = read_header(path, data), tiff_pages(data)[0]
                if header.orientation == 1 == tags.get(PLANAR, 1) and (OFFSETS in tags or TILE_OFFSETS in tags):
                    return cls(path, header, tags)
        return None

    def rows(self) -> Iterator[np.ndarray]:
        """All rows, uint8 RGB (n, width, 3), in as many parts as the file has. DataError as in `read_image`."""
        with open(self.path, "rb") as file:
            yield from self._rows_of_tiles(file) if TILE_OFFSETS in self._tags else self._strips(file)

    def _strips(self, file: IO[bytes]) -> Iterator[np.ndarray]:
        height, width = self.header.height, self.header.width
        rows = min(height, self._tags.get(ROWS, height))
        places = list(zip(as_tuple(self._tags[OFFSETS]), as_tuple(self._tags[COUNTS]), strict=True))
        if len(places) == 1 and self._tags.get(COMPRESSION, 1) == 1:
            offset, length = places[0][0], places[0][1] // height
            rows = max(1, PART // width)
            places = [(offset + top * length, min(rows, height - top) * length) for top in range(0, height, rows)]
        for number, place in enumerate(places):
            yield self._decode(file, place, (min(rows, height - number * rows), width))

    def _rows_of_tiles(self, file: IO[bytes]) -> Iterator[np.ndarray]:
        size = height, width = self._tags[TILE_LENGTH], self._tags[TILE_WIDTH]
        places = list(zip(as_tuple(self._tags[TILE_OFFSETS]), as_tuple(self._tags[TILE_COUNTS]), strict=True))
        across = -(-self.header.width // width)
        for top in range(0, self.header.height, height):
            first = top // height * across
            tiles = [self._decode(file, place, size) for place in places[first : first + across]]
            yield np.hstack(tiles)[: self.header.height - top, : self.header.width]

    def _decode(self, file: IO[bytes], place: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        file.seek(0)
        order = file.read(2)
        file.seek(place[0])
        part = file.read(place[1])
        directory = ImageFileDirectory_v2(b"MM\0*\0\0\0\x08" if order == b"MM" else b"II*\0\x08\0\0\0")
        for tag in KEPT:
            if tag in self._tags:
                directory[tag] = self._tags[tag]
        directory[LENGTH], directory[WIDTH] = size
        directory[OFFSETS], directory[ROWS], directory[COUNTS] = 0, size[0], len(part)
        small = io.BytesIO()
        directory.save(small)
        small.write(part)
        pixels = decode_image(self.path, small.getvalue(), self.header._replace(height=size[0], width=size[1]))
        if pixels.shape[:2] != size:
            raise DataError(f"{self.path}: a part of it cannot be decoded. Copy it again from its source.")
        return pixels
