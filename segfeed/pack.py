"""Pairs in a few large files: for storage that several machines share, where millions of small files are slow.

After `segfeed pack images masks packed`, `packed/images` and `packed/masks` stand for the two folders wherever
segfeed takes folders: the batches are the same, bit for bit. The format is explained in `shards.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from segfeed.atomic import write_atomically, write_json
from segfeed.classes import find_classes_table
from segfeed.errors import DataError, first_names
from segfeed.files import raw_bytes
from segfeed.locks import lock_folder
from segfeed.pairing import Pairs, find_pairs
from segfeed.shards import ArrayRecordWriter, check_name, list_path, problem_of, read_list, shard_path

SHARD_MB = 256


def pack_pairs(
    imgs_dir: Path, masks_dir: Path, folder: Path, shard_mb: float = SHARD_MB, progress: bool = False
) -> None:
    """Copy all pairs of two folders into shards of about `shard_mb` million bytes; those that are complete stay.

    A shard gets its name when all of it has been read back and compared. What is wrong with a file stays wrong
    in a shard, and the audit finds it in either. Raises DataError for files that do not pair, and for a folder
    that holds shards of other files (told by names, sizes and `shard_mb`); OSError when the disk is full;
    CommandError when another process packs into the folder.
    """
    check_name(folder)
    pairs = find_pairs(imgs_dir, masks_dir)
    rows = [_row(*pairs.files(number)) for number in range(len(pairs))]
    fills = np.cumsum([row[2] + row[3] for row in rows]) // (shard_mb * 10**6)
    parts = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(fills)) + 1)
    shards = [shard_path(folder, number, len(parts)) for number in range(len(parts))]
    with lock_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if table := find_classes_table(masks_dir):
            write_atomically(folder / table.name, lambda part: shutil.copyfile(table, part))
        others = sorted(path.name for path in folder.glob("pairs-*.array_record") if path not in shards)
        others += [
            shard.name
            for shard, part in zip(shards, parts, strict=True)
            if list_path(shard).is_file() and read_list(shard)["pairs"] != [rows[number] for number in part]
        ]
        if others:
            raise DataError(f"{folder} holds shards of other files: {first_names(others)}. Give another folder.")
        for shard, part in tqdm(list(zip(shards, parts, strict=True)), "pack", unit="shard", disable=not progress):
            if not (shard.is_file() and list_path(shard).is_file()):
                _write_shard(shard, pairs, part, [rows[number] for number in part])


def _row(*files: str) -> list[Any]:
    return [*map(os.path.basename, files), *map(os.path.getsize, files)]


def _write_shard(shard: Path, pairs: Pairs, part: np.ndarray, rows: list[list[Any]]) -> None:
    whole = hashlib.sha256()

    def write(path: Path) -> None:
        try:
            writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")  # images are compressed already
            for number in part.tolist():
                for file in pairs.files(number):
                    content = raw_bytes(file)
                    whole.update(content)
                    writer.write(content)
            writer.close()
        except RuntimeError as error:
            raise OSError(f"{shard} cannot be written: {error}") from None
        if problem := problem_of(path, whole.hexdigest()):
            raise OSError(f"{shard}, read back: {problem}. Check this disk.")

    write_atomically(shard, write)
    write_json(list_path(shard), {"sha256": whole.hexdigest(), "pairs": rows})
