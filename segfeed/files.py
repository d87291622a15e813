"""The files of a folder: their names and bytes. A folder may also stand for the images or masks in shards."""

from __future__ import annotations

import errno
import functools
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from segfeed.errors import DataError

if TYPE_CHECKING:
    from segfeed.shards import Shards


def files_by_stem(folder: Path) -> dict[str, str]:
    """The files of a folder: what follows each stem in its name; of several files, joined by a slash.

    Hidden files are passed over. Stems are in one Unicode form (NFC), because macOS may store another than
    the one you type. Raises DataError if there is no such folder.
    """
    files: dict[str, str] = {}
    for stored in _names_in(folder):
        name = stored if stored.isascii() else unicodedata.normalize("NFC", stored)
        if name[0] != "." and name not in {"Thumbs.db", "desktop.ini"}:
            stem = stem_of(name)
            # a name that is stored in another Unicode form is kept whole; only a suffix begins with a dot
            rest = sys.intern(name[len(stem) :]) if name == stored else stored
            files[stem] = f"{files[stem]}/{rest}" if stem in files else rest
    return files


def stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name


def file_name(stem: str, rest: str) -> str:
    """The name of a file, from its stem and what `files_by_stem` says of it."""
    return rest if rest and rest[0] != "." else stem + rest


def _names_in(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        with os.scandir(os.fspath(folder)) as entries:
            yield from (entry.name for entry in entries if entry.is_file())
    else:
        try:
            yield from _shards_for(folder).names(folder.name)
        except FileNotFoundError:
            raise DataError(f"there is no folder {folder}. Check the path; it is relative to {Path.cwd()}.") from None


def raw_bytes(path: str | Path) -> bytes:
    """The bytes of a file, which may be one of those in shards; OSError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        path = Path(path)
        return _shards_for(path.parent).read(path.parent.name, path.name)


def file_status(path: str) -> os.stat_result:
    """The status of a file, or of the shard that holds it; OSError if there is none."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        folder, name = os.path.split(path)
        return os.stat(_shards_for(Path(folder)).shard(os.path.basename(folder), name))


def _shards_for(folder: Path) -> Shards:
    """The shards for which `folder` stands; FileNotFoundError if there are none."""
    return _open_shards(folder.parent.absolute())


@functools.cache
def _open_shards(folder: Path) -> Shards:
    """Open shards once in a process; a folder without shards is looked at again the next time."""
    if not any(folder.glob("pairs-*-of-*.json")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    from segfeed.shards import Shards  # whose package Windows lacks

    return Shards(folder)
