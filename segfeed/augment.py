"""Augmentation: a pair is changed at random, image and mask alike."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np

from segfeed.errors import first_names

if TYPE_CHECKING:
    import keras

KINDS = ("flips", "turns", "zoom", "shift", "brightness", "blur")


class RandomAugment:
    """An `augment` of some of the `KINDS`, in their order: `RandomAugment("flips", "zoom")`.

    flips: mirrored left to right, or not. turns: by 0, 90, 180 or 270 degrees, for squares. zoom: scaled by 0.8 to
    1.25 about the centre. shift: by up to a tenth of the height and of the width. brightness: colours multiplied by
    0.7 to 1.3, and cut at 255. blur: a Gaussian of 0 to 1.5 pixels. Each number is drawn evenly, of zoom its
    logarithm. What comes in at a border is the mirror image. A mask moves by the nearest pixel.

    Raises ValueError for another kind.
    """

    def __init__(self, *kinds: str):
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ValueError(f"unknown kinds: {first_names(unknown)}. Give some of {', '.join(KINDS)}.")
        self.kinds = frozenset(kinds)

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        turns = int(rng.integers(4)) if "turns" in self.kinds else 0
        step = -1 if "flips" in self.kinds and rng.integers(2) else 1
        image, mask = (np.ascontiguousarray(np.rot90(pixels, turns)[:, ::step]) for pixels in (image, mask))
        if not self.kinds.isdisjoint(("zoom", "shift")):
            image, mask = self._move(image, mask, rng)
        if "brightness" in self.kinds:
            image = cv2.convertScaleAbs(image, alpha=rng.uniform(0.7, 1.3))
        if "blur" in self.kinds:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.01, 1.5))
        return image, mask.reshape(*mask.shape[:2], 1)

    def _move(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        size = np.array(image.shape[1::-1])
        scale = np.exp(rng.uniform(-1, 1) * np.log(1.25)) if "zoom" in self.kinds else 1.0
        moved = rng.uniform(-0.1, 0.1, 2) * size if "shift" in self.kinds else np.zeros(2)
        centre = (size - 1) / 2
        matrix = np.column_stack([scale * np.eye(2), centre - scale * centre + moved])

        def warp(pixels: np.ndarray, flags: int) -> np.ndarray:
            return cv2.warpAffine(pixels, matrix, size.tolist(), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

        return warp(image, cv2.INTER_LINEAR), warp(mask, cv2.INTER_NEAREST)


class KerasAugment:
    """An `augment` of Keras' image preprocessing layers: `KerasAugment(RandomRotation(0.1), RandomZoom(0.2))`.

    Each layer draws once for image and mask together, from the `rng` of the sample and not from a
    state of its own; masks are moved by the nearest pixel (give no other `interpolation`). Layers
    want `data_format="channels_last"`, Keras' default.

    Raises TypeError for what is no such layer.
    """

    _one_at_a_time = threading.Lock()  # a layer keeps its state while it draws

    def __init__(self, *layers: keras.layers.Layer):
        if strange := [layer for layer in layers if not hasattr(layer, "generator")]:
            raise TypeError(
                f"{strange[0]!r} is no layer of Keras that draws at random: give such layers one by one, as in "
                f"KerasAugment(RandomRotation(0.1), RandomZoom(0.2))."
            )
        self.layers = layers

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        import keras

        data = {"images": image.astype(np.float32), "segmentation_masks": mask.astype(np.float32)}
        with self._one_at_a_time:
            for layer in self.layers:
                layer.generator.state.assign(rng.integers(2**31, size=2))
                data = layer(data, training=True)
        image, mask = (keras.ops.convert_to_numpy(data[key]) for key in ("images", "segmentation_masks"))
        return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask.astype(np.uint8)
