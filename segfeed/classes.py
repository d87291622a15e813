"""The table of classes that lies beside masks, classes.csv: the index, the name and the colour of each."""

from __future__ import annotations

import colorsys
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from segfeed.errors import CommandError, DataError
from segfeed.files import has_shards, table_text

CLASSES_FILE, HEADER = "classes.csv", ["index", "name", "colour"]
BACKGROUND, VOID = "background", "void"
VOID_INDEX = 255
COLOURS = ["#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#0072B2", "#D55E00"]  # Okabe & Ito (2008)


@dataclass(frozen=True, order=True)
class ClassRow:
    """A row of the table: the value in a mask, 0–255, what it means, and "#rrggbb", in which a viewer shows it."""

    index: int
    name: str
    colour: str


@dataclass(frozen=True)
class ClassTable:
    """The rows of a classes.csv, by index: 0 is background, and 255, if it is there, void."""

    rows: tuple[ClassRow, ...]

    @property
    def n_classes(self) -> int:
        """As the generator takes it: 1 for background and one class, 0 and 1, else the highest index + 1."""
        highest = max(row.index for row in self.rows if row.index != VOID_INDEX)
        return max(1, highest if highest < 2 else highest + 1)

    @property
    def ignore(self) -> int | None:
        """The value of void pixels, if there are such."""
        return VOID_INDEX if self.rows[-1].index == VOID_INDEX else None

    @property
    def names(self) -> dict[int, str]:
        return {row.index: row.name for row in self.rows}

    @property
    def indices(self) -> dict[str, int]:
        return {row.name: row.index for row in self.rows}

    def palette(self) -> np.ndarray:
        """The colour of each index, RGB, uint8 (256, 3); black where there is no row."""
        colours = np.zeros((256, 3), np.uint8)
        for row in self.rows:
            colours[row.index] = list(bytes.fromhex(row.colour[1:]))
        return colours


def make_class_table(names: Iterable[str], void: bool) -> ClassTable:
    """Give `names` the indices 1, 2, … and colours that differ; background is 0, and `void` adds 255."""
    rows = [ClassRow(0, BACKGROUND, "#000000")]
    rows += [ClassRow(index, name, colour_of(index)) for index, name in enumerate(names, 1)]
    if len(rows) > VOID_INDEX:
        raise DataError(f"{len(rows) - 1} classes, and a mask of 8 bits holds at most {VOID_INDEX - 1}. Merge some.")
    return ClassTable((*rows, ClassRow(VOID_INDEX, VOID, "#E0E0C0")) if void else tuple(rows))


def colour_of(index: int) -> str:
    """A colour for a class index from 1 on: hues that follow each other at the golden angle, after `COLOURS`."""
    if index <= len(COLOURS):
        return COLOURS[index - 1]
    light = 0.95 if index % 2 else 0.65
    return "#" + "".join(f"{round(255 * part):02X}" for part in colorsys.hsv_to_rgb(index * 0.381966 % 1, 0.7, light))


def read_classes_table(path: str | Path) -> ClassTable:
    """Read a classes.csv: a header, index,name,colour, and a row for each class.

    Raises DataError for a file that cannot be read, without the header, or with a row that is no class, an index or
    a name that is given twice, a colour that is not #rrggbb, an index 0 that is not background or an index 255 that
    is not void.
    """
    lines = list(csv.reader(io.StringIO(table_text(path), newline="")))
    if not lines or lines[0] != HEADER:
        first = ",".join(lines[0]) if lines else ""
        raise DataError(f"{path}: the first line is {first!r}, expected index,name,colour. Add this header.")
    rows = [_row(path, line) for line in lines[1:] if line]
    for column in ("index", "name"):
        value, times = Counter(getattr(row, column) for row in rows).most_common(1)[0] if rows else (None, 0)
        if times > 1:
            raise DataError(f"{path}: the {column} {value} stands in {times} rows. Keep one of them.")
    table = ClassTable(tuple(sorted(rows)))
    for index, name in ((0, BACKGROUND), (VOID_INDEX, VOID)):
        if table.names.get(index, name) != name or table.indices.get(name, index) != index:
            raise DataError(f"{path}: {index} and {name} belong together. Correct the row of either.")
    if 0 not in table.names:
        raise DataError(f"{path}: no row of index 0. Add 0,{BACKGROUND},#000000.")
    return table


def _row(path: str | Path, line: list[str]) -> ClassRow:
    if len(line) != 3 or not line[1].strip():
        raise DataError(f"{path}: the row {','.join(line)!r} is not index,name,colour. Correct it.")
    index, name, colour = line
    if not re.fullmatch("[0-9]{1,3}", index) or int(index) > 255:
        raise DataError(f"{path}: the index {index!r} of {name} is no whole number of 0–255. Correct it.")
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise DataError(f"{path}: the colour {colour!r} of {name} is not of the form #rrggbb. Correct it.")
    grey = int(colour[1:3], 16)
    if colour[1:].lower() == 3 * f"{grey:02x}" and grey != int(index) and (int(index), grey) != (1, 255):
        raise DataError(
            f"{path}: the colour {colour} of {name} is the grey {grey}, and its index is {index}: nobody knows which "
            f"of the two such a mask means. Choose a colour that is no grey."
        )
    return ClassRow(int(index), name, colour)


def write_classes_table(path: Path, table: ClassTable) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *map(astuple, table.rows)])


def find_classes_table(masks_dir: Path) -> Path | None:
    """The classes.csv of a folder of masks, or of the shards that stand for it; None if there is none."""
    folder = masks_dir if masks_dir.is_dir() or not has_shards(masks_dir.parent) else masks_dir.parent
    return folder / CLASSES_FILE if (folder / CLASSES_FILE).is_file() else None


def class_options(masks_dir: Path, n_classes: int | None, ignore: int | None) -> tuple[int, int | None, dict[int, str]]:
    """What --classes and --ignore mean for these masks, and the names of the classes, as their classes.csv says.

    Without a table `n_classes` is 1 unless it is given. Raises CommandError where an option contradicts the table.
    """
    path = find_classes_table(masks_dir)
    if path is None:
        return 1 if n_classes is None else n_classes, ignore, {}
    table = read_classes_table(path)
    for option, given, told in (("--classes", n_classes, table.n_classes), ("--ignore", ignore, table.ignore)):
        if given is not None and given != told:
            says = "that no pixel is void" if told is None else f"{told}"
            raise CommandError(f"{option} is {given}, and {path} says {says}. Leave the option out, or mend the table.")
    return table.n_classes, table.ignore, table.names
