"""A small network is trained by one process or by several, for notebook 09.

    KERAS_BACKEND=jax TF_CONFIG=... python notebooks/train_in_parts.py PICTURES

Each worker prints the loss of the validation after each of three epochs, as JSON. All
begin with the same weights and compute in double precision: in single precision Adam
makes a whole step of a rounding of a gradient near 0. On JAX or on TensorFlow.
"""

import json
import os
import sys
from pathlib import Path

os.environ["JAX_ENABLE_X64"] = "1"  # else JAX has no double precision
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import keras
import numpy as np

from segfeed import CrossEntropyDice, DataGenerator
from segfeed.distributed.cluster import ClusterSpec
from segfeed.metrics import make_iou
from utils import SAMPLE, read_split

keras.config.set_floatx("float64")
keras.utils.set_random_seed(0)


def batches(part, shard):
    ids = read_split()[part][: int(sys.argv[1])]
    shuffle, folders = part == "train", (SAMPLE / "images", SAMPLE / "masks")
    return DataGenerator(ids, *folders, 4, 32, shuffle=shuffle, shard=shard)


def compiled():
    layers, rng = keras.layers, np.random.default_rng(0)
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    found = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    model = keras.Model(image, found)
    for weights in model.trainable_weights:
        if len(weights.shape) > 1:  # equal for both engines
            weights.assign(rng.normal(0, 0.1, weights.shape))
    model.compile(keras.optimizers.Adam(1e-2), CrossEntropyDice())
    return model


def on_jax(cluster, fitting):
    if len(cluster.addresses) > 1:
        first = cluster.addresses[0]
        keras.distribution.initialize(first, len(cluster.addresses), cluster.rank)
    every_device = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(every_device)
    shard = cluster.rank, len(cluster.addresses)
    train, validation = batches("train", shard), batches("validation", shard)
    compiled().fit(train, validation_data=validation, shuffle=False, **fitting)


def on_tensorflow(cluster, fitting):
    import tensorflow as tf

    from segfeed.distributed.replicas import Replicas, ShardedBatches, make_replicas
    from segfeed.distributed.trainer import DistributedTrainer

    replicas = make_replicas(cluster) or Replicas(tf.distribute.get_strategy(), 0, 1)
    model = replicas.copy(compiled(), compiled)
    train, validation = (
        ShardedBatches(lambda shard, part=part: batches(part, shard), replicas)
        for part in ("train", "validation")
    )
    trainer = DistributedTrainer(replicas, model, make_iou(1))
    trainer.fit(train, validation, initial_epoch=0, **fitting)


if __name__ == "__main__":
    losses = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append(logs["val_loss"])
    )
    fitting = {"epochs": 3, "callbacks": [note], "verbose": 0}
    cluster = ClusterSpec.read()
    on_this = {"jax": on_jax, "tensorflow": on_tensorflow}[keras.backend.backend()]
    on_this(cluster, fitting)
    print(json.dumps([float(loss) for loss in losses]))
