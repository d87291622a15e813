"""The data generator of the course: a Keras Sequence over the image and mask files of two folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from utils import DataError, check_mask, encode_mask, find_pairs, read_pair, resize_image, resize_mask

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


class DataGenerator(keras.utils.Sequence):
    """Batches of images and masks for `fit`, `evaluate` and `predict`.

    Batch `i` is `(images, masks)`, both float32 and new arrays at every call:
    images (B, H, W, n_channels), RGB (or grey) in [0, 1]; masks (B, H, W, 1) of 0 and 1, or one-hot
    (B, H, W, n_classes). B is `batch_size`, and smaller in the last batch unless `drop_last`.

    Args:
        ids: stems or file names; `imgs_dir` and `masks_dir` are searched for both by stem.
        img_size: side of the square, or (height, width), in pixels. U-Nets want multiples of 32.
        n_classes: 1 for masks of 0/255 or 0/1; more for masks that hold class indices.
        n_channels: 3 for RGB, 1 for grey.
        shuffle: a new order each epoch, drawn from (seed, epoch) alone; False for validation.
        seed: with the epoch and the sample's number it fixes everything random here.
        drop_last: leave out a last batch that is not full.
        augment: called as `augment(image, mask, rng)` on the resized uint8 pair of a sample, with an
            `rng` keyed on (seed, epoch, sample); returns a pair of the same shapes and dtypes.
        preprocess: called on float32 images in 0–255, (B, H, W, C), in place of dividing by 255:
            what `segmentation_models.get_preprocessing` returns for ImageNet weights.
        **kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of `keras.utils.Sequence`.

    Raises:
        DataError: a file that is missing, doubled or unusable, by name; at once for what the names
            show, when the sample is read for what its pixels show.
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        ids: Iterable[str],
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
        augment: Augment | None = None,
        preprocess: Callable[[np.ndarray], np.ndarray] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pairs = find_pairs(imgs_dir, masks_dir, ids)
        self.batch_size = batch_size
        self.size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.n_classes = n_classes
        self.n_channels = n_channels
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.augment = augment
        self.preprocess = preprocess
        self._check_arguments()
        self._epoch_begun = False
        self.set_epoch(0)

    def _check_arguments(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}: a batch holds at least 1 sample.")
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"img_size is {self.size}: give one side or (height, width), in pixels, at least 1.")
        if not 1 <= self.n_classes <= 256:
            raise ValueError(f"n_classes is {self.n_classes}: 1 for object or ground, else 2 to 256 class indices.")
        if self.n_channels not in (1, 3):
            raise ValueError(f"n_channels is {self.n_channels}: 3 gives RGB, 1 gives grey.")
        if len(self) == 0:
            raise ValueError(
                f"{len(self.pairs)} samples give no batch of {self.batch_size} with drop_last=True: "
                f"use a smaller batch_size or drop_last=False."
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.pairs), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read batch `index` of this epoch's order; IndexError beyond the last."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} does not exist: there are {len(self)}, from 0 to {len(self) - 1}.")
        index %= len(self)
        start = index * self.batch_size
        epoch, order = self.epoch, self._order
        samples = [self._sample(number, epoch) for number in order[start : start + self.batch_size]]
        images, masks = (np.stack(parts) for parts in zip(*samples, strict=True))
        images = images.astype(np.float32)
        self._epoch_begun |= index == len(self) - 1
        return (images / 255 if self.preprocess is None else self.preprocess(images)), masks

    def _sample(self, number: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        pair = self.pairs[number]
        image, mask = read_pair(pair)
        try:
            check_mask(mask, self.n_classes)  # as stored: resizing could drop a stray value
            image, mask = resize_image(image, self.size), resize_mask(mask, self.size)
            if self.augment is not None:
                # + 1: NumPy pads a key with zeros, and [seed, epoch, 0] would draw what made the order
                image, mask = self.augment(image, mask, np.random.default_rng([self.seed, epoch, number + 1]))
            if self.n_channels == 1:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
            return image, encode_mask(mask, self.n_classes)
        except DataError as error:
            raise DataError(f"{pair.mask}: {error}") from None

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`, from 0: call it to go on with a run that was interrupted."""
        order = np.arange(len(self.pairs))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        self.epoch, self._order = epoch, order

    def on_epoch_begin(self) -> None:
        self._epoch_begun = True

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order, if an epoch has begun.

        Keras also calls this before the first epoch, after a look at the shapes of batches 0 and 1;
        no epoch ends there. One has begun when Keras says so or the last batch was handed out. (With
        one or two batches that look hands out the last one, and `fit` begins with epoch 1.)
        """
        if self._epoch_begun:
            self.set_epoch(self.epoch + 1)
        self._epoch_begun = False
