"""What a sample is: a whole pair, or a part of a large one, a random crop to train on or a tile to judge by."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segfeed.decode import read_bytes
from segfeed.errors import DataError
from segfeed.files import status_of
from segfeed.headers import read_header, upright_size
from segfeed.threads import map_in_order

if TYPE_CHECKING:
    from segfeed.pairing import Pair, Pairs

# so many crops show an object for certain, as in nnU-Net (Isensee et al., 2021, doi 10.1038/s41592-020-01008-z)
OBJECT_SHARE = 1 / 3
Pixels = tuple[np.ndarray, np.ndarray]
Read = Callable[[int], Pixels]  # of the picture of a sample


class Samples(Sequence):
    """The samples of an epoch: the pairs themselves, or, in subclasses, parts of them.

    Args:
        pairs: the files.
        size: (height, width) of a sample.
        seed: with the epoch and the sample's number it fixes what is left to chance.
        void: the value of void pixels in the masks as stored; None if there is none.
    """

    def __init__(self, pairs: Pairs, size: tuple[int, int], seed: int, void: int | None):
        self.pairs, self.size, self.seed, self.void = pairs, size, seed, void

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: Any) -> Any:
        return self.pairs[number]

    def picture_of(self, number: int) -> int:
        """The place in `pairs` of the picture that a sample is, or is a part of."""
        return number

    def files(self, number: int) -> tuple[str, str]:
        """The paths of image and mask."""
        return self.pairs.files(self.picture_of(number))

    @staticmethod
    def void_value(n_classes: int, ignore: int | None) -> int | None:
        """The value for void pixels of masks of so many classes; `ignore` is the user's."""
        return ignore

    def read(self, number: int, read: Read, epoch: int) -> Pixels:
        """Image and mask of a sample as stored; `read(number)` gives those of its whole picture."""
        return read(number)


class Crops(Samples):
    """One crop of each pair in an epoch, drawn from (seed, epoch, number of the sample) alone.

    Two thirds of the crops lie anywhere, each place with the same probability. A third holds a pixel of an object:
    one of the values of the mask besides 0 and void is drawn, then one of its pixels, then a place that holds it. So
    a rare class is drawn as often as a frequent one. Where the mask has no object, this third lies anywhere too.
    A picture that is smaller than a crop is continued as in `cut`.
    """

    def read(self, number: int, read: Read, epoch: int) -> Pixels:
        image, mask = read(number)
        rng = np.random.default_rng([self.seed, epoch, number + 1, 1])  # not what `augment` draws
        room = [max(0, whole - part) for whole, part in zip(mask.shape[:2], self.size, strict=True)]
        pixel = _object_pixel(mask, rng, self.void) if rng.random() < OBJECT_SHARE else None
        least, most = [0, 0], room
        if pixel is not None:
            least = [max(0, at - part + 1) for at, part in zip(pixel, self.size, strict=True)]
            most = [min(at, end) for at, end in zip(pixel, room, strict=True)]
        top, left = rng.integers(least, most, endpoint=True).tolist()
        return cut(image, mask, top, left, self.size, self.void)


def _object_pixel(mask: np.ndarray, rng: np.random.Generator, void: int | None) -> tuple[int, int] | None:
    """Row and column of a pixel of an object; None if the mask holds none."""
    present = np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256]))
    objects = [value for value in present.tolist() if value not in (0, void)]
    if not objects:
        return None
    wanted = mask[..., 0] == rng.choice(objects)
    in_row = np.count_nonzero(wanted, axis=1)
    row = int(rng.choice(len(in_row), p=in_row / in_row.sum()))
    return row, int(rng.choice(np.flatnonzero(wanted[row])))


def cut(
    image: np.ndarray, mask: np.ndarray, top: int, left: int, size: tuple[int, int], void: int | None = None
) -> Pixels:
    """The part of image and mask of `size` (height, width) whose first pixel is (top, left).

    Below and to the right of a smaller picture the image is continued by its mirror image, and the mask by the value
    `void`. With `void=None` the mask is mirrored like the image.
    """
    image, mask = (pixels[top : top + size[0], left : left + size[1]] for pixels in (image, mask))
    return continued(image, size), continued(mask, size, void)


def continued(pixels: np.ndarray, size: tuple[int, int], value: int | None = None) -> np.ndarray:
    """`pixels`, (H, W, C), made as large as `size` below and to the right: by `value`, else by their mirror image."""
    below, right = (max(0, side - have) for side, have in zip(size, pixels.shape[:2], strict=True))
    if not (below or right):
        return pixels
    how = (cv2.BORDER_REFLECT_101,) if value is None else (cv2.BORDER_CONSTANT, None, value)
    return cv2.copyMakeBorder(pixels, 0, below, 0, right, *how).reshape(*size, -1)


class Tiles(Samples):
    """The tiles of all pairs, in the order of the pairs and along the rows; together they hold each pixel once.

    The last tile of a row or a column ends where the picture ends, so that it shows no more mirror image than it must.
    What it has in common with the tile before it is void in its mask. A picture that is smaller than a tile is
    continued as in `cut`. `sides`, (height, width) of each picture, int (n, 2), are read from the files if not given.
    """

    def __init__(
        self, pairs: Pairs, size: tuple[int, int], seed: int, void: int | None, sides: np.ndarray | None = None
    ):
        super().__init__(pairs, size, seed, void)
        self._sides = picture_sides(pairs) if sides is None else sides
        self._grids = -(-self._sides // size)  # rows and columns of tiles
        self._ends = self._grids.prod(axis=1).cumsum()
        self._recent: dict[tuple, Future[Pixels]] = {}

    def __reduce__(self) -> tuple:  # the pictures that were read last are not sent to another process
        return Tiles, (self.pairs, self.size, self.seed, self.void, self._sides)

    @staticmethod
    def void_value(n_classes: int, ignore: int | None) -> int:
        """`ignore`, or a value that no such mask holds."""
        return ignore if ignore is not None else 254 if n_classes == 1 else 255

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: Any) -> Pair:
        """The files of a tile; its stem is that of the picture, with the row and the column of its first pixel."""
        if not 0 <= number < len(self):
            raise IndexError(f"tile {number} does not exist: there are {len(self)}, from 0.")
        picture, cell = self._find(number)
        top, left = self._place(picture, cell).tolist()
        return self.pairs[picture]._replace(stem=f"{self.pairs[picture].stem} ({top}, {left})")

    def picture_of(self, number: int) -> int:
        return int(np.searchsorted(self._ends, number, side="right"))

    def _find(self, number: int) -> tuple[int, np.ndarray]:
        """The number of the picture, and the tile's row and column in its grid."""
        picture = self.picture_of(number)
        rows, columns = self._grids[picture].tolist()
        return picture, np.array(divmod(number - int(self._ends[picture]) + rows * columns, columns))

    def _place(self, picture: int, cell: np.ndarray) -> np.ndarray:
        return np.minimum(cell * self.size, np.maximum(0, self._sides[picture] - self.size))

    def read(self, number: int, read: Read, epoch: int) -> Pixels:
        """Image and mask of a tile, the same in each epoch; `read(number)` gives those of its whole picture.

        The two pictures that were read last are kept, because their other tiles are asked for next; threads that ask
        for tiles of one picture wait for the one that reads it.
        Raises DataError for a picture whose size has changed.
        """
        picture, cell = self._find(number)
        # a file that changed is read again, and a forked process waits for no thread of its parent
        key = os.getpid(), picture, status_of(*self.files(number))
        mine: Future[Pixels] = Future()
        whole = self._recent.setdefault(key, mine)  # one step, so threads need no lock
        if whole is mine:
            try:
                mine.set_result(read(number))
            except BaseException as error:
                self._recent.pop(key, None)
                mine.set_exception(error)
            for old in [*self._recent][:-2]:
                self._recent.pop(old, None)
        image, mask = whole.result()
        if image.shape[:2] != (sides := tuple(self._sides[picture].tolist())):
            height, width = image.shape[:2]
            raise DataError(f"{self.files(number)[0]}: the picture is {height}×{width} pixels, and was "
                            f"{sides[0]}×{sides[1]} when its tiles were counted. Make the generator anew.")  # fmt: skip
        top, left = self._place(picture, cell).tolist()
        image, mask = cut(image, mask, top, left, self.size, self.void)
        above, before = cell * self.size - (top, left)  # what the tiles before this one hold
        if above or before:
            mask = mask.copy()
            mask[:above], mask[:, :before] = self.void, self.void
        return image, mask


def picture_sides(pairs: Pairs) -> np.ndarray:
    """(height, width) of each image, upright, as its file declares it, int (n, 2); DataError as in `read_header`."""
    files = [pairs.files(number)[0] for number in range(len(pairs))]
    sides = map_in_order("sides", lambda file: upright_size(read_header(file, read_bytes(file))), files)
    return np.array([*sides]).reshape(-1, 2)
