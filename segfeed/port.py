"""What code of 2019 says when it meets the Keras of today, and the cure: `segfeed port`."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from segfeed.errors import CommandError


class Row(NamedTuple):
    """A fault of old code; port.toml says what each field holds, and all of them."""

    cause: str
    cure: str
    message: str = ""
    note: str = ""
    code: str = ""
    old: str = ""


@functools.cache
def read_rows() -> list[Row]:
    text = Path(__file__).with_name("port.toml").read_text(encoding="utf-8")
    return [Row(**row) for row in tomllib.loads(text)["row"]]


class Match(NamedTuple):
    """A row that applies, and where: a line of code with its number from 1, or 0 for a message."""

    row: Row
    line: int
    text: str


def find_rows(path: Path) -> list[Match]:
    """The rows that apply to a script (.py), to a notebook (.ipynb), or to a message in any other file of text.

    Raises CommandError for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            text = "\n".join("".join(cell["source"]) for cell in cells)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{path} cannot be read ({error}). Give a .py, a .ipynb, or a text with the message."
        ) from None
    if path.suffix not in (".py", ".ipynb"):
        flat = _flat(text)
        return [Match(row, 0, row.message) for row in read_rows() if row.message and _flat(row.message) in flat]
    lines = enumerate(text.splitlines(), start=1)
    return [
        Match(row, number, line.strip())
        for number, line in lines
        for row in read_rows()
        if row.code and re.search(row.code, line.partition("#")[0])
    ]


def _flat(text: str) -> str:
    """Without quotes and line breaks, which differ between a terminal, a notebook and a browser."""
    return re.sub(r"[`'\"\s]+", " ", text)


def in_words(matches: list[Match], path: Path) -> str:
    """What `segfeed port` prints."""
    parts = []
    for row, line, text in matches:
        where = f"{path}:{line}: {text}" if line else f"{path}: {text}"
        symptom = f"{row.message} {row.note}".strip() if line else row.note
        said = [f"  today:  {symptom}"] if symptom else []
        cause, cure = (
            re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", words) for words in (row.cause, row.cure)
        )  # without links
        parts.append("\n".join([where, *said, f"  cause:  {cause}", f"  cure:   {cure}"]))
    return "\n\n".join(parts or [f"{path}: no row applies."])
