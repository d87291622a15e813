"""Augmentation by Keras' own layers."""

from __future__ import annotations

import threading

import keras
import numpy as np


class KerasAugment:
    """An `augment` of Keras' image preprocessing layers: `KerasAugment(RandomRotation(0.1), RandomZoom(0.2))`.

    Each layer draws once for image and mask together, from the `rng` of the sample and not from a
    state of its own; masks are moved by the nearest pixel (give no other `interpolation`). Layers
    want `data_format="channels_last"`, Keras' default.
    """

    _one_at_a_time = threading.Lock()  # a layer keeps its state while it draws

    def __init__(self, *layers: keras.layers.Layer):
        self.layers = layers

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        data = {"images": image.astype(np.float32), "segmentation_masks": mask.astype(np.float32)}
        with self._one_at_a_time:
            for layer in self.layers:
                layer.generator.state.assign(rng.integers(2**31, size=2))
                data = layer(data, training=True)
        image, mask = (keras.ops.convert_to_numpy(data[key]) for key in ("images", "segmentation_masks"))
        return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask.astype(np.uint8)
