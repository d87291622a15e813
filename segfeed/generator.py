"""The data generator of segfeed: a Keras Sequence over the image and mask files of two folders."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from segfeed.buffers import Buffers
from segfeed.cache import PixelCache
from segfeed.errors import DataError
from segfeed.masks import Colours, check_mask
from segfeed.pairing import Pairs, as_list, find_pairs, read_pair
from segfeed.threads import CORES, make_threads
from segfeed.transforms import resize_image, resize_mask

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
Batch = tuple[list[np.ndarray], list[Future]]

PREFETCH = 2  # batches that are read while one is used
VOID = 255  # in class indices: a pixel of which nobody knows the class
CHECKED_AT_ONCE = 100_000  # of more ids the names are checked while the program goes on


_threads = functools.cache(lambda process: make_threads("DataGenerator"))  # the same for all generators of a process


class DataGenerator(keras.utils.Sequence):
    """Batches of images and masks for `fit`, `evaluate` and `predict`.

    Batch `i` is `(images, masks)`, or `(images, masks, sample_weights)` with `ignore` or
    `class_weights`: new arrays at every call, images and masks of `dtype`:
    images (B, H, W, n_channels), RGB (or grey) in [0, 1], or in 0–255 as uint8; masks (B, H, W, 1) of
    0 and 1, or one-hot (B, H, W, n_classes); sample weights float32 (B, H, W).
    B is `batch_size`, and smaller in the last batch unless `drop_last`. Each batch is read by all
    cores at once while the one before it is used.

    Args:
        ids: stems or file names; `imgs_dir` and `masks_dir` are searched for both by stem.
        img_size: side of the square, or (height, width), in pixels. U-Nets want multiples of 32.
        n_classes: 1 for masks of 0/255 or 0/1; more for masks that hold class indices.
        n_channels: 3 for RGB, 1 for grey.
        shuffle: a new order each epoch, drawn from (seed, epoch) alone; False for validation.
        seed: with the epoch and the sample's number it fixes everything random here.
        drop_last: leave out a last batch that is not full.
        shard: (rank, world), the part of one of `world` workers that train together: of each batch it
            gets every `world`-th sample, from number `rank` on. `batch_size` is that of all together,
            and so is the number of batches; all parts of a batch are the batch, and a last batch of
            fewer samples than workers leaves some of them empty arrays.
        augment: called as `augment(image, mask, rng)` on the resized uint8 pair of a sample, the mask
            in class indices (0 and 1 for one class), with an `rng` keyed on (seed, epoch, sample),
            from several threads; returns a pair of the same shapes and dtypes.
        preprocess: called on float32 images in 0–255, (B, H, W, C), in place of dividing by 255:
            what `segmentation_models.get_preprocessing` returns for ImageNet weights.
        dtype: "float32", or "uint8" for a quarter of the bytes: begin the model with
            `keras.layers.Rescaling(1 / 255)` then.
        colours: a table of RGB colour, (red, green, blue) of 0–255, to class index (or to `ignore`),
            for masks whose classes are colours.
        ignore: the value of void pixels in the masks: they have the weight 0, are 0 in every class,
            and reach `augment` as 255.
        class_weights: a weight for each class index (ground and object, for one class), which every
            pixel of that class gets: see `balanced_weights`. Losses that count pixel by pixel
            heed weights, such as the cross-entropies of Keras.
        cache_memory: bytes of memory for decoded pairs, so that later epochs decode nothing; 0 for none.
        cache_dir: a folder for a file that keeps all pairs, and keeps them between runs, when the
            memory does not suffice.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `keras.utils.Sequence`;
            this class needs none of them to use every core.

    Raises:
        DataError: a file that is missing, doubled or unusable, by name: what names show at once (of more
            than 100,000 ids with the first batch), what pixels show when the sample is read.
        ValueError: an argument outside its range.
        OSError: no room in `cache_dir`.
    """

    def __init__(
        self,
        ids: Iterable[str | os.PathLike],
        imgs_dir: str | Path,
        masks_dir: str | Path,
        batch_size: int = 10,
        img_size: int | tuple[int, int] = 128,
        n_classes: int = 1,
        n_channels: int = 3,
        shuffle: bool = True,
        *,
        seed: int = 0,
        drop_last: bool = False,
        shard: tuple[int, int] = (0, 1),
        augment: Augment | None = None,
        preprocess: Callable[[np.ndarray], np.ndarray] | None = None,
        dtype: str = "float32",
        colours: Colours | None = None,
        ignore: int | None = None,
        class_weights: Sequence[float] | None = None,
        cache_memory: int = 2**30,
        cache_dir: str | Path | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.batch_size = batch_size
        self.size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.n_classes = n_classes
        self.n_channels = n_channels
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.shard = shard
        self.augment = augment
        self.preprocess = preprocess
        self.dtype = dtype
        self.colours = colours
        self.ignore = ignore
        self.class_weights = class_weights
        ids = as_list(ids)
        self._count = len(ids)
        self._check_arguments()
        read = n_classes, ignore, colours
        self._cache = _threads(os.getpid()).submit(
            lambda: PixelCache(find_pairs(imgs_dir, masks_dir, ids), self.size, cache_memory, cache_dir, read)
        )
        if self._count <= CHECKED_AT_ONCE:
            self._cache.result()
        self._buffers = Buffers()
        self._epoch_begun = False
        self.set_epoch(0)

    def _check_arguments(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}: a batch holds at least 1 sample.")
        rank, world = self.shard
        if not 0 <= rank < world:
            raise ValueError(f"shard is {self.shard}: (rank, world), with a rank of 0 to world - 1.")
        if self.batch_size < world:
            raise ValueError(f"batch_size is {self.batch_size}: {world} workers share a batch of at least {world}.")
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"img_size is {self.size}: give one side or (height, width), in pixels, at least 1.")
        if not 1 <= self.n_classes <= 256:
            raise ValueError(f"n_classes is {self.n_classes}: 1 for object or ground, else 2 to 256 class indices.")
        if self.n_channels not in (1, 3):
            raise ValueError(f"n_channels is {self.n_channels}: 3 gives RGB, 1 gives grey.")
        if self.dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype is {self.dtype!r}: 'float32' gives images in [0, 1], 'uint8' in 0–255.")
        if self.dtype == "uint8" and self.preprocess is not None:
            raise ValueError("preprocess makes float32 of the images: use dtype='float32', or put it into the model.")
        names = max(2, self.n_classes)
        if self.ignore is not None and (not 0 <= self.ignore <= 255 or self.ignore < names - (self.n_classes == 1)):
            raise ValueError(f"ignore is {self.ignore}: a value of 0 to 255 that is no class.")
        if self.colours is not None:
            wrong = [c for c in self.colours.items() if not 0 <= c[1] < names and c[1] != self.ignore]
            if wrong or not self.colours:
                raise ValueError(f"colours gives {wrong or 'no class'}: class indices are 0 to {names - 1}, or ignore.")
        if self.class_weights is not None and (len(self.class_weights) != names or min(self.class_weights) < 0):
            raise ValueError(f"class_weights is {self.class_weights}: give each of {names} classes a number from 0 on.")
        self._weights = np.zeros(256, np.float32)
        self._weights[:names] = 1 if self.class_weights is None else self.class_weights
        if self._count and len(self) == 0:
            few = f"{self._count} samples give no batch of {self.batch_size} with drop_last=True"
            raise ValueError(f"{few}: use a smaller batch_size or drop_last=False.")

    @property
    def pairs(self) -> Pairs:
        """The files of every sample."""
        return self._cache.result().pairs

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self._count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Read batch `index` of this epoch's order; IndexError beyond the last."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} does not exist: there are {len(self)}, from 0 to {len(self) - 1}.")
        index %= len(self)
        self._cache.result()
        begun = self._begun_by(os.getpid())
        (images, *targets), parts = begun.pop(index, None) or self._start_batch(index)
        for following in range(index + 1, min(index + 1 + PREFETCH, len(self))):
            if parts and len(begun) < PREFETCH and following not in begun:
                begun[following] = self._start_batch(following)
        for part in parts:
            part.result()
        self._epoch_begun |= index == len(self) - 1
        return (images if self.preprocess is None else self.preprocess(images)), *targets

    def _start_batch(self, index: int) -> Batch:
        """Let the threads read batch `index`."""
        rank, world = self.shard
        numbers = self._order[index * self.batch_size : (index + 1) * self.batch_size][rank::world]
        images = self._buffers.empty((len(numbers), *self.size, self.n_channels), self.dtype)
        masks = self._buffers.empty((len(numbers), *self.size, self.n_classes), self.dtype)
        arrays = [images, masks]
        weighted = self.ignore is not None or self.class_weights is not None
        if weighted:
            arrays.append(self._buffers.empty(masks.shape[:3], "float32"))
        submit = _threads(os.getpid()).submit
        as_kept = (self.dtype, self.augment, self.n_channels, self.n_classes) == ("uint8", None, 3, 1)
        if as_kept and not weighted and len(numbers) and self._cache.result().has_all(numbers):
            return arrays, [submit(self._copy, numbers, images, masks, self.epoch)]
        samples = list(zip(numbers.tolist(), *arrays, strict=True))
        share = max(1, -(-len(samples) // CORES))
        parts = [samples[first : first + share] for first in range(0, len(samples), share)]
        return arrays, [submit(self._write, part, self.epoch) for part in parts]

    def _copy(self, numbers: np.ndarray, images: np.ndarray, masks: np.ndarray, epoch: int) -> None:
        """Copy samples that are in the cache into a batch."""
        if not self._cache.result().copy_batch(numbers, images, masks):
            self._write(zip(numbers.tolist(), images, masks, strict=True), epoch)

    def _write(self, samples: Iterable[tuple], epoch: int) -> None:
        """Write samples, (number, its places in the arrays of a batch)."""
        cache = self._cache.result()
        for number, image_out, mask_out, *weight_out in samples:
            image, mask = cache.get_or_read(number, self._read)
            if self.augment is not None:
                # + 1: NumPy pads a key with zeros, and [seed, epoch, 0] would draw what made the order
                rng = np.random.default_rng([self.seed, epoch, number + 1])
                image, mask = self.augment(image.copy(), mask.copy(), rng)
                self._check_augmented(number, mask)
            if self.n_channels == 1:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
            if self.dtype == "uint8" or self.preprocess is not None:
                image_out[...] = image
            else:
                np.divide(image, 255, out=image_out, dtype=np.float32)
            np.equal(mask, np.arange(self.n_classes, dtype=np.uint8) + (self.n_classes == 1), out=mask_out)
            if weight_out:
                np.take(self._weights, mask[..., 0], out=weight_out[0])

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Read pair `number` from its files and resize it; the mask in class indices, and VOID."""
        image, mask = read_pair(self.pairs[number], self.size, self.colours)
        self._check(number, mask)  # as stored: resizing could drop a wrong value
        mask = resize_mask(mask, self.size)
        classes = mask if self.n_classes > 1 else (mask > 0).view(np.uint8)
        if self.ignore is not None:
            classes = np.where(mask == self.ignore, np.uint8(VOID), classes)
        return resize_image(image, self.size), classes

    def _check(self, number: int, mask: np.ndarray) -> None:
        try:
            check_mask(mask, self.n_classes, self.ignore)
        except DataError as error:
            raise DataError(f"{self.pairs[number].mask}: {error}") from None

    def _check_augmented(self, number: int, mask: np.ndarray) -> None:
        last = max(1, self.n_classes - 1)
        if mask.max() > last:
            wrong = mask[(mask > last) & (mask != VOID if self.ignore is not None else True)]
            if wrong.size:
                void = "" if self.ignore is None else f", and {VOID} for void"
                raise DataError(
                    f"{self.pairs[number].mask}: augment made {wrong[0]} of a class index; expected 0 to {last}{void}. "
                    f"Move the pixels of a mask, never blend them, and leave their values alone."
                )

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`, from 0: call it to go on with a run that was interrupted."""
        order = np.arange(self._count, dtype=np.int32)
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        self.epoch, self._order = epoch, order
        self._begun: tuple[int, dict[int, Batch]] = (0, {})

    def _begun_by(self, process: int) -> dict[int, Batch]:
        """The batches of this epoch that threads of this process read ahead; a forked one begins with none."""
        if self._begun[0] != process:
            self._begun = process, {}
        return self._begun[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": self._cache.result(), "_begun": (0, {})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = Future()
        self._cache.set_result(state["_cache"])

    def on_epoch_begin(self) -> None:
        self._epoch_begun = True

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order, if an epoch has begun.

        Keras also calls this before the first epoch, after a look at the shapes of batches 0 and 1;
        no epoch ends there. One has begun when Keras says so or the last batch was handed out.
        With one or two batches, that look reads the last batch, so `fit` starts at epoch 1.
        """
        if self._epoch_begun:
            self.set_epoch(self.epoch + 1)
        self._epoch_begun = False
