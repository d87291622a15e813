"""The models of `segfeed train`: the small U-Net, and an encoder that keeps its weights for some steps."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import keras

from segfeed import build_unet, small_unet
from segfeed.train.optimizer import WarmUpAdam, encoder_layers


@pytest.mark.parametrize(("classes", "size", "channels"), [(1, 32, 3), (4, (48, 16), 1)])
def test_the_small_u_net_gives_a_probability_for_each_pixel(classes, size, channels):
    model = small_unet(classes, size, channels)
    height, width = size if isinstance(size, tuple) else (size, size)
    found = model.predict_on_batch(np.random.default_rng(0).random((2, height, width, channels), np.float32))
    assert found.shape == (2, height, width, classes) and found.min() >= 0 and found.max() <= 1
    if classes > 1:
        np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)  # float32
    assert round(model.count_params() / 1e6, 2) == 0.49
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 18 and {layer.momentum for layer in norms} == {0.9}


def test_every_pixel_of_the_small_u_net_sees_the_ones_around_it_at_each_depth():
    keras.utils.set_random_seed(0)
    model, image = small_unet(img_size=64), np.zeros((1, 64, 64, 3), np.float32)
    lit = image.copy()
    lit[0, 32, 32] = 1
    seen = np.abs(model.predict_on_batch(lit) - model.predict_on_batch(image))[0, ..., 0] > 0
    assert seen[28:37, 28:37].mean() > 0.9 and seen[:8].any() and seen[:, -8:].any()  # ReLUs are silent here and there


def test_more_filters_and_sizes_that_it_cannot_halve():
    assert small_unet(img_size=16, filters=16).count_params() > 3.9 * small_unet(img_size=16).count_params()
    with pytest.raises(ValueError, match="img_size is 40×32: the U-Net halves it four times, so use multiples of 16"):
        small_unet(img_size=(40, 32))


@pytest.mark.long
def test_the_encoder_keeps_its_weights_for_the_warm_up_and_the_decoder_does_not(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_unet("resnet18", img_size=32)
    frozen = encoder_layers(model)
    kept = {id(variable) for name in frozen for variable in model.get_layer(name).trainable_variables}
    assert 0.7 < sum(np.prod(v.shape) for v in model.trainable_variables if id(v) in kept) / model.count_params() < 0.9
    model.compile(WarmUpAdam(1e-2, warm_up_steps=3, frozen=frozen), "binary_crossentropy")
    rng = np.random.default_rng(0)
    batch = rng.random((2, 32, 32, 3), np.float32), rng.integers(0, 2, (2, 32, 32, 1)).astype(np.float32)
    changed = []
    for step in range(5):
        before = [variable.numpy() for variable in model.trainable_variables]
        model.train_on_batch(*batch)
        parts = {True: [], False: []}
        for old, variable in zip(before, model.trainable_variables, strict=True):
            parts[variable.path.partition("/")[0] in frozen].append(not np.array_equal(old, variable.numpy()))
        changed.append((np.mean(parts[True]), np.mean(parts[False])))
        if step == 1:  # a run that goes on has the same optimizer
            model.save(tmp_path / "model.keras")
            model = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [encoder for encoder, _ in changed[:3]] == [0, 0, 0] and min(encoder for encoder, _ in changed[3:]) > 0.9
    assert min(decoder for _, decoder in changed) > 0.9


def test_what_follows_the_encoder_of_each_kind_of_backbone_is_no_encoder():
    for backbone in ("vgg16", "mobilenetv2"):
        model = build_unet(backbone, img_size=32)
        frozen = set(encoder_layers(model))
        others = [layer.name for layer in model.layers if layer.weights and layer.name not in frozen]
        assert {name[:7] for name in others} <= {"decoder", "center_", "final_c"} and len(others) >= 11
        assert len(frozen) >= 13, backbone
