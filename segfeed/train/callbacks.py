"""The callbacks of a training run: saving, resuming, the learning rate, and the time of an epoch."""

from __future__ import annotations

import csv
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segfeed.atomic import write_atomically
from segfeed.errors import CommandError
from segfeed.train.checkpoint import RunCheckpoint


class SaveCheckpoint(keras.callbacks.Callback):
    """After each epoch saves the model and the callbacks `others`; only `WriteLogs` may come after it.

    Within an epoch of `steps` steps it saves them, and the values of the variables `within_epoch`, whenever
    `every` has passed since it last did: a number of steps if it is an int, seconds if it is a float.
    """

    def __init__(
        self,
        checkpoint: RunCheckpoint,
        others: Sequence[keras.callbacks.Callback],
        within_epoch: Callable[[], list[Any]],
        every: float,
        steps: int,
    ):
        super().__init__()
        self.checkpoint, self.others = checkpoint, others
        self.within_epoch, self.every, self.steps = within_epoch, every, steps

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.begun = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.step = self.checkpoint.content["step"]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step += 1
        content = self.checkpoint.content
        passed = self.step - content["step"] if isinstance(self.every, int) else time.monotonic() - self.begun
        # the loss of this step may be finite, and the weights after it not
        if passed >= self.every and self.step < self.steps and _finite(self.model.get_weights()):
            values = [variable.numpy().tolist() for variable in self.within_epoch()]
            self._save(content["epochs"], step=self.step, within_epoch=values)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        history = self.checkpoint.content["history"]
        history.append({"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}})
        self._save(epoch + 1, finished=self.model.stop_training)

    def _save(self, epochs: int, **place: Any) -> None:
        now = time.monotonic()
        self.checkpoint.content["seconds"] += now - self.begun
        self.begun = now
        self.checkpoint.save(self.model, epochs, self.others, **place)


class WriteLogs(keras.callbacks.Callback):
    """Writes log.csv and the files of TensorBoard: both anew when a training begins or goes on, then epoch by epoch."""

    def __init__(self, checkpoint: RunCheckpoint, output: Path):
        super().__init__()
        self.checkpoint, self.output = checkpoint, output

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        shutil.rmtree(self.output / "tensorboard", ignore_errors=True)
        self.writers = {
            name: tf.summary.create_file_writer(os.fsencode(self.output / "tensorboard" / name))
            for name in ("training", "validation")
        }
        self._log(self.checkpoint.content["history"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._log(self.checkpoint.content["history"][-1:])

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        for writer in self.writers.values():
            writer.close()

    def _log(self, rows: list[dict[str, float]]) -> None:
        """The whole CSV file, and some rows for TensorBoard, which is not needed to write them."""

        def write(part: Path) -> None:
            with open(part, "w", newline="", encoding="utf-8") as file:
                history = self.checkpoint.content["history"]
                writer = csv.DictWriter(file, history[0].keys() if history else ["epoch"])
                writer.writeheader()
                writer.writerows(history)

        write_atomically(self.output / "log.csv", write)
        for row in rows:
            for key, value in [item for item in row.items() if item[0] != "epoch"]:
                with self.writers["validation" if key.startswith("val_") else "training"].as_default():
                    tf.summary.scalar(key.removeprefix("val_"), value, int(row["epoch"]))
        for writer in self.writers.values():
            writer.flush()


def _finite(weights: Sequence[np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in weights)


class RestoreCallbacks(keras.callbacks.Callback):
    """Restores the saved state of the callbacks `others`, and gives each epoch random numbers of its own.

    In the epoch that `progress` is in the middle of, it restores the variables `within_epoch` instead.
    It must come after LearningRateDecay, which has set the rate of that epoch before.
    """

    def __init__(
        self,
        progress: dict[str, Any],
        others: Sequence[keras.callbacks.Callback],
        within_epoch: Callable[[], list[Any]],
        seed: int,
    ):
        super().__init__()
        self.progress, self.others, self.within_epoch, self.seed = progress, others, within_epoch, seed

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        for callback in self.others:  # Keras has just reset them
            vars(callback).update(self.progress["callbacks"].get(type(callback).__name__, {}))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.progress["step"] and self.progress["epochs"] == epoch:
            for variable, value in zip(self.within_epoch(), self.progress["within_epoch"], strict=True):
                variable.assign(value)
            return
        for number, variable in enumerate(random_states(self.model)):
            rng = np.random.default_rng([self.seed, epoch, number + 1])
            variable.assign(rng.integers(2**31, size=2))


def random_states(model: keras.Model) -> list[keras.Variable]:
    """What dropout and similar layers draw from: Keras stores it in no file."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


class StopAtNaN(keras.callbacks.Callback):
    """Raises CommandError at a loss that is not finite; stands before the others, so that nothing of it is saved."""

    def __init__(self, learning_rate: float, progress: dict[str, Any]):
        super().__init__()
        self.learning_rate, self.progress = learning_rate, progress

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch = epoch
        self.step = self.progress["step"] if self.progress["epochs"] == epoch else 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step += 1
        self._check((logs or {})["loss"], f"loss is {{}} in step {self.step} of epoch {self.epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._check((logs or {})["val_loss"], f"loss of the validation is {{}} after epoch {epoch + 1}")

    def _check(self, loss: float, words: str) -> None:
        if not math.isfinite(loss):
            saved = f"Epoch {self.epoch} is saved; --epochs {self.epoch} scores the best. " if self.epoch else ""
            raise CommandError(
                f"the {words.format(float(loss))}: the training diverges. {saved}"
                f"Train anew with --overwrite and a --learning-rate below {self.learning_rate:g}."
            )


class EpochProgress(keras.callbacks.ProgbarLogger):
    """Keras' line of progress, which counts the steps of the whole epoch where `progress` is in the middle of one."""

    def __init__(self, progress: dict[str, Any], epochs: int, steps: int):
        super().__init__()
        self.progress, self.whole = progress, {"epochs": epochs, "steps": steps}

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params | self.whole)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.step = self.progress["step"] if self.progress["epochs"] == epoch else 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        super().on_train_batch_end(self.step, logs)
        self.step += 1


class LearningRateDecay(keras.callbacks.Callback):
    """The `decay` of Keras 2, rate / (1 + decay * steps), set at the beginning of each epoch.

    It multiplies what the rate is by then, so it can be combined with ReduceLROnPlateau.
    """

    def __init__(self, decay: float, steps: int):
        super().__init__()
        self.decay, self.steps = decay, steps

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch:
            optimizer = self.model.optimizer
            before, now = (1 + self.decay * self.steps * number for number in (epoch - 1, epoch))
            optimizer.learning_rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate)) * before / now


class EpochTimer(keras.callbacks.Callback):
    """Says how long an epoch takes, from the time of some steps after the first two."""

    SKIPPED, TIMED = 2, 5

    def __init__(self, steps: int, validation_steps: int):
        super().__init__()
        self.steps, self.validation_steps = steps, validation_steps
        self.timed = min(self.TIMED, self.steps - self.SKIPPED)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seen = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.seen += 1
        if self.seen == self.SKIPPED:
            self.begun = time.monotonic()
        if self.timed > 0 and self.seen == self.SKIPPED + self.timed:
            step = (time.monotonic() - self.begun) / self.timed
            seconds = step * (self.steps + self.validation_steps / 3)
            print(f"\nAn epoch takes about {_duration(seconds)}: {step:.2f} s a step, measured in {self.timed} steps.")
            self.timed = 0


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
