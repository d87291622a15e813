"""Saves a checkpoint after every epoch, and within long ones; a run that was killed resumes from the last.

A run can be killed at any moment, even while it saves. It resumes with the same weights, optimizer,
callbacks and history, and ends with the same weights as a run that was not killed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

from segfeed.atomic import replace_folder, write_atomically, write_json
from segfeed.errors import CommandError, DataError, printable
from segfeed.files import raw_bytes


class RunCheckpoint:
    """What a run needs to resume: `state.json`, and the models that it names.

    The models are written first, under new names. Then `state.json` is replaced atomically. Then models that
    it no longer names are deleted. So it names complete files at every moment.
    """

    KEYS = frozenset(("epochs", "file", "best", "callbacks", "finished", "options", "data", "history", "seconds"))
    MADE_HERE = re.compile(r"(part-)?epoch-\d{4,}(-step-\d{6,})?\.keras|part-state\.json")
    CALLBACK_STATE = ("wait", "best", "best_epoch", "stopped_epoch", "cooldown_counter")  # of Keras' callbacks

    def __init__(self, output: Path, content: dict[str, Any]):
        self.folder, self.content = output / "checkpoints", content

    @classmethod
    def read(cls, output: Path) -> RunCheckpoint | None:
        """That of the run in a folder, None if there is none; CommandError if it is damaged."""
        path = output / "checkpoints" / "state.json"
        if not path.is_file():
            return None
        between_epochs = {"step": 0, "within_epoch": []}  # where earlier versions saved, without saying so
        try:
            content = between_epochs | json.loads(path.read_text(encoding="utf-8"))
            if missing := cls.KEYS - content.keys():
                raise ValueError(f"without {', '.join(sorted(missing))}")
        except (ValueError, TypeError) as error:
            raise CommandError(
                f"{path} is damaged ({error}). Move the folder {output} away, or give another --output. "
                f"The models beside that file can still be opened."
            ) from None
        return cls(output, content)

    @classmethod
    def begin(cls, output: Path, content: dict[str, Any], model: keras.Model) -> RunCheckpoint:
        """Make the folder of a new run, in place of an old one, once its first model is saved."""
        place = output.resolve()  # a link stays, and its target is replaced
        part = place.with_name(f".{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "checkpoints").mkdir(parents=True)
        content |= {"history": [], "best": None, "seconds": 0.0}
        cls(part, content).save(model, 0)
        replace_folder(part, place)
        return cls(output, content)

    def save(
        self,
        model: keras.Model,
        epochs: int,
        callbacks: Sequence[Any] = (),
        finished: bool = False,
        step: int = 0,
        within_epoch: Sequence[Any] = (),
    ) -> None:
        """After `epochs` epochs and `step` steps of the next, which made `within_epoch` of what no model file holds.

        `finished` if the training has stopped by itself, and no other epoch will follow.
        """
        name = f"epoch-{epochs:04d}-step-{step:06d}.keras" if step else f"epoch-{epochs:04d}.keras"
        write_atomically(self.folder / name, model.save)
        history = self.content["history"]
        best = self.content["best"]
        first = not history
        if not step and (first or _rank(history[-1]) > _rank(history[best["epoch"] - 1] if best["epoch"] else {})):
            best = {"epoch": epochs, "file": name}
        kept = {type(c).__name__: {k: vars(c)[k] for k in self.CALLBACK_STATE if k in vars(c)} for c in callbacks}
        self.content |= {"epochs": epochs, "file": name, "best": best, "callbacks": kept, "finished": finished}
        self.content |= {"step": step, "within_epoch": list(within_epoch)}
        write_json(self.folder / "state.json", self.content)
        for path in self.folder.iterdir():
            if self.MADE_HERE.fullmatch(path.name) and path.name not in (name, best["file"]):
                path.unlink()

    @property
    def progress(self) -> dict[str, Any]:
        """How far it has come, for those who train on."""
        return {key: self.content[key] for key in ("epochs", "step", "within_epoch", "callbacks", "finished")}

    def message(self, may_end: bool = True) -> str:
        """What is saved on the disk, and how to go on, or to end there if it may."""
        checkpoint = self.read(self.folder.parent)
        if checkpoint is None or not (place := place_of(checkpoint.content)):
            return "No epoch is saved yet; the same command begins again."
        epochs = checkpoint.content["epochs"]
        scores = f", or with --epochs {epochs} scores the best" if epochs and may_end else ""
        return f"{place.capitalize()} is saved; the same command goes on after it{scores}."

    def load(self, which: str = "last") -> keras.Model:
        path = self.folder / (self.content["file"] if which == "last" else self.content["best"]["file"])
        try:
            return keras.models.load_model(path, compile=which == "last", safe_mode=True)
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise CommandError(
                f"{path} is missing or damaged ({printable(str(error))}). Copy it there from a backup, or begin anew "
                f"in another --output."
            ) from None


def place_of(progress: dict[str, Any]) -> str:
    """The last that was trained and saved, in words; empty at the beginning."""
    epochs, step = progress["epochs"], progress["step"]
    return f"step {step} of epoch {epochs + 1}" if step else f"epoch {epochs}" if epochs else ""


def _rank(row: dict[str, float]) -> tuple[float, float]:
    """The best epoch has the highest IoU of the validation; among equals, the lowest loss."""
    return row.get("val_iou", -1.0), -row.get("val_loss", float("inf"))


def checksum(files: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files; of those in shards the same as of the files."""
    whole = hashlib.sha256()
    for path in files:
        try:
            digest = hashlib.sha256(raw_bytes(path)).hexdigest()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}). Check the permissions.") from None
        whole.update(f"{path.name} {digest}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()
