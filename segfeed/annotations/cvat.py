"""CVAT for images 1.1: an XML file for many pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from segfeed.annotations.coco import bitmap_of_runs
from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, as_label, as_size, last_name
from segfeed.annotations.shapes import Ellipse, Line, Part, Polygon, Shape, as_points, rectangle


def read_cvat(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """Shapes of a higher z_order lie on top; of one z_order, those that come later."""
    for file in files:
        with problems.reading(file):
            root = ElementTree.parse(file).getroot()
            if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
                raise OtherFormatError("it has no images, as CVAT's files have")
            if root.find("track") is not None:
                raise ValueError("it holds the tracks of a video. Export it as CVAT for images")
            for picture in root.iter("image"):
                name = picture.get("name", "")
                with problems.reading(f"{file}, {name}"):
                    yield _annotated(picture, f"{file}, {name}", problems)


def _annotated(picture: ElementTree.Element, where: str, problems: Problems) -> Annotated:
    shapes: list[tuple[int, Shape]] = []
    for number, element in enumerate(picture):
        place = f"{element.tag} {number}"
        with problems.reading(f"{where}, {place}"):
            if element.tag == "tag":
                problems.add("no shape", f"{where}, {place}: {element.get('label')}")
            elif not (label := as_label(element.get("label"))):
                problems.add("shape without a label", f"{where}, {place}")
            elif not (parts := _parts(element)):
                problems.add("shape of an unknown kind", f"{where}, {place}")
            else:
                group = element.get("group_id", "0")
                shape = Shape(label, parts, place, group=None if group == "0" else group)
                shapes.append((int(element.get("z_order", 0)), shape))
    drawn = [shape for _, shape in sorted(shapes, key=lambda each: each[0])]
    size = as_size(picture.get("height"), picture.get("width"))
    return Annotated(where, last_name(picture.attrib["name"]), size, drawn, upright=True)


def _parts(element: ElementTree.Element) -> list[Part]:
    """What a shape covers; empty for a kind that is not known."""

    def number(name: str) -> float:
        return float(element.get(name, 0) if name == "rotation" else element.attrib[name])

    def points(least: int) -> np.ndarray:
        return as_points([pair.split(",") for pair in element.attrib["points"].split(";")], least)

    if element.tag == "polygon":
        return [Polygon([points(3)], winding=True)]
    if element.tag == "box":
        return [rectangle(*map(number, ("xtl", "ytl", "xbr", "ybr", "rotation")))]
    if element.tag == "ellipse":
        return [Ellipse(*map(number, ("cx", "cy", "rx", "ry", "rotation")))]
    if element.tag == "polyline":
        return [Line(points(2))]
    if element.tag == "points":
        return [Line(point[None]) for point in points(1)]
    if element.tag == "mask":
        left, top, width, height = (int(number(name)) for name in ("left", "top", "width", "height"))
        runs = [int(run) for run in element.attrib["rle"].split(",")]
        return [bitmap_of_runs(runs, width, height, top, left)]
    return []
