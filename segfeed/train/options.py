"""What the user asks for: checked, compared with an earlier run, and with the other workers."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import segmentation_models as sm

from segfeed.errors import CommandError
from segfeed.split.tables import read_split_file
from segfeed.train.checkpoint import RunCheckpoint, place_of
from segfeed.train.evaluate import versions

MAX_SEED = 2**32 - 1  # of NumPy's global state, which Keras sets
# what the files hold counts, not where they lie; a run ends with the same weights however often it is saved
NOT_COMPARED = {"images", "masks", "output", "overwrite", "save_every", "preset"}


def check_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """All arguments by name, as JSON keeps them; CommandError for one out of its range."""
    least_of = {"batch": 1, "epochs": 1, "lr_patience": 1, "patience": 1, "warm_up": 0, "seed": 0, "classes": 1}
    for name, least in least_of.items():
        if getattr(arguments, name) < least:
            raise CommandError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}: give at least {least}.")
    if arguments.seed > MAX_SEED:
        raise CommandError(f"--seed is {arguments.seed}: give at most {MAX_SEED}.")
    if not 0 < arguments.learning_rate < math.inf or not 0 <= arguments.decay < math.inf:
        raise CommandError("--learning-rate must be above 0, --decay at least 0, and both finite.")
    if arguments.backbone not in (names := ["small", *sorted(sm.get_available_backbone_names())]):
        raise CommandError(f"--backbone is {arguments.backbone}: give one of {', '.join(names)}.")
    if arguments.backbone == "small" and arguments.encoder_weights != "none":
        raise CommandError("--backbone small has no ImageNet weights: leave --encoder-weights out.")
    if arguments.crop:
        if arguments.size != (arguments.crop, arguments.crop):
            size = "x".join(map(str, arguments.size))
            raise CommandError(
                f"--size is {size} and --crop {arguments.crop}: crops keep the pictures' own pixels, and nothing is "
                f"resized. Leave one of them out."
            )
        if arguments.classes == 256:
            raise CommandError("--crop needs a mask value for void, and 256 classes leave none: merge two classes.")
    if arguments.warm_up and arguments.encoder_weights == "none":
        raise CommandError("--warm-up is for an encoder that has learned already (imagenet): leave it out.")
    if "turns" in arguments.augment and arguments.size[0] != arguments.size[1]:
        raise CommandError("--augment turns needs a square: give one --size, or leave turns out.")
    if arguments.split and arguments.validation is not None:
        raise CommandError("--split names the validation images already: leave --validation out.")
    options = {key: value for key, value in vars(arguments).items() if key not in ("command", "dry_run")}
    if arguments.split:  # what it says counts, not where it lies
        parts = {part: sorted(names) for part, names in read_split_file(arguments.split).items()}
        options["split"] = f"parts with SHA-256 {hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}…"
    options["colours"] = arguments.colours and [[*colour, index] for colour, index in arguments.colours.items()]
    return json.loads(json.dumps(options, default=lambda path: str(path.resolve())))


def find_checkpoint(
    arguments: argparse.Namespace, options: dict[str, Any], data: str, pairs: int, curve: Path | None
) -> RunCheckpoint | None:
    """The checkpoint to resume from, or None to begin; CommandError when the folder is taken.

    `curve`: the folder of the learning curve to which the run belongs, if it does.
    """
    output = arguments.output
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    if output.is_file():
        raise CommandError(f"{output} is a file: give --output the name of a folder.")
    checkpoint = RunCheckpoint.read(output)
    if checkpoint is None:
        raise CommandError(f"{output} holds files that are no run of this program: give another --output.")
    old = checkpoint.content
    before = _as_today(old["options"])
    differences = [
        f"--{name.replace('_', '-')} was {_in_words(before.get(name))} and is {_in_words(value)}"
        for name, value in options.items()
        if name not in NOT_COMPARED | {"epochs"} and before.get(name) != value
    ]
    if arguments.epochs < old["epochs"]:
        differences.append(f"--epochs is {arguments.epochs}, and {old['epochs']} are trained")
    if old["data"] != {"sha256": data, "pairs": pairs}:
        differences.append(f"images or masks have changed ({old['data']['pairs']} pairs then, {pairs} now)")
    if (differences or (output / "run.json").is_file()) and arguments.overwrite:
        return None
    if differences:
        saved = f", saved up to {place}" if (place := place_of(old)) else ""
        earlier = (
            "" if "preset" in old["options"] else " An earlier version began it: its defaults are --preset article."
        )
        replace = f"delete {curve}" if curve else "--overwrite to replace it"
        raise CommandError(
            f"{output} holds another run{saved}: {'; '.join(differences)}.{earlier} "
            f"Give another --output, or {replace}."
        )
    return checkpoint


def _as_today(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a run as this version writes them."""
    kinds, added = options["augment"], {"warm_up": 0, "mixed": False, "no_determinism": False}
    return added | options | {"augment": ["flips", "turns"] * kinds if isinstance(kinds, bool) else kinds}


def _in_words(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def refuse_volume(output: Path) -> None:
    """CommandError for a folder in whose place a new run cannot be put, such as the volume of a container."""
    if os.path.ismount(output.resolve()):
        raise CommandError(
            f"{output} is a whole disk or volume: give a folder in it, such as --output {output / 'run'}."
        )


def compared_settings(options: dict[str, Any]) -> dict[str, Any]:
    """What must be the same for all workers that train together, besides the data."""
    settings = {f"--{key.replace('_', '-')}": value for key, value in options.items() if key not in NOT_COMPARED}
    return settings | versions()
