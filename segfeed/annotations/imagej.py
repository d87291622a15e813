"""ImageJ: a region, .roi, or the ROI Manager's .zip of them, for each picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segfeed.annotations.problems import Problems
from segfeed.annotations.reader import Annotated, as_label
from segfeed.annotations.shapes import Ellipse, Line, Part, Polygon, Shape, as_points, rectangle

GIVEN_BY_IMAGEJ = re.compile(r"\d{4,5}(-\d{4,5}){1,2}")  # a name that tells only the place


def read_imagej(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """The label is the region's name, or its group. A file has the name of its picture, with RoiSet behind or not."""
    import roifile

    for file in files:
        with problems.reading(file):
            found = roifile.roiread(file)
            shapes = []
            for number, roi in enumerate(found if isinstance(found, list) else [found]):
                place = f"region {number}"
                with problems.reading(f"{file}, {place}"):
                    name = "" if GIVEN_BY_IMAGEJ.fullmatch(roi.name) else as_label(roi.name)
                    if not (label := name or (f"group {roi.group}" if roi.group else "")):
                        problems.add("shape without a label", f"{file}, {place}")
                    elif parts := _parts(roi):
                        shapes.append(Shape(label, parts, place))
                    else:
                        problems.add("shape of an unknown kind", f"{file}, {place}: {roi.roitype.name.lower()}")
            yield Annotated(str(file), re.sub("[ _-]?RoiSet$", "", file.stem), None, shapes)


def _parts(roi: Any) -> list[Part]:
    """What a region covers; empty for a kind that is not known."""
    kind = roi.roitype.name
    if roi.composite:
        return [Polygon([as_points(ring, 3) for ring in roi.coordinates(multi=True)])]
    if kind in ("POLYGON", "FREEHAND", "TRACED"):
        return [Polygon([as_points(roi.coordinates(), 3)])]
    if kind in ("RECT", "OVAL"):
        left, top, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        if roi.subpixelrect:
            left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        if kind == "RECT":
            return [rectangle(left, top, left + width, top + height)]
        return [Ellipse(left + width / 2, top + height / 2, width / 2, height / 2)]
    middle = 0 if roi.subpixelresolution else 0.5  # whole numbers mean pixels
    if kind in ("LINE", "FREELINE", "POLYLINE", "ANGLE"):
        return [Line(as_points(roi.coordinates(), 2) + middle)]
    if kind == "POINT":
        return [Line(point[None] + middle) for point in as_points(roi.coordinates())]
    return []
