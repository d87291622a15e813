"""A trained model used on new images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segfeed.masks import mask_classes
from segfeed.transforms import resize_image

if TYPE_CHECKING:
    import keras


def predict_mask(
    model: keras.Model, image: np.ndarray, preprocess: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Class indices, uint8 (H, W, 1), that a model finds in an image of any size, uint8 (H, W, 3).

    The image is resized to the model's input and scaled to [0, 1], or by the generator's
    `preprocess`; the probabilities are resized back before they are cut, so that outlines stay smooth.
    """
    batch = resize_image(image, model.input_shape[1:3])[None].astype(np.float32)
    probabilities = model.predict_on_batch(batch / 255 if preprocess is None else preprocess(batch))[0]
    probabilities = cv2.resize(probabilities, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    probabilities = probabilities.reshape(*image.shape[:2], -1)
    return mask_classes(probabilities).astype(np.uint8)[..., None]
