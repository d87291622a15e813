"""Train on several machines, or on several accelerators of one: who takes part, who reads what, and the loop.

Start the same command on each machine, with the environment variable TF_CONFIG of TensorFlow:

    TF_CONFIG='{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'

Each worker reads its part of every batch. TensorFlow's strategy sums gradients, batch statistics and
scores over all of them, so that a batch of all workers is what it would be in one process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from generator import DataGenerator

PATIENCE = 300  # seconds to wait for the other workers
Part = tuple[np.ndarray, ...]


class WorkerError(Exception):
    """Why the workers cannot train together, and what to do."""


# --- Who takes part --------------------------------------------------------------------------


class Place(NamedTuple):
    """The place of this process among the workers, by TF_CONFIG."""

    addresses: list[str]
    rank: int

    @classmethod
    def read(cls) -> Place:
        """Alone where TF_CONFIG is not set; WorkerError when it cannot be understood."""
        text = os.environ.get("TF_CONFIG", "")
        if not text:
            return cls(["localhost:0"], 0)
        example = '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'
        try:
            config = json.loads(text)
            addresses, task = config["cluster"]["worker"], config["task"]
            place = cls([str(address) for address in addresses], int(task["index"]))
            ports = [int(address.rpartition(":")[2]) for address in place.addresses]
        except (ValueError, KeyError, TypeError) as error:
            raise WorkerError(f"TF_CONFIG cannot be read ({error!r}). It looks like {example}.") from None
        if list(config["cluster"]) != ["worker"] or task.get("type") != "worker" or not all(ports):
            raise WorkerError(f"TF_CONFIG: there are only workers, each host:port, as in {example}.")
        if not 0 <= place.rank < len(addresses):
            raise WorkerError(f"TF_CONFIG: index is {place.rank}, and there are {len(addresses)} workers, from 0.")
        if len(set(addresses)) < len(addresses):
            raise WorkerError(f"TF_CONFIG names an address twice: {', '.join(addresses)}.")
        return place


def meet(place: Place, card: dict[str, Any], seconds: float = PATIENCE) -> list[dict[str, Any]]:
    """Wait for all workers and exchange cards with each, what JSON can hold; the cards in the order of rank.

    Raises WorkerError for a taken port, for an address at which something else answers, and when somebody
    does not come in time. TensorFlow itself would wait for a missing worker without a word.
    """
    if len(place.addresses) == 1:
        return [card]
    mine = json.dumps([place.rank, card]).encode() + b"\n"
    port = place.addresses[place.rank].rpartition(":")[2]
    try:
        listener = socket.create_server(("", int(port)))
    except OSError as error:
        raise WorkerError(
            f"port {port} of this worker cannot be opened ({error.strerror}): end the program that uses it, or give "
            f"another port in TF_CONFIG, the same for all workers."
        ) from None
    listener.settimeout(0.2)
    visits, met = set(), threading.Event()

    def receive() -> None:
        while not met.is_set():
            with contextlib.suppress(OSError, ValueError, TypeError), listener.accept()[0] as visitor:
                visitor.settimeout(10)
                rank, _ = _line(visitor)
                visitor.sendall(mine)
                visits.add(rank)

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    try:
        others = [rank for rank in range(len(place.addresses)) if rank != place.rank]
        cards, problems, begun, told = {place.rank: card}, {}, time.monotonic(), False
        while missing := [rank for rank in others if rank not in cards or rank not in visits]:
            for rank in missing:
                try:
                    cards[rank] = cards.get(rank) or _visit(place, rank, mine)
                except OSError as error:
                    problems[rank] = f": {error}"
            names = ", ".join(f"{rank} ({place.addresses[rank]}{problems.get(rank, '')})" for rank in missing)
            waited = time.monotonic() - begun
            if waited > seconds:
                raise WorkerError(
                    f"worker {names} did not come within {seconds:g} s. Start it, or see why it stopped, and whether "
                    f"this machine and that one can reach each other at these addresses."
                )
            if waited > 5 and not told:
                print(f"Waiting for worker {names}.", flush=True)
                told = True
            time.sleep(0.1)
    finally:  # the port is TensorFlow's from here on
        met.set()
        receiver.join()
        listener.close()
    return [cards[rank] for rank in range(len(place.addresses))]


def _visit(place: Place, rank: int, mine: bytes) -> dict[str, Any]:
    """The card of a worker; OSError when it is not there yet."""
    address = place.addresses[rank]
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(mine)
            answered, card = _line(connection)
    except (ValueError, TypeError):
        raise WorkerError(f"what answers at {address} is no worker of this program: correct TF_CONFIG.") from None
    if answered != rank:
        raise WorkerError(f"at {address} worker {answered} answers and not {rank}: TF_CONFIG differs between them.")
    return card


def _line(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    with connection.makefile("rb") as file:
        rank, card = json.loads(file.readline(2**24))
    return int(rank), dict(card)


def differences(cards: Sequence[dict[str, Any]]) -> list[str]:
    """Where the cards of workers differ from that of worker 0, in words."""
    found = []
    for rank, card in enumerate(cards):
        for key in cards[0] | card:
            first, other = cards[0].get(key), card.get(key)
            if first != other:
                found.append(f"{key} is {first} for worker 0 and {other} for worker {rank}")
    return found


# --- Who reads what --------------------------------------------------------------------------


class Team(NamedTuple):
    """The workers that train together, each with one or more replicas of the model."""

    strategy: tf.distribute.Strategy
    rank: int
    world: int

    @property
    def replicas(self) -> int:
        """Of all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def shards(self) -> list[tuple[int, int]]:
        """(rank, world) of each replica of this worker, as `DataGenerator` takes it."""
        own = self.replicas // self.world
        return [(self.rank * own + number, self.replicas) for number in range(own)]

    def copy(self, model: keras.Model, make: Callable[[], keras.Model]) -> keras.Model:
        """For each replica what `make` makes, with the variables of worker 0's `model`, the optimizer's too.

        To create a variable is a step of all workers, so all of them create the same ones, and in one order.
        """
        with self.strategy.scope():
            copy = make()
            values = self.of_first([variable.numpy() for variable in _variables(model)])
            for variable, value in zip(_variables(copy), values, strict=True):
                variable.assign(value)
        return copy

    def of_first(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """What worker 0 has handed in, when all workers have handed in the same number; a wait for all of them."""

        def contribute(values: list[tf.Tensor]) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            first = tf.get_static_value(context.replica_id_in_sync_group) == 0
            parts = [tf.identity(value) if first else tf.zeros_like(value) for value in values]
            return [context.all_reduce(tf.distribute.ReduceOp.SUM, part) for part in parts]

        run = tf.function(lambda values: self.strategy.run(contribute, (values,)))
        sums = run([tf.constant(array) for array in arrays])
        return [self.strategy.experimental_local_results(value)[0].numpy() for value in sums]

    def wait(self) -> None:
        """Until all workers have come here."""
        self.of_first([np.zeros(1)])


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All but the states of random draws, which each epoch begins anew."""
    variables = [*model.variables, *model.optimizer.variables]
    return [variable for variable in variables if not variable.path.endswith("seed_generator_state")]


def make_team(place: Place, seconds: float = PATIENCE) -> Team | None:
    """TensorFlow's strategy for several workers, or for several GPUs of one; None for one process alone."""
    if len(place.addresses) == 1:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        return Team(tf.distribute.MirroredStrategy(), 0, 1) if several else None
    # in a wait for another worker TensorFlow holds Python's lock and hears no signal; this ends it all the same
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        return Team(tf.distribute.MultiWorkerMirroredStrategy(), place.rank, len(place.addresses))
    finally:
        faulthandler.cancel_dump_traceback_later()


class Parts:
    """A DataGenerator's batches, each in parts for the replicas of this worker.

    Every worker has the same number of batches, whatever the number of samples, for it is the batch that
    is divided and not the set. A last batch of fewer samples than replicas goes whole to all of them,
    with the weight 0 for all but the first: no layer can work on an empty part, and in copies of a
    batch the batch statistics are those of the batch.
    """

    def __init__(self, make: Callable[[tuple[int, int]], DataGenerator], team: Team):
        self.whole, self.parts = make((0, 1)), [make(shard) for shard in team.shards]
        self.team, self.pairs = team, self.whole.pairs

    def __len__(self) -> int:
        return len(self.whole)

    def samples(self, index: int) -> int:
        """In batch `index`, of all workers."""
        return min(self.whole.batch_size, len(self.pairs) - index * self.whole.batch_size)

    def __getitem__(self, index: int) -> list[Part]:
        """For each replica images, masks and sample weights."""
        if self.samples(index) >= self.team.replicas:
            return [_weighted(part[index], 1) for part in self.parts]
        batch = self.whole[index]
        return [_weighted(batch, float(rank == 0)) for rank, _ in self.team.shards]

    def set_epoch(self, epoch: int) -> None:
        for generator in (self.whole, *self.parts):
            generator.set_epoch(epoch)


def _weighted(batch: Part, factor: float) -> Part:
    images, masks, *weights = batch
    return images, masks, (weights[0] if weights else np.ones(masks.shape[:3], np.float32)) * np.float32(factor)


# --- The loop --------------------------------------------------------------------------------


class Loop:
    """What `model.fit` does, for a team; Keras 3's own cannot work under a strategy of several workers.

    The model was compiled in the scope of the strategy; `iou` is Keras' BinaryIoU or OneHotMeanIoU.
    """

    def __init__(self, team: Team, model: keras.Model, iou: keras.metrics.Metric):
        self.team, self.model, self.iou = team, model, iou
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # mean and variance over the parts of all replicas
        images, masks = model.inputs[0], model.outputs[0]
        part = [tf.TensorSpec(like.shape, like.dtype) for like in (images, masks)]
        part.append(tf.TensorSpec(masks.shape[:3], masks.dtype))
        # traced once: were one worker to trace again for a shorter part, the others would wait for ever
        signature = [[part] * len(team.shards)]
        self._train = tf.function(lambda parts: team.strategy.run(self._step, (parts, True)), signature)
        self._test = tf.function(lambda parts: team.strategy.run(self._step, (parts, False)), signature)

    def _step(self, parts: list[list[Any]], training: bool) -> tuple[Any, Any]:
        """In each replica: the loss and the confusion matrix of the batch of all replicas."""
        context = tf.distribute.get_replica_context()
        number = int(tf.get_static_value(context.replica_id_in_sync_group))
        images, masks, weights = parts[number - self.team.shards[0][0]]
        with tf.GradientTape() as tape:
            predictions = self.model(images, training=training)
            loss = self.model.loss(masks, predictions, sample_weight=weights)
            share = loss / self.team.replicas
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

    def _epoch(self, step: Callable, data: Parts, callbacks: keras.callbacks.CallbackList | None) -> dict[str, float]:
        losses, confusion = 0.0, np.zeros((self.iou.num_classes, self.iou.num_classes))
        for index in range(len(data)):
            if callbacks:
                callbacks.on_train_batch_begin(index)
            parts = [[tf.cast(array, self.model.dtype) for array in part] for part in data[index]]
            loss, matrix = (self.team.strategy.experimental_local_results(value)[0] for value in step(parts))
            losses += float(loss) * data.samples(index)
            confusion += matrix.numpy()
            if callbacks:
                callbacks.on_train_batch_end(index, {"loss": float(loss)})
        self.iou.total_cm.assign(confusion)
        return {"iou": float(self.iou.result()), "loss": losses / len(data.pairs)}

    def fit(
        self, train: Parts, validation_data: Parts, epochs: int, initial_epoch: int, callbacks: list, verbose: int
    ) -> None:
        """Train from `initial_epoch`, counted from 0, up to `epochs`."""
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
            logs = self._epoch(self._train, train, every)
            logs |= {f"val_{name}": value for name, value in self._epoch(self._test, validation_data, None).items()}
            every.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        every.on_train_end()
