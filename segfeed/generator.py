"""The data generator of segfeed: a Keras Sequence over the image and mask files of two folders."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from segfeed.arguments import (
    VOID,
    check_arguments,
    check_augmented,
    check_count,
    check_picklable,
    check_preprocessed,
    check_undivided,
    rank_and_world,
    sides_of_samples,
    whole_number,
)
from segfeed.buffers import Buffers
from segfeed.cache import PixelCache, source_digest
from segfeed.crops import Crops, Samples, Tiles
from segfeed.masks import Colours
from segfeed.order import Order
from segfeed.pairing import Pairs, as_list, find_pairs, read_checked
from segfeed.threads import CORES, Threads
from segfeed.transforms import resize_image, resize_mask

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
Batch = tuple[list[np.ndarray], list[Future]]
PREFETCH = 2  # batches that are read while one is used
CHECKED_AT_ONCE = 100_000  # of more ids the names are checked while the program goes on
_threads = functools.cache(lambda process: Threads("DataGenerator"))  # the same for all generators of a process


class DataGenerator(keras.utils.Sequence):
    """Batches of images and masks for `fit`, `evaluate` and `predict`.

    Batch `i` is `(images, masks)`, or `(images, masks, sample_weights)` with `ignore` or
    `class_weights`, and for tiles: new arrays at every call, images and masks of `dtype`:
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
            from several threads; returns a pair of the same shapes and dtypes. It may read another generator.
        crop: side, or (height, width), of parts of the pictures in their own pixels, in place of whole pictures that
            are resized; leave `img_size` out. With `shuffle` each sample is a random crop of its pair
            (`segfeed.crops.Crops`), and the cache is not used. Without, the samples are tiles that hold each pixel
            once (`segfeed.crops.Tiles`), for validation; what a tile shows besides has the weight 0. A smaller
            picture is continued by its mirror image: void in tiles and with `ignore`, else its mask is mirrored too.
        preprocess: called on float32 images in 0–255, (B, H, W, C), in place of dividing by 255: what
            `segmentation_models.get_preprocessing` returns for ImageNet weights. Returns float32 of that shape.
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
        **kwargs: `workers` and `max_queue_size` of `keras.utils.Sequence` change nothing: this class reads ahead
            with every core, and with workers Keras would not keep the order. `use_multiprocessing` is refused.

    Raises:
        DataError: a file that is missing, doubled or unusable, by name: what names show at once (of more
            than 100,000 ids with the first batch), what pixels show when the sample is read. Also for
            what `augment` returns in another shape, dtype or class.
        ValueError: an argument outside its range, what `preprocess` returns in another form or not finite, and
            in `fit` a `shard` where keras.distribution divides too.
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
        crop: int | tuple[int, int] | None = None,
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
        self.batch_size = whole_number("batch_size", batch_size)
        self.size = sides_of_samples(img_size, crop)
        self.n_classes = whole_number("n_classes", n_classes)
        self.n_channels = whole_number("n_channels", n_channels)
        self.shuffle = shuffle
        self.seed = whole_number("seed", seed)
        self.drop_last = drop_last
        self.shard = rank_and_world(shard)
        self.augment = augment
        self.crop = None if crop is None else self.size
        self.preprocess = preprocess
        self.dtype = dtype
        self.colours = colours
        self.ignore = None if ignore is None else whole_number("ignore", ignore)
        self.class_weights = class_weights
        check_arguments(self)
        self.workers = 1
        self._weights = np.zeros(256, np.float32)
        self._weights[: max(2, self.n_classes)] = 1 if class_weights is None else class_weights
        memory = whole_number("cache_memory", cache_memory)
        kind = Samples if crop is None else Crops if shuffle else Tiles
        self._void = kind.void_value(self.n_classes, self.ignore)  # in a mask as stored
        about = self.size, self.seed, self._void
        if kind is Crops:
            memory, cache_dir = 0, None  # each epoch has other pixels
        source = None if cache_dir is None else source_digest(resize_image, resize_mask, type(self)._read)
        read = self.n_classes, self.ignore, colours, source, self.crop
        ids = as_list(ids)
        self._cache = ThreadPoolExecutor(1).submit(
            lambda: PixelCache(kind(find_pairs(imgs_dir, masks_dir, ids), *about), self.size, memory, cache_dir, read)
        )
        if len(ids) <= CHECKED_AT_ONCE:
            self._cache.result()
        self._count = len(self.samples) if kind is Tiles else len(ids)
        check_count(self._count, self)
        self._buffers = Buffers()
        self.set_epoch(0)

    @property
    def samples(self) -> Samples:
        """The files of every sample."""
        return self._cache.result().pairs

    @property
    def pairs(self) -> Pairs:
        """The files of every picture."""
        return self.samples.pairs

    def __len__(self) -> int:
        """Batches in an epoch."""
        return (self._count + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        """Read batch `index` of this epoch's order; IndexError beyond the last."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} does not exist: there are {len(self)}, from 0 to {len(self) - 1}.")
        index %= len(self)
        self._cache.result()
        inside = _threads(os.getpid()).inside  # the `augment` of another generator asks
        begun = {} if inside else self._begun_by(os.getpid())
        (images, *targets), parts = begun.pop(index, None) or self._start_batch(index)
        for following in range(index + 1, min(index + 1 + PREFETCH, len(self))):
            if parts and not inside and len(begun) < PREFETCH and following not in begun:
                begun[following] = self._start_batch(following)
        for part in parts:
            part.result()
        if self.preprocess is not None and len(images):
            images = check_preprocessed(self.preprocess(images), images.shape)
        self._order.note(index, len(self))
        return images, *targets

    def _start_batch(self, index: int) -> Batch:
        """Let the threads read batch `index`."""
        rank, world = self.shard
        numbers = self._order.numbers[index * self.batch_size : (index + 1) * self.batch_size][rank::world]
        images = self._buffers.empty((len(numbers), *self.size, self.n_channels), self.dtype)
        masks = self._buffers.empty((len(numbers), *self.size, self.n_classes), self.dtype)
        arrays = [images, masks]
        if self._void is not None or self.class_weights is not None:
            arrays.append(self._buffers.empty(masks.shape[:3], "float32"))
        submit = _threads(os.getpid()).submit
        if self._as_kept and len(numbers) and self._cache.result().has_all(numbers):
            return arrays, [submit(self._copy, numbers, images, masks, self.epoch)]
        samples = list(zip(numbers.tolist(), *arrays, strict=True))
        share = max(1, -(-len(samples) // CORES))
        parts = [samples[first : first + share] for first in range(0, len(samples), share)]
        return arrays, [submit(self._write, part, self.epoch) for part in parts]

    @property
    def _as_kept(self) -> bool:
        """Whether a batch holds the pixels as the cache does."""
        plain = (self.dtype, self.n_channels, self.n_classes) == ("uint8", 3, 1)
        return plain and self.augment is None and self._void is None and self.class_weights is None

    def _copy(self, numbers: np.ndarray, images: np.ndarray, masks: np.ndarray, epoch: int) -> None:
        """Copy samples that are in the cache into a batch."""
        if not self._cache.result().copy_batch(numbers, images, masks):
            self._write(zip(numbers.tolist(), images, masks, strict=True), epoch)

    def _write(self, samples: Iterable[tuple], epoch: int) -> None:
        """Write samples, (number, its places in the arrays of a batch)."""
        cache, as_kept = self._cache.result(), self._as_kept
        for number, image_out, mask_out, *weight_out in samples:
            read = functools.partial(self._read, epoch=epoch) if self.crop else self._read
            image, mask = cache.get_or_read(number, read, (image_out, mask_out) if as_kept else None)
            if image is image_out:
                continue
            if self.augment is not None:
                # + 1: NumPy pads a key with zeros, and [seed, epoch, 0] would draw what made the order
                rng = np.random.default_rng([self.seed, epoch, number + 1])
                pair, files = self.augment(image.copy(), mask.copy(), rng), self.samples.files(number)
                image, mask = check_augmented(pair, (image, mask), self.n_classes, self._void, files)
            if self.n_channels == 1:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
            if self.dtype == "uint8" or self.preprocess is not None:
                image_out[...] = image
            else:
                np.divide(image, 255, out=image_out, dtype=np.float32)
            np.equal(mask, np.arange(self.n_classes, dtype=np.uint8) + (self.n_classes == 1), out=mask_out)
            if weight_out:
                np.take(self._weights, mask[..., 0], out=weight_out[0])

    def _read(self, number: int, image_out: np.ndarray, mask_out: np.ndarray, epoch: int = 0) -> None:
        """Read sample `number` from its files, resized or cropped; the mask in class indices, and VOID."""
        image, mask = self.samples.read(number, self._whole, epoch)
        resize_image(image, self.size, image_out)  # a crop has this size
        mask = resize_mask(mask, self.size)
        np.copyto(mask_out, mask if self.n_classes > 1 else mask > 0)
        if self._void is not None:
            mask_out[mask == self._void] = VOID

    def _whole(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask as stored, checked before anything is made smaller: a wrong value could go."""
        size = None if self.crop else self.size
        return read_checked(self.samples.files(number), size, self.colours, self.n_classes, self.ignore)

    def pixels(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask of sample `number` as `augment` gets them, not to be written to; of crops those of epoch 0."""
        return self._cache.result().get_or_read(number, self._read)

    # --- The epoch ---------------------------------------------------------------------------

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`, from 0: call it to go on with a run that was interrupted."""
        self.epoch = whole_number("epoch", epoch)
        self._order = Order(self._count, [self.seed, self.epoch] if self.shuffle else None)
        self._begun: tuple[int, dict[int, Batch]] = (0, {})

    def on_epoch_begin(self) -> None:
        check_undivided(self.shard)
        self._order.begin()

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order, if this one has come to its end, as `Order.end` says."""
        if self._order.end(len(self)):
            self.set_epoch(self.epoch + 1)

    # --- Other processes ---------------------------------------------------------------------

    def _begun_by(self, process: int) -> dict[int, Batch]:
        """The batches of this epoch that threads of this process read ahead; a forked one begins with none."""
        if self._begun[0] != process:
            self._begun = process, {}
        return self._begun[1]

    def __getstate__(self) -> dict[str, Any]:
        check_picklable(augment=self.augment, preprocess=self.preprocess)
        order = copy.deepcopy(self._order)  # a copy counts its epochs for itself
        return {**self.__dict__, "_cache": self._cache.result(), "_begun": (0, {}), "_order": order}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = Future()
        self._cache.set_result(state["_cache"])
