"""Probabilities of a picture of any size, a band of rows at a time: from tiles, or from a smaller map."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from segfeed.crops import continued
from segfeed.inference.pictures import Picture

BAND = 2**21  # values of a band of rows, about


class Band(NamedTuple):
    """Rows `start` to `stop` of a picture, and their probabilities, float32 (stop - start, width, C)."""

    start: int
    stop: int
    probabilities: np.ndarray


def resized_bands(maps: Sequence[np.ndarray], height: int, width: int) -> Iterator[Band]:
    """The sum of `maps`, (h, w, C), each resized by linear interpolation as `cv2.resize` does it."""
    rows = max(1, BAND // (width * maps[0].shape[2]))
    for start in range(0, height, rows):
        stop = min(height, start + rows)
        yield Band(start, stop, sum(_resized_rows(one, start, stop, height, width) for one in maps))  # type: ignore[arg-type]


def _resized_rows(small: np.ndarray, start: int, stop: int, height: int, width: int) -> np.ndarray:
    if small.shape[:2] == (height, width):
        return small[start:stop]
    if stop - start == height:
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    at = np.clip((np.arange(start, stop) + 0.5) * len(small) / height - 0.5, 0, len(small) - 1)
    above = np.minimum(at.astype(int), max(0, len(small) - 2))
    share = (at - above).astype(np.float32)[:, None, None]
    rows = small[above] * (1 - share) + small[np.minimum(above + 1, len(small) - 1)] * share
    return cv2.resize(rows, (width, stop - start), interpolation=cv2.INTER_LINEAR).reshape(stop - start, width, -1)


class Grid:
    """Overlapping tiles of one side that cover a picture, and the weight of each in the mean.

    Two neighbours overlap by at least `overlap` of a tile. In the outer quarter of an overlap a tile has no weight:
    there its network sees the tile's border, which the picture does not have. Over the half between, the weight goes
    over from one tile to the next. The weights of a pixel add up to 1. Tiles begin at multiples of 32 where the
    overlap permits, so that a network which halves an image five times takes the same pixels together in each; only
    the last ends where the picture ends. A picture that is smaller than a tile is continued by its mirror image.
    """

    def __init__(self, height: int, width: int, tile: int, overlap: float):
        self.height, self.width, self.tile = height, width, tile
        step = max(1, tile - math.ceil(overlap * tile))
        step = step // 32 * 32 or step
        self.tops, self.lefts = (
            [*range(0, max(0, side - tile), step), max(0, side - tile)] for side in (height, width)
        )
        self._down, self._across = (_weights(starts, tile, tile - step) for starts in (self.tops, self.lefts))

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def read(self, picture: Picture, index: int) -> np.ndarray:
        """The pixels of a tile, uint8 (tile, tile, 3); the index counts along the rows."""
        top, left = self.tops[index // len(self.lefts)], self.lefts[index % len(self.lefts)]
        part = picture.rows(top, min(self.height, top + self.tile))[:, left : left + self.tile]
        return continued(part, (self.tile, self.tile))

    def weights(self, index: int) -> np.ndarray:
        """Of the pixels of a tile, float32 (tile, tile, 1)."""
        row, column = divmod(index, len(self.lefts))
        return (self._down[row][:, None] * self._across[column])[..., None]


def _weights(starts: Sequence[int], tile: int, common: int) -> list[np.ndarray]:
    """Of the rows, or columns, of each tile, float32 (tile,); they add up to 1 where tiles overlap."""
    total = np.zeros(starts[-1] + tile)
    found = []
    for start in starts:
        inside = np.full(tile, np.inf)  # how far a pixel's centre lies from the next border inside the picture
        if start > 0:
            inside = np.minimum(inside, np.arange(tile) + 0.5)
        if start < starts[-1]:
            inside = np.minimum(inside, tile - np.arange(tile) - 0.5)
        weight = np.clip((inside - common / 4) / (common / 2), 0, 1) if common else np.ones(tile)
        total[start : start + tile] += weight
        found.append(weight)
    return [(weight / total[at : at + tile]).astype(np.float32) for at, weight in zip(starts, found, strict=True)]


class TileSum:
    """The weighted mean of the tiles of a grid, which come one after another; kept are the rows of one tile."""

    def __init__(self, grid: Grid):
        self.grid, self._rows, self._next = grid, np.zeros(0, np.float32), 0

    def add(self, probabilities: np.ndarray) -> Band | None:
        """Add the next tile, float32 (tile, tile, C); the rows that no other tile reaches, if it completes some."""
        grid, index = self.grid, self._next
        self._next += 1
        if not index:
            across = grid.lefts[-1] + grid.tile
            self._rows = np.zeros((grid.tile, across, probabilities.shape[2]), np.float32)
        row, column = divmod(index, len(grid.lefts))
        left = grid.lefts[column]
        self._rows[:, left : left + grid.tile] += probabilities * grid.weights(index)
        if column + 1 < len(grid.lefts):
            return None
        start = grid.tops[row]
        stop = min(grid.height, grid.tops[row + 1] if row + 1 < len(grid.tops) else grid.height)
        done = stop - start
        complete = self._rows[:done, : grid.width].copy()
        self._rows[: grid.tile - done] = self._rows[done:].copy()
        self._rows[grid.tile - done :] = 0
        return Band(start, stop, complete)
