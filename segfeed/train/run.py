"""One training run, from the command to the best model; a run that was interrupted goes on."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segfeed.distributed.cluster import ClusterSpec, Workers, differences
from segfeed.distributed.replicas import ShardedBatches, make_replicas
from segfeed.distributed.trainer import DistributedTrainer
from segfeed.errors import CommandError, DataError, WorkerError
from segfeed.generator import DataGenerator
from segfeed.locks import lock_folder
from segfeed.losses import CrossEntropyDice
from segfeed.metrics import make_iou
from segfeed.models import build_unet, small_unet
from segfeed.pairing import Pairs, find_pairs
from segfeed.train.callbacks import (
    EpochProgress,
    EpochTimer,
    LearningRateDecay,
    RestoreCallbacks,
    SaveCheckpoint,
    StopAtNaN,
    WriteLogs,
    random_states,
)
from segfeed.train.checkpoint import RunCheckpoint, checksum, place_of
from segfeed.train.data import Data, audit_or_stop, draw_examples, make_data
from segfeed.train.dry_run import in_words, rehearse
from segfeed.train.evaluate import evaluate_best, evaluated_epochs
from segfeed.train.optimizer import WarmUpAdam, encoder_layers
from segfeed.train.options import check_options, compared_settings, find_checkpoint, refuse_volume
from segfeed.train.precision import mixed_policy, with_policy


def train(arguments: argparse.Namespace, command: str, curve: Path | None = None) -> None:
    """Train, or go on training, as the arguments of `segfeed train` say; `command` is what the user typed.

    `curve`: the folder of the learning curve to which the run belongs, if it does; its files were looked at already.

    Raises KeyboardInterrupt when interrupted, and CommandError or DataError for what must be changed first;
    each with what is saved of the run, if it has begun.
    """
    saved: list[Callable[[], str]] = [lambda: "Nothing was trained or changed."]  # the last one is asked
    try:
        with contextlib.ExitStack() as held:
            _run(arguments, command, curve, held, saved)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(saved[-1]()) from None
    except (CommandError, DataError):
        raise
    except Exception as error:
        # raised in the generator it comes through TensorFlow as the text of another error
        wrapped = re.search(r"DataError: (.+?)(?=\nTraceback|\n\n|\Z)", str(error), re.DOTALL)
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
        gone = isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError)
        if gone and os.environ.get("TF_CONFIG"):
            words = saved[-1]().replace("the same", "start all workers again: the same")
            raise WorkerError(f"another worker is gone. {words}") from None
        if full:
            raise CommandError(f"the disk of {arguments.output} is full. Make room on it. {saved[-1]()}") from None
        if wrapped:
            raise CommandError(f"{wrapped[1]} {saved[-1]()}") from None
        raise


def _run(
    arguments: argparse.Namespace,
    command: str,
    curve: Path | None,
    held: contextlib.ExitStack,
    saved: list[Callable[[], str]],
) -> None:
    options = check_options(arguments)
    cluster = ClusterSpec.read()
    with Workers(cluster, compared_settings(options)) as workers:
        _refuse_differences(workers.infos)
        pairs = find_pairs(arguments.images, arguments.masks)
        data_sum = checksum(_files(pairs, workers))
        _refuse_differences(workers.all_gather({"the data": f"{len(pairs)} pairs, SHA-256 {data_sum[:12]}…"}))
        checkpoint, progress = None, {}
        if cluster.rank == 0:  # the others have the same data, and write nothing
            if not arguments.dry_run:
                held.enter_context(lock_folder(arguments.output))
            checkpoint = find_checkpoint(arguments, options, data_sum, len(pairs), curve)
            if checkpoint is None:
                refuse_volume(arguments.output)
                if curve is None:
                    audit_or_stop(arguments, workers.check)
                progress = {"epochs": 0, "step": 0, "callbacks": {}, "finished": False, "evaluated": 0}
            else:
                checkpoint.content["options"] = options  # other folders, perhaps, and another --epochs
                progress = checkpoint.progress | {"evaluated": evaluated_epochs(arguments.output)}
        progress = workers.all_gather(progress)[0]
    if cluster.rank != 0:
        saved.append(lambda: "Worker 0 says what is saved; the same command goes on after it.")
    trained = progress["finished"] or progress["epochs"] == arguments.epochs
    if trained and progress["epochs"] == progress["evaluated"]:
        more = " --overwrite trains it again." if curve is None else ""
        print(f"{arguments.output} holds this run, complete after epoch {progress['epochs']}: nothing to do.{more}")
        return
    keras.utils.set_random_seed(arguments.seed)
    if not arguments.no_determinism:
        tf.config.experimental.enable_op_determinism()
    replicas = make_replicas(cluster)
    if replicas and (arguments.mixed or arguments.dry_run):
        name = "--mixed" if arguments.mixed else "--dry-run"
        raise CommandError(
            f"{name} is for one process with at most one GPU: leave it out, or set CUDA_VISIBLE_DEVICES=0."
        )
    try:
        data = make_data(arguments, [pair.stem for pair in pairs], replicas)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if arguments.dry_run:
        rehearse(_make_model(arguments, len(data.train)), data, arguments)
        return
    if checkpoint is None and cluster.rank == 0:
        content = {"options": options, "data": {"sha256": data_sum, "pairs": len(pairs)}}
        checkpoint = RunCheckpoint.begin(arguments.output, content, _make_model(arguments, len(data.train)))
    if checkpoint:
        saved.append(functools.partial(checkpoint.message, may_end=curve is None))
        if arguments.augment or arguments.crop:
            draw_examples(data.examples, arguments.output / "augmented.png")
    # loads from disk even when fresh, so that fresh and resumed runs share one path
    steps = len(data.train)
    first = checkpoint.load() if checkpoint else _make_model(arguments, steps)
    model = replicas.copy(first, lambda: _make_model(arguments, steps)) if replicas else first
    print(in_words(arguments, data, model))
    if replicas:
        shared = f"{replicas.n_replicas} replicas of the model share each batch"
        print(f"Worker {replicas.rank} of {replicas.world}; {shared}.")
    if place := place_of(progress):
        print(f"Going on after {place}.")
    if not trained:
        _fit(arguments, model, data, checkpoint, progress)
    elif checkpoint:  # it may have been killed between its last checkpoint and the log of it
        logs = WriteLogs(checkpoint, arguments.output)
        logs.on_train_begin()
        logs.on_train_end()
    if checkpoint:
        evaluate_best(checkpoint, data, arguments, command)
    if replicas:
        replicas.barrier()


def _files(pairs: Pairs, workers: Workers) -> Iterator[Path]:
    """The files of all pairs; WorkerError as soon as another worker is gone."""
    for pair in pairs:
        workers.check()
        yield from (pair.image, pair.mask)


def _refuse_differences(infos: list[dict[str, Any]]) -> None:
    if different := differences(infos):
        raise WorkerError(f"the workers differ: {'; '.join(different)}. Start all with the same command and data.")


def _make_model(arguments: argparse.Namespace, steps: int) -> keras.Model:
    weights = None if arguments.encoder_weights == "none" else arguments.encoder_weights
    try:
        if arguments.backbone == "small":
            model = small_unet(arguments.classes, arguments.size)
        else:
            model = build_unet(arguments.backbone, arguments.classes, arguments.size, encoder_weights=weights)
    except FileNotFoundError as error:
        raise CommandError(f"{error} Here: --encoder-weights none.") from None
    except ValueError as error:
        cure = "Check --backbone, --size and --encoder-weights (imagenet, or none)."
        raise CommandError(f"the U-Net cannot be built: {str(error).rstrip('.')}. {cure}") from None
    iou = make_iou(arguments.classes)  # in `weighted_metrics`, because void pixels have the weight 0
    policy = mixed_policy() if arguments.mixed else "float32"
    if arguments.mixed:
        model = with_policy(model, policy)
    if arguments.warm_up:
        frozen = {"warm_up_steps": arguments.warm_up * steps, "frozen": encoder_layers(model)}
        optimizer = WarmUpAdam(arguments.learning_rate, **frozen)
    else:
        optimizer = keras.optimizers.Adam(arguments.learning_rate)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # XLA, which Keras may choose itself, takes longer to compile than its steps win
    model.compile(optimizer, CrossEntropyDice(), weighted_metrics=[iou], jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # so that all of it is saved
    return model


class RestOfEpoch(keras.utils.Sequence):
    """The batches of the generator's epoch from `first` on."""

    def __init__(self, generator: DataGenerator, first: int):
        super().__init__()
        self.generator, self.first = generator, first

    def __len__(self) -> int:
        return len(self.generator) - self.first

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self.generator[self.first + index]


def _fit(
    arguments: argparse.Namespace,
    model: keras.Model,
    data: Data,
    checkpoint: RunCheckpoint | None,
    progress: dict[str, Any],
) -> None:
    plateau = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=arguments.lr_patience, verbose=1)
    stopping = keras.callbacks.EarlyStopping(patience=arguments.patience, verbose=1)
    stateful, steps = [plateau, stopping], len(data.train)
    trainer: Any = model
    if isinstance(data.train, ShardedBatches):
        trainer = DistributedTrainer(data.train.replicas, model, make_iou(arguments.classes))

    def within_epoch() -> list[Any]:
        """What an epoch changes and no model file tells; the rate is to stay as it is when an epoch goes on."""
        return [*trainer.metrics_variables, *random_states(model), model.optimizer.learning_rate]

    restore = RestoreCallbacks(progress, stateful, within_epoch, arguments.seed)
    callbacks = [StopAtNaN(arguments.learning_rate, progress), LearningRateDecay(arguments.decay, steps)]
    callbacks += [EpochTimer(steps, len(data.validation)), *stateful, restore]
    callbacks += [EpochProgress(progress, arguments.epochs, steps)]
    if checkpoint:
        every = arguments.save_every
        callbacks.append(SaveCheckpoint(checkpoint, stateful, within_epoch, every, steps))
        callbacks.append(WriteLogs(checkpoint, arguments.output))
    common: dict[str, Any] = {
        "validation_data": data.validation,
        "epochs": arguments.epochs,
        "initial_epoch": progress["epochs"],
        "callbacks": callbacks,
        "verbose": 1 if sys.stdout.isatty() else 2,
    }
    if isinstance(data.train, ShardedBatches):
        trainer.fit(data.train, first_step=progress["step"], **common)
        return
    data.train.set_epoch(progress["epochs"])
    if checkpoint and progress["step"]:  # `fit` begins each epoch at its first batch
        blank = np.zeros((1, *model.output_shape[1:]), np.float32)
        model.compute_metrics(None, blank, blank)  # Keras would make their variables in the first step
        rest = RestOfEpoch(data.train, progress["step"])
        model.fit(rest, shuffle=False, **common | {"epochs": progress["epochs"] + 1})
        restore.progress = checkpoint.progress
        common["initial_epoch"] += 1
        data.train.set_epoch(progress["epochs"] + 1)
    if not model.stop_training:
        model.fit(data.train, shuffle=False, **common)
