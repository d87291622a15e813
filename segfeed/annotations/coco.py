"""COCO: one JSON file for many pictures, with polygons or run lengths."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, Size, as_label, as_size, last_name, load_json
from segfeed.annotations.shapes import Bitmap, Part, Polygon, Shape, as_points


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


def read_coco(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """Regions that are marked `iscrowd` are void, and lie below the objects."""
    for file in files:
        with problems.reading(file):
            content = load_json(file)
            if not is_coco(content):
                raise OtherFormatError("it has no lists of images and annotations, as COCO's files have")
            names = {category["id"]: as_label(category["name"]) for category in content["categories"]}
            shapes: dict[Any, list[Shape]] = {picture["id"]: [] for picture in content["images"]}
            sizes = {each["id"]: as_size(each.get("height"), each.get("width")) for each in content["images"]}
            for annotation in content["annotations"]:
                place = f"annotation {annotation.get('id')}"
                with problems.reading(f"{file}, {place}"):
                    if (picture := annotation["image_id"]) not in shapes:
                        problems.add("annotation without picture", f"{file}, {place}: image_id {picture}")
                    elif (category := annotation["category_id"]) not in names:
                        raise ValueError(f"its category_id, {category}, is none of the categories")
                    elif not (outline := annotation.get("segmentation")):
                        problems.add("box without an outline", f"{file}, {place}")
                    elif not names[category]:
                        problems.add("shape without a label", f"{file}, {place}")
                    else:
                        crowd = bool(annotation.get("iscrowd"))
                        shapes[picture].append(Shape(names[category], _parts(outline, sizes[picture]), place, crowd))
            for picture in content["images"]:
                with problems.reading(f"{file}, image {picture['id']}"):
                    drawn = sorted(shapes[picture["id"]], key=lambda shape: not shape.void)
                    where = f"{file}, {picture['file_name']}"
                    yield Annotated(where, last_name(picture["file_name"]), sizes[picture["id"]], drawn)


def _parts(outline: Any, size: Size | None) -> list[Part]:
    if isinstance(outline, list):
        return [Polygon([as_points(np.reshape(np.array(ring, float), (-1, 2)), 3)]) for ring in outline]
    height, width = map(int, outline["size"])
    if (height, width) != size:
        declared = "{}×{}".format(*size) if size else "no size"
        raise ValueError(f"its run lengths are for {height}×{width} pixels, and its picture has {declared}")
    counts = outline["counts"]
    runs = counts_of(counts) if isinstance(counts, str) else [int(count) for count in counts]
    return [bitmap_of_runs(runs, width, height, by_columns=True)]


def counts_of(text: str) -> list[int]:
    """The run lengths of a compressed RLE.

    Each character holds five bits of a number, the lowest first, and a sixth that says whether more follow; from the
    fourth number on it is the difference to the last but one (https://github.com/cocodataset/cocoapi, maskApi.c).
    """
    counts: list[int] = []
    number = shift = 0
    for character in text.encode():
        bits = character - 48
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            number -= (bits >> 4 & 1) << shift  # the sign
            counts.append(number + counts[-2] if len(counts) > 2 else number)
            number = shift = 0
    return counts


def bitmap_of_runs(
    runs: Sequence[int], width: int, height: int, row: int = 0, column: int = 0, by_columns: bool = False
) -> Bitmap:
    """Runs of pixels that are open and covered in turn; ValueError unless they fill the bitmap."""
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"its run lengths give {sum(runs)} pixels, expected {height}×{width}")
    shape = (width, height) if by_columns else (height, width)
    decode = functools.partial(_pixels_of_runs, np.array(runs, np.int32), shape, by_columns)
    return Bitmap(decode, height, width, row, column)


def _pixels_of_runs(runs: np.ndarray, shape: tuple[int, int], by_columns: bool) -> np.ndarray:
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(shape)
    return pixels.T if by_columns else pixels
