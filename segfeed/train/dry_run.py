"""What a run will take, measured before it begins."""

from __future__ import annotations

import argparse
import sys

import keras
import tensorflow as tf

from segfeed.train.callbacks import EpochTimer
from segfeed.train.data import Data


def rehearse(model: keras.Model, data: Data, arguments: argparse.Namespace) -> None:
    """Train a few steps of `model`, which is thrown away, and say what a run takes; writes nothing."""
    print(in_words(arguments, data, model))
    timer = EpochTimer(len(data.train), len(data.validation))
    few = min(timer.SKIPPED + timer.TIMED, len(data.train))
    model.fit(data.train, steps_per_epoch=few, shuffle=False, verbose=0, callbacks=[timer])
    if few <= timer.SKIPPED:
        print(f"{few} steps are too few to be timed: that needs more images, or a smaller --batch.")
    print(f"Peak memory: {_peak_memory()}.\nThis was a dry run: nothing was written.")


def in_words(arguments: argparse.Namespace, data: Data, model: keras.Model) -> str:
    """How much is trained, on what, and with which model."""
    return (
        f"{len(data.train.pairs)} images to train on, {len(data.validation.pairs)} to validate, "
        f"{f'{len(data.test.pairs)} to test, ' if data.test else ''}"
        f"{'crops of ' if arguments.crop else ''}{arguments.size[0]}×{arguments.size[1]} pixels; "
        f"{len(data.train)} steps of {arguments.batch} an epoch, "
        f"{arguments.epochs} epochs at most; {arguments.backbone}, {model.count_params() / 1e6:.1f} million weights."
    )


def _peak_memory() -> str:
    """Of this process, and of each GPU."""
    gpus = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices("GPU")]
    parts = [f"{name} {tf.config.experimental.get_memory_info(name)['peak'] / 1e9:.1f} GB" for name in gpus]
    if sys.platform == "win32":
        return ", ".join(parts) or "not measured on Windows"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # of the largest resident size, in bytes
    return ", ".join([f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.1f} GB", *parts])
