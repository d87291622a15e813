"""The loss of train.py: cross-entropy + Dice that heeds sample weights, void pixels among them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("course")
class CrossEntropyDice(keras.losses.Loss):
    """Cross-entropy + Dice, `segmentation_models`' bce_dice_loss or cce_dice_loss, that heeds sample weights.

    The cross-entropy of a pixel is multiplied by its weight, and averaged over the pixels that have
    one; Dice, which is computed over the batch, leaves out the pixels of weight 0. Where several train
    together, the batch is that of all.
    """

    SMOOTH = 1e-5

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        weight = ops.ones_like(y_pred[..., 0]) if sample_weight is None else ops.cast(sample_weight, y_pred.dtype)
        known = ops.cast(weight > 0, y_pred.dtype)
        if y_pred.shape[-1] == 1:
            entropy = ops.binary_crossentropy(y_true, y_pred)[..., 0]
        else:
            entropy = ops.categorical_crossentropy(y_true, y_pred) / y_pred.shape[-1]
        true, found = y_true * known[..., None], y_pred * known[..., None]
        sums = [ops.sum(weight * entropy)[None], ops.sum(known)[None]]
        sums += [ops.sum(part, axis=(0, 1, 2)) for part in (true * found, true + found)]
        counted, both, either = ops.split(over_all_replicas(ops.concatenate(sums)), [2, 2 + y_pred.shape[-1]])
        dice = (2 * both + self.SMOOTH) / (either + self.SMOOTH)
        return counted[0] / ops.maximum(counted[1], 1) + 1 - ops.mean(dice)


def over_all_replicas(sums: Any) -> Any:
    """What all workers and accelerators that train together have summed, each over its part of a batch."""
    context = tf.distribute.get_replica_context()
    alone = context is None or context.num_replicas_in_sync == 1
    return sums if alone else context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
