"""Masks of class indices, drawn from annotations: all of them, or none and a list of what is wrong."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from segfeed.annotations.folders import list_pictures, new_folder, stem_in
from segfeed.annotations.formats import read_annotations
from segfeed.annotations.labels import check_order, in_order, make_labels, with_void
from segfeed.annotations.problems import Problems
from segfeed.annotations.reader import Annotated
from segfeed.annotations.shapes import FAR, Line, Part, Shape
from segfeed.classes import CLASSES_FILE, VOID_INDEX, ClassRow, ClassTable, write_classes_table
from segfeed.decode import read_bytes, upright
from segfeed.errors import DataError, printable
from segfeed.files import stem_of
from segfeed.headers import Header, read_header, upright_size
from segfeed.threads import map_in_order


class Drawing(NamedTuple):
    """How shapes become masks."""

    order: Sequence[str] = ()  # labels: those that come later lie on top
    void: Sequence[str] = ()  # labels of pixels that belong to no class
    void_border: int = 0  # pixels on both sides of a border between classes that become void
    line_width: float | None = None  # of lines, and of points as discs, in pixels; 0 leaves them out
    exif: str | None = None  # "upright" or "stored": which picture was seen in the tool, where sizes do not tell it
    empty: bool = False  # whether a picture without shapes gets an empty mask


class ClassCount(NamedTuple):
    """What was drawn of a class: shapes, masks that show it, pixels."""

    row: ClassRow
    objects: int
    masks: int
    pixels: int


class Summary(NamedTuple):
    """What was drawn."""

    masks: int
    table: ClassTable
    classes: list[ClassCount]
    notes: list[str]

    def __str__(self) -> str:
        total, lines = max(1, sum(each.pixels for each in self.classes)), list(self.notes)
        for row, objects, masks, pixels in self.classes:
            share = f"{pixels / total:.2%} of the pixels, in {masks} of {self.masks} masks"
            lines.append(f"{row.index:3} {printable(row.name)}: {objects} object{'s' * (objects != 1)}, {share}")
        return "\n".join(lines)


class Job(NamedTuple):
    """A mask to be drawn."""

    stem: str
    image: Path
    annotated: Annotated


Findings = list[tuple[str, str]]


def draw_masks(
    annotations: Path,
    imgs_dir: Path,
    masks_dir: Path,
    drawing: Drawing | None = None,
    *,
    kind: str | None = None,
    table: ClassTable | None = None,
    progress: bool = False,
) -> Summary:
    """Draw a mask, <stem>.png, for each picture of a folder, and write classes.csv beside them.

    The masks are palette PNG files, uint8 class indices, of the size of the upright picture. `kind` is one of
    `formats.FORMATS`; it is told by the content if it is not given. `table` gives each label its index; without it
    they follow each other in sorted order.

    Nothing is written if anything is wrong. Raises DataError then, with all that is wrong and the cures, and
    CommandError for an argument that does not fit.
    """
    drawing, problems = drawing or Drawing(), Problems()
    counts = np.zeros((3, 256), np.int64)
    with new_folder(masks_dir) as folder:
        pictures = list_pictures(imgs_dir, masks_dir, problems)
        found = tqdm(read_annotations(annotations, kind, problems), "read", unit="picture", disable=not progress)
        jobs = list(_match(found, pictures, drawing.empty, problems))
        annotated = [job.annotated for job in jobs]
        table, indices = make_labels(annotated, table, drawing.void, problems)
        check_order(annotated, drawing.order, table)
        table = with_void(table) if drawing.void_border else table
        drawer = Drawer(drawing, table, indices, folder)
        drawn = map_in_order("masks", drawer.draw, jobs)
        for findings, counted in tqdm(drawn, "draw", len(jobs), unit="mask", disable=not progress):
            problems.extend(findings)
            counts += counted
        problems.stop_if_any()
        write_classes_table(folder / CLASSES_FILE, table)
    rows = [ClassCount(row, *counts[:, row.index].tolist()) for row in table.rows]
    return Summary(len(jobs), table, rows, problems.notes())


def _match(found: Iterable[Annotated], pictures: Mapping[str, Path], empty: bool, problems: Problems) -> Iterator[Job]:
    """The annotation of each picture."""
    taken: dict[str, Annotated] = {}
    folded = {stem.casefold(): path.name for stem, path in pictures.items()}
    for annotated in found:
        stem, own = stem_in(annotated.picture, pictures), stem_in(annotated.own_name, pictures)
        name = annotated.picture or annotated.own_name
        if stem is None and own is None:
            near = folded.get(stem_of(name).casefold())
            there = f" (there is {near})" if near else ""
            problems.add("annotation without picture", f"{annotated.where}: {name}{there}")
        elif stem and own and stem != own:
            problems.add("annotation of two pictures", f"{annotated.where}: {name}")
        elif other := taken.get(key := stem or own or ""):
            problems.add("two annotations for one picture", f"{name}: {other.where} and {annotated.where}")
        else:
            taken[key] = annotated
    for stem, image in pictures.items():
        annotated = taken.get(stem) or Annotated(str(image), image.name, None, [], upright=True)
        if not annotated.shapes and not empty:
            problems.add("picture without annotation", str(image))
        yield Job(stem, image, annotated)


class Drawer(NamedTuple):
    """Draws one mask after the other."""

    drawing: Drawing
    table: ClassTable
    indices: Mapping[str | int, int]
    folder: Path

    def draw(self, job: Job) -> tuple[Findings, np.ndarray]:
        """Write a mask; what was found, and for each index the shapes, whether the mask has it, and the pixels."""
        problems, counts = Problems(), np.zeros((3, 256), np.int64)
        try:
            header = read_header(job.image, read_bytes(job.image))
        except DataError as error:
            return [("unreadable picture", str(error))], counts
        turned = self._is_turned(job, header, problems)
        if turned is None:
            return problems.findings(), counts
        mask = np.zeros((header.height, header.width) if turned else upright_size(header), np.uint8)
        objects = set()
        for number, shape in enumerate(in_order(job.annotated.shapes, self.drawing.order, self.table)):
            where = f"{job.annotated.where}, {shape.place}, {shape.label}"
            index = VOID_INDEX if shape.void else self.indices[shape.label]
            with problems.reading(where):
                if self._draw_shape(mask, shape, index, where, problems):
                    objects.add((index, number if shape.group is None else (shape.label, shape.group)))
        if self.drawing.void_border:
            mask = with_void_border(mask, self.drawing.void_border)
        if turned:
            mask = upright(mask, header._replace(kind=""))
        for index, _ in objects:
            counts[0, index] += 1
        counts[2] = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()
        counts[1] = counts[2] > 0
        image = Image.fromarray(mask)
        image.putpalette(self.table.palette().tobytes())
        image.save(self.folder / f"{job.stem}.png", compress_type=zlib.Z_RLE)
        return problems.findings(), counts

    def _is_turned(self, job: Job, header: Header, problems: Problems) -> bool | None:
        """Whether shapes were drawn on the picture as it is stored, before its orientation turns it; None: unknown."""
        stored, size, declared = (header.height, header.width), upright_size(header), job.annotated.size
        where = f"{job.annotated.where}, {job.image.name}"
        if declared not in (None, stored, size):
            measured = "{}×{} pixels, the picture has {}×{}".format(*declared, *size)
            problems.add("unequal sizes", f"{where}: {measured}")
            return None
        if header.orientation == 1 or (declared == size != stored):
            return False
        if declared != stored or stored == size:
            seen = self.drawing.exif or ("upright" if job.annotated.upright else None)
            if seen is None:
                problems.add("unclear orientation", f"{where}: EXIF orientation {header.orientation}")
                return None
            if seen != "stored":
                return False
        problems.add("turned by EXIF", f"{where}: orientation {header.orientation}")
        return True

    def _draw_shape(self, mask: np.ndarray, shape: Shape, index: int, where: str, problems: Problems) -> bool:
        """Whether it covers a pixel."""
        parts: list[Part] = []
        for part in shape.parts:
            if isinstance(part, Line):
                if not (wide := self.drawing.line_width):
                    problems.add("shape without area" if wide is None else "left out", where)
                    continue
                part = part._replace(width=wide)
            parts.append(part)
        if not parts:
            return False
        (height, width), boxes = mask.shape, np.array([part.box() for part in parts])
        if not (np.abs(boxes) < FAR).all():
            raise ValueError(f"its coordinates are no numbers below {FAR:g}")
        (left, top), (right, bottom) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
        beyond = max(-left, -top, right - width, bottom - height)
        place = f"{where}: x from {left:g} to {right:g}, y from {top:g} to {bottom:g}, in {height}×{width} pixels"
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            problems.add("shape outside the picture", place)
            return False
        if beyond > 1:
            problems.add("cut off", place)
        covers = False
        for part in parts:
            pixels, row, column = part.cover(height, width)
            covers |= bool(pixels.any())
            mask[row : row + pixels.shape[0], column : column + pixels.shape[1]][pixels] = index
        if not covers:
            problems.add("covers no pixel", where)
        return covers


def with_void_border(mask: np.ndarray, width: int) -> np.ndarray:
    """A mask in which pixels are void that have another class within `width` pixels, diagonals included."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    highest = cv2.dilate(np.where(mask == VOID_INDEX, 0, mask).astype(np.uint8), kernel)
    lowest = cv2.erode(mask, kernel)
    return np.where((highest != lowest) & (mask != VOID_INDEX), VOID_INDEX, mask).astype(np.uint8)
