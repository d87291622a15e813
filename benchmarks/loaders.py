"""The loaders that are compared, each as its own documentation writes it, and at its best.

A loader is a function of (files, size, batch), where `files` are (image, mask) paths and `size` the
side in pixels. It returns what `Model.fit` accepts, and what a `for` loop goes through once an epoch.
"""

from __future__ import annotations

import functools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import simplejpeg
import tensorflow as tf
from kornia_rs.io import decode_image_png_u8
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from segfeed import DataGenerator
from segfeed.buffers import Buffers
from segfeed.threads import CORES

Files = list[tuple[str, str]]


# --- The fastest decoders we found, for the limit and for peers that can use them -----------------


def sides(image: str) -> tuple[int, int]:
    """Height and width of an image file."""
    with Image.open(image) as opened:
        return opened.height, opened.width


def decode_image(data: bytes, height: int, width: int, size: int, buffer: np.ndarray | None = None) -> np.ndarray:
    """An image of this height and width as RGB, a JPEG at 1/2, 1/4 or 1/8 if it is still as large as `size` then."""
    if data[:2] != b"\xff\xd8":
        return decode_image_png_u8(data, (height, width), "rgb")
    scale = max(n for n in (1, 2, 4, 8) if n == 1 or min(height, width) >= n * size)
    return simplejpeg.decode_jpeg(data, buffer=buffer, min_height=-(-height // scale), min_width=-(-width // scale))


def decode_mask(data: bytes, height: int, width: int) -> np.ndarray:
    return decode_image_png_u8(data, (height, width), "mono")


# --- The limits: nothing but C calls, on all cores ------------------------------------------------


class DecodeLimit:
    """Decode and resize from memory, into arrays that stay where they are."""

    def __init__(self, files: Files, size: int, batch: int):
        self.data = [(Path(image).read_bytes(), Path(mask).read_bytes()) for image, mask in files]
        self.size, self.batch, self.sides = size, batch, sides(files[0][0])
        self.threads = ThreadPoolExecutor(CORES)

    def part(self, first: int) -> None:
        size = self.size
        out, mask_out = np.empty((size, size, 3), np.uint8), np.empty((size, size), np.uint8)
        buffer = decode_image(self.data[0][0], *self.sides, size)
        area = cv2.INTER_AREA if min(buffer.shape[:2]) >= 1.5 * size else cv2.INTER_LINEAR
        for data, mask in self.data[first::CORES]:
            image = decode_image(data, *self.sides, size, buffer)
            cv2.resize(image, (size, size), dst=out, interpolation=area)
            cv2.resize(
                decode_mask(mask, *self.sides), (size, size), dst=mask_out, interpolation=cv2.INTER_NEAREST_EXACT
            )

    def __iter__(self):
        list(self.threads.map(self.part, range(CORES)))
        yield from range(0, len(self.data), self.batch)


class CopyLimit:
    """One copy of the pixels of every pair, batch by batch, in memory that is used again."""

    def __init__(self, files: Files, size: int, batch: int):
        self.kept = np.ones((len(files), size, size, 4), np.uint8)
        self.batches = [np.zeros((batch, size, size, 4), np.uint8) for _ in range(2)]

    def __iter__(self):
        batch = len(self.batches[0])
        for number, first in enumerate(range(0, len(self.kept), batch)):
            np.copyto(self.batches[number % 2], self.kept[first : first + batch])
            yield number


class ReadyBatch(keras.utils.Sequence):
    """The same batch over and over: what `fit` itself costs."""

    def __init__(self, files: Files, size: int, batch: int):
        super().__init__()
        empty = Buffers().empty
        self.ready = empty((batch, size, size, 3), "uint8"), empty((batch, size, size, 1), "uint8")
        self.steps = len(files) // batch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index):
        return self.ready


# --- Keras Sequences ------------------------------------------------------------------------------


class FileSequence(keras.utils.Sequence):
    def __init__(self, files: Files, size: int, batch: int, **options):
        super().__init__(**options)
        cv2.setNumThreads(1)
        self.files, self.size, self.batch = files, size, batch

    def __len__(self) -> int:
        return len(self.files) // self.batch


class Article(FileSequence):
    """The style of 2019: scikit-image, lists, one thread."""

    def __getitem__(self, index):
        from skimage.io import imread
        from skimage.transform import resize

        images, masks = [], []
        for image, mask in self.files[index * self.batch : (index + 1) * self.batch]:
            images.append(resize(imread(image), (self.size, self.size)))
            masks.append(resize(imread(mask), (self.size, self.size), order=0)[..., None] > 0)
        return np.array(images, np.float32), np.array(masks, np.float32)


class PlainCv2(FileSequence):
    """What most people write today: cv2 and lists."""

    def __getitem__(self, index):
        images, masks = [], []
        for image, mask in self.files[index * self.batch : (index + 1) * self.batch]:
            pixels = cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB)
            images.append(cv2.resize(pixels, (self.size, self.size)) / np.float32(255))
            grey = cv2.imread(mask, cv2.IMREAD_GRAYSCALE)
            grey = cv2.resize(grey, (self.size, self.size), interpolation=cv2.INTER_NEAREST)
            masks.append((grey > 0)[..., None].astype(np.float32))
        return np.array(images), np.array(masks)


def generator(files: Files, size: int, batch: int, **options) -> DataGenerator:
    """This course's generator; like the others it shuffles where pairs come from a cache."""
    imgs_dir, masks_dir = (Path(path).parent for path in files[0])
    ids = [Path(image).stem for image, _ in files]
    return DataGenerator(ids, imgs_dir, masks_dir, batch, size, shuffle="cache_memory" not in options, **options)


# --- tf.data --------------------------------------------------------------------------------------


def tf_guide(files: Files, size: int, batch: int) -> tf.data.Dataset:
    """As TensorFlow's guide writes it: decode, convert to float32, resize; AUTOTUNE."""

    def load(image, mask):
        image = tf.io.decode_image(tf.io.read_file(image), channels=3, expand_animations=False)
        image = tf.image.resize(tf.image.convert_image_dtype(image, tf.float32), (size, size))
        mask = tf.io.decode_png(tf.io.read_file(mask), channels=1)
        mask = tf.image.resize(mask, (size, size), method="nearest")
        return image, tf.cast(mask > 0, tf.float32)

    paths = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*files, strict=True))))
    return paths.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE)


def tf_tuned(files: Files, size: int, batch: int, cache: bool = False) -> tf.data.Dataset:
    """uint8, libjpeg's fast paths and scaled decoding, in any order; `cache` keeps the pairs, shuffled each epoch."""
    height, width = sides(files[0][0])
    ratio = max(n for n in (1, 2, 4, 8) if n == 1 or min(height, width) >= n * size)

    def load(image, mask):
        data = tf.io.read_file(image)
        image = (
            tf.io.decode_jpeg(data, channels=3, ratio=ratio, fancy_upscaling=False, dct_method="INTEGER_FAST")
            if files[0][0].endswith(".jpg")
            else tf.io.decode_png(data, channels=3)
        )
        image = tf.cast(tf.image.resize(image, (size, size)), tf.uint8)
        mask = tf.io.decode_png(tf.io.read_file(mask), channels=1)
        return image, tf.cast(tf.image.resize(mask, (size, size), method="nearest") > 0, tf.uint8)

    options = tf.data.Options()
    options.deterministic = False
    options.threading.max_intra_op_parallelism = 1
    paths = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*files, strict=True))))
    pairs = paths.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if cache:
        pairs = pairs.cache().shuffle(len(files))
    return pairs.batch(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE).with_options(options)


# --- Peers that may be missing: they read with the fastest decoders too ---------------------------


@functools.cache
def sides_of_folder(folder: str) -> tuple[int, int]:
    """All images of a folder have these."""
    return sides(str(next(Path(folder).iterdir())))


def read(image: str, mask: str, size: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    height, width = sides_of_folder(os.path.dirname(image))
    pixels = decode_image(Path(image).read_bytes(), height, width, size)
    area = cv2.INTER_AREA if min(pixels.shape[:2]) >= 1.5 * size else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (size, size), interpolation=area)
    grey = decode_mask(Path(mask).read_bytes(), height, width)
    grey = cv2.resize(grey, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)[..., None] > 0
    return pixels if dtype == "uint8" else np.divide(pixels, 255, dtype=np.float32), grey.astype(dtype)


class TorchPairs:
    def __init__(self, files: Files, size: int, dtype: str):
        self.files, self.size, self.dtype = files, size, dtype

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number):
        return read(*self.files[number], self.size, self.dtype)


def one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)


def torch_loader(files: Files, size: int, batch: int, dtype: str):
    """Two processes (or one a core) that stay alive between epochs."""
    from torch.utils.data import DataLoader

    return DataLoader(
        TorchPairs(files, size, dtype),
        batch_size=batch,
        num_workers=CORES,
        persistent_workers=True,
        multiprocessing_context="forkserver",
        worker_init_fn=one_thread,
    )


def grain_loader(files: Files, size: int, batch: int, dtype: str):
    """Threads that read ahead, as many as there are cores."""
    import grain

    pairs = grain.MapDataset.source(files).map(lambda pair: read(*pair, size, dtype)).batch(batch)
    return pairs.to_iter_dataset(grain.ReadOptions(num_threads=CORES, prefetch_buffer_size=2 * CORES))


class SpdlLoader:
    """A thread pipeline; whole batches are read by each thread, straight into their place."""

    def __init__(self, files: Files, size: int, batch: int, dtype: str):
        import spdl.pipeline

        self.builder = spdl.pipeline.PipelineBuilder
        self.batches = [files[first : first + batch] for first in range(0, len(files), batch)]
        self.read = functools.partial(self.read_batch, size=size, dtype=dtype)

    @staticmethod
    def read_batch(files: Files, size: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        images, masks = np.empty((len(files), size, size, 3), dtype), np.empty((len(files), size, size, 1), dtype)
        for row, pair in enumerate(files):
            images[row], masks[row] = read(*pair, size, dtype)
        return images, masks

    def __iter__(self):
        pipeline = (self.builder().add_source(self.batches).pipe(self.read, concurrency=CORES).add_sink(2)).build(
            num_threads=CORES
        )
        with pipeline.auto_stop():
            yield from pipeline


PEERS = {"torch": "PyTorch DataLoader", "grain": "Grain", "spdl": "SPDL"}
