"""The data of a training run: audited, split, and made into generators."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import segmentation_models as sm

from segfeed.atomic import write_atomically
from segfeed.audit import FATAL_FINDINGS, audit
from segfeed.augment import RandomAugment
from segfeed.classes import ClassRow, class_options, colour_of, find_classes_table, read_classes_table
from segfeed.distributed.replicas import Replicas, ShardedBatches
from segfeed.errors import CommandError, first_names
from segfeed.files import list_folder
from segfeed.generator import DataGenerator
from segfeed.losses import balanced_weights
from segfeed.pairing import cut_zeros, split_ids, stem_of_id
from segfeed.plots import plot_batch
from segfeed.split.tables import read_split_file, read_split_groups


class Data(NamedTuple):
    train: DataGenerator | ShardedBatches
    validation: DataGenerator | ShardedBatches
    judged: DataGenerator  # the validation in uint8, as the saved model takes it
    test: DataGenerator | None  # in uint8 too
    examples: list[DataGenerator]  # of a picture of the training each
    preprocess: Callable[[np.ndarray], np.ndarray] | None  # what `train` and `validation` do to images
    classes: list[dict[str, Any]]  # index, name and colour of each, for run.json
    groups: dict[str, str]  # of the stems of which --split names one


def audit_or_stop(arguments: argparse.Namespace, watch: Callable[[], object]) -> None:
    """Print what the audit finds, and call `watch` after each pair; CommandError for what would stop the training."""
    n_classes, ignore, names = class_options(arguments.masks, arguments.classes, arguments.ignore)
    options = {"n_classes": n_classes, "colours": arguments.colours, "ignore": ignore}
    options["size"] = None if arguments.crop else arguments.size
    options |= {"class_names": names, "watch": watch, "splits": parts_of(arguments) if arguments.split else None}
    try:
        findings = audit(arguments.images, arguments.masks, progress=sys.stderr.isatty(), **options)
    except ValueError as error:
        raise CommandError(str(error)) from None
    first = {finding.kind: finding for finding in reversed(findings)}
    for kind, count in Counter(finding.kind for finding in findings).items():
        print(f"audit: {kind} ({count}); the first: {first[kind].file}, {first[kind].measured}. {first[kind].cure}")
    print(f"audit: {len(findings)} findings")
    fatal = [finding for finding in findings if finding.kind in FATAL_FINDINGS]
    if fatal:
        words = ["segfeed", "audit", arguments.images, arguments.masks]
        words += ["--classes", arguments.classes] if arguments.classes > 1 else []
        words += ["--colours", "TABLE"] if arguments.colours else []
        words += ["--ignore", arguments.ignore] if arguments.ignore is not None else []
        words += ["--split", arguments.split] if arguments.split else []
        words += [] if arguments.crop else ["--size", "{}x{}".format(*arguments.size)]
        raise CommandError(
            f"{len(fatal)} of the findings would stop the training. Repair these files first; "
            f"`{shlex.join(map(str, words))}` lists them all."
        )


def make_data(arguments: argparse.Namespace, ids: Sequence[str], replicas: Replicas | None = None) -> Data:
    if replicas and arguments.batch < replicas.n_replicas:
        shared = f"{replicas.n_replicas} replicas of the model share each batch"
        raise CommandError(f"--batch is {arguments.batch}, and {shared}: give --batch {replicas.n_replicas} or more.")
    test_ids: list[str] = []
    if arguments.split:
        train_ids, validation_ids, test_ids = parts_of(arguments).values()
        if left := sorted({*ids} - {*train_ids, *validation_ids, *test_ids}):
            print(f"{len(left)} pictures are in no part of {arguments.split}: {first_names(left)}. They take no part.")
    else:
        train_ids, validation_ids = cut_off_validation(arguments, ids)
    common: dict[str, Any] = {
        "imgs_dir": arguments.images,
        "masks_dir": arguments.masks,
        "batch_size": arguments.batch,
        "img_size": arguments.size,
        "crop": arguments.crop,
        "n_classes": arguments.classes,
        "colours": arguments.colours,
        "ignore": arguments.ignore,
        "seed": arguments.seed,
    }
    weights = balanced_weights(DataGenerator(train_ids, shuffle=False, **common)) if arguments.balanced else None
    if arguments.encoder_weights != "none":
        common["preprocess"] = sm.get_preprocessing(arguments.backbone)
    augment = RandomAugment(*arguments.augment) if arguments.augment else None

    def train(shard: tuple[int, int] = (0, 1)) -> DataGenerator:
        return DataGenerator(train_ids, augment=augment, class_weights=weights, shard=shard, **common)

    def validation(shard: tuple[int, int] = (0, 1)) -> DataGenerator:
        """No class weights: they shape the training loss, not the validation."""
        return DataGenerator(validation_ids, shuffle=False, shard=shard, **common)

    # as the saved model takes images; read once, so nothing is kept in memory
    as_bytes = common | {"shuffle": False, "preprocess": None, "dtype": "uint8", "cache_memory": 0}

    return Data(
        ShardedBatches(train, replicas) if replicas else train(),
        ShardedBatches(validation, replicas) if replicas else validation(),
        DataGenerator(validation_ids, **as_bytes),
        DataGenerator(test_ids, **as_bytes) if test_ids else None,
        [
            DataGenerator([name], augment=augment, **as_bytes | {"shuffle": True, "seed": arguments.seed + number})
            for number, name in enumerate(train_ids[:3])
        ],
        common.get("preprocess"),
        _classes(arguments),
        groups_of(arguments) if arguments.split else {},
    )


def draw_examples(examples: Sequence[DataGenerator], path: Path) -> None:
    """Draw four crops, or augmented copies, of each picture, unless that was done; no training fails because of it."""
    if path.exists():
        return
    batches = []
    for generator in examples:
        for epoch in range(4):
            generator.set_epoch(epoch)
            batches.append(generator[0][:2])
    images, masks = (np.concatenate(part) for part in zip(*batches, strict=True))
    names = [f"{generator.pairs[0].stem}, {number}" for generator in examples for number in range(1, 5)]
    try:
        figure = plot_batch(images, masks, names).figure
        write_atomically(path, lambda part: figure.savefig(part, dpi=100))
    except Exception as error:
        print(f"{path.name} could not be made ({type(error).__name__}: {error}).")


def _classes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Index, name and colour of each class: of the table beside the masks, and the colours of --colours."""
    names = ["ground", "object"] if arguments.classes == 1 else [f"class {index}" for index in range(arguments.classes)]
    rows = {index: ClassRow(index, name, colour_of(index) if index else "#000000") for index, name in enumerate(names)}
    if table := find_classes_table(arguments.masks):
        told = {row.index: row for row in read_classes_table(table).rows if row.index in rows}
        for index in rows.keys() - told.keys():  # no name may stand twice
            while rows[index].name in {row.name for row in told.values()}:
                rows[index] = replace(rows[index], name=f"{rows[index].name} (no row)")
        rows |= told
    shown = {index: "#{:02X}{:02X}{:02X}".format(*rgb) for rgb, index in reversed((arguments.colours or {}).items())}
    return [asdict(row) | {"colour": shown.get(index, row.colour)} for index, row in rows.items()]


def groups_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The groups of `--split`, by stem."""
    files = list_folder(arguments.images, arguments.masks).files
    groups = read_split_groups(arguments.split)
    return {stem_of_id(name, arguments.images, files): group for name, group in groups.items()}


def cut_off_validation(arguments: argparse.Namespace, ids: Sequence[str]) -> list[list[str]]:
    if len(ids) == 1:
        raise CommandError(
            "1 pair cannot be divided: the training and the validation need at least one each. Add pairs; to see "
            "whether a model learns one picture by heart, copy it and its mask under a second name."
        )
    count = arguments.validation if arguments.validation >= 1 else max(1, round(arguments.validation * len(ids)))
    if count > len(ids) / 2:
        raise CommandError(
            f"{count} validation images are more than half of the {len(ids)} images: give --validation 0.2, "
            f"a fifth of them, or a number up to {len(ids) // 2}."
        )
    return split_ids(ids, count, seed=arguments.seed)


def parts_of(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """The sorted ids of train, validation and test; CommandError where the file does not fit the pictures."""
    path, files = arguments.split, list_folder(arguments.images, arguments.masks).files
    parts = {
        part: sorted(stem_of_id(name, arguments.images, files) for name in names)
        for part, names in read_split_file(path).items()
    }
    given = [stem for stems in parts.values() for stem in stems]
    if wrong := [stem for stem in given if stem not in files]:
        more = f"; so are {len(wrong) - 1} other rows" if len(wrong) > 1 else ""
        raise CommandError(
            f"--split {path}: no picture is named {wrong[0]!r}{cut_zeros(wrong[0], files)}{more}. "
            f"Correct the ids, or delete the rows."
        )
    if len(set(given)) < len(given):
        raise CommandError(f"--split {path}: the id {Counter(given).most_common(1)[0][0]!r} is given twice. Keep one.")
    for part in ("train", "validation"):
        if not parts[part]:
            raise CommandError(f"--split {path}: no picture is in {part}. Make the file anew with `segfeed split`.")
    return parts
