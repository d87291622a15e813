"""Reading pairs from a few large files, shards, that `segfeed pack` has written.

Shards are ArrayRecord files (Apache-2.0, by the authors of Grain) and not TFRecord: a record of theirs can be
read without those before it. So every epoch has a new order of *all* pairs, as from files, where TFRecord
shuffles what a buffer holds. Each file is one record, byte for byte, an image before its mask.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from segfeed.errors import DataError, first_names

try:
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from array_record.python.array_record_module import ArrayRecordWriter
except ImportError as error:
    raise ImportError(
        f"{error}: shards need the package array-record, which Windows does not have. "
        f"Install it with `pip install array-record`."
    ) from None

KINDS = "images", "masks"
__all__ = ["ArrayRecordWriter", "Shards", "check_name", "list_path", "problem_of", "read_list", "shard_path", "verify"]


class Shards:
    """The shards of a folder, and the files in them by name: images/<name> and masks/<name>.

    Beside each shard `pairs-00000-of-00002.array_record` lies a list of its files, `.json`, which was
    written when the shard was complete. The names of a million pairs take about 50 MB.

    Raises DataError for a folder without shards, and when some of them are missing.
    """

    def __init__(self, folder: Path):
        check_name(folder)
        lists = set(folder.glob("pairs-*-of-*.json"))
        if not lists:
            raise DataError(f"{folder} holds no shards. Check the path; it is relative to {Path.cwd()}.")
        count = int(min(lists).stem.rpartition("-")[2])
        self.paths = [shard_path(folder, number, count) for number in range(count)]
        missing = [shard.name for shard in self.paths if not shard.is_file() or list_path(shard) not in lists]
        if missing:
            raise DataError(
                f"{folder}: {len(missing)} of {count} shards are missing: {first_names(missing)}. "
                f"Run the command again that packed them: it goes on."
            )
        rows = [[*row, shard] for shard, path in enumerate(self.paths) for row in read_list(path)["pairs"]]
        self._shard_of = np.array([row[-1] for row in rows], np.int32)
        self._names, self._order = {}, {}
        for place, kind in enumerate(KINDS):
            names = np.array([_bytes_of(row[place]) for row in rows])
            self._order[kind] = np.argsort(names)
            self._names[kind] = names[self._order[kind]]
        self._records = ArrayRecordDataSource([str(shard) for shard in self.paths])

    def names(self, kind: str) -> list[str]:
        """The names of all images, or of all masks."""
        if kind not in KINDS:
            raise FileNotFoundError(errno.ENOENT, f"shards hold {' and '.join(KINDS)}")
        return [name.decode(errors="surrogateescape") for name in self._names[kind].tolist()]

    def shard(self, kind: str, name: str) -> Path:
        """The file on the disk in which one of them lies; FileNotFoundError if there is none."""
        return self.paths[self._shard_of[self._pair(kind, name)]]

    def read(self, kind: str, name: str) -> bytes:
        """The bytes of one of them; OSError if there is none, or if its shard is damaged."""
        number = self._pair(kind, name)
        try:
            return self._records[2 * number + KINDS.index(kind)]
        except RuntimeError as error:
            shard = self.paths[self._shard_of[number]]
            raise OSError(errno.EIO, f"{shard.name} is damaged: {error}; delete it and pack again") from None

    def _pair(self, kind: str, name: str) -> int:
        if kind in KINDS:
            place = np.searchsorted(self._names[kind], _bytes_of(name))
            if place < len(self._shard_of) and self._names[kind][place] == _bytes_of(name):
                return int(self._order[kind][place])
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _bytes_of(name: str) -> bytes:
    """A file's name in UTF-8; bytes of it that are no UTF-8 stay what they are."""
    return name.encode(errors="surrogateescape")


def check_name(folder: Path) -> None:
    """DataError for a folder in which ArrayRecord opens no file."""
    if str(folder.absolute()).encode(errors="ignore") != os.fsencode(folder.absolute()):
        raise DataError(
            f"{folder}: the name is no UTF-8, and shards cannot lie there. Rename it, or give another folder."
        )


def shard_path(folder: Path, number: int, count: int) -> Path:
    return folder / f"pairs-{number:05d}-of-{count:05d}.array_record"


def list_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def read_list(shard: Path) -> dict[str, Any]:
    """`pairs`: for each pair the names of image and mask and their bytes; `sha256` of all contents in this order."""
    return json.loads(list_path(shard).read_text(encoding="utf-8"))


def verify(folder: Path, progress: bool = False) -> list[str]:
    """What is wrong with shards, in words: each is read whole, and its SHA-256 compared with that of the files."""
    problems = []
    for shard in tqdm(Shards(folder).paths, "verify", unit="shard", disable=not progress):
        if problem := problem_of(shard, read_list(shard)["sha256"]):
            problems.append(
                f"{shard}: {problem}. Delete it and run the command again that packed it: it makes this one again."
            )
    return problems


def problem_of(shard: Path, sha256: str) -> str:
    """Why the contents of a shard are not those of the files; empty if they are."""
    whole = hashlib.sha256()
    try:
        for content in ArrayRecordDataSource(str(shard)):
            whole.update(content)
    except RuntimeError as error:
        return f"damaged ({error})"
    found = whole.hexdigest()
    return "" if found == sha256 else f"its contents have the SHA-256 {found[:12]}…, the files had {sha256[:12]}…"
