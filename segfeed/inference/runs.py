"""The folder of a training run as a model that takes pictures as they are: uint8 RGB of 0–255."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from segfeed.classes import colour_of
from segfeed.errors import CommandError
from segfeed.inference.results import Category

NEWEST = 2  # of the formats of run.json that are read


class Run(NamedTuple):
    """What `load_run` read."""

    folder: Path
    model: keras.Model  # uint8 RGB (B, H, W, 3) to probabilities (B, H, W, 1), or (B, H, W, number of classes)
    size: tuple[int, int]  # (height, width) to which whole pictures are resized
    categories: list[Category]
    threshold: float  # from which probability on a pixel is the object, where there is one class
    crop: int | None  # the side of the squares on which the model was trained; None for whole pictures
    sha256: str  # of the model's file


def load_run(folder: str | Path) -> Run:
    """Read `best.keras` and `run.json` of a run of `segfeed train`, this version's or an earlier one's.

    A model that was trained on images which the generator scaled or preprocessed gets this as its first layer.
    Raises CommandError for a folder that holds no finished run, and for files that cannot be read.
    """
    folder = Path(folder)
    for name in ("run.json", "best.keras"):
        if not (folder / name).is_file():
            raise CommandError(
                f"{folder} holds no {name}: give the folder of a finished run, as `segfeed train --output` names it."
            )
    try:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        version = content.get("format", 1)
        if version > NEWEST:
            raise CommandError(f"{folder / 'run.json'} is of format {version}, and at most {NEWEST} is read here: "
                               "install the version of segfeed that wrote it.")  # fmt: skip
        about = _described(content) if version == NEWEST else _described_by_options(content)
        threshold, crop = float(content.get("threshold", 0.5)), content.get("crop")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise CommandError(f"{folder / 'run.json'} cannot be read ({problem}). Train the run again.") from None
    data = (folder / "best.keras").read_bytes()
    try:
        model = keras.models.load_model(folder / "best.keras", compile=False, safe_mode=True)
    except Exception as error:  # a damaged file makes Keras raise anything
        problem = str(error).strip().split("\n")[0]
        raise CommandError(f"{folder / 'best.keras'} cannot be loaded ({problem}). Train the run again.") from None
    size, categories, preprocess = about
    if not _takes_bytes(model):
        model = with_preprocessing(model, preprocess())
    outputs = model.output_shape[-1]
    if outputs != (1 if len(categories) == 2 else len(categories)) and not outputs == len(categories) == 2:
        raise CommandError(f"{folder}: run.json names {len(categories)} classes, and the model has {outputs} outputs. "
                           "Train the run again.")  # fmt: skip
    return Run(folder, model, size, categories, threshold, crop, hashlib.sha256(data).hexdigest())


About = tuple[tuple[int, int], list[Category], Callable[[], Callable[[np.ndarray], np.ndarray] | None]]


def _described(content: dict[str, Any]) -> About:
    height, width = content["size"]
    rows = sorted(content["classes"], key=lambda row: row["index"])
    if [row["index"] for row in rows] != list(range(len(rows))) or len(rows) < 2:
        raise ValueError("the classes have not the indices 0, 1, …")
    return (
        (height, width),
        [_category(index, row["name"], rgb(row["colour"])) for index, row in enumerate(rows)],
        lambda: None,
    )


def _described_by_options(content: dict[str, Any]) -> About:
    """Of a run that was written before its model held the preprocessing."""
    options = content["options"]
    height, width = options["size"]
    colours = {index: rgb(colour_of(index)) for index in range(1, max(2, options["classes"]))}
    for *colour, index in reversed(options.get("colours") or []):
        colours[index] = tuple(colour)
    named = enumerate(content["scores"])
    categories = [_category(index, name, colours.get(index, (0, 0, 0))) for index, name in named]

    def preprocess() -> Callable[[np.ndarray], np.ndarray] | None:
        if options["encoder_weights"] == "none":
            return None
        os.environ["SM_FRAMEWORK"] = "tf.keras"  # read at the import; without it the import fails
        import segmentation_models as sm

        return sm.get_preprocessing(options["backbone"])

    return (height, width), categories, preprocess


def _category(index: int, name: str, colour: tuple[int, int, int]) -> Category:
    """A class in its colour, but not in a grey: in a palette that could be taken for another index."""
    if len({*colour}) == 1:
        colour = rgb(colour_of(index)) if index else (0, 0, 0)
    return Category(name, colour)


def rgb(colour: str) -> tuple[int, int, int]:
    """(red, green, blue) of #rrggbb; ValueError for another text."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"the colour {colour!r} is not #rrggbb")
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _takes_bytes(model: keras.Model) -> bool:
    return keras.backend.standardize_dtype(model.inputs[0].dtype) == "uint8"


def with_preprocessing(model: keras.Model, preprocess: Callable[[np.ndarray], np.ndarray] | None = None) -> keras.Model:
    """`model` behind a layer that does what `preprocess` does to float32 RGB of 0–255; without one, divide by 255.

    Each function of `segmentation_models` makes a weighted sum of the channels and a constant of each pixel. So
    its weights show on black and on the three pure colours.
    """
    images = keras.Input(model.input_shape[1:], dtype="uint8", name="image")
    if preprocess is None:
        return keras.Model(images, model(keras.layers.Rescaling(1 / 255)(images)))
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype(np.float32)
    black, *pure = preprocess(colours.reshape(4, 1, 1, 3)).reshape(4, 3)
    convert = keras.layers.Conv2D(3, 1, name="preprocess")
    outputs = model(convert(keras.layers.Rescaling(1.0)(images)))
    convert.set_weights([((np.array(pure) - black) / 255).reshape(1, 1, 3, 3), black])
    return keras.Model(images, outputs)


def of_any_size(model: keras.Model) -> keras.Model:
    """The same layers and weights, for images of any height and width; ValueError if they need the ones they have."""
    if model.input_shape[1:3] == (None, None):
        return model

    def widen(config: Any) -> Any:
        if isinstance(config, list | tuple):
            return [widen(part) for part in config]
        if not isinstance(config, dict):
            return config
        shape = config.get("batch_shape")
        if shape and len(shape) == 4:
            config = config | {"batch_shape": [shape[0], None, None, shape[3]]}
        return {key: widen(value) for key, value in config.items() if key != "build_config"}

    try:
        wide = keras.saving.deserialize_keras_object(widen(keras.saving.serialize_keras_object(model)))
        wide.set_weights(model.get_weights())
    except Exception as error:  # a layer that needs the size may say so in any way
        raise ValueError(f"a layer needs images of {model.input_shape[1]}×{model.input_shape[2]} ({error})") from None
    return wide
