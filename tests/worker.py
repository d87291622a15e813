"""One worker of tests/test_workers.py: three epochs in double precision, printed as JSON.

    python tests/worker.py fit|loop|cpus small|unet

In single precision Adam makes of a rounding of a gradient near 0 a step in the other direction, and
losses of equal trainings drift apart; in double precision what is left is what differs in fact.
"""

import json
import sys

import keras
import tensorflow as tf

from segfeed import CrossEntropyDice, DataGenerator, build_unet
from segfeed.distributed.cluster import ClusterSpec, rendezvous
from segfeed.distributed.replicas import Replicas, ShardedBatches, make_replicas
from segfeed.distributed.trainer import DistributedTrainer
from segfeed.metrics import make_iou
from utils import SAMPLE, read_split

how, network = sys.argv[1:]
keras.config.set_floatx("float64")
keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()
if how == "cpus":  # as on a machine with two GPUs
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
cluster = ClusterSpec.read()
rendezvous(cluster, {})
ids = read_split()["train"][:13]  # the last of the batches of 4 has fewer samples than there are workers


def make(stems, **options):
    return DataGenerator(stems, SAMPLE / "images", SAMPLE / "masks", 4, 32, ignore=7, **options)


def small():
    """Soon ready; its batch normalisation needs the moments of all replicas."""
    image = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(8, 3, padding="same")(image)
    features = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=0.9)(features))
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(features))


def compiled():
    model = small() if network == "small" else build_unet("resnet18", img_size=32, encoder_weights=None)
    model.compile(keras.optimizers.Adam(1e-5), CrossEntropyDice(), weighted_metrics=[make_iou(1)])
    model.optimizer.build(model.trainable_variables)
    return model


logs = []
callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, values: logs.append(dict(values)))
common = {"epochs": 3, "initial_epoch": 0, "callbacks": [callback], "verbose": 0}
if how == "fit":
    model = compiled()
    model.fit(make(ids), validation_data=make(ids[:5], shuffle=False), shuffle=False, **common)
else:
    if how == "cpus":
        replicas = Replicas(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 0, 1)
    else:
        replicas = make_replicas(cluster) or Replicas(tf.distribute.get_strategy(), 0, 1)
    model = replicas.copy(compiled(), compiled)
    train = ShardedBatches(lambda shard: make(ids, shard=shard), replicas)
    validation = ShardedBatches(lambda shard: make(ids[:5], shuffle=False, shard=shard), replicas)
    DistributedTrainer(replicas, model, make_iou(1)).fit(train, validation, **common)
print(json.dumps(logs))
