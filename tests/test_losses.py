"""What training minimises and what it is judged by, in every precision that a model may compute in."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from segfeed.losses import CrossEntropyDice
from segfeed.metrics import iou_per_class

HALVES = ["float16", "bfloat16"]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_many_pixels_do_not_overflow(dtype, classes, weighted):
    """2 × 384 × 384 pixels: more than float16 holds, and far more than bfloat16 counts to."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (2, 384, 384, 1)) if classes == 1 else np.eye(3)[rng.integers(0, 3, (2, 384, 384))]
    found = tf.cast(rng.uniform(0.3, 0.7, truth.shape), dtype)
    weights = rng.integers(0, 3, truth.shape[:3]) if weighted else None
    expected = CrossEntropyDice()(truth, tf.cast(found, "float32"), weights)
    for like in ("float32", dtype):
        value = CrossEntropyDice()(tf.cast(truth, like), found, None if weights is None else tf.cast(weights, like))
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert value.dtype == "float32"


WEIGHTS = {
    "one": lambda rng, b, h, w: np.float32(2),
    "each image": lambda rng, b, h, w: rng.integers(0, 3, b),
    "each image, with an axis": lambda rng, b, h, w: rng.integers(0, 3, (b, 1)),
    "each image, with two": lambda rng, b, h, w: rng.integers(0, 3, (b, 1, 1)),
    "each pixel": lambda rng, b, h, w: rng.integers(0, 3, (b, h, w)),
    "each pixel, with an axis": lambda rng, b, h, w: rng.integers(0, 3, (b, h, w, 1)),
}


@given(st.sampled_from(list(WEIGHTS)), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))
def test_a_weight_counts_for_each_pixel_of_its_image(form, batch, height, width, classes):
    """As with the losses of Keras: whatever the form, nothing is multiplied crosswise."""
    rng = np.random.default_rng(0)
    shape = batch, height, width
    truth = rng.integers(0, 2, (*shape, 1)) if classes == 1 else np.eye(3)[rng.integers(0, 3, shape)]
    found = rng.uniform(0.1, 0.9, truth.shape).astype(np.float32)
    given = np.asarray(WEIGHTS[form](rng, *shape), np.float32)
    full = given[..., 0] if given.ndim == 4 else given.reshape(*given.shape, *[1] * (3 - given.ndim))
    expected = CrossEntropyDice()(truth, found, np.broadcast_to(full, shape))
    np.testing.assert_allclose(CrossEntropyDice()(truth, found, given), expected, rtol=1e-5)


def test_numbers_of_64_bits_keep_them():
    assert (
        CrossEntropyDice()(np.ones((1, 2, 2, 1)), tf.fill((1, 2, 2, 1), tf.constant(0.5, "float64"))).dtype == "float64"
    )


@pytest.mark.parametrize("policy", [*(f"mixed_{dtype}" for dtype in HALVES), "bfloat16"])
def test_a_model_of_halves_learns(policy):
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid", dtype=policy, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((256, 256, 3)), layer])
    model.compile(keras.optimizers.SGD(1.0), CrossEntropyDice())
    images = np.zeros((4, 256, 256, 3), np.float32)
    images[:, :, :128] = 1
    losses = model.fit(images, images[..., :1], epochs=4, batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@pytest.mark.parametrize("floatx", ["float32", *HALVES])
@pytest.mark.parametrize("n_classes", [1, 2])
def test_scores_count_all_pixels_whatever_keras_computes_in(floatx, n_classes):
    truth = np.zeros((2, 384, 384, 1), np.float32)
    truth[:, :100] = 1
    found = np.roll(truth, 50, axis=1)
    if n_classes == 2:
        truth, found = (np.concatenate([1 - mask, mask], axis=-1) for mask in (truth, found))
    batches = type("Batches", (list,), {"n_classes": n_classes})([(found, truth)])
    usual = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        model = SimpleNamespace(predict_on_batch=lambda images: images)
        scores = iou_per_class(model, batches, ("ground", "object"))
    finally:
        keras.config.set_floatx(usual)
    assert scores[1].iou == pytest.approx(50 / 150)
    assert scores[0].iou == pytest.approx(234 / 334)
