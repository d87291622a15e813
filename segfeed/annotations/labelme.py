"""LabelMe 3 to 7: a JSON file for each picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, Size, as_label, as_size, last_name, load_json
from segfeed.annotations.shapes import Bitmap, Ellipse, Line, Part, Polygon, Shape, as_points, rectangle


def is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("shapes"), list)


def read_labelme(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    for file in files:
        with problems.reading(file):
            content = load_json(file)
            if not is_labelme(content):
                raise OtherFormatError("it has no list of shapes, as LabelMe's files have")
            shapes = []
            for number, shape in enumerate(content["shapes"]):
                place = f"shape {number}"
                with problems.reading(f"{file}, {place}"):
                    if not (label := as_label(shape.get("label"))):
                        problems.add("shape without a label", f"{file}, {place}")
                    elif parts := _parts(shape):
                        shapes.append(Shape(label, parts, place, group=shape.get("group_id")))
                    else:
                        problems.add("shape of an unknown kind", f"{file}, {place}: {shape['shape_type']}")
            picture = last_name(content.get("imagePath") or "")
            yield Annotated(str(file), picture, _size(content), shapes, file.name, upright=True)


def _size(content: dict[str, Any]) -> Size | None:
    size = as_size(content.get("imageHeight"), content.get("imageWidth"))
    if size is None and content.get("imageData"):
        with Image.open(io.BytesIO(base64.b64decode(content["imageData"]))) as image:
            return image.height, image.width
    return size


def _parts(shape: dict[str, Any]) -> list[Part]:
    """What a shape covers; empty for a kind that is not known."""
    kind, points = shape.get("shape_type") or "polygon", as_points(shape["points"])
    if kind == "rectangle" and len(points) == 2:
        return [rectangle(*points.min(axis=0), *points.max(axis=0))]
    if kind in ("polygon", "rectangle", "oriented_rectangle", "rotation"):
        return [Polygon([as_points(points, 3)])]
    if kind == "circle":
        (x, y), rim = as_points(points, 2)[:2]
        radius = float(np.hypot(rim[0] - x, rim[1] - y))
        return [Ellipse(float(x), float(y), radius, radius)]
    if kind in ("line", "linestrip"):
        return [Line(as_points(points, 2))]
    if kind in ("point", "points"):
        return [Line(point[None]) for point in points]
    if kind == "mask":
        return [_bitmap(shape["mask"], as_points(points, 2))]
    return []


def _bitmap(text: str, corners: np.ndarray) -> Bitmap:
    """A mask in its box, whose second corner is its last pixel."""
    data = base64.b64decode(text, validate=True)
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    (left, top), (right, bottom) = corners[:2].round().astype(int).tolist()
    if abs(right - left + 1 - width) > 1 or abs(bottom - top + 1 - height) > 1:
        raise ValueError(f"its mask is {height}×{width} pixels, and its box has {bottom - top + 1}×{right - left + 1}")

    def decode() -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image) > 0

    return Bitmap(decode, height, width, top, left)
