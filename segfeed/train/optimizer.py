"""Adam that leaves an encoder with ImageNet weights as it is, until the decoder behind it has learned something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

# how the names of the layers of segmentation_models' U-Net that are no encoder begin
DECODER = ("decoder_", "center_", "final_conv")


@keras.saving.register_keras_serializable("segfeed")
class WarmUpAdam(keras.optimizers.Adam):
    """Adam that does not change the weights of the layers `frozen` in the first `warm_up_steps` steps.

    Its running means of their gradients begin in the first step all the same.
    """

    def __init__(self, *args: Any, warm_up_steps: int = 0, frozen: Sequence[str] = (), **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.warm_up_steps, self.frozen = warm_up_steps, list(frozen)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        self._kept = [variable.path.partition("/")[0] in self.frozen for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self._kept[self._get_variable_index(variable)]:  # as Adam finds its means
            learning_rate = keras.ops.where(self.iterations < self.warm_up_steps, 0.0, learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"warm_up_steps": self.warm_up_steps, "frozen": self.frozen}


def encoder_layers(model: keras.Model) -> list[str]:
    """The names of the layers with weights that belong to the encoder of a U-Net of segmentation_models."""
    return [layer.name for layer in model.layers if layer.weights and not layer.name.startswith(DECODER)]
