"""The files of a folder: their names and bytes. A folder may also stand for the images or masks in shards."""

from __future__ import annotations

import errno
import functools
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segfeed.errors import DataError

if TYPE_CHECKING:
    from segfeed.shards import Shards


PICTURES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".dng"),
)
SIDE_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}  # of Windows and macOS
SIDE_FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}


class Lost(NamedTuple):
    """What lies in a folder and would not be read: the kind of fault, a name, and what was measured."""

    kind: str
    name: str
    measured: str


class Listing(NamedTuple):
    """The files of a folder, what follows each stem in its name (of several files, joined by a slash); and the rest."""

    files: dict[str, str]
    lost: list[Lost]


def list_folder(folder: Path, beside: Path) -> Listing:
    """List one folder of a pair of folders; `beside` is the other, which may lie in it.

    Stems are in one Unicode form (NFC), because macOS may store another than the one you type. Side files of
    Windows and macOS and hidden files are passed over, but a hidden picture is lost.
    Raises DataError if there is no such folder, or if the two are one.
    """
    if folder.is_dir() and beside.is_dir() and folder.samefile(beside):
        raise DataError(f"{folder} is given for the images and for the masks. Give two folders.")
    files: dict[str, str] = {}
    lost: list[Lost] = []
    for stored in _names_in(folder, beside, lost):
        name = stored if stored.isascii() else unicodedata.normalize("NFC", stored)
        if name[0] == ".":
            if name.lower().endswith(PICTURES) and not name.startswith("._"):  # these macOS writes beside files
                lost.append(Lost("hidden file", name, "its name begins with a dot"))
        elif name.lower() not in SIDE_FILES and not name.endswith("Zone.Identifier"):  # Windows' mark of a download
            stem = stem_of(name)
            # a name that is stored in another Unicode form is kept whole; only a suffix begins with a dot
            rest = sys.intern(name[len(stem) :]) if name == stored else stored
            files[stem] = f"{files[stem]}/{rest}" if stem in files else rest
    return Listing(files, lost)


def stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name


def file_name(stem: str, rest: str) -> str:
    """The name of a file, from its stem and what `list_folder` says of it."""
    return rest if rest and rest[0] != "." else stem + rest


def _names_in(folder: Path, beside: Path, lost: list[Lost]) -> Iterator[str]:
    if not folder.is_dir():
        try:
            yield from _shards_for(folder).names(folder.name)
        except FileNotFoundError:
            raise DataError(f"there is no folder {folder}. Check the path; it is relative to {Path.cwd()}.") from None
        return
    try:
        entries = os.scandir(os.fspath(folder))
    except OSError as error:
        raise _closed_folder(error) from None
    with entries:
        for entry in entries:
            link = entry.is_symlink()
            if os.path.isfile(entry.path) if link else entry.is_file():
                yield entry.name
            elif not os.path.isdir(entry.path):
                measured = f"a link to {os.readlink(entry.path)}, which is not there" if link else "not a file"
                lost.append(Lost("dead link", entry.name, measured))
            elif count := _pictures_below(entry, beside):
                lost.append(Lost("subfolder", entry.name, f"it holds {count} pictures"))


def _closed_folder(error: OSError) -> DataError:
    return DataError(f"{error.filename}: cannot be opened ({error.strerror}). Check the permissions.")


def _pictures_below(folder: os.DirEntry[str], beside: Path) -> int:
    if folder.name[0] == "." or folder.name.lower() in SIDE_FOLDERS or (beside.is_dir() and beside.samefile(folder)):
        return 0

    def refuse(error: OSError) -> None:
        raise _closed_folder(error)

    names = (name for _, _, names in os.walk(folder.path, onerror=refuse) for name in names)
    return sum(name[0] != "." and name.lower().endswith(PICTURES) for name in names)


def raw_bytes(path: str | Path) -> bytes:
    """The bytes of a file, which may be one of those in shards; OSError if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
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
