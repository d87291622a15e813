"""What users give to the data generator, checked: its arguments, and what their functions return."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from segfeed.errors import DataError

if TYPE_CHECKING:
    from segfeed.generator import DataGenerator

BYTES = range(256)
FLOAT32_MAX = float(np.finfo(np.float32).max)
VOID = 255  # in class indices: a pixel of which nobody knows the class


def whole_number(name: str, value: Any) -> int:
    """A number of Python or NumPy as int; ValueError unless it is whole and not negative."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"{name} is {value!r}: give a whole number from 0 on.")
    return number


def height_and_width(img_size: Any, name: str = "img_size") -> tuple[int, int]:
    """One side, or (height, width), as (height, width) in pixels; ValueError unless both are whole and at least 1."""
    sides = (img_size, img_size) if np.ndim(img_size) == 0 else tuple(img_size)
    if len(sides) != 2 or min(whole_number(name, side) for side in sides) < 1:
        raise ValueError(f"{name} is {sides}: give one side or (height, width), in pixels, at least 1.")
    return int(sides[0]), int(sides[1])


def sides_of_samples(img_size: Any, crop: Any) -> tuple[int, int]:
    """(height, width) of the samples of a generator with these arguments; ValueError if both are given and differ."""
    size = height_and_width(img_size)
    if crop is None:
        return size
    sides = height_and_width(crop, "crop")
    if size not in ((128, 128), sides):  # the default, which nobody gave
        raise ValueError(f"img_size is {img_size} and crop is {crop}: a crop keeps its own pixels. Leave img_size out.")
    return sides


def rank_and_world(shard: Any) -> tuple[int, int]:
    """(rank, world) of `shard`; ValueError unless it is such a pair."""
    parts = tuple(shard) if isinstance(shard, Iterable) else ()
    if len(parts) != 2:
        raise ValueError(f"shard is {shard}: (rank, world), with a rank of 0 to world - 1.")
    return whole_number("shard", parts[0]), whole_number("shard", parts[1])


def check_arguments(given: DataGenerator) -> None:
    """Raise ValueError for an argument outside its range."""
    if given.use_multiprocessing:
        raise ValueError(
            "use_multiprocessing is True: Keras would copy this process with the threads of TensorFlow, and can "
            "hang. Leave it out: the generator's own threads use every core."
        )
    if given.batch_size < 1:
        raise ValueError(f"batch_size is {given.batch_size}: a batch holds at least 1 sample.")
    rank, world = given.shard
    if rank >= world:
        raise ValueError(f"shard is {given.shard}: (rank, world), with a rank of 0 to world - 1.")
    if given.batch_size < world:
        raise ValueError(f"batch_size is {given.batch_size}: {world} replicas share a batch of at least {world}.")
    if not 1 <= given.n_classes <= 256:
        raise ValueError(f"n_classes is {given.n_classes}: 1 for object or ground, else 2 to 256 class indices.")
    if given.crop is not None and given.n_classes == 256:
        raise ValueError("n_classes is 256, and crop needs a value for void: give at most 255 classes with it.")
    if given.n_channels not in (1, 3):
        raise ValueError(f"n_channels is {given.n_channels}: 3 gives RGB, 1 gives grey.")
    if given.dtype not in ("float32", "uint8"):
        raise ValueError(f"dtype is {given.dtype!r}: 'float32' gives images in [0, 1], 'uint8' in 0–255.")
    if given.dtype == "uint8" and given.preprocess is not None:
        raise ValueError("preprocess makes float32 of the images: use dtype='float32', or put it into the model.")
    names = max(2, given.n_classes)
    if given.ignore is not None and (not 0 <= given.ignore <= 255 or given.ignore < names - (given.n_classes == 1)):
        raise ValueError(f"ignore is {given.ignore}: a value of 0 to 255 that is no class.")
    if given.colours is not None:
        _check_colours(given.colours, names, given.ignore)
    for name in ("augment", "preprocess"):
        if not (getattr(given, name) is None or callable(getattr(given, name))):
            raise ValueError(f"{name} is {getattr(given, name)!r}: give a function.")
    if hasattr(given.augment, "trainable_weights"):
        raise ValueError(
            "augment is a layer or model of Keras: give KerasAugment(layer), which changes the mask alike."
        )
    if given.class_weights is not None and not _are_weights(given.class_weights, names):
        raise ValueError(
            f"class_weights is {given.class_weights}: give each of {names} classes a number from 0 on, in a list."
        )


def check_count(samples: int, given: DataGenerator) -> None:
    """Raise ValueError for samples that give no batch."""
    if samples and len(given) == 0:
        few = f"{samples} samples give no batch of {given.batch_size} with drop_last=True"
        raise ValueError(f"{few}: use a smaller batch_size or drop_last=False.")


def check_undivided(shard: tuple[int, int]) -> None:
    """Raise ValueError if keras.distribution would divide the part of one worker again."""
    import keras  # it fails at once where its backend is not installed

    spread = keras.distribution.distribution()  # it has num_data_shards where Keras divides a Sequence
    if shard[1] > 1 and getattr(spread, "num_data_shards", 1) > 1 and spread.auto_shard_dataset:
        raise ValueError(f"shard={shard} and keras.distribution both divide: set auto_shard_dataset=False.")


def _are_weights(weights: Any, names: int) -> bool:
    try:
        numbers = np.asarray(weights)
    except ValueError:  # rows of different lengths
        return False
    return bool(
        numbers.dtype.kind in "biuf" and numbers.shape == (names,) and ((numbers >= 0) & (numbers <= FLOAT32_MAX)).all()
    )


def _check_colours(colours: Mapping, names: int, ignore: int | None) -> None:
    if not isinstance(colours, Mapping):
        raise ValueError(f"colours is {colours!r}: give a table of (red, green, blue) to class index.")
    for colour in colours:
        whole = isinstance(colour, tuple) and all(isinstance(value, int | np.integer) for value in colour)
        if not whole or len(colour) != 3 or not all(value in BYTES for value in colour):
            raise ValueError(f"colours holds {colour!r}: a colour is (red, green, blue), whole numbers of 0 to 255.")
    wrong = [item for item in colours.items() if not (item[1] in range(names) or item[1] == ignore is not None)]
    if wrong or not colours:
        raise ValueError(
            f"colours gives {wrong or 'no class'}: class indices are 0 to {names - 1}, or ignore. "
            f"For more classes give n_classes (--classes)."
        )


# --- What the functions return ---------------------------------------------------------------


def check_augmented(
    returned: Any, pair: tuple[np.ndarray, np.ndarray], n_classes: int, ignore: int | None, files: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """What `augment` returned; DataError, with the file's name, unless it is like the pair that it was given."""
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise DataError(f"{files[0]}: augment returned {_described(returned)}; expected (image, mask).")
    for name, given, found, file in zip(("image", "mask"), pair, returned, files, strict=True):
        if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != (given.dtype, given.shape):
            meaning = "colours of 0–255, which the generator divides" if name == "image" else "class indices"
            raise DataError(
                f"{file}: augment returned {_described(found)} for the {name}; expected {_described(given)}. "
                f"Return the {name} as it came: {meaning}, with its last axis."
            )
    (image, mask), last = returned, max(1, n_classes - 1)
    if mask.max() > last:
        wrong = mask[(mask > last) & (mask != VOID if ignore is not None else True)]
        if wrong.size:
            void = "" if ignore is None else f", and {VOID} for void"
            raise DataError(
                f"{files[1]}: augment made {wrong[0]} of a class index; expected 0 to {last}{void}. "
                f"Move the pixels of a mask, never blend them, and leave their values alone."
            )
    return image, mask


def check_preprocessed(returned: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What `preprocess` returned; ValueError unless it is float32 of this shape, and finite."""
    if not isinstance(returned, np.ndarray) or (returned.dtype, returned.shape) != (np.float32, shape):
        raise ValueError(f"preprocess returned {_described(returned)}; expected float32 {shape}, as it was given.")
    with np.errstate(all="ignore"):
        finite = np.isfinite(returned.sum()) or np.isfinite(returned).all()  # a sum is quicker, and may overflow
    if not finite:
        wrong = returned.size - np.count_nonzero(np.isfinite(returned))
        raise ValueError(
            f"preprocess made {wrong} of {returned.size} values infinite or NaN: they would spoil every weight of "
            f"the model. Does it divide by a deviation, which is 0 where an image has one colour?"
        )
    return returned


def check_picklable(**functions: Any) -> None:
    """Raise PicklingError, by name, for a function that cannot be copied or sent to another process."""
    for name, function in functions.items():
        try:
            pickle.dumps(function)
        except Exception as error:
            raise pickle.PicklingError(
                f"{name} cannot be copied or sent to another process: {error}. Give a function that is written with "
                f"`def` at the top of a module; it may call this one."
            ) from None


def _described(thing: Any) -> str:
    if isinstance(thing, np.ndarray):
        return f"{thing.dtype} {thing.shape}"
    return "None" if thing is None else f"a {type(thing).__name__}"
