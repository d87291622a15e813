"""A model used on a new image: it gets what it was trained on, whether it scales images itself or not."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segfeed import predict, predict_mask

RED = np.array([0.299, 0.587, 0.114], np.float32)


def brightness(inputs):
    """An image in [0, 1] as a probability, by its luma."""
    return inputs if inputs.shape[-1] == 1 else keras.ops.sum(inputs * RED, -1, keepdims=True)


def first(layer, dtype="float32", channels=3):
    """A model that begins with `layer`."""
    inputs = keras.Input((8, 8, channels), dtype=dtype)
    return keras.Model(inputs, brightness(layer(inputs)))


def inside(layer):
    """A model that begins with a model that begins with `layer`."""
    return keras.Sequential([keras.Input((8, 8, 3)), keras.Sequential([layer]), keras.layers.Lambda(brightness)])


BYTES = keras.layers.Rescaling(1 / 255)
MODELS = {
    "no scaling": lambda: first(keras.layers.Identity()),
    "a scale for fractions": lambda: first(keras.layers.Rescaling(1.0)),
    "divides by 255": lambda: first(BYTES),
    "takes bytes": lambda: first(BYTES, dtype="uint8"),
    "takes bytes and divides otherwise": lambda: first(lambda x: keras.ops.cast(x, "float32") / 255, dtype="uint8"),
    "to -1 and 1": lambda: first(lambda x: keras.layers.Rescaling(1 / 127.5, -1)(x) / 2 + 0.5),
    "a model inside": lambda: inside(keras.layers.Rescaling(1 / 255)),
    "grey": lambda: first(keras.layers.Identity(), channels=1),
    "grey, divides by 255": lambda: first(BYTES, channels=1),
    "float16": lambda: first(lambda x: keras.ops.cast(x, "float16")),
    "bfloat16": lambda: first(lambda x: keras.ops.cast(x, "bfloat16")),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_model_gets_images_in_its_range(make):
    """The image's left is bright and its right dark, on both sides of a half; divided twice, all would be dark."""
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, :12], image[:, 12:] = (200, 150, 140), (120, 100, 90)
    expected = np.zeros((16, 24, 1), np.uint8)
    expected[:, :12] = 1
    found = predict_mask(make(), image)
    assert np.mean(found != expected) <= 1 / 12 and found.dtype == np.uint8  # the outline is smooth


def test_preprocess_takes_the_place_of_any_scaling():
    image = np.full((8, 8, 3), 10, np.uint8)
    assert predict_mask(first(keras.layers.Identity()), image, preprocess=lambda images: images / 11).all()
    assert not predict_mask(first(BYTES), image, preprocess=lambda images: images * 0).any()
    with pytest.raises(ValueError, match=r"preprocess returned float64 \(1, 8, 8, 3\)"):
        predict_mask(first(BYTES), image, preprocess=lambda images: images / np.ones(1))


@given(st.integers(2, 40), st.integers(1, 9))
def test_any_number_of_classes(n_classes, side):
    model = SimpleNamespace(input_shape=(None, 4, 4, 3))
    model.predict_on_batch = lambda images: np.eye(n_classes)[np.full(images.shape[:3], n_classes - 1)]
    found = predict_mask(model, np.zeros((side, 5, 3), np.uint8))
    assert found.shape == (side, 5, 1) and (found == n_classes - 1).all()


@pytest.mark.parametrize("image", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8)])
def test_another_image_is_refused_with_its_form(image):
    with pytest.raises(ValueError, match=r"the image is (float64|uint8) \(8, 8.*give uint8 \(H, W, 3\)"):
        predict_mask(first(BYTES), image)


@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 8, 8, 4), (None, 3, 8, 8)])
def test_another_model_is_refused_with_the_shape_of_its_input(shape):
    with pytest.raises(ValueError, match=r"the model's input is \(None, .*expected \(None, height, width, 1 or 3\)"):
        predict_mask(SimpleNamespace(input_shape=shape), np.zeros((8, 8, 3), np.uint8))


# --- predict: classes and probabilities -------------------------------------------------------


def test_classes_and_probabilities_come_in_the_size_of_the_image():
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, :12] = 200
    for tile in (None, 8):
        classes, probabilities = predict(first(BYTES), image, tile=tile, threshold=0.7)
        assert classes.shape == probabilities.shape == (16, 24, 1)
        assert (classes.dtype, probabilities.dtype) == (np.uint8, np.float32)
        assert (classes == (probabilities >= 0.7)).all() and classes[:, :10].all() and not classes[:, 14:].any()
    assert not predict(first(BYTES), image, threshold=0.9)[0].any()
    flipped, _ = predict(first(BYTES), image[:, ::-1], tta=True, threshold=0.7)
    assert (flipped[:, ::-1] == predict(first(BYTES), image, tta=True, threshold=0.7)[0]).all()


def test_a_module_and_a_function_have_no_common_name():
    import segfeed
    import segfeed.inference.program

    assert callable(segfeed.predict) and segfeed.predict is predict


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tile": 32, "overlap": -1}, "overlap is -1: give a share of a tile's side, 0 to 0.9."),
        ({"tile": 32, "overlap": 1.0}, "overlap is 1.0"),
        ({"tile": 32, "overlap": float("nan")}, "overlap is nan"),
        ({"tile": 0}, "tile is 0: give a side in pixels"),
        ({"tile": -32}, "tile is -32: give a whole number"),
        ({"tile": 32.0}, "tile is 32.0: give a whole number"),
    ],
)
def test_tiles_outside_their_range_are_named(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        predict(first(keras.layers.Identity()), np.zeros((40, 50, 3), np.uint8), **given)
