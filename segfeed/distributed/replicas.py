"""The replicas of a model that train together, and the part of each batch that each of them gets."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from segfeed.distributed.cluster import PATIENCE, ClusterSpec
from segfeed.generator import DataGenerator

Part = tuple[np.ndarray, ...]


class Replicas(NamedTuple):
    """The workers that train together, each with one or more replicas of the model."""

    strategy: tf.distribute.Strategy
    rank: int
    world: int

    @property
    def n_replicas(self) -> int:
        """The number of replicas of all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def shards(self) -> list[tuple[int, int]]:
        """(rank, world) of each replica of this worker, as `DataGenerator` takes it."""
        own = self.n_replicas // self.world
        return [(self.rank * own + number, self.n_replicas) for number in range(own)]

    def copy(self, model: keras.Model, make: Callable[[], keras.Model]) -> keras.Model:
        """What `make` makes, in each replica, with the variables of worker 0's `model`, the optimizer's too.

        Creating a variable is a collective operation: the same variables, in the same order, on all workers.
        """
        with self.strategy.scope():
            copy = make()
            values = self.broadcast([variable.numpy() for variable in _variables(model)])
            for variable, value in zip(_variables(copy), values, strict=True):
                variable.assign(value)
        return copy

    def broadcast(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Return worker 0's arrays on all workers, which hand in arrays of the same shapes; also a barrier."""

        def contribute(values: list[tf.Tensor]) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            first = tf.get_static_value(context.replica_id_in_sync_group) == 0
            parts = [tf.identity(value) if first else tf.zeros_like(value) for value in values]
            return [context.all_reduce(tf.distribute.ReduceOp.SUM, part) for part in parts]

        run = tf.function(lambda values: self.strategy.run(contribute, (values,)))
        sums = run([tf.constant(array) for array in arrays])
        return [self.strategy.experimental_local_results(value)[0].numpy() for value in sums]

    def barrier(self) -> None:
        """Wait until all workers have come here."""
        self.broadcast([np.zeros(1)])


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All but the states of random draws, which each epoch begins anew."""
    variables = [*model.variables, *model.optimizer.variables]
    return [variable for variable in variables if not variable.path.endswith("seed_generator_state")]


def make_replicas(spec: ClusterSpec, seconds: float = PATIENCE) -> Replicas | None:
    """TensorFlow's strategy for several workers, or for several GPUs of one; None for one process alone."""
    if len(spec.addresses) == 1:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        return Replicas(tf.distribute.MirroredStrategy(), 0, 1) if several else None
    # in a wait for another worker TensorFlow keeps the GIL and hears no signal; this ends it all the same
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        return Replicas(tf.distribute.MultiWorkerMirroredStrategy(), spec.rank, len(spec.addresses))
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # TensorFlow has taken it, and would ignore it


class ShardedBatches:
    """A DataGenerator's batches, each divided among the replicas of this worker.

    Each batch is sharded, not the data set, so all workers take equally many steps, whatever the number of
    samples. A last batch of fewer samples than replicas goes whole to all of them, with the weight 0 for all
    but the first: no layer can work on an empty part, and in copies of a batch the batch statistics are those
    of the batch.
    """

    def __init__(self, make: Callable[[tuple[int, int]], DataGenerator], replicas: Replicas):
        self.whole, self.parts = make((0, 1)), [make(shard) for shard in replicas.shards]
        self.replicas, self.pairs = replicas, self.whole.pairs

    def __len__(self) -> int:
        return len(self.whole)

    def samples(self, index: int) -> int:
        """In batch `index`, of all workers."""
        return min(self.whole.batch_size, len(self.whole.samples) - index * self.whole.batch_size)

    def __getitem__(self, index: int) -> list[Part]:
        """For each replica images, masks and sample weights."""
        if self.samples(index) >= self.replicas.n_replicas:
            return [_weighted(part[index], 1) for part in self.parts]
        batch = self.whole[index]
        return [_weighted(batch, float(rank == 0)) for rank, _ in self.replicas.shards]

    def set_epoch(self, epoch: int) -> None:
        for generator in (self.whole, *self.parts):
            generator.set_epoch(epoch)


def _weighted(batch: Part, factor: float) -> Part:
    images, masks, *weights = batch
    return images, masks, (weights[0] if weights else np.ones(masks.shape[:3], np.float32)) * np.float32(factor)
