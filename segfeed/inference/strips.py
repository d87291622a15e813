"""A large TIFF read by its strips, or its rows of tiles: each is decoded as a small TIFF of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segfeed.decode import decode_image
from segfeed.errors import DataError
from segfeed.headers import Header
from segfeed.unreadable import as_tuple, tiff_pages

WIDTH, LENGTH, OFFSETS, ROWS, COUNTS = 256, 257, 273, 278, 279  # tags, as in Adobe's TIFF 6.0 (1992)
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
COMPRESSION, PLANAR = 259, 284
# depth, compression, colours, fill order, samples, predictor, palette, alpha, format, tables and options of codecs
KEPT = (258, COMPRESSION, 262, 266, 277, 292, 293, 317, 320, 338, 339, 347, 530, 531, 532)
PART = 2**22  # pixels, about, of a part of an uncompressed picture, which can be cut at any row


def read_strips(path: Path, data: bytes, header: Header) -> Iterator[np.ndarray] | None:
    """The rows of a TIFF from the first to the last, uint8 RGB (n, width, 3), in as many parts as the file has.

    None for a file that is no TIFF, that must be turned, or that stores each channel apart: it is read whole.
    """
    if header.kind != "TIFF" or header.orientation != 1:
        return None
    tags = tiff_pages(data)[0]
    if tags.get(PLANAR, 1) != 1 or not (TILE_OFFSETS in tags or OFFSETS in tags):
        return None
    return _tile_rows(path, data, header, tags) if TILE_OFFSETS in tags else _strips(path, data, header, tags)


def _strips(path: Path, data: bytes, header: Header, tags: dict[int, Any]) -> Iterator[np.ndarray]:
    rows = min(header.height, tags.get(ROWS, header.height))
    places = list(zip(as_tuple(tags[OFFSETS]), as_tuple(tags[COUNTS]), strict=True))
    if len(places) == 1 and tags.get(COMPRESSION, 1) == 1:
        row_bytes = places[0][1] // header.height
        rows = max(1, PART // header.width)
        places = [
            (places[0][0] + top * row_bytes, min(rows, header.height - top) * row_bytes)
            for top in range(0, header.height, rows)
        ]
    for number, place in enumerate(places):
        height = min(rows, header.height - number * rows)
        yield _decode(path, data, place, header, tags, (height, header.width))


def _tile_rows(path: Path, data: bytes, header: Header, tags: dict[int, Any]) -> Iterator[np.ndarray]:
    height, width = tags[TILE_LENGTH], tags[TILE_WIDTH]
    places = list(zip(as_tuple(tags[TILE_OFFSETS]), as_tuple(tags[TILE_COUNTS]), strict=True))
    across = -(-header.width // width)
    for top in range(0, header.height, height):
        first = top // height * across
        tiles = [_decode(path, data, place, header, tags, (height, width)) for place in places[first : first + across]]
        yield np.hstack(tiles)[: header.height - top, : header.width]


def _decode(
    path: Path, data: bytes, place: tuple[int, int], header: Header, tags: dict[int, Any], size: tuple[int, int]
) -> np.ndarray:
    offset, count = place
    directory = ImageFileDirectory_v2(b"MM\0*\0\0\0\x08" if data[:2] == b"MM" else b"II*\0\x08\0\0\0")
    for tag in KEPT:
        if tag in tags:
            directory[tag] = tags[tag]
    directory[LENGTH], directory[WIDTH] = size
    directory[OFFSETS], directory[ROWS], directory[COUNTS] = 0, size[0], count
    file = io.BytesIO()
    directory.save(file)
    small = file.getvalue() + data[offset : offset + count]
    pixels = decode_image(path, small, header._replace(height=size[0], width=size[1]))
    if pixels.shape[:2] != size:
        raise DataError(f"{path}: a part of it cannot be decoded. Save it again, or copy it again from its source.")
    return pixels
