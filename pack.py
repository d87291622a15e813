"""Pairs in a few large files: for storage that several machines share, where millions of small files are slow.

    python pack.py images masks packed       # writes packed/; after an interruption the same command goes on
    python pack.py --verify packed           # reads everything back and compares

Then `packed/images` and `packed/masks` stand for the two folders wherever this course takes folders, in
`DataGenerator`, `audit.py` and `train.py`: the batches are the same, bit for bit.

The large files, shards, are ArrayRecord (Apache-2.0, by the authors of Grain) and not TFRecord, because a
record of theirs can be read without those before it: every epoch has a new order of *all* pairs, as from
files, where TFRecord shuffles what a buffer holds. Each file is one record, byte for byte, an image before
its mask.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audit import counted
from disk import replace, write_json
from pairs import DataError, Pairs, find_pairs, first_names, raw_bytes

try:
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from array_record.python.array_record_module import ArrayRecordWriter
except ImportError as error:
    raise ImportError(f"{error}: shards need the package array-record, which Windows does not have.") from None

KINDS = "images", "masks"
SHARD_MB = 256


# --- Read ------------------------------------------------------------------------------------


class Pack:
    """The shards of a folder, and the files in them by name: images/<name> and masks/<name>.

    Beside each shard `pairs-00000-of-00002.array_record` lies a list of its files, `.json`, which was
    written when the shard was complete. The names of a million pairs take about 50 MB.

    Raises DataError for a folder without shards, and when some of them are missing.
    """

    def __init__(self, folder: Path):
        lists = set(folder.glob("pairs-*-of-*.json"))
        if not lists:
            raise DataError(f"{folder} holds no shards. Check the path; it is relative to {Path.cwd()}.")
        count = int(min(lists).stem.rpartition("-")[2])
        self.shards = [_shard(folder, number, count) for number in range(count)]
        missing = [shard.name for shard in self.shards if not shard.is_file() or _list_of(shard) not in lists]
        if missing:
            raise DataError(
                f"{folder}: {len(missing)} of {count} shards are missing: {first_names(missing)}. "
                f"Run the command again that packed them: it goes on."
            )
        rows = [[*row, shard] for shard, path in enumerate(self.shards) for row in _read_list(path)["pairs"]]
        self._shard_of = np.array([row[-1] for row in rows], np.int32)
        self._names, self._order = {}, {}
        for place, kind in enumerate(KINDS):
            names = np.array([row[place].encode() for row in rows])
            self._order[kind] = np.argsort(names)
            self._names[kind] = names[self._order[kind]]
        self._records = ArrayRecordDataSource([str(shard) for shard in self.shards])

    def names(self, kind: str) -> list[str]:
        """The names of all images, or of all masks."""
        if kind not in KINDS:
            raise FileNotFoundError(errno.ENOENT, f"shards hold {' and '.join(KINDS)}")
        return [name.decode() for name in self._names[kind].tolist()]

    def shard(self, kind: str, name: str) -> Path:
        """The file on the disk in which one of them lies; FileNotFoundError if there is none."""
        return self.shards[self._shard_of[self._pair(kind, name)]]

    def read(self, kind: str, name: str) -> bytes:
        """The bytes of one of them; OSError if there is none, or if its shard is damaged."""
        number = self._pair(kind, name)
        try:
            return self._records[2 * number + KINDS.index(kind)]
        except RuntimeError as error:
            shard = self.shards[self._shard_of[number]]
            raise OSError(errno.EIO, f"{shard.name} is damaged: {error}; delete it and pack again") from None

    def _pair(self, kind: str, name: str) -> int:
        if kind in KINDS:
            place = np.searchsorted(self._names[kind], name.encode())
            if place < len(self._shard_of) and self._names[kind][place] == name.encode():
                return int(self._order[kind][place])
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _shard(folder: Path, number: int, count: int) -> Path:
    return folder / f"pairs-{number:05d}-of-{count:05d}.array_record"


def _list_of(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _read_list(shard: Path) -> dict[str, Any]:
    """`pairs`: for each pair the names of image and mask and their bytes; `sha256` of all contents in this order."""
    return json.loads(_list_of(shard).read_text(encoding="utf-8"))


def verify(folder: Path, progress: bool = False) -> list[str]:
    """What is wrong with shards, in words: each is read whole, and its SHA-256 compared with that of the files."""
    shards = Pack(folder).shards
    problems = ((shard, _problem(shard, _read_list(shard)["sha256"])) for shard in shards)
    return [
        f"{shard}: {problem}. Delete it and run the command again that packed it: it makes this one again."
        for shard, problem in (counted(problems, len(shards), "verify", "shards") if progress else problems)
        if problem
    ]


def _problem(shard: Path, sha256: str) -> str:
    whole = hashlib.sha256()
    try:
        for content in ArrayRecordDataSource(str(shard)):
            whole.update(content)
    except RuntimeError as error:
        return f"damaged ({error})"
    found = whole.hexdigest()
    return "" if found == sha256 else f"its contents have the SHA-256 {found[:12]}…, the files had {sha256[:12]}…"


# --- Write -----------------------------------------------------------------------------------


def pack_pairs(
    imgs_dir: Path, masks_dir: Path, folder: Path, shard_mb: float = SHARD_MB, progress: bool = False
) -> None:
    """Copy all pairs of two folders into shards of about `shard_mb` million bytes; those that are whole stay.

    A shard gets its name when all of it has been read back and compared. What is wrong with a file stays wrong
    in a shard, and the audit finds it in either. Raises DataError for files that do not pair, and for a folder
    that holds shards of other files (told by names, sizes and `shard_mb`); OSError when the disk is full.
    """
    pairs = find_pairs(imgs_dir, masks_dir)
    rows = [_row(*pairs.files(number)) for number in range(len(pairs))]
    fills = np.cumsum([row[2] + row[3] for row in rows]) // (shard_mb * 10**6)
    parts = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(fills)) + 1)
    shards = [_shard(folder, number, len(parts)) for number in range(len(parts))]
    folder.mkdir(parents=True, exist_ok=True)
    others = sorted(path.name for path in folder.glob("pairs-*.array_record") if path not in shards)
    others += [
        shard.name
        for shard, part in zip(shards, parts, strict=True)
        if _list_of(shard).is_file() and _read_list(shard)["pairs"] != [rows[number] for number in part]
    ]
    if others:
        raise DataError(f"{folder} holds shards of other files: {first_names(others)}. Give another folder.")

    def make() -> Iterator[None]:
        for shard, part in zip(shards, parts, strict=True):
            if not (shard.is_file() and _list_of(shard).is_file()):
                _make(shard, pairs, part, [rows[number] for number in part])
            yield

    for _ in counted(make(), len(shards), "pack", "shards") if progress else make():
        pass


def _row(*files: str) -> list[Any]:
    return [*map(os.path.basename, files), *map(os.path.getsize, files)]


def _make(shard: Path, pairs: Pairs, part: np.ndarray, rows: list[list[Any]]) -> None:
    whole = hashlib.sha256()

    def write(path: Path) -> None:
        try:
            writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")  # pictures are compressed already
            for number in part.tolist():
                for file in pairs.files(number):
                    content = raw_bytes(file)
                    whole.update(content)
                    writer.write(content)
            writer.close()
        except RuntimeError as error:
            raise OSError(f"{shard} cannot be written: {error}") from None
        if problem := _problem(path, whole.hexdigest()):
            raise OSError(f"{shard}, read back: {problem}. Look after this disk.")

    replace(shard, write)
    write_json(_list_of(shard), {"sha256": whole.hexdigest(), "pairs": rows})


def main() -> int:
    """0 when all is packed or right, 1 when not."""
    parser = argparse.ArgumentParser(description="Pack pairs of images and masks into a few large files.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="IMAGES MASKS PACKED", help="or --verify PACKED")
    parser.add_argument("--verify", action="store_true", help="read a packed folder and compare its checksums")
    parser.add_argument("--shard-mb", type=float, default=SHARD_MB, help="millions of bytes a shard (default: 256)")
    arguments = parser.parse_args()
    if len(arguments.folders) != (1 if arguments.verify else 3) or arguments.shard_mb <= 0:
        parser.error("give three folders, IMAGES MASKS PACKED, or --verify PACKED; and shards of more than 0 MB")
    *sources, folder = arguments.folders
    try:
        if not arguments.verify:
            pack_pairs(sources[0], sources[1], folder, arguments.shard_mb, progress=True)
            print(f"{folder} is whole: use {folder / 'images'} and {folder / 'masks'} as the folders.")
            return 0
        problems = verify(folder, progress=True)
    except (DataError, OSError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    print(*problems or [f"{folder}: all contents are those of the files."], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
