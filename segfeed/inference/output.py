"""The folder of the predictions: which pictures are finished, and the tables of all of them.

A picture is finished when its line stands in `finished.jsonl` and its mask lies in `masks`. Its files are written
under temporary names, then the line is added, then the files get their names, the mask last. So after a kill at any
moment a picture is finished whole, or predicted again; and a mask without a line is somebody else's.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segfeed.atomic import write_atomically, write_json
from segfeed.classes import BACKGROUND, CLASSES_FILE, VOID_INDEX, ClassRow, ClassTable, write_classes_table
from segfeed.errors import CommandError, DataError, printable
from segfeed.files import file_status, raw_bytes
from segfeed.inference.objects import MeasuredObject
from segfeed.inference.results import Category

LINES, SETTINGS, PARTS = "finished.jsonl", "predict.json", ".parts"
FOLDERS = {"mask": "masks", "overlay": "overlays", "png": "probabilities", "npz": "probabilities"}
SUFFIXES = {"mask": "png", "overlay": "jpg"}


class Finished(NamedTuple):
    """A picture whose files are written under temporary names."""

    name: str  # of these files
    picture: str  # the name of its own file
    stem: str
    about: dict[str, Any]  # what `Result.finish` returns, and the signature


class Output:
    """An open folder, which nobody else writes into meanwhile (`lock_folder`)."""

    def __init__(self, folder: Path, settings: dict[str, Any]):
        """Begin, or go on with, the predictions of these settings, {"--option": value}.

        Raises CommandError for a folder of other files, or of predictions with other settings.
        """
        self.folder, self.parts = folder, folder / PARTS
        _check_folder(folder, settings)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS).is_file():
            write_json(folder / SETTINGS, settings)
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir()
        self._lines = open(folder / LINES, "a+b")  # noqa: SIM115
        self._places = self._read_places()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        shutil.rmtree(self.parts, ignore_errors=True)

    def __len__(self) -> int:
        """How many pictures have a line."""
        return len(self._places)

    def _read_places(self) -> dict[str, int]:
        """Where the last line of each picture begins; a line without end was cut by a kill, and is cut off."""
        places: dict[str, int] = {}
        self._lines.seek(0)
        at = 0
        for line in self._lines:
            if not line.endswith(b"\n"):
                self._lines.truncate(at)
                break
            try:
                places[json.loads(line)["picture"]] = at
            except (ValueError, TypeError, KeyError):
                raise CommandError(f"{self.folder / LINES} is damaged at byte {at}: give a new folder.") from None
            at += len(line)
        return places

    def _read_line(self, at: int) -> dict[str, Any]:
        self._lines.seek(at)
        return json.loads(self._lines.readline())

    def is_finished(self, picture: Path, stem: str, kinds: Iterable[str]) -> bool:
        """Whether a picture need not be predicted again.

        Raises DataError if that cannot be done without overwriting: somebody else's file, or another picture's.
        """
        target = self.target(stem, "mask")
        place = self._places.get(picture.name)
        if place is None:
            for path in (self.target(stem, kind) for kind in kinds):
                if os.path.lexists(path):
                    raise DataError(f"{path} is there already, and not by this command. Move it away, or give another "
                                    "output folder.")  # fmt: skip
            return False
        if not target.is_file():
            return False
        *status, digest = self._read_line(place)["file"]
        if status == file_stamp(picture) or digest == signature(picture)[-1]:
            return True
        raise DataError(f"{picture} has changed since it was predicted. Delete {target} to predict it again, or give "
                        "another output folder.")  # fmt: skip

    def target(self, stem: str, kind: str) -> Path:
        return self.folder / FOLDERS[kind] / f"{stem}.{SUFFIXES.get(kind, kind)}"

    def record(self, pictures: Sequence[Finished]) -> None:
        """Finish pictures whose files are on the disk, as `parts/<name>.<kind>`."""
        if not pictures:
            return
        at = self._lines.seek(0, os.SEEK_END)
        for one in pictures:
            line = json.dumps({"picture": one.picture} | one.about).encode() + b"\n"  # ASCII, whatever the name is
            self._lines.write(line)
            self._places[one.picture], at = at, at + len(line)
        self._lines.flush()
        os.fsync(self._lines.fileno())
        for one in pictures:
            for path in sorted(self.parts.glob(f"{one.name}.*"), key=lambda path: path.suffix == ".mask"):
                target = self.target(one.stem, path.suffix[1:])
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)

    def write_classes(self, categories: Sequence[Category]) -> None:
        """classes.csv beside the masks, as `segfeed masks` writes it, unless one is there."""
        path = self.folder / FOLDERS["mask"] / CLASSES_FILE
        if path.exists() or not path.parent.is_dir() or len(categories) > VOID_INDEX:
            return
        names = [BACKGROUND, *(category.name for category in categories[1:])]
        colours = ["#{:02X}{:02X}{:02X}".format(*category.colour) for category in categories]
        rows = [ClassRow(index, *one) for index, one in enumerate(zip(names, colours, strict=True))]
        write_atomically(path, lambda part: write_classes_table(part, ClassTable(tuple(rows))))

    def write_tables(self, names: list[str], pixel_size: float | None) -> int:
        """Write `pictures.csv` and `objects.csv` of all pictures that are finished; how many objects there are.

        `names`: of the classes above 0.
        """
        per_class = [f"{name}_{what}" for name in names for what in ("objects", "share")]
        count = 0

        def lines() -> Iterator[dict[str, Any]]:
            return (self._read_line(self._places[name]) for name in sorted(self._places))

        def picture_rows() -> Iterator[list[Any]]:
            for line in lines():
                area = line["height"] * line["width"]
                pairs = zip(line["objects_per_class"], line["pixels_per_class"][1:], strict=True)
                numbers = [value for objects, pixels in pairs for value in (objects, _rounded(pixels / area))]
                yield [line["picture"], line["height"], line["width"], *numbers]

        def object_rows() -> Iterator[list[Any]]:
            nonlocal count
            for line in lines():
                for number, values in enumerate(line["objects"], 1):
                    one, count = MeasuredObject(*values), count + 1
                    area = [one.area] if pixel_size is None else [one.area, _rounded(one.area * pixel_size**2)]
                    centre = round(one.centre_x, 2), round(one.centre_y, 2)
                    box = one.left, one.top, one.right, one.bottom
                    name = names[one.category - 1]
                    yield [line["picture"], number, name, *area, *centre, *box, round(one.mean_probability, 4)]

        area = ["area_px"] if pixel_size is None else ["area_px", "area_mm2"]
        head = ["picture", "object", "class", *area, "centre_x", "centre_y", "left", "top", "right", "bottom"]
        write_table(self.folder / "pictures.csv", ["picture", "height", "width", *per_class], picture_rows())
        write_table(self.folder / "objects.csv", [*head, "mean_probability"], object_rows())
        return count

    def write_errors(self, errors: dict[str, str]) -> None:
        """`errors.csv`: what is wrong with each file that was not predicted; no such file if there is none."""
        path = self.folder / "errors.csv"
        if errors:
            write_table(path, ["picture", "error"], sorted(errors.items()))
        else:
            path.unlink(missing_ok=True)


def _check_folder(folder: Path, settings: dict[str, Any]) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise CommandError(f"{folder} is a file: give the name of a folder, which may be new.")
        return
    path = folder / SETTINGS
    if not path.is_file():
        if others := sorted(set(os.listdir(folder)) - {f"part-{SETTINGS}"}):
            raise CommandError(f"{folder} holds other files, such as {printable(others[0])}: give a new folder.")
        return
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{path} cannot be read ({error}): give a new folder.") from None
    settings = json.loads(json.dumps(settings))
    if different := [
        f"{key} was {old.get(key)} and is {value}" for key, value in settings.items() if old.get(key) != value
    ]:
        raise CommandError(f"{folder} holds predictions with other options: {'; '.join(different)}. Give a new folder.")


def _rounded(value: float) -> float:
    """To six digits, however small it is."""
    return float(f"{value:.6g}")


def file_stamp(path: Path) -> list[int]:
    status = file_status(os.fspath(path))
    return [status.st_size, status.st_mtime_ns]


def signature(path: Path) -> list[Any]:
    """Size, time of the last change, and SHA-256 of a picture's file."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        digest = hashlib.sha256(raw_bytes(path)).hexdigest()  # one of those in shards
    return [*file_stamp(path), digest]


def write_table(path: Path, head: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """A CSV file with the mark (BOM) by which spreadsheets read Korean letters rightly."""

    def write(part: Path) -> None:
        with open(part, "w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(rows)

    write_atomically(path, write)
