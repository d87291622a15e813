"""The connected objects of a picture, measured band by band: no array of the picture's size is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label


class MeasuredObject(NamedTuple):
    """A connected object of one class; its pixels touch at sides or corners."""

    category: int  # class index
    area: int  # in pixels
    centre_x: float  # the mean of its pixels' columns; the first column is 0
    centre_y: float
    left: int  # the box: the first column and row, and those after the last
    top: int
    right: int
    bottom: int
    mean_probability: float  # of its class, over its pixels


def label_parts(classes: np.ndarray) -> np.ndarray:
    """A number from 1 on for each connected part of one class above 0, (H, W); the same each time."""
    return label(classes if classes.max() > 1 else classes.astype(bool), background=0, connectivity=2)


class ObjectTable:
    """The objects of classes above 0, as `skimage.measure.label` finds them in the whole picture."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []  # of each band: class, area, sums of x, y and probability, and box
        self._bands: list[tuple[int, int, int]] = []  # start, stop, number of parts in the bands before
        self._pairs: list[np.ndarray] = []  # parts of two bands that touch
        self._edge = np.zeros((2, 0), int)  # the classes and parts of the last row
        self._count = 0

    def add(self, start: int, classes: np.ndarray, probabilities: np.ndarray) -> None:
        """The next rows: class indices (n, width), and the probability of each pixel's class, float32 (n, width)."""
        parts = label_parts(classes)
        boxes = [(x.start, y.start + start, x.stop, y.stop + start) for y, x in find_objects(parts)]
        count, inside = len(boxes), np.flatnonzero(parts)
        numbers = parts.ravel()[inside] - 1
        kinds = np.zeros(count)
        kinds[numbers] = classes.ravel()[inside]
        y = np.repeat(np.arange(len(parts)), np.count_nonzero(parts, axis=1))
        x = inside - y * classes.shape[1]
        values = (None, x, y + start, probabilities.ravel()[inside])
        sums = [np.bincount(numbers, value, count) for value in values]
        self._parts.append(np.column_stack([kinds, *sums, np.reshape(boxes, (count, 4))]))
        self._join(np.stack([classes[0], np.where(parts[0], parts[0] + self._count, 0)]))
        self._edge = np.stack([classes[-1], np.where(parts[-1], parts[-1] + self._count, 0)])
        self._bands.append((start, start + len(classes), self._count))
        self._count += count

    def _join(self, below: np.ndarray) -> None:
        """Note which parts of the last row touch those of the next, at sides or corners."""
        width = self._edge.shape[1]
        for shift in (-1, 0, 1) if width else ():
            upper = self._edge[:, max(0, -shift) : width - max(0, shift)]
            lower = below[:, max(0, shift) : width - max(0, -shift)]
            touch = (upper[0] == lower[0]) & (upper[0] > 0)
            self._pairs.append(np.unique(np.stack([upper[1], lower[1]])[:, touch], axis=1) - 1)

    def finish(self, min_area: int = 1) -> tuple[list[MeasuredObject], np.ndarray]:
        """The objects of at least `min_area` pixels, from top to bottom; and of each part whether it belongs to one."""
        if not self._count:
            return [], np.zeros(0, bool)
        pairs = np.hstack([np.zeros((2, 0), int), *self._pairs])
        touching = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), (self._count, self._count))
        count, numbers = connected_components(touching, directed=False)
        parts = np.vstack(self._parts)
        kinds = np.zeros(count, int)
        kinds[numbers] = parts[:, 0]
        area, x, y, probability = (np.bincount(numbers, parts[:, column]) for column in (1, 2, 3, 4))
        boxes = np.empty((4, count), int)
        for side, furthest in enumerate((np.minimum, np.minimum, np.maximum, np.maximum)):
            boxes[side] = parts[:, 5 + side].max() if side < 2 else 0
            furthest.at(boxes[side], numbers, parts[:, 5 + side].astype(int))
        order = np.lexsort((boxes[0], boxes[1]))
        means = np.stack([x, y, probability]) / area
        objects = [
            MeasuredObject._make(
                [int(kinds[n]), int(area[n]), *means[:2, n].tolist(), *boxes[:, n].tolist(), float(means[2, n])]
            )
            for n in order[area[order] >= min_area]
        ]
        return objects, (area >= min_area)[numbers]

    def bands(self, kept: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Start and stop of each band that was added, and of each of its parts, counted from 1, whether it is kept."""
        for number, (start, stop, before) in enumerate(self._bands):
            after = self._bands[number + 1][2] if number + 1 < len(self._bands) else self._count
            yield start, stop, np.concatenate([[False], kept[before:after]])
