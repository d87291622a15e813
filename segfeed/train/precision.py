"""Half precision: the same model, computed with numbers of 16 bits or of 32."""

from __future__ import annotations

import keras
import tensorflow as tf


def mixed_policy() -> str:
    """Keras' name for what `--mixed` means here: float16 on a GPU, bfloat16 on a processor.

    Weights stay in float32. Gradients of float16 can be too small for it, so the loss is to be scaled; bfloat16 has
    the range of float32.
    """
    return "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


def with_policy(model: keras.Model, policy: str) -> keras.Model:
    """A model of the same layers and weights, computed in `policy`; its last layer in float32, for the loss."""

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        dtype = "float32" if layer.name == model.layers[-1].name else policy
        return type(layer).from_config(layer.get_config() | {"dtype": dtype})

    copy = keras.models.clone_model(model, clone_function=changed)
    copy.set_weights(model.get_weights())
    return copy
