"""What training minimises: cross-entropy + Dice that heeds sample weights, and weights that balance classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from segfeed.errors import first_names

if TYPE_CHECKING:
    from segfeed.generator import DataGenerator


@keras.saving.register_keras_serializable("course")  # this name stands in models that are stored
class CrossEntropyDice(keras.losses.Loss):
    """Cross-entropy + Dice, `segmentation_models`' bce_dice_loss or cce_dice_loss, that heeds sample weights.

    The cross-entropy of a pixel is multiplied by its weight, and averaged over the pixels that have
    one; Dice, which is computed over the batch, leaves out the pixels of weight 0. Where several train
    together, the batch is that of all. It counts in float32, whatever the model computes in: in float16 a sum ends
    at 65,504, in bfloat16 at 256 ones.
    """

    SMOOTH = 1e-5

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_pred = ops.cast(y_pred, keras.backend.result_type(y_pred.dtype, "float32"))
        y_true = ops.cast(y_true, y_pred.dtype)
        weight = ops.ones_like(y_pred[..., 0]) * (
            1 if sample_weight is None else _for_pixels(sample_weight, y_pred.dtype)
        )
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


def _for_pixels(weights: Any, dtype: str) -> Any:
    """Sample weights that broadcast to (B, H, W): each image's (B,) or pixel's, also with an axis more."""
    weights = ops.cast(weights, dtype)
    if len(weights.shape) > 3:
        return weights[..., 0]
    return ops.reshape(weights, (*ops.shape(weights), *[1] * (3 - len(weights.shape))))


def over_all_replicas(sums: Any) -> Any:
    """What all workers and accelerators that train together have summed, each over its part of a batch."""
    if keras.backend.backend() != "tensorflow":
        return sums
    import tensorflow as tf  # other backends do without it

    context = tf.distribute.get_replica_context()
    alone = context is None or context.num_replicas_in_sync == 1
    return sums if alone else context.all_reduce(tf.distribute.ReduceOp.SUM, sums)


def balanced_weights(generator: DataGenerator) -> list[float]:
    """A weight for each class index with which every class weighs the same in the whole set.

    weight = pixels / (classes · pixels of the class) (King and Zeng, 2001); void pixels do not
    count. One class has two: ground and object. Raises ValueError for a class without any pixel.
    """
    counts = np.zeros(max(2, generator.n_classes), np.int64)
    for _, masks, *weights in generator:
        one_hot = masks if generator.n_classes > 1 else np.concatenate([1 - masks, masks], axis=-1)
        known = weights[0] > 0 if weights else np.ones(masks.shape[:3], bool)
        counts += np.count_nonzero(one_hot[known], axis=0)
    if not counts.all():
        raise ValueError(
            f"classes without a pixel in this set: {first_names(np.flatnonzero(counts == 0).astype(str).tolist())}. "
            f"Add images that show them, give a larger size if they vanish when resized (segfeed audit --size says "
            f"so), or weigh no classes (without --balanced)."
        )
    return (counts.sum() / (len(counts) * counts)).tolist()
