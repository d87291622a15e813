"""`segfeed split`: from a folder of pictures to split.csv, and what is said about it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segfeed.audit import FATAL_FINDINGS
from segfeed.audit.pixels import PairInspector, PairSummary
from segfeed.classes import class_options
from segfeed.decode import read_bytes
from segfeed.errors import CommandError, first_names, printable
from segfeed.files import PICTURES, list_folder
from segfeed.headers import read_header
from segfeed.near_duplicates import join_alike
from segfeed.pairing import find_images, find_pairs
from segfeed.split.stratify import split_groups
from segfeed.split.tables import groups_by_name, groups_by_table, refuse_to_overwrite, write_split_file
from segfeed.threads import map_in_order


def split(arguments: argparse.Namespace) -> None:
    """Write the file that `segfeed split` is asked for, and print what is in it.

    Raises CommandError or DataError for what must be changed first.
    """
    refuse_to_overwrite(arguments.output)
    for folder in (arguments.images, arguments.masks or arguments.images):
        if folder.is_dir() and folder.samefile(arguments.output.parent):
            raise CommandError(f"{arguments.output} would lie among the pictures: give --output a place outside.")
    images, masks = find_images(arguments.images, _beside(arguments)), {}
    for name in images.values():
        if not name.lower().endswith(PICTURES):  # the content decides
            read_header(arguments.images / name, read_bytes(arguments.images / name))
    if arguments.masks:
        masks = {pair.stem: pair.mask.name for pair in find_pairs(arguments.images, arguments.masks)}
    stems = [*images]
    groups = read_groups(arguments, stems) or {stem: stem for stem in stems}
    classes: dict[str, list[int]] | None = None
    class_names: dict[int, str] = {}
    print(f"{len(stems)} pictures in {len(set(groups.values()))} groups")
    if arguments.masks or arguments.near_duplicates:
        names = [(stem, images[stem] if arguments.near_duplicates else None, masks.get(stem)) for stem in stems]
        n_classes, ignore = 1, None
        if arguments.masks:
            n_classes, ignore, class_names = class_options(arguments.masks, arguments.classes, arguments.ignore)
        looks = _inspect(arguments, names, n_classes, ignore)
        if arguments.masks:
            classes = {
                stem: list(look.counts) for stem, look in zip(stems, looks, strict=True) if look.counts is not None
            }
        if arguments.near_duplicates:
            groups, joined = _join(stems, groups, np.array([look.picture for look in looks]))
            for one in joined:
                print(f"look alike: {printable(first_names([images[stem] for stem in one]))}")
            print(f"{len(set(groups.values()))} groups once pictures that look alike are joined")
    try:
        parts = split_groups(groups, arguments.validation, arguments.test, classes=classes, seed=arguments.seed)
    except ValueError as error:
        raise CommandError(str(error)) from None
    write_split_file(arguments.output, parts, groups if len({*groups.values()}) < len(groups) else None)
    print(*_table(parts, groups, classes, class_names), f"{arguments.output} is written.", sep="\n")


def read_groups(arguments: argparse.Namespace, stems: Sequence[str]) -> dict[str, str]:
    """The group of each picture, as --group or --groups say; empty if neither is given."""
    if arguments.group is not None and arguments.groups is not None:
        raise CommandError("--group and --groups both say which pictures belong together: give one of them.")
    if arguments.group is not None:
        return groups_by_name(stems, arguments.group)
    if arguments.groups is not None:
        files = list_folder(arguments.images, _beside(arguments)).files
        return groups_by_table(stems, arguments.groups, arguments.images, files)
    return {}


def _beside(arguments: argparse.Namespace) -> Path:
    """The folder that may lie among the images."""
    return arguments.masks or arguments.images / "masks"


def _inspect(
    arguments: argparse.Namespace, names: list[tuple[str, str | None, str | None]], n_classes: int, ignore: int | None
) -> list[PairSummary]:
    """What is kept of each picture; CommandError for those that cannot be read."""
    folders, colours = (arguments.images, arguments.masks or arguments.images), arguments.colours
    n_classes = max(n_classes, 1 + max((n for n in (colours or {}).values() if n != ignore), default=0))
    inspector = PairInspector(*folders, n_classes, colours, ignore, None)
    seen = map_in_order("split", inspector.inspect, names)
    looks = list(tqdm(seen, "look", len(names), unit="picture", disable=not sys.stderr.isatty()))
    if fatal := [finding for look in looks for finding in look.findings if finding.kind in FATAL_FINDINGS]:
        first = fatal[0]
        options = " Check --classes, --colours and --ignore too." if arguments.masks else ""
        raise CommandError(
            f"{len(fatal)} files cannot be used; the first: {first.file}: {first.kind}, {first.measured}. {first.cure}"
            f"{options} `segfeed audit` lists all of them."
        )
    return looks


def _join(
    stems: Sequence[str], groups: Mapping[str, str], hashes: np.ndarray
) -> tuple[dict[str, str], list[list[str]]]:
    """The groups once pictures that look alike are in one, and each set of pictures that look alike."""
    numbers: dict[str, int] = {}
    before = np.array([numbers.setdefault(groups[stem], len(numbers)) for stem in stems])
    after = join_alike(hashes, before)
    alike = join_alike(hashes, np.arange(len(stems)))
    sets: dict[int, list[str]] = {}
    for stem, number in zip(stems, alike.tolist(), strict=True):
        sets.setdefault(number, []).append(stem)
    names = [*numbers]
    joined = {stem: names[number] for stem, number in zip(stems, after.tolist(), strict=True)}
    return joined, [one for one in sets.values() if len(one) > 1]


def _table(
    parts: Mapping[str, Sequence[str]],
    groups: Mapping[str, str],
    classes: Mapping[str, Sequence[int]] | None,
    class_names: Mapping[int, str],
) -> list[str]:
    """Pictures, groups and the share of each class's pixels in each part."""
    counts = (
        {part: np.array([classes[stem] for stem in stems]).sum(axis=0) for part, stems in parts.items()}
        if classes
        else {}
    )
    whole = sum(counts.values())
    lines = []
    for part, stems in parts.items():
        line = f"{part:10} {len(stems):7} pictures, {len({groups[stem] for stem in stems}):7} groups"
        for index, count in enumerate(counts.get(part, ())):
            if whole[index]:
                line += f", {count / whole[index]:.1%} of {class_names.get(index, f'class {index}')}"
        lines.append(line)
    lines += [
        f"{class_names.get(index, f'class {index}')} is in no picture of {part}: too few groups show it"
        for part, count in counts.items()
        for index in np.flatnonzero((count == 0) & (whole > 0)).tolist()
    ]
    return lines
