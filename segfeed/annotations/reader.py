"""What every format gives: for each picture its name, its size and its shapes."""

from __future__ import annotations

import functools
import json
import unicodedata
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from segfeed.annotations.shapes import Shape

Size = tuple[int, int]  # height, width


class Annotated(NamedTuple):
    """The annotation of one picture."""

    where: str  # the file, and the place in it, for messages
    picture: str  # the name of the picture's file
    size: Size | None  # of the picture, as the annotation declares it
    shapes: list[Shape]  # in the order in which they are drawn
    own_name: str = ""  # the annotation file's, which counts if there is no such picture
    upright: bool = False  # whether the tool shows a picture as its EXIF tag says


@functools.lru_cache(maxsize=1)  # the file that tells the format is read next
def load_json(path: Path) -> Any:
    """The content of a JSON file; ValueError if it is none."""
    return json.loads(path.read_bytes().decode("utf-8-sig"))


def last_name(path: str) -> str:
    """The file's name at the end of a path of Windows or another system."""
    return PureWindowsPath(path).name


def as_size(height: Any, width: Any) -> Size | None:
    """(height, width), None unless both are given; ValueError if they are not above 0."""
    if height is None or width is None:
        return None
    if not (int(height) > 0 and int(width) > 0):
        raise ValueError(f"the picture's height and width are {height} and {width}")
    return int(height), int(width)


def as_label(value: Any) -> str:
    """A label without blanks around it, in one Unicode form (NFC); empty for None."""
    return "" if value is None else unicodedata.normalize("NFC", str(value)).strip()
