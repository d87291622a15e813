"""Two U-Nets: a small one in plain Keras, and that of segmentation_models, ready for a small data set."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from segfeed.arguments import height_and_width
from segfeed.backend import keras_problem

if TYPE_CHECKING:
    import keras


def small_unet(
    n_classes: int = 1,
    img_size: int | tuple[int, int] = 128,
    n_channels: int = 3,
    filters: int = 8,
    momentum: float = 0.9,
) -> keras.Model:
    """Build a U-Net (Ronneberger et al., 2015): (B, H, W, n_channels) → probabilities (B, H, W, n_classes).

    It halves the image four times and doubles the `filters` each time; 8 give 0.49 million weights. The last layer,
    and `momentum`, as in `build_unet`. Raises ValueError for a size that four halvings do not divide, and RuntimeError
    for settings of Keras as `build_unet` does.
    """
    if problem := keras_problem():
        raise RuntimeError(f"{problem}.")
    import keras
    from keras import layers

    height, width = height_and_width(img_size)
    if height % 16 or width % 16:
        raise ValueError(f"img_size is {height}×{width}: the U-Net halves it four times, so use multiples of 16.")

    def block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
            x = layers.BatchNormalization(momentum=momentum)(x)
            x = layers.Activation("relu")(x)
        return x

    x = image = keras.Input((height, width, n_channels), name="image")
    passed = []
    for step in range(4):
        passed.append(block(x, filters * 2**step))
        x = layers.MaxPooling2D()(passed[-1])
    x = block(x, filters * 16)
    for step in reversed(range(4)):
        x = layers.Conv2DTranspose(filters * 2**step, 2, strides=2)(x)
        x = block(layers.Concatenate()([passed[step], x]), filters * 2**step)
    last = layers.Conv2D(n_classes, 1, activation="sigmoid" if n_classes == 1 else "softmax")
    return keras.Model(image, last(x), name="small_unet")


def build_unet(
    backbone: str = "resnet34",
    n_classes: int = 1,
    img_size: int | tuple[int, int] = 128,
    n_channels: int = 3,
    encoder_weights: str | None = None,
    momentum: float = 0.9,
) -> keras.Model:
    """Build the U-Net of `segmentation_models`: (B, H, W, n_channels) → probabilities (B, H, W, n_classes).

    The last layer is a sigmoid for one class and a softmax for more. `momentum` goes to every
    batch normalisation: with Keras' 0.99 the averages that validation uses need some 500 steps to
    leave their start values, more than a small data set has. `encoder_weights="imagenet"` loads
    weights that expect what `segmentation_models.get_preprocessing(backbone)` returns, so hand that
    to the generator as `preprocess`.

    Raises ValueError for a size that five halvings do not divide, and FileNotFoundError, with the
    file's name and its place, when the weights are neither on this computer nor can be fetched;
    RuntimeError when Keras runs on another backend, or is set to channels first or half precision.
    """
    if problem := keras_problem():
        raise RuntimeError(f"{problem}.")
    import keras

    os.environ["SM_FRAMEWORK"] = "tf.keras"  # read at the import; without it the import fails
    import segmentation_models as sm  # an extra of segfeed

    height, width = height_and_width(img_size)
    if height % 32 or width % 32:
        raise ValueError(f"img_size is {height}×{width}: the U-Net halves it five times, so use multiples of 32.")
    try:
        model = sm.Unet(
            backbone,
            input_shape=(height, width, n_channels),
            classes=n_classes,
            activation="sigmoid" if n_classes == 1 else "softmax",
            encoder_weights=encoder_weights,
        )
    except Exception as error:
        fetch = re.search(r"URL fetch failure on (\S+?):? ", str(error))
        if fetch is None:
            raise
        name = fetch[1].rpartition("/")[2]
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras"), "models").expanduser()
        raise FileNotFoundError(
            f"The {encoder_weights} weights of {backbone} are not on this computer and cannot be fetched. "
            f"Fetch {name} where there is a network and put it into {folder}, "
            f"or train from random weights with encoder_weights=None."
        ) from error
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    return model
