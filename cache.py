"""Decoded pairs, kept between epochs: in memory, or in a file that the operating system maps into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from pairs import Pairs

Pixels = tuple[np.ndarray, np.ndarray]


class PixelCache:
    """The resized uint8 pairs of a list: images (H, W, 3) and masks (H, W, 1), one slot each.

    A slot has a mark, made from the identity of its two files (sizes, times of change) and, in a file,
    from its pixels. It counts only if both still fit: a picture that changed on disk is read again, and
    so is a slot that was written by halves, in a program that was killed or by two at the same time.

    Args:
        pairs: what is cached; the slot's number is the place in this list.
        size: (height, width) of the pixels.
        n_classes: what the masks were checked for when they were read; a file serves no other.
        memory: bytes the cache may take. When not all pairs fit, the first ones are kept; or all of
            them, with `folder`, in a file there.
        folder: made if need be. The file is named after the list and the settings and may be deleted
            whenever no program uses it.

    Raises OSError if the folder has no room for the file.
    """

    def __init__(
        self, pairs: Pairs, size: tuple[int, int], n_classes: int, memory: int, folder: str | Path | None = None
    ):
        self._arguments = pairs, size, n_classes, memory, folder
        self.pairs, self.size = pairs, size
        area = size[0] * size[1]
        self._image, slot = area * 3, -(-area * 4 // 8) * 8
        fits = min(len(pairs), memory // (slot + 16))
        self.path = (
            None if folder is None or fits == len(pairs) else Path(folder, f"{_key(pairs, size, n_classes)}.pixels")
        )
        if self.path is None:
            self._slots, self._marks = np.empty((fits, slot), np.uint8), np.zeros(fits, np.int64)
        else:
            content = _map(self.path, len(pairs) * (slot + 8))
            self._marks = content[: len(pairs) * 8].view(np.int64)
            self._slots = content[len(pairs) * 8 :].reshape(len(pairs), slot)
        self._trusted = np.zeros(len(self._marks), np.int64)

    def __reduce__(self) -> tuple:
        return PixelCache, self._arguments  # another process begins with an empty memory, or with the same file

    def holds(self, numbers: np.ndarray) -> bool:
        """Whether all these pairs were in their slots when last looked for."""
        return bool(numbers.max() < len(self._trusted) and self._trusted[numbers].all())

    def get(self, number: int, read: Callable[[int], Pixels]) -> Pixels:
        """Pair `number`, not to be written to; where its slot does not count, `read(number)`, which is kept."""
        if number >= len(self._marks):
            return read(number)
        identity = _identity(*self.pairs.files(number))  # taken first: a change while reading shows the next time
        slot = self._slots[number]
        image, mask = slot[: self._image].reshape(*self.size, 3), slot[self._image :][: self._image // 3]
        mask = mask.reshape(*self.size, 1)
        if self._trusted[number] != self._marks[number] ^ identity:  # else this process knows mark and identity
            if self._marks[number] != self._mark(identity, slot):
                image[...], mask[...] = read(number)
                self._marks[number] = self._mark(identity, slot)
            self._trusted[number] = self._marks[number] ^ identity
        return image, mask

    def _mark(self, identity: int, slot: np.ndarray) -> int:
        return hash((identity, 0 if self.path is None else int(slot.view(np.uint64).sum())))


def _identity(*files: str) -> int:
    found = map(os.stat, files)
    return hash(tuple((file.st_size, file.st_mtime_ns, file.st_ctime_ns) for file in found))


def _key(pairs: Pairs, *settings: Any) -> str:
    digest = hashlib.sha256(repr((settings, cv2.__version__, simplejpeg.__version__)).encode())
    for number in range(len(pairs)):
        digest.update("\0".join(map(os.path.abspath, pairs.files(number))).encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def _map(path: Path, size: int) -> np.ndarray:
    """Map a file of `size` bytes; a new one is all zeros, and its room on the disk is taken at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size) if hasattr(os, "posix_fallocate") else file.truncate(size)
        except OSError as error:
            raise OSError(
                error.errno,
                f"no room for a cache of {size / 1e9:.1f} GB ({error.strerror}). "
                f"Free some, choose another cache_dir, or leave it out",
                str(path),
            ) from error
    return np.memmap(path, np.uint8, "r+", shape=(size,))
