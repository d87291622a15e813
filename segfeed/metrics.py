"""How a model is judged: intersection over union of each class, beside a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

from segfeed.counts import count_pixels
from segfeed.scores import iou_and_baseline

if TYPE_CHECKING:
    from segfeed.generator import DataGenerator


class ClassScore(NamedTuple):
    """IoU of one class over a whole set, beside that of a model that always says ground (class 0)."""

    name: str
    iou: float
    baseline: float


def iou_per_class(model: keras.Model, generator: DataGenerator, names: Sequence[str]) -> list[ClassScore]:
    """Intersection over union of each class, over all pixels of all batches together.

    IoU = TP / (TP + FP + FN) (Jaccard, 1901), counted in one confusion matrix: not a mean over
    batches, which would weigh a batch with few coin pixels like one with many. Void pixels, and those
    with the weight 0, do not count. Probabilities of a
    single class are cut at 0.5; of several, the largest wins. A class that the set does not hold
    scores 0. `names`: ("ground", "coin"), or one for each class index.
    """
    if len(names) != max(2, generator.n_classes):
        raise ValueError(f"{len(names)} names for {max(2, generator.n_classes)} classes: {', '.join(names)}.")
    pixels = count_pixels(model, generator).pixels.sum(axis=0)
    return [ClassScore(*one) for one in zip(names, *np.nan_to_num(iou_and_baseline(pixels)).tolist(), strict=True)]


def make_iou(n_classes: int) -> keras.metrics.Metric:
    """Keras' IoU of the object, or the mean over several classes, for `compile(weighted_metrics=...)`.

    It counts in float64, where the backend has it: as integers, sample weights would be cut to whole numbers, and
    float32 stops at 2^24 pixels of a class in a batch.
    """
    dtype = "float64" if keras.backend.backend() == "tensorflow" else "float32"
    if n_classes == 1:
        return keras.metrics.BinaryIoU([1], name="iou", dtype=dtype)
    return keras.metrics.OneHotMeanIoU(n_classes, name="iou", dtype=dtype)
