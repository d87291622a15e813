"""Checks of what a batch is: tuples, shapes, dtypes and values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import keras
import numpy as np

from segfeed.check.context import PARTS, Context, arrays, check, classes_of, copied, said
from segfeed.check.probe import Unknown


@check("made", "it is a Sequence of Keras.")
def _(it: Context) -> Iterator[str]:
    if it.make is not None:
        it.sequence = it.make()
    if not isinstance(it.sequence, keras.utils.Sequence):
        yield f"this is a {type(it.sequence).__name__}: derive the class from keras.utils.Sequence."


@check("super", "__init__ calls super().__init__(**kwargs).", "made")
def _(it: Context) -> Iterator[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        workers = it.sequence.workers
    if any("super" in str(warning.message) for warning in caught):
        yield f"__init__ never calls it, so workers is {workers} for ever: make it the first line."
    if not isinstance(workers, int):
        yield f"workers is {workers!r}: write super().__init__(**kwargs), with two stars."


@check("length", "len is a whole number above 0.", "made")
def _(it: Context) -> Iterator[str]:
    kind = type(it.sequence)
    length = kind.__len__(it.sequence) if hasattr(kind, "__len__") else it.sequence.num_batches
    if not hasattr(length, "__index__") or length < 1:
        yield f"len is {length!r}, of type {type(length).__name__}: return math.ceil(samples / batch_size)."
    it.length = int(length)


@check("batches", "every batch, from 0 to the last, can be got.", "length")
def _(it: Context) -> Iterator[str]:
    for index in range(it.length):
        try:
            it.batches.append(copied(it.sequence[index]))
        except BaseException as error:
            yield f"batch {index} of {it.length} raises {said(error)}"


FORM = {
    "tuple": ("every batch is a tuple, (images, masks) or (images, masks, weights).", "batches"),
    "arrays": ("images and masks are arrays of numbers, and none is empty.", "tuple"),
    "axes": ("images are (B, H, W, channels) and masks (B, H, W, classes).", "arrays"),
    "number": ("a batch has as many masks as images.", "axes"),
    "size": ("masks are as high and wide as their images.", "axes"),
    "shapes": ("shapes are the same in all batches; only the last may hold fewer.", "number", "size"),
    "dtypes": ("images and masks have one dtype each, of 4 bytes or fewer.", "arrays"),
    "finite": ("no value is NaN or infinite.", "arrays"),
    "masks": ("masks hold 0 and 1, one-hot for several classes.", "axes", "finite"),
    "weights": ("weights, if any, are (B, H, W): one a pixel, and not negative.", "number", "size", "finite"),
}
for _name, (_sentence, *_needs) in FORM.items():
    check(_name, _sentence, *_needs)(lambda it, name=_name: iter([w for n, w in faults(it).items() if n == name]))  # type: ignore[misc]


def faults(it: Context) -> dict[str, str]:
    """What is wrong with the form of the batches: the first fault of each kind."""
    if it.faults is None:
        it.faults = {}
        for index in range(it.length):
            for name, words in faults_of_form(it, index):
                it.faults.setdefault(name, f"batch {index}{words}")
            if it.faults.keys() & {"tuple", "arrays"}:
                break
    return it.faults


def faults_of_form(it: Context, index: int) -> Iterator[tuple[str, str]]:
    """What is wrong with one batch: the check, and words to follow "batch 3"."""
    batch, first, k = it.batches[index], it.batches[0], it.n_classes
    if not isinstance(batch, tuple) or len(batch) not in (2, 3):
        size = f" of {len(batch)}" if hasattr(batch, "__len__") else ""
        yield "tuple", f" is a {type(batch).__name__}{size}: return (images, masks)."
        return
    for name, part in zip(PARTS, batch, strict=False):
        if not hasattr(part, "shape") or not hasattr(part, "dtype"):
            yield "arrays", f": the {name} are a {type(part).__name__}: make one array of them, with np.stack."
            return
        if np.asarray(part).dtype.kind not in "fiub":
            yield "arrays", f": the {name} are of dtype {part.dtype}: resize all to one shape, then np.stack."
            return
        if 0 in part.shape:
            yield "arrays", f" of {it.length}: the {name} have shape {part.shape}: len counts too many batches."
            return
    it.batches[index] = batch = arrays(batch)
    for name, part, one in zip(PARTS, batch, first, strict=False):
        if part.dtype != one.dtype:
            yield "dtypes", f": the {name} are {part.dtype}, in batch 0 {one.dtype}: use .astype(np.float32)."
        if part.dtype.itemsize > 4:
            yield "dtypes", f": the {name} are {part.dtype}, twice the bytes of float32: use .astype(np.float32)."
        if wrong := np.count_nonzero(~np.isfinite(part)):
            yield "finite", f": {wrong} values of the {name} are NaN or infinite: look for a division by 0."
    images, masks, *weights = batch
    if images.ndim != 4:
        yield "axes", f": images of shape {images.shape}, {images.ndim} axes: expected (B, H, W, channels)."
        return
    if masks.ndim != 4 or masks.shape[-1] != k:
        cure = "read masks as grey, with one channel" if k == 1 else "make them one-hot"
        yield "axes", f": masks of shape {masks.shape}, {masks.ndim} axes, expected (B, H, W, {k}): {cure}."
        return
    if len(images) != len(masks):
        yield "number", f" has {len(images)} images and {len(masks)} masks: cut both from one list of pairs."
    if images.shape[1:3] != masks.shape[1:3]:
        yield "size", f": images of {images.shape[1:3]} pixels, masks of {masks.shape[1:3]}: resize both alike."
    shapes, expected = ([part.shape[1:] for part in each] for each in (batch, first))
    if shapes != expected:
        yield "shapes", f" holds samples of the shapes {shapes}, batch 0 {expected}: make all alike."
    if len(images) > len(first[0]) or (len(images) < len(first[0]) and index + 1 < it.length):
        yield (
            "shapes",
            f" of {it.length} has {len(images)} images, batch 0 {len(first[0])}: only the last may have fewer.",
        )
    if unexpected := np.count_nonzero((masks != 0) & (masks != 1)):
        found = ", ".join(f"{value:.4g}" for value in np.setdiff1d(masks, (0, 1))[:4])
        cure = "divide by 255" if masks.max() > 1 else "resize masks by the nearest pixel"
        yield "masks", f": {unexpected} of {masks.size} values of the masks are neither 0 nor 1 but {found}: {cure}."
    elif k > 1 and (wrong := np.count_nonzero(masks.sum(-1) != 1)):
        yield "masks", f": {wrong} pixels belong to no class or to several: make the masks one-hot."
    for part in weights:
        if part.shape not in (masks.shape[:3], (*masks.shape[:3], 1)):  # Keras does not spread (B,) over the pixels
            yield "weights", f": weights of shape {part.shape}, expected {masks.shape[:3]}: give each pixel its own."
        elif part.min() < 0:
            yield "weights", f": a weight is {part.min():.4g}: weights are 0 or more."


@check("range", "images use the range of values that they should.", "finite")
def _(it: Context) -> Iterator[str]:
    images = [batch[0] for batch in it.batches]
    least, most = float(min(map(np.min, images))), float(max(map(np.max, images)))
    whole = images[0].dtype.kind in "iu"
    low, high = it.values or ((0, 255) if whole else (0, 1))
    found = f"images hold {least:.4g} to {most:.4g} as {images[0].dtype}"
    if least < low or most > high:
        cure = "divide by 255" if (low, high) == (0, 1) else "scale them, or say values=(least, greatest)"
        yield f"{found}, expected {low} to {high}: {cure}."
    if it.values is None and (most <= 1 if whole else most < 1.01 / 255):
        yield f"{found}: all black, or divided by 255 {'and cut to whole numbers' if whole else 'twice'}."


@check("object", "the masks hold more than one class.", "masks", "number")
def _(it: Context) -> Iterator[str]:
    found = {int(value) for batch in it.batches for value in np.unique(classes_of(batch[1]))}
    if len(found) == 1:
        count = sum(len(batch[1]) for batch in it.batches)
        yield f"all {count} masks hold class {found.pop()} alone: look at the files, and at what scaling does to them."


@check("colour", "images of three channels are red, green, blue.", "axes", "finite")
def _(it: Context) -> Iterator[str]:
    if it.probe is None or it.values is not None:
        raise Unknown("this needs a probe folder, and values as they are in the files, or divided by 255.")
    images = it.batches[0][0]
    red, blue = (images[..., channel].mean(dtype=np.float64) for channel in (0, -1))
    if images.shape[-1] == 3 and blue > red:
        yield "red and blue have changed places: after cv2.imread, take cv2.cvtColor(image, cv2.COLOR_BGR2RGB)."
