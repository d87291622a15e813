"""The files of a folder: their names and bytes. A folder may also stand for the images or masks in shards."""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segfeed.errors import DataError, cannot_open

if TYPE_CHECKING:
    from segfeed.shards import Shards


PICTURES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".heic", ".heif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".dng"),
)
PICTURE_START = re.compile(  # of the same kinds, where the name does not say it
    rb"\xff\xd8\xff|\x89PNG|II[*+]\0|MM\0[*+]|GIF8|BM.{4}\0{4}|RIFF.{4}WEBP|P[1-7f]\s"
    rb"|\xff\x4f\xff\x51|.{4}jP  |.{4}ftyp(avi|he|mi)",
    re.DOTALL,
)
SPECIAL_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
SIDE_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "classes.csv"}  # of Windows and macOS, and ours
ANNOTATIONS = (".json", ".geojson", ".xml")  # which LabelMe and others write beside the pictures
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
    Windows (its mark of a download too) and macOS, classes.csv, files of annotations and hidden files are passed
    over, but a hidden picture is lost.
    Raises DataError if there is no such folder, or if the two are one.
    """
    if folder.is_dir() and beside.is_dir() and folder.samefile(beside):
        raise DataError(f"{folder} is given for the images and for the masks. Give two folders.")
    files: dict[str, str] = {}
    lost: list[Lost] = []
    for stored in _names_in(folder, beside, lost):
        name = stored if stored.isascii() else unicodedata.normalize("NFC", stored)
        if name[0] == ".":
            if not name.startswith("._") and _is_picture(f"{folder}{os.sep}{stored}"):  # macOS writes ._ beside files
                lost.append(Lost("hidden file", name, "its name begins with a dot"))
        elif name.lower() not in SIDE_FILES and not name.endswith(("Zone.Identifier", *ANNOTATIONS)):
            stem = stem_of(name)
            # a name that is stored in another Unicode form is kept whole; only a suffix begins with a dot
            rest = sys.intern(name[len(stem) :]) if name == stored else stored
            files[stem] = f"{files[stem]}/{rest}" if stem in files else rest
    return Listing(files, lost)


def stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name


def names_of(stem: str, files: Mapping[str, str]) -> list[str]:
    """The names of the files of a stem, in NFC; `files` as in `list_folder`."""
    rests = files[stem].split("/") if stem in files else []
    return [unicodedata.normalize("NFC", file_name(stem, rest)) for rest in rests]


def is_also_a_name(stem: str, files: Mapping[str, str]) -> bool:
    """Whether a stem is the whole name of another file: that of a.png.png is, beside a.png."""
    return "." in stem and stem in names_of(stem_of(stem), files)


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
    seen = {_identity(one) for one in (folder, beside) if one.is_dir()}
    try:
        with os.scandir(os.fspath(folder)) as entries:
            for entry in entries:
                if os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file():
                    yield entry.name
                elif not os.path.isdir(entry.path):
                    lost.append(_no_file(entry))
                elif count := _pictures_below(entry.path, seen):
                    lost.append(Lost("subfolder", entry.name, f"it holds {count} picture{'s' * (count > 1)}"))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be opened ({error.strerror}). Check the permissions.") from None


def _no_file(entry: os.DirEntry[str]) -> Lost:
    link = f"a link to {os.readlink(entry.path)}, " if entry.is_symlink() else ""
    try:
        kind = stat.S_IFMT(os.stat(entry.path).st_mode)
    except OSError as error:
        return Lost("dead link", entry.name, f"{link}which cannot be opened ({error.strerror})")
    return Lost("special file", entry.name, f"{link}{SPECIAL_FILES.get(kind, 'no regular file')}")


def _pictures_below(folder: str, seen: set[tuple[int, int]]) -> int:
    """How many pictures lie in a subfolder, at any depth and behind links, except in the folders `seen`."""
    name, identity = os.path.basename(folder).lower(), _identity(folder)
    if name[0] == "." or name in SIDE_FOLDERS or identity in seen:
        return 0
    seen.add(identity)
    with os.scandir(folder) as entries:
        return sum(
            _pictures_below(entry.path, seen) if os.path.isdir(entry.path) else _is_picture(entry.path)
            for entry in entries
            if entry.name[0] != "."
        )


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_picture(path: str) -> bool:
    """Whether a file, or a link to one that is lost, is a picture by its name or its contents."""
    if not os.path.isfile(path):
        return os.path.islink(path) and path.lower().endswith(PICTURES)
    if path.lower().endswith(PICTURES):
        return True
    try:
        with open(path, "rb") as file:
            return PICTURE_START.match(file.read(16)) is not None
    except OSError:
        return False


def raw_bytes(path: str | Path) -> bytes:
    """The bytes of a file, which may be one of those in shards; OSError if it cannot be read."""
    try:
        # by few calls of the system: after each of them a thread waits for Python's lock again
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))  # pipes may block
    except FileNotFoundError:
        path = Path(path)
        return _shards_for(path.parent).read(path.parent.name, path.name)
    try:
        status = os.fstat(file)
        if special := SPECIAL_FILES.get(stat.S_IFMT(status.st_mode)):
            raise OSError(errno.EINVAL, f"it is {special}, not a file")
        data = os.read(file, status.st_size + 1)
    finally:
        os.close(file)
    return data if len(data) == status.st_size else Path(path).read_bytes()  # more than one call reads, or it grows


def table_text(path: str | Path) -> str:
    """The text of a CSV file, in UTF-8; DataError if it cannot be read. Spreadsheets begin a file with a mark."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the path.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: no text in UTF-8. Save the table as CSV in UTF-8.") from None


def file_status(path: str) -> os.stat_result:
    """The status of a file, or of the shard that holds it; DataError if there is none."""
    try:
        try:
            return os.stat(path)
        except FileNotFoundError:
            folder, name = os.path.split(path)
            return os.stat(_shards_for(Path(folder)).shard(os.path.basename(folder), name))
    except OSError as error:
        raise cannot_open(path, error) from error


def status_of(*files: str) -> int:
    """A number that changes when one of the files does; DataError as in `file_status`."""
    found = map(file_status, files)
    return hash(tuple((file.st_size, file.st_mtime_ns, file.st_ctime_ns) for file in found))


def _shards_for(folder: Path) -> Shards:
    """The shards for which `folder` stands; FileNotFoundError if there are none."""
    return _open_shards(folder.parent.absolute())


def has_shards(folder: Path) -> bool:
    return any(folder.glob("pairs-*-of-*.json"))


@functools.cache
def _open_shards(folder: Path) -> Shards:
    """Open shards once in a process; a folder without shards is looked at again the next time."""
    if not has_shards(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    from segfeed.shards import Shards  # whose package Windows lacks

    return Shards(folder)
