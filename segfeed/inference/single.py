"""A trained model used on one picture that is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import keras
import numpy as np

from segfeed.arguments import check_preprocessed, whole_number
from segfeed.inference.bands import Grid, TileSum, resized_bands
from segfeed.inference.ensemble import Ensemble, Network
from segfeed.inference.pictures import SmallPicture
from segfeed.inference.results import classes_of
from segfeed.inference.runs import Run, of_any_size


def predict(
    model: keras.Model | Run,
    image: np.ndarray,
    *,
    threshold: float | None = None,
    tile: int | None = None,
    overlap: float = 0.25,
    tta: bool = False,
    preprocess: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What a model finds in an image of any size, uint8 RGB (H, W, 3).

    Returns the class indices, uint8 (H, W, 1), and the probabilities, float32 (H, W, C).

    Args:
        model: a Keras model, or what `load_run` returns.
        threshold: probability from which on a pixel is the object, for a model of one class; 0.5, or the run's.
        tile: side in pixels of overlapping squares that are predicted one by one, without resizing; without it the
            image is resized to the model's input, and the probabilities back, before they are cut: so outlines stay
            smooth.
        overlap: share of a tile's side by which tiles overlap, 0 to 0.9.
        tta: mean over the flips and turns of the image, 8 of squares and 4 of rectangles.
        preprocess: the generator's. Without it the image is scaled to [0, 1]; a model that scales images itself gets
            it as it is, 0–255: one that holds a `Rescaling` layer such as `Rescaling(1 / 255)`, or whose input is
            uint8. For a model of one channel the image is made grey.

    Raises ValueError for an image of another form, for a model whose input has no fixed size (unless `tile` is given),
    or other channels, for tiles that the model cannot take, and for an overlap outside its range.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the image is {image.dtype} {image.shape}: give uint8 (H, W, 3), as `read_image` returns it.")
    if isinstance(model, Run):
        threshold = model.threshold if threshold is None else threshold
        size, tile, model = model.size, tile or model.crop, model.model
    else:
        size = model.input_shape[1:3]
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"overlap is {overlap}: give a share of a tile's side, 0 to 0.9.")
    if tile is not None and whole_number("tile", tile) < 1:
        raise ValueError("tile is 0: give a side in pixels, at least 1, or None for the whole image.")
    channels = model.input_shape[-1]
    if (None in size and tile is None) or channels not in (1, 3):
        raise ValueError(f"the model's input is {model.input_shape}: expected (None, height, width, 1 or 3).")
    if tile:
        size, model = (tile, tile), model if model.input_shape[1:3] == (tile, tile) else of_any_size(model)
    network = Network(size, lambda batch: model.predict_on_batch(_inputs(model, batch, channels, preprocess)))
    picture, ensemble = SmallPicture(image), Ensemble([network], tta)

    def bands() -> Iterator[Any]:
        if tile is None:
            yield from resized_bands(
                [ensemble.predict(size, picture.resized(size)[None])[0]], picture.height, picture.width
            )
            return
        grid = Grid(picture.height, picture.width, tile, overlap)
        tiles = TileSum(grid)
        for index in range(len(grid)):
            yield tiles.add(ensemble.predict(size, grid.read(picture, index)[None])[0])

    probabilities = np.concatenate([band.probabilities for band in bands() if band])
    classes, _ = classes_of(probabilities, 0.5 if threshold is None else threshold)
    return classes[..., None], probabilities


def predict_mask(
    model: keras.Model | Run, image: np.ndarray, preprocess: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """The class indices of `predict`, uint8 (H, W, 1)."""
    return predict(model, image, preprocess=preprocess)[0]


def _inputs(
    model: keras.Model, batch: np.ndarray, channels: int, preprocess: Callable[[np.ndarray], np.ndarray] | None
) -> np.ndarray:
    if channels == 1:
        batch = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] for image in batch])
    if preprocess is not None:
        return check_preprocessed(preprocess(batch.astype(np.float32)), batch.shape)
    return batch if _scales_images(model) else batch.astype(np.float32) / 255


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
