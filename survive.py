"""What lets a training run survive: a state on the disk that is whole at every moment.

Kill a run whenever you like, even while it saves; it goes on after the last epoch that was saved, with
the same weights, optimizer, callbacks and history.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from disk import replace, sync, write_json
from pairs import DataError, raw_bytes


class State:
    """What a run needs to go on: `state.json`, and the models that it names.

    The models are written first, under new names, then `state.json` is replaced in one stroke, then
    models that it no longer names are deleted: at every moment it names whole files.
    """

    KEPT = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")  # of Keras' callbacks

    def __init__(self, output: Path, content: dict[str, Any]):
        self.folder, self.content = output / "checkpoints", content

    @classmethod
    def read(cls, output: Path) -> State | None:
        path = output / "checkpoints" / "state.json"
        return cls(output, json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    @classmethod
    def begin(cls, output: Path, content: dict[str, Any], model: keras.Model) -> State:
        """A new folder, which appears under its name when the first model is saved, in place of an old one."""
        part, old = (output.with_name(f".{output.name}.{name}") for name in ("part", "old"))
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)
        (part / "checkpoints").mkdir(parents=True)
        content |= {"history": [], "best": None, "seconds": 0.0}
        cls(part, content).save(model, 0)
        if output.exists():
            os.replace(output, old)
        os.replace(part, output)
        sync(output.parent)
        shutil.rmtree(old, ignore_errors=True)
        return cls(output, content)

    def save(self, model: keras.Model, epochs: int, callbacks: Sequence[Any] = (), finished: bool = False) -> None:
        """After `epochs` epochs; `finished` if the training has stopped by itself, and no other will follow."""
        name = f"epoch-{epochs:04d}.keras"
        replace(self.folder / name, model.save)
        history = self.content["history"]
        best = self.content["best"]
        if not history or _merit(history[-1]) > _merit(history[best["epoch"] - 1] if best["epoch"] else {}):
            best = {"epoch": epochs, "file": name}
        kept = {type(c).__name__: {k: vars(c)[k] for k in self.KEPT if k in vars(c)} for c in callbacks}
        self.content |= {"epochs": epochs, "file": name, "best": best, "callbacks": kept, "finished": finished}
        write_json(self.folder / "state.json", self.content)
        for path in self.folder.iterdir():
            if path.name not in ("state.json", name, best["file"]):
                path.unlink()

    @property
    def progress(self) -> dict[str, Any]:
        """How far it has come, for those who train on."""
        return {key: self.content[key] for key in ("epochs", "callbacks", "finished")}

    @classmethod
    def message(cls, output: Path) -> str:
        state = cls.read(output)
        if state is None or not state.content["epochs"]:
            return "No epoch is saved yet; the same command begins again."
        epochs = state.content["epochs"]
        return f"Epoch {epochs} is saved; the same command goes on after it, or with --epochs {epochs} scores the best."

    def load(self, which: str = "last") -> keras.Model:
        name = self.content["file"] if which == "last" else self.content["best"]["file"]
        return keras.models.load_model(self.folder / name, compile=which == "last", safe_mode=True)


def _merit(row: dict[str, float]) -> tuple[float, float]:
    """The best epoch has the highest IoU of the validation; among equals, the lowest loss."""
    return row.get("val_iou", -1.0), -row.get("val_loss", float("inf"))


class Resume(keras.callbacks.Callback):
    """Give the callbacks `others` their state of `saved`, and each epoch random numbers of its own."""

    def __init__(self, saved: dict[str, Any], others: Sequence[keras.callbacks.Callback], seed: int):
        super().__init__()
        self.saved, self.others, self.seed = saved, others, seed

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        for callback in self.others:  # Keras has just reset them
            vars(callback).update(self.saved.get(type(callback).__name__, {}))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin what dropout and the like draw anew: Keras keeps their states in no file."""
        states = (variable for variable in self.model.variables if variable.path.endswith("seed_generator_state"))
        for number, variable in enumerate(states):
            rng = np.random.default_rng([self.seed, epoch, number + 1])
            variable.assign(rng.integers(2**31, size=2))


class Save(keras.callbacks.Callback):
    """After each epoch save model, state and the callbacks `others`, then write the logs; must be the last."""

    def __init__(self, state: State, output: Path, others: Sequence[keras.callbacks.Callback]):
        super().__init__()
        self.state, self.output, self.others = state, output, others

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        shutil.rmtree(self.output / "tensorboard", ignore_errors=True)
        self.writers = {
            name: tf.summary.create_file_writer(str(self.output / "tensorboard" / name))
            for name in ("training", "validation")
        }
        self._log(self.state.content["history"])
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        history = self.state.content["history"]
        history.append({"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}})
        self.state.content["seconds"] += time.monotonic() - self.begun
        self.begun = time.monotonic()
        self.state.save(self.model, epoch + 1, self.others, finished=self.model.stop_training)
        self._log(history[-1:])

    def _log(self, rows: list[dict[str, float]]) -> None:
        """The whole CSV file, and some rows for TensorBoard, which is not needed to write them."""

        def write(part: Path) -> None:
            with open(part, "w", newline="", encoding="utf-8") as file:
                history = self.state.content["history"]
                writer = csv.DictWriter(file, history[0].keys() if history else ["epoch"])
                writer.writeheader()
                writer.writerows(history)

        replace(self.output / "log.csv", write)
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
        for row in rows:
            for key, value in [item for item in row.items() if item[0] != "epoch"]:
                with self.writers["validation" if key.startswith("val_") else "training"].as_default():
                    tf.summary.write(key.removeprefix("val_"), tf.constant(value), int(row["epoch"]), metadata)
        for writer in self.writers.values():
            writer.flush()


class Decay(keras.callbacks.Callback):
    """The `decay` of old Keras, rate / (1 + decay * steps), set at the beginning of each epoch.

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


def checksum(files: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files; of those in shards (pack.py) the same as of the files."""
    whole = hashlib.sha256()
    for path in files:
        try:
            digest = hashlib.sha256(raw_bytes(path)).hexdigest()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}). Check the permissions.") from None
        whole.update(f"{path.name} {digest}\n".encode())
    return whole.hexdigest()
