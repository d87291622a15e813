"""A folder of pairs as a whole: every file inspected with all cores, and what shows only among many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segfeed.audit.faults import FAULTS, ClassShare, Finding, Report, make_finding
from segfeed.audit.names import Names, pair_names
from segfeed.audit.pixels import PairInspector, PairSummary
from segfeed.errors import DataError
from segfeed.masks import Colours
from segfeed.near_duplicates import HASH_BITS, HASH_WORDS, find_alike
from segfeed.pairing import as_list, cut_zeros, stem_of_id
from segfeed.threads import map_in_order

RARE_IN_IMAGES, RARE_IN_PIXELS = 0.05, 0.01  # a class below either share is a finding
ENOUGH_MASKS = 5  # below this number a mask is not compared with the others


def audit(
    imgs_dir: str | Path,
    masks_dir: str | Path,
    *,
    n_classes: int = 1,
    colours: Colours | None = None,
    ignore: int | None = None,
    size: tuple[int, int] | None = None,
    splits: Mapping[str, Iterable[str]] | None = None,
    groups: Mapping[str, str] | None = None,
    class_names: Mapping[int, str] | None = None,
    progress: bool = True,
    watch: Callable[[], object] = lambda: None,
) -> Report:
    """Look at every file of two folders, with all cores, and tell what is wrong.

    Args:
        n_classes: 1 for masks of 0/255 or 0/1; more for masks that hold class indices.
        colours: for masks in colour: the class of each (red, green, blue).
        ignore: a mask value, or a class of `colours`, that marks pixels without a class.
        size: (height, width) to which the masks will be resized, to find objects that vanish there.
        splits: the ids of each part, as `find_pairs` takes them, {"train": [...], "test": [...]}, to find pictures
            that are in two, or in none, and ids that are given twice or belong to no picture.
        groups: the group of each id, such as its scene, to find groups that are in two parts.
        class_names: the name of each class index, for the report.
        progress: show a bar on the error output.
        watch: called after each pair; what it raises ends the audit.

    Not everything can be seen: a progressive JPEG that was cut between two of its scans, and given an end, is a whole
    picture that lacks detail.

    Of a file only its name, 144 bits of its picture and some counts are kept. Raises DataError when a folder
    does not exist or both are empty, and ValueError for an argument outside its range.
    """
    if not 1 <= n_classes <= 256:
        raise ValueError(f"n_classes is {n_classes}: 1 for object or ground, else 2 to 256 class indices.")
    if ignore is not None and not 0 <= ignore <= 255:
        raise ValueError(f"ignore is {ignore}: a mask holds values from 0 to 255.")
    if colours:
        n_classes = max(n_classes, 1 + max((value for value in colours.values() if value != ignore), default=0))
    report = Report()
    report.names = dict(class_names or {})
    names = list(pair_names(Path(imgs_dir), Path(masks_dir), report))
    if not names:
        raise DataError(f"nothing to look at: {imgs_dir} and {masks_dir} hold no file. Check the folders' names.")
    inspector = PairInspector(Path(imgs_dir), Path(masks_dir), n_classes, colours, ignore, size)
    folder = FolderSummary(len(names), max(2, n_classes))
    summaries = map_in_order("audit", inspector.inspect, names)
    for number, pair in enumerate(tqdm(summaries, "audit", len(names), unit="pair", disable=not progress)):
        watch()
        report += pair.findings
        folder.keep(number, pair)
        if pair.keeps:
            report.keeps = max(report.keeps or pair.keeps, pair.keeps)
    for number in folder.odd_grey_ones():
        measured = f"no colour; {folder.colour.sum()} of {len(names)} images have colour"
        report.append(make_finding("grey image", inspector.imgs_dir / str(names[number][1]), measured))
    for number in folder.inverted_ones() if n_classes == 1 else ():
        measured = f"{folder.share[number]:.1%} object, and {folder.border[number]:.0%} of the border; usual is "
        measured += f"{np.nanmedian(folder.share):.1%}"
        report.append(make_finding("inverted mask", inspector.masks_dir / str(names[number][2]), measured))
    report += _in_two_splits(folder, names, inspector.imgs_dir, splits, groups or {})
    report.pairs, report.balance = len(names), folder.balance()
    for share in report.balance if folder.masks else ():
        if (share.images < RARE_IN_IMAGES or share.pixels < RARE_IN_PIXELS) and share.value != ignore:
            measured = f"{share.pixels:.2%} of the pixels, in {share.images:.1%} of the masks"
            measured = f"{report.name_of(share.value)}: {measured}"
            report.append(make_finding("rare class", masks_dir, measured))
    order = {kind: number for number, kind in enumerate(FAULTS)}
    report.sort(key=lambda finding: (order[finding.kind], finding.file))
    return report


class FolderSummary:
    """What is kept of all pairs: some sixty bytes each."""

    def __init__(self, length: int, classes: int):
        self.hashes, self.hashed = np.zeros((length, HASH_WORDS), np.uint64), np.zeros(length, bool)
        self.grey, self.colour = np.zeros(length, bool), np.zeros(length, bool)
        self.share, self.border = np.full(length, np.nan), np.zeros(length)
        self.pixels, self.images, self.masks = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0

    def keep(self, number: int, pair: PairSummary) -> None:
        if pair.picture is not None:
            self.hashes[number], self.hashed[number] = pair.picture, True
        self.grey[number], self.colour[number] = pair.grey is True, pair.grey is False
        if pair.counts is not None:
            self.share[number] = pair.counts[1:].sum() / max(1, pair.counts.sum())
            self.border[number] = pair.border
            self.pixels += pair.counts
            self.images += pair.counts > 0
            self.masks += 1

    def balance(self) -> list[ClassShare]:
        pixels, images = self.pixels / max(1, self.pixels.sum()), self.images / max(1, self.masks)
        return [ClassShare(index, float(pixels[index]), float(images[index])) for index in range(len(pixels))]

    def odd_grey_ones(self) -> np.ndarray:
        """The numbers of grey images where most have colour."""
        return np.flatnonzero(self.grey) if self.grey.sum() < self.colour.sum() else np.array([], int)

    def inverted_ones(self) -> np.ndarray:
        """The numbers of masks that are object for the most part, their border too, unlike the other masks."""
        share = self.share[self.share > 0]
        usual = np.median(share) if len(share) >= ENOUGH_MASKS else 1
        return np.flatnonzero((self.share > max(0.5, 2 * usual)) & (self.border > 0.5))

    def twins(self, ones: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """For each of `others` that looks like some of `ones`: its number, the nearest, and how many bits differ."""
        ones, others = ones[self.hashed[ones]], others[self.hashed[others]]
        for row, near, bits in find_alike(self.hashes[ones], self.hashes[others]):
            yield int(others[row]), int(ones[near[bits.argmin()]]), int(bits.min())


def _in_two_splits(
    folder: FolderSummary,
    names: list[Names],
    imgs_dir: Path,
    splits: Mapping[str, Iterable[str]] | None,
    groups: Mapping[str, str],
) -> Iterator[Finding]:
    """Pictures and groups of a split that an earlier one holds too, each once; and where ids and pictures differ."""
    number_of = {stem: number for number, (stem, _, _) in enumerate(names)}
    files = {stem: image.removeprefix(stem) for stem, image, _ in names if image}

    def finding(kind: str, stem: str, measured: str) -> Finding:
        number = number_of.get(stem)
        return make_finding(kind, imgs_dir / (stem if number is None else str(names[number][1] or stem)), measured)

    parts = {}
    for split, ids in (splits or {}).items():
        stems = Counter(stem_of_id(one, imgs_dir, files) for one in as_list(ids))
        for stem, times in sorted(stems.items()):
            if stem not in number_of:
                yield finding("split without file", stem, f"in {split}{cut_zeros(stem, files)}")
            if times > 1:
                yield finding("id twice in a split", stem, f"{times} times in {split}")
        parts[split] = np.array([number_of[stem] for stem in stems if stem in number_of], int)
    known = {number for part in parts.values() for number in part.tolist()}
    for number, (stem, image, _) in enumerate(names):
        if parts and image and number not in known:
            yield finding("picture in no split", stem, f"not in {', '.join(parts)}")
    reported: set[int] = set()
    first: dict[str, tuple[str, str]] = {}
    for split, part in parts.items():
        for stem in sorted(names[number][0] for number in part.tolist()):
            group = groups.get(stem)
            if group is not None and (there := first.setdefault(group, (split, stem)))[0] != split:
                measured = f"in {split}; {there[1]} of the same group, {group!r}, in {there[0]}"
                yield finding("group in two splits", stem, measured)
    for (split, ones), (other_split, others) in combinations(parts.items(), 2):
        for number, twin, bits in folder.twins(ones, others):
            if number not in reported:
                reported.add(number)
                measured = f"in {other_split}; {bits} of {HASH_BITS} bits differ from {names[twin][1]} in {split}"
                yield finding("same picture in two splits", names[number][0], measured)
