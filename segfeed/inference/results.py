"""What is made of one picture: its mask, overlay and probabilities as files, and its rows of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg

from segfeed.atomic import sync
from segfeed.inference.bands import Band
from segfeed.inference.objects import ObjectTable, label_parts
from segfeed.inference.pictures import Picture, Rows
from segfeed.inference.png import NpzWriter, PngWriter

OVERLAY_SIDE = 4096  # pixels: a larger overlay is made smaller
STEP = 2**20  # pixels of a band, about


def classes_of(probabilities: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Class indices, uint8 (H, W), and the probability of each pixel's class, float32 (H, W).

    One channel is the object where it reaches `threshold`; of several the largest wins.
    """
    if probabilities.shape[-1] == 1:
        object_ = probabilities[..., 0] >= threshold
        return object_.astype(np.uint8), np.where(object_, probabilities[..., 0], 1 - probabilities[..., 0])
    classes = probabilities.argmax(-1)
    return classes.astype(np.uint8), np.take_along_axis(probabilities, classes[..., None], -1)[..., 0]


class Category(NamedTuple):
    """A class: its place in the list is its index, and 0 is the background."""

    name: str
    colour: tuple[int, int, int]  # RGB, 0–255


class Options(NamedTuple):
    """What the results depend on besides the probabilities."""

    categories: Sequence[Category]
    threshold: float
    min_area: int
    pixel_size: float | None  # mm
    probabilities: bool  # to be stored


class Result:
    """Takes the probabilities of a picture band by band, then writes the files into `folder`."""

    def __init__(self, picture: Picture, options: Options, folder: Path, name: str):
        self.picture, self.options = picture, options
        self._folder, self._name = folder, name
        self._classes = Rows((picture.width,), folder)
        self._objects = ObjectTable()
        self._probabilities: PngWriter | NpzWriter | None = None

    def add(self, band: Band) -> None:
        """The next rows."""
        for at in range(0, len(band.probabilities), step := max(1, STEP // self.picture.width)):
            part = band.probabilities[at : at + step]
            classes, probabilities = classes_of(part, self.options.threshold)
            self._classes.write(band.start + at, classes)
            self._objects.add(band.start + at, classes, probabilities)
            if self.options.probabilities:
                self._store(part)

    def _store(self, probabilities: np.ndarray) -> None:
        height, width, channels = self.picture.height, self.picture.width, probabilities.shape[2]
        if self._probabilities is None:
            path = self._folder / f"{self._name}.{probability_suffix(channels)}"
            many = channels > 1
            self._probabilities = NpzWriter(path, (height, width, channels)) if many else PngWriter(path, height, width)
        if channels == 1:
            probabilities = np.rint(probabilities[..., 0] * 65535)
        self._probabilities.write(probabilities)

    def finish(self) -> dict[str, Any]:
        """Write what is left; the picture's row of `pictures.csv` and its rows of `objects.csv`, without its name."""
        if self._probabilities:
            self._probabilities.close()
        objects, kept = self._objects.finish(self.options.min_area)
        pixels = np.zeros(len(self.options.categories), np.int64)
        for start, stop, known in self._objects.bands(kept):
            classes = self._classes.read(start, stop)
            if not known[1:].all():
                classes = np.where(known[label_parts(classes)], classes, 0)
                self._classes.write(start, classes)
            pixels += np.bincount(classes.ravel(), minlength=len(pixels))
        self._write_mask()
        self._write_overlay()
        for path in self._folder.glob(f"{self._name}.*"):
            sync(path)
        found = [each.category for each in objects]
        return {
            "height": self.picture.height,
            "width": self.picture.width,
            "objects_per_class": [found.count(index) for index in range(1, len(pixels))],
            "pixels_per_class": pixels.tolist(),
            "objects": [list(each) for each in objects],
        }

    def _write_mask(self) -> None:
        height, width = self.picture.height, self.picture.width
        colours = [category.colour for category in self.options.categories]
        mask = PngWriter(self._folder / f"{self._name}.mask", height, width, colours)
        for start in range(0, height, step := max(1, STEP // width)):
            mask.write(self._classes.read(start, min(height, start + step)))
        mask.close()

    def _write_overlay(self) -> None:
        """Each class in its colour, half transparent, with a white line inside its border and a black one outside."""
        height, width = self.picture.height, self.picture.width
        factor = -(-max(height, width) // OVERLAY_SIDE)
        line = max(1, round(max(height, width) / 1000))
        square = np.ones((2 * line + 1, 2 * line + 1), np.uint8)
        colours = np.zeros((256, 1, 3), np.uint8)
        colours[: len(self.options.categories), 0] = [category.colour for category in self.options.categories]
        small = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
        for start in range(0, height, step := max(1, STEP // width // factor) * factor):
            stop = min(height, start + step)
            first = max(0, start - line)
            classes = self._classes.read(first, min(height, stop + line))
            border = cv2.morphologyEx(classes, cv2.MORPH_GRADIENT, square)[start - first :][: stop - start]
            classes = classes[start - first :][: stop - start]
            drawn = self.picture.rows(start, stop).copy()
            tinted = cv2.addWeighted(drawn, 0.5, cv2.LUT(cv2.merge([classes] * 3), colours), 0.5, 0)
            cv2.copyTo(tinted, classes, drawn)  # where there is a class
            edge = np.flatnonzero(border)
            drawn.reshape(-1, 3)[edge] = np.where(classes.ravel()[edge] > 0, np.uint8(255), np.uint8(0))[:, None]
            rows = small[start // factor : -(-stop // factor)]
            rows[:] = cv2.resize(drawn, rows.shape[1::-1], interpolation=cv2.INTER_AREA) if factor > 1 else drawn
        (self._folder / f"{self._name}.overlay").write_bytes(simplejpeg.encode_jpeg(small, 90, "RGB"))


def probability_suffix(channels: int) -> str:
    return "npz" if channels > 1 else "png"
