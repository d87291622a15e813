"""A cache of decoded pairs, in memory or in a file that the operating system maps into memory."""

from __future__ import annotations

import hashlib
import inspect
import marshal
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import PIL
import simplejpeg

from segfeed.files import status_of

if TYPE_CHECKING:
    from segfeed.crops import Samples

DECODERS = cv2, simplejpeg, PIL
Pixels = tuple[np.ndarray, np.ndarray]


class PixelCache:
    """The resized uint8 pairs of a list: images (H, W, 3) and masks (H, W, 1), one slot each.

    Each slot has a mark, made from the sizes and times of change of its two files, and, on disk, also from the
    CRC of its pixels. A slot is used only if its mark matches the files' current metadata (and its pixels). So a
    picture that changed is read again. So is a slot that was written in part, by a program that was killed or by
    two programs at the same time.

    Args:
        pairs: what is cached; the slot's number is the place in this list.
        size: (height, width) of the pixels.
        memory: bytes the cache may take. When not all pairs fit, the first ones are kept; or all of
            them, with `folder`, in a file there.
        settings: what the pixels were read by and the masks checked for; a file serves no other.
        folder: made if need be. The file is named after the list and the settings and may be deleted
            whenever no program uses it.

    Raises OSError if the folder has no room for the file.
    """

    def __init__(
        self,
        pairs: Samples,
        size: tuple[int, int],
        memory: int,
        folder: str | Path | None = None,
        settings: Any = None,
    ):
        self._arguments = pairs, size, memory, folder, settings
        self.pairs, self.size = pairs, size
        shapes = (*size, 3), (*size, 1)
        fits = min(len(pairs), memory // slot_bytes(size))
        self.path = (
            None if folder is None or fits == len(pairs) else Path(folder, f"{_key(pairs, size, settings)}.pixels")
        )
        if self.path is None:
            self._marks = np.zeros(fits, np.int64)
            self._images, self._masks = (np.empty((fits, *shape), np.uint8) for shape in shapes)
        else:
            ends = np.cumsum([len(pairs) * 8, *(len(pairs) * math.prod(shape) for shape in shapes)])
            marks, images, masks, _ = np.split(_map(self.path, int(ends[-1])), ends)
            self._marks = marks.view(np.int64)
            self._images, self._masks = images.reshape(-1, *shapes[0]), masks.reshape(-1, *shapes[1])
        self._trusted = np.zeros(len(self._marks), np.int64)

    def __reduce__(self) -> tuple:
        return PixelCache, self._arguments  # another process begins with an empty memory, or with the same file

    def has_all(self, numbers: np.ndarray) -> bool:
        """Whether all these pairs were in their slots when they were last read."""
        return bool(numbers.max() < len(self._trusted) and self._trusted[numbers].all())

    def copy_batch(self, numbers: np.ndarray, images: np.ndarray, masks: np.ndarray) -> bool:
        """Copy these pairs into a batch, in two calls; False, and nothing is copied, if one must be read again."""
        metadata = [status_of(*self.pairs.files(number)) for number in numbers.tolist()]
        if (self._trusted[numbers] != self._marks[numbers] ^ metadata).any():
            return False
        for kept, batch in ((self._images, images), (self._masks, masks)):
            np.take(kept, numbers, axis=0, out=batch, mode="clip")  # with "raise" NumPy copies twice
        return True

    def get_or_read(self, number: int, read: Callable[..., None], place: Pixels | None = None) -> Pixels:
        """Pair `number`, not to be written to: from its slot if the mark matches, else by `read(number, image, mask)`.

        `read` writes into the slot; of a pair without a slot into the arrays `place`, or into new ones.
        """
        if number >= len(self._marks):
            image, mask = place or (np.empty((*self.size, channels), np.uint8) for channels in (3, 1))
            read(number, image, mask)
            return image, mask
        metadata = status_of(*self.pairs.files(number))  # taken first: a change while reading shows the next time
        image, mask = self._images[number], self._masks[number]
        if self._trusted[number] != self._marks[number] ^ metadata:  # else this process knows mark and metadata
            if self._marks[number] != self._mark(metadata, image, mask):
                read(number, image, mask)
                self._marks[number] = self._mark(metadata, image, mask)
            self._trusted[number] = self._marks[number] ^ metadata
        return image, mask

    def _mark(self, metadata: int, image: np.ndarray, mask: np.ndarray) -> int:
        return hash((metadata, 0 if self.path is None else zlib.crc32(mask.data, zlib.crc32(image.data))))


def slot_bytes(size: tuple[int, int]) -> int:
    """Bytes of memory for a pair of this (height, width): three channels, the mask, and two marks."""
    return 4 * math.prod(size) + 16


def _key(pairs: Samples, *settings: Any) -> str:
    digest = hashlib.sha256(repr((settings, *(package.__version__ for package in DECODERS))).encode())
    for number in range(len(pairs)):
        digest.update("\0".join(map(os.path.abspath, pairs.files(number))).encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def source_digest(*functions: Callable) -> str:
    """A digest of the source of segfeed, and of these functions: what it reads may change when it changes."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    for function in functions:
        try:
            digest.update(inspect.getsource(function).encode())
        except OSError:  # it was typed, and stands in no file
            digest.update(marshal.dumps(function.__code__, 2))  # a later format of marshal differs from run to run
    return digest.hexdigest()


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
