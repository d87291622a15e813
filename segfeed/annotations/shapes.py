"""Shapes on a picture, and which pixels they cover: those whose centres lie inside.

Coordinates are x to the right and y down, in pixels, from the corner of the picture: the pixel in row r and column c
is the square from (c, r) to (c + 1, r + 1), and its centre is (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

FAR = 1e9  # pixels from the corner: coordinates beyond are no coordinates
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Region(NamedTuple):
    """Pixels that are covered, bool (h, w), and the row and column of the first; all within the picture."""

    pixels: np.ndarray
    row: int
    column: int


class Part(Protocol):
    """What a shape is made of."""

    def box(self) -> Box: ...

    def cover(self, height: int, width: int) -> Region: ...


class Polygon(NamedTuple):
    """Rings of points, float (N, 2): what lies within an odd number of them is covered, so inner rings are holes.

    With `winding` the direction counts, as in a browser's drawings: where an outline crosses itself nothing is open.
    A centre on an edge belongs to the polygon on its right, or below, so polygons that share edges share no pixel.
    """

    rings: Sequence[np.ndarray]
    winding: bool = False

    def box(self) -> Box:
        return _box(np.concatenate(self.rings))

    def cover(self, height: int, width: int) -> Region:
        starts = np.concatenate(self.rings)
        ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in self.rings])
        down = starts[:, 1] < ends[:, 1]  # an edge is followed downwards, so both its neighbours cross it alike
        (x0, y0), (x1, y1) = np.where(down, starts.T, ends.T), np.where(down, ends.T, starts.T)
        first, last = _first_centre(y0, height), _first_centre(y1, height)
        edge = np.repeat(np.arange(len(starts)), last - first)
        if not len(edge):
            return Region(np.zeros((0, 0), bool), 0, 0)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
        share = (row + 0.5 - y0[edge]) / (y1[edge] - y0[edge])
        column = _first_centre(x0[edge] + share * (x1[edge] - x0[edge]), width)
        top, left = row.min(), column.min()
        crossings = np.zeros((row.max() - top + 1, column.max() - left + 1), np.int32)
        np.add.at(crossings, (row - top, column - left), np.where(down, 1, -1)[edge])
        turns = np.cumsum(crossings, axis=1, dtype=np.int32)[:, :-1]
        return Region(turns != 0 if self.winding else turns % 2 == 1, int(top), int(left))


class Ellipse(NamedTuple):
    """Turned by `angle` degrees, clockwise as seen."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    angle: float = 0

    def box(self) -> Box:
        cos, sin = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        x = float(np.hypot(self.radius_x * cos, self.radius_y * sin))
        y = float(np.hypot(self.radius_x * sin, self.radius_y * cos))
        return self.x - x, self.y - y, self.x + x, self.y + y

    def cover(self, height: int, width: int) -> Region:
        x, y, row, column = _centres(self.box(), height, width)
        cos, sin = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        along, across = (x - self.x) * cos + (y - self.y) * sin, (y - self.y) * cos - (x - self.x) * sin
        inside = (along * self.radius_y) ** 2 + (across * self.radius_x) ** 2 <= (self.radius_x * self.radius_y) ** 2
        return Region(inside & (self.radius_x * self.radius_y > 0), row, column)


class Line(NamedTuple):
    """A line through points, float (N, 2), with round ends; one point is a disc. Without a width it has no area."""

    points: np.ndarray
    width: float = 0

    def box(self) -> Box:
        left, top, right, bottom = _box(self.points)
        return left - self.width / 2, top - self.width / 2, right + self.width / 2, bottom + self.width / 2

    def cover(self, height: int, width: int) -> Region:
        x, y, row, column = _centres(self.box(), height, width)
        covered = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
        ends = self.points[1:] if len(self.points) > 1 else self.points
        for (x0, y0), (x1, y1) in zip(self.points, ends, strict=False):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / ((dx * dx + dy * dy) or 1), 0, 1)
            covered |= (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2 <= (self.width / 2) ** 2
        return Region(covered & (self.width > 0), row, column)


class Bitmap(NamedTuple):
    """Pixels at a place; `decode` gives them, bool (height, width), when they are drawn."""

    decode: Callable[[], np.ndarray]
    height: int
    width: int
    row: int = 0
    column: int = 0

    def box(self) -> Box:
        return self.column, self.row, self.column + self.width, self.row + self.height

    def cover(self, height: int, width: int) -> Region:
        pixels, row, column = self.decode(), max(0, self.row), max(0, self.column)
        inside = pixels[row - self.row : max(0, height - self.row), column - self.column : max(0, width - self.column)]
        return Region(inside, row, column)


class Shape(NamedTuple):
    """A labelled shape: the union of its parts."""

    label: str | int  # a number is the class index itself
    parts: Sequence[Part]
    place: str  # in the annotation, for messages
    void: bool = False
    group: Hashable = None  # shapes of one picture, label and group are one object


def rectangle(left: float, top: float, right: float, bottom: float, angle: float = 0, about: Any = None) -> Polygon:
    """Turned by `angle` degrees, clockwise as seen, about a point; about its middle unless that is given."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    if angle:
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        middle = corners.mean(axis=0) if about is None else np.array(about, float)
        corners = (corners - middle) @ np.array([(cos, sin), (-sin, cos)]) + middle
    return Polygon([corners])


def as_points(values: Any, least: int = 1) -> np.ndarray:
    """Points as float (N, 2); ValueError unless they are numbers, two each, and `least` of them."""
    points = np.array(values, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < FAR).all():
        raise ValueError(f"points are not pairs of numbers below {FAR:g}")
    if len(points) < least:
        raise ValueError(f"{len(points)} points, and it takes at least {least}")
    return points


def _first_centre(positions: np.ndarray, end: int) -> np.ndarray:
    """The first pixel, 0 to `end`, whose centre does not lie before each position."""
    return np.clip(np.ceil(positions - 0.5), 0, end).astype(np.int64)


def _centres(box: Box, height: int, width: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The centres of the pixels in a box, x (1, w) and y (h, 1), and the first row and column."""
    left, right = _first_centre(np.array([box[0], np.nextafter(box[2], np.inf)]), width).tolist()
    top, bottom = _first_centre(np.array([box[1], np.nextafter(box[3], np.inf)]), height).tolist()
    return np.arange(left, right)[None] + 0.5, np.arange(top, bottom)[:, None] + 0.5, top, left


def _box(points: np.ndarray) -> Box:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom
