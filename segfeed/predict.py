"""A trained model used on new images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import keras
import numpy as np

from segfeed.arguments import check_preprocessed
from segfeed.masks import mask_classes
from segfeed.transforms import resize_image


def predict_mask(
    model: keras.Model, image: np.ndarray, preprocess: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Class indices, uint8 (H, W, 1), that a model finds in an image of any size, uint8 RGB (H, W, 3).

    The image is resized to the model's input, and made grey for a model of one channel. It is scaled to [0, 1], or
    by the generator's `preprocess`; a model that scales images itself gets it as it is, 0–255: one that holds a
    `Rescaling` layer such as `Rescaling(1 / 255)`, or whose input is uint8. The probabilities are resized back
    before they are cut, so that outlines stay smooth.

    Raises ValueError for an image of another form, and for a model whose input has no fixed size, or other channels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the image is {image.dtype} {image.shape}: give uint8 (H, W, 3), as `read_image` returns it.")
    _, height, width, channels = model.input_shape
    if height is None or width is None or channels not in (1, 3):
        raise ValueError(f"the model's input is {model.input_shape}: expected (None, height, width, 1 or 3).")
    resized = resize_image(image, (height, width))
    if channels == 1:
        resized = cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY)[..., None]
    batch: np.ndarray = resized[None]
    if preprocess is not None:
        batch = check_preprocessed(preprocess(batch.astype(np.float32)), batch.shape)
    elif not _scales_images(model):
        batch = batch.astype(np.float32) / 255
    probabilities: np.ndarray = np.asarray(model.predict_on_batch(batch)[0], np.float32)
    probabilities = cv2.resize(probabilities, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    probabilities = probabilities.reshape(*image.shape[:2], -1)
    return mask_classes(probabilities).astype(np.uint8)[..., None]


def _scales_images(model: keras.Model) -> bool:
    """Whether a model takes images in 0–255."""
    scales = [np.max(np.abs(layer.scale)) for layer in _layers(model) if isinstance(layer, keras.layers.Rescaling)]
    return min(scales, default=1) < 0.1 or any(
        keras.backend.standardize_dtype(one.dtype) == "uint8" for one in getattr(model, "inputs", ())
    )


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)
