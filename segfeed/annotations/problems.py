"""What is wrong with annotations, collected over all files, and what must be known of masks that were drawn."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from segfeed.errors import DataError, printable
from segfeed.pairing import LOST_CURES

PROBLEMS = {  # kind: the cure; the report comes in this order
    "file of another format": "Move it elsewhere, or say with --format what it is.",
    "broken annotation": "Export it again, or correct the file at this place.",
    "shape of an unknown kind": "Draw it again as a polygon, or delete it in the tool.",
    "shape without a label": "Give it a label in the tool, or delete it.",
    "shape with several labels": "A pixel has one class: keep one label.",
    "box without an outline": "Only a box is there: outline the object, or delete it.",
    "shape without area": "Give --line-width, in pixels, to draw lines and points; with 0 they are left out.",
    "annotation without picture": "Add the picture to IMAGES under this name, or take the annotation out.",
    "annotation of two pictures": "Its own name and the picture's name in it differ: correct one of the two.",
    "two annotations for one picture": "Keep one of them, or join them in the tool.",
    "picture without annotation": "Annotate it; or give --empty, if it shows no object: its mask will be empty.",
    "two files for one stem": "Their masks would have one name: rename or remove one of the pictures.",
    "unreadable picture": "Copy it again from its source; `segfeed audit` says more.",
    "unequal sizes": "Take the picture that was annotated, or annotate this one: shapes do not fit another size.",
    "unclear orientation": "Look at it in the tool: if it stood upright, give --exif upright, else --exif stored.",
    "shape outside the picture": "It belongs to another picture, or to another size: correct or delete it in the tool.",
    "label that is not in the table": "Correct the label in the tool, or add a row to the table.",
    "labels that look alike": "Give them one name in the tool: else they become two classes.",
    "unknown colour": "Add the colour to labelmap.txt, or export the masks again as PNG.",
} | {kind: f"{cure}." for kind, cure in LOST_CURES.items()}

NOTES = {  # kind: what was done
    "turned by EXIF": "drawn on the picture as it is stored, so the mask was turned as the picture is",
    "cut off": "beyond the border of the picture, and cut off there",
    "covers no pixel": "too small or thin: no pixel's centre lies in it, or shapes above hide it",
    "left out": "lines or points, left out as you said",
    "no shape": "no shape, and left out",
}


BROKEN = (  # what readers of JSON, XML, PNG, ZIP and ROI raise
    *(ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile),
)


class OtherFormatError(ValueError):
    """What a file lacks to be of the format that is read."""


class Problems:
    """Findings by kind, each with the place where it was found."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, where: str) -> None:
        self.found.setdefault(kind, []).append(where)

    def extend(self, findings: Iterable[tuple[str, str]]) -> None:
        for kind, where in findings:
            self.add(kind, where)

    @contextlib.contextmanager
    def reading(self, where: Any) -> Iterator[None]:
        """Turn what goes wrong while a file, or a part of it, is read into a problem, and go on behind it."""
        try:
            yield
        except BROKEN as error:
            words = f"no {error}" if isinstance(error, KeyError) else str(error)
            kind = "file of another format" if isinstance(error, OtherFormatError) else "broken annotation"
            self.add(kind, words if isinstance(error, DataError) else f"{where}: {words}")

    def findings(self) -> list[tuple[str, str]]:
        return [(kind, where) for kind, places in self.found.items() for where in places]

    def stop_if_any(self) -> None:
        """Raise DataError if something is wrong, with the count, the first places and the cure of each kind."""
        if problems := [kind for kind in PROBLEMS if kind in self.found]:
            count = sum(len(self.found[kind]) for kind in problems)
            lines = [f"nothing was written, because of {count} problem{'s' * (count > 1)}:"]
            for kind in problems:
                lines += [f"{kind} ({len(self.found[kind])}): {_places(self.found[kind])}", f"  {PROBLEMS[kind]}"]
            raise DataError("\n".join(lines))

    def notes(self) -> list[str]:
        """A line for each kind of note."""
        kinds = [kind for kind in NOTES if kind in self.found]
        return [f"{kind} ({len(self.found[kind])}; {NOTES[kind]}): {_places(self.found[kind])}" for kind in kinds]


def _places(places: list[str]) -> str:
    more = f"; and {len(places) - 5} more" if len(places) > 5 else ""
    return printable("; ".join(places[:5])) + more
