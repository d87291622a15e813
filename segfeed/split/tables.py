"""The tables of a split, CSV files that people also edit in a spreadsheet: split.csv and the table of groups."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segfeed.atomic import write_atomically
from segfeed.errors import DataError, first_names
from segfeed.files import table_text
from segfeed.pairing import cut_zeros, stem_of_id

PARTS = ("train", "validation", "test")


def read_split_file(path: str | Path) -> dict[str, list[str]]:
    """Read a split.csv: the ids of "train", "validation" and "test", as texts in one Unicode form (NFC).

    The file has a header with the columns id and part, in UTF-8; its cells are separated by commas, semicolons or
    tabs, and other columns do not matter. Raises DataError for a file of another form, another part, and an id that
    is given twice.
    """
    parts = read_parts(path)
    name, times = Counter(name for names in parts.values() for name in names).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: the id {name!r} is given {times} times. Keep one of the rows.")
    return parts


def read_parts(path: str | Path) -> dict[str, list[str]]:
    """As `read_split_file`, with ids that are given twice."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for line, name, part in _read_rows(path, "id", "part"):
        if part not in PARTS:
            raise DataError(f"{path}: line {line}: the part is {part!r}. Write one of {', '.join(PARTS)}.")
        parts[part].append(name)
    return parts


def read_split_groups(path: str | Path) -> dict[str, str]:
    """The group of each id of a split.csv, where its column `group` names one; empty without such a column."""
    return {name: group for _, name, group in _read_rows(path, "id", "group", optional=True) if group}


def write_split_file(
    path: str | Path, parts: Mapping[str, Iterable[str]], groups: Mapping[str, str] | None = None
) -> None:
    """Write a split.csv, in UTF-8, its rows sorted by id; `groups` of all ids become a column.

    Raises DataError if the file is there already.
    """
    refuse_to_overwrite(Path(path))
    header = ("id", "part", "group") if groups else ("id", "part")
    rows = sorted((name, part, *([groups[name]] if groups else [])) for part, names in parts.items() for name in names)
    try:
        data = "".join(_line(row) for row in [header, *rows]).encode()
    except UnicodeEncodeError:
        name = next(name for name, *_ in rows if re.search("[\ud800-\udfff]", name))
        raise DataError(f"{name!r} is not a name in UTF-8. Rename the picture, and its mask.") from None
    write_atomically(Path(path), lambda part: part.write_bytes(data))


def _line(row: Sequence[str]) -> str:
    """A line of a CSV file; a name with a carriage return comes into quotes because that would end a line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue()[:-2] + "\n"


def refuse_to_overwrite(path: Path) -> None:
    """DataError if there is such a file, or no folder for it."""
    if os.path.lexists(path):
        raise DataError(
            f"{path} is there already, and models may be trained by it: the same pictures must stay in its test part. "
            f"Give another --output, or delete the file."
        )
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent} for {path.name}. Make it, or give another --output.")


def groups_by_name(stems: Iterable[str], pattern: str) -> dict[str, str]:
    """The group of each stem: what the regular expression finds in it, or what its parentheses hold.

    Raises DataError for a pattern that is none, and for a stem in which it finds nothing.
    """
    try:
        compiled = re.compile(unicodedata.normalize("NFC", pattern))
    except re.error as error:
        raise DataError(f"{pattern!r} is no regular expression ({error}). For example '^[^_]+'.") from None
    found = {stem: compiled.search(stem) for stem in stems}
    without = [stem for stem, match in found.items() if not match or not any([match[0], *match.groups()])]
    if without:
        raise DataError(
            f"{pattern!r} finds no group in {len(without)} of {len(found)} names: {first_names(without)}. "
            f"Give an expression that fits every name, or a table of groups."
        )
    return {stem: "/".join(part or "" for part in match.groups()) or match[0] for stem, match in found.items() if match}


def groups_by_table(stems: Sequence[str], path: Path, imgs_dir: Path, files: Mapping[str, str]) -> dict[str, str]:
    """The group of each stem, from a table with the columns id and group; `files` as in `list_folder`.

    Raises DataError for a picture without a row, one with two groups, and a row without a picture.
    """
    groups: dict[str, str] = {}
    for line, name, group in _read_rows(path, "id", "group"):
        stem = stem_of_id(name, imgs_dir, files)
        if stem not in files:
            raise DataError(
                f"{path}: line {line}: no picture is named {stem!r}{cut_zeros(stem, files)}. "
                f"Correct the id, or delete the row."
            )
        if groups.setdefault(stem, group) != group:
            raise DataError(f"{path}: line {line}: {stem!r} is in {groups[stem]!r} already. Keep one of the rows.")
    if without := [stem for stem in stems if stem not in groups]:
        raise DataError(f"{path}: no group for {len(without)} pictures: {first_names(without)}. Add a row for each.")
    return groups


def _read_rows(path: str | Path, first: str, second: str, optional: bool = False) -> list[tuple[int, str, str]]:
    """The line and the cells of two columns; DataError unless each row has both, or the second is optional."""
    text = table_text(path)
    separator = max(",;\t", key=(text.splitlines() or [""])[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if optional and second not in header:
            return []
        if header.count(first) != 1 or header.count(second) != 1:
            raise DataError(f"{path}: its first line is {header}. Write {first},{second} there.")
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{path}: line {reader.line_num} has {len(cells)} cells and the first line {len(header)}. "
                    f'Write an id that holds {separator!r} in quotes, as in "a{separator}b".'
                )
            name, word = (cells[header.index(column)] for column in (first, second))
            name, word = unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", word.strip())
            if not name or not (word or optional):
                raise DataError(f"{path}: line {reader.line_num}: a cell is empty. Fill it, or delete the row.")
            rows.append((reader.line_num, name, word))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}. Correct the quotes there.") from None
    if not rows:
        raise DataError(f"{path}: no row below the first line. Write one for each picture.")
    return rows
