"""What `model.fit` does, for several replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from segfeed.distributed.replicas import Replicas, ShardedBatches


class DistributedTrainer:
    """What `model.fit` does, for several replicas; Keras 3's own cannot work under a strategy of several workers.

    The model was compiled in the scope of the strategy; `iou` is Keras' BinaryIoU or OneHotMeanIoU.
    `metrics_variables` hold the sums of an epoch so far, as those of a Keras model do: of the losses of all
    samples, the number of samples, and the confusion matrix.
    """

    def __init__(self, replicas: Replicas, model: keras.Model, iou: keras.metrics.Metric):
        self.replicas, self.model, self.iou = replicas, model, iou
        shapes = (), (), (iou.num_classes, iou.num_classes)
        self.metrics_variables = [tf.Variable(tf.zeros(shape, tf.float64)) for shape in shapes]
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # mean and variance over the parts of all replicas
        images, masks = model.inputs[0], model.outputs[0]
        part = [tf.TensorSpec(like.shape, like.dtype) for like in (images, masks)]
        part.append(tf.TensorSpec(masks.shape[:3], masks.dtype))
        # traced once: were one worker to trace again for a shorter part, the others would wait for ever
        signature = [[part] * len(replicas.shards)]
        self._train = tf.function(lambda parts: replicas.strategy.run(self._step, (parts, True)), signature)
        self._test = tf.function(lambda parts: replicas.strategy.run(self._step, (parts, False)), signature)

    def _step(self, parts: list[list[Any]], training: bool) -> tuple[Any, Any]:
        """In each replica: the loss and the confusion matrix of the batch of all replicas."""
        context = tf.distribute.get_replica_context()
        number = int(tf.get_static_value(context.replica_id_in_sync_group))
        images, masks, weights = parts[number - self.replicas.shards[0][0]]
        with tf.GradientTape() as tape:
            predictions = self.model(images, training=training)
            loss = self.model.loss(masks, predictions, sample_weight=weights)
            share = loss / self.replicas.n_replicas
        if training:
            variables = self.model.trainable_variables
            gradients = tape.gradient(share, variables)
            self.model.optimizer.apply_gradients(zip(gradients, variables, strict=True))  # sums over the replicas
        if masks.shape[-1] == 1:
            true, found = masks[..., 0] > 0.5, predictions[..., 0] >= self.iou.threshold
        else:
            true, found = ops.argmax(masks, axis=-1), ops.argmax(predictions, axis=-1)
        pairs = [ops.reshape(ops.cast(values, "int32"), [-1]) for values in (true, found)]
        confusion = tf.math.confusion_matrix(*pairs, self.iou.num_classes, tf.reshape(weights, [-1]), tf.float32)
        return loss, context.all_reduce(tf.distribute.ReduceOp.SUM, confusion)

    def _epoch(
        self,
        step: Callable,
        data: ShardedBatches,
        callbacks: keras.callbacks.CallbackList | None = None,
        first_step: int = 0,
    ) -> dict[str, float]:
        losses, samples, confusion = self.metrics_variables
        for index in range(first_step, len(data)):
            if callbacks:
                callbacks.on_train_batch_begin(index)
            parts = [[tf.cast(array, self.model.dtype) for array in part] for part in data[index]]
            loss, matrix = (self.replicas.strategy.experimental_local_results(value)[0] for value in step(parts))
            losses.assign_add(float(loss) * data.samples(index))
            samples.assign_add(data.samples(index))
            confusion.assign_add(tf.cast(matrix, tf.float64))
            if callbacks:
                callbacks.on_train_batch_end(index, {"loss": float(loss)})
        self.iou.total_cm.assign(confusion.numpy())
        logs = {"iou": float(self.iou.result()), "loss": float(losses / samples)}
        for variable in self.metrics_variables:
            variable.assign(tf.zeros_like(variable))
        return logs

    def fit(
        self,
        train: ShardedBatches,
        validation_data: ShardedBatches,
        epochs: int,
        initial_epoch: int,
        callbacks: list,
        verbose: int,
        first_step: int = 0,
    ) -> None:
        """Train from step `first_step` of `initial_epoch`, both counted from 0, up to `epochs`."""
        every = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=bool(verbose),
            model=self.model,
            epochs=epochs,
            steps=len(train),
            verbose=verbose,
        )
        self.model.stop_training = False
        every.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            train.set_epoch(epoch)
            every.on_epoch_begin(epoch)
            logs = self._epoch(self._train, train, every, first_step)
            first_step = 0
            logs |= {f"val_{name}": value for name, value in self._epoch(self._test, validation_data).items()}
            every.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        every.on_train_end()
