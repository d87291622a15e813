"""What Keras runs on and how it is set: variables of the environment, and `keras.json` in ~/.keras or KERAS_HOME."""

from __future__ import annotations

import os

BACKENDS = {"jax", "jaxlib", "torch", "openvino"}
RESTART = "set KERAS_BACKEND=tensorflow in the environment, and start Python anew"


def use_tensorflow() -> None:
    """Set Keras as the U-Net needs it, in a process that is ours; before Keras is imported."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0", "SM_FRAMEWORK": "tf.keras"}
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")


def keras_problem() -> str:
    """Why the U-Net cannot be built and trained as Keras is set, and the cure; empty if it can.

    The U-Net of `segmentation_models` is of TensorFlow and Keras 3. Its images are (height, width, channels), and
    sums over many pixels overflow in half precision.
    """
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):
        return "TF_USE_LEGACY_KERAS is set, so TensorFlow builds models of Keras 2: unset it, and start Python anew"
    try:
        import keras
    except ImportError as error:
        if error.name not in BACKENDS:
            raise
        return f"Keras runs on {error.name}, which is not installed, and the U-Net on TensorFlow: {RESTART}"
    if keras.config.backend() != "tensorflow":
        return f"Keras runs on {keras.config.backend()}, and the U-Net on TensorFlow: {RESTART}"
    for name, value, wanted in (
        ("image_data_format", keras.config.image_data_format(), ["channels_last"]),
        ("floatx", keras.config.floatx(), ["float32", "float64"]),
    ):
        if value not in wanted:
            return (
                f"Keras is set to {value}, perhaps in keras.json, and the U-Net needs {wanted[0]}: change it there, "
                f"or call keras.config.set_{name}({wanted[0]!r})"
            )
    return ""
