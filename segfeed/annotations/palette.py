"""Masks as picture files: Pascal VOC's palette PNG, and CVAT's Segmentation mask 1.1 with its labelmap.txt."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from segfeed.annotations.problems import OtherFormatError, Problems
from segfeed.annotations.reader import Annotated, as_label
from segfeed.annotations.shapes import Bitmap, Shape
from segfeed.classes import VOID, VOID_INDEX
from segfeed.decode import read_bytes
from segfeed.errors import in_pixels
from segfeed.headers import read_header
from segfeed.masks import Colours, read_classes, read_mask
from segfeed.threads import CORES

LABELMAP = "labelmap.txt"


def read_voc(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    """The labels are the indices, which stay as they are; 255 is void."""
    for file in files:
        with problems.reading(file):
            if not read_header(file, read_bytes(file)).palette:
                raise OtherFormatError(
                    "it has no palette, as Pascal VOC's masks have. Grey masks of class indices need no command: "
                    "give them to `segfeed audit` and `segfeed train`"
                )
            yield _annotated(file, None, {VOID_INDEX: VOID})


def read_cvat_masks(files: Sequence[Path], problems: Problems) -> Iterator[Annotated]:
    (labelmap,) = (file for file in files if file.name == LABELMAP)
    names: list[str] = []
    table: list[tuple[tuple[int, int, int], int]] = []
    with problems.reading(labelmap):
        for line in labelmap.read_text(encoding="utf-8-sig").splitlines():
            if line.strip() and line[0] != "#":
                name, colour, *_ = line.rsplit(":", 3)
                red, green, blue = (int(value) for value in colour.split(","))
                if (red, green, blue) in dict(table):
                    raise ValueError(f"the colour {colour} has two labels")
                names.append(as_label(name))
                table.append(((red, green, blue), len(table)))
        if len(names) > VOID_INDEX:
            raise ValueError(f"it has {len(names)} labels, and at most {VOID_INDEX} are read")
    for file in files:
        if file != labelmap and names:
            with problems.reading(file):
                colours = tuple(table)  # a mapping cannot be kept by its content
                if (unknown := _unknown_colour(file, dict(colours))) is None:
                    yield _annotated(file, colours, dict(enumerate(names)))
                else:
                    problems.add("unknown colour", f"{file}: {unknown}")


def _annotated(file: Path, colours: tuple | None, names: dict[int, str]) -> Annotated:
    """A shape for each value of a mask; a value without a name is a label of its own, and 0 is background then."""
    values = _values(file, colours)
    height, width = values.shape
    shapes = [
        Shape(
            names.get(value, value),
            [Bitmap(functools.partial(lambda value: _values(file, colours) == value, value), height, width)],
            f"value {value}",
        )
        for value in np.unique(values).tolist()
        if value or value in names
    ]
    return Annotated(str(file), file.name, (height, width), shapes, upright=colours is not None)


@functools.lru_cache(maxsize=CORES)  # all shapes of a file are drawn one after the other
def _values(file: Path, colours: tuple | None) -> np.ndarray:
    if colours is None:
        return read_mask(file)[..., 0]
    data = read_bytes(file)
    return read_classes(file, data, read_header(file, data), dict(colours))[0]


def _unknown_colour(file: Path, colours: Colours) -> str | None:
    data = read_bytes(file)
    _, known, rgb = read_classes(file, data, read_header(file, data), colours)
    if known.all():
        return None
    row, column = (int(places[0]) for places in (~known).nonzero())
    colour = tuple(rgb[row, column].tolist())
    return f"{colour} in row {row}, column {column} ({in_pixels(int(np.sum(~known)))} of unknown colour)"
