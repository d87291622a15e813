"""A folder of pairs as a whole: every file inspected with all cores, and what shows only among many."""

from __future__ import annotations

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
from segfeed.pairing import as_list, stem_of_id
from segfeed.threads import Threads

MAX_HASH_DISTANCE = 3  # of 64 bits: pictures whose hashes differ in no more are taken for the same
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
            that are in two.
        class_names: the name of each class index, for the report.
        progress: show a bar on the error output.
        watch: called after each pair; what it raises ends the audit.

    Not everything can be seen: a progressive JPEG that was cut between two of its scans, and given an end, is a whole
    picture that lacks detail.

    Of a file only its name, 64 bits of its picture and some counts are kept. Raises DataError when a folder
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
    summaries = _inspect_in_threads(inspector, names)
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
    report += _in_two_splits(folder, names, inspector.imgs_dir, splits or {})
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
    """What is kept of all pairs: some thirty bytes each."""

    def __init__(self, length: int, classes: int):
        self.hashes, self.hashed = np.zeros(length, np.uint64), np.zeros(length, bool)
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
        """For each of `others` like one of `ones`: its number, the nearest, and how many bits differ."""
        ones, others = ones[self.hashed[ones]], others[self.hashed[others]]
        at_once = max(1, 2**21 // max(1, len(ones)))  # 16 MB of differences
        for start in range(0, len(others) if len(ones) else 0, at_once):
            part = others[start : start + at_once]
            bits = np.bitwise_count(self.hashes[part, None] ^ self.hashes[ones])
            nearest = bits.argmin(axis=1)
            for row in np.flatnonzero(bits.min(axis=1) <= MAX_HASH_DISTANCE):
                yield int(part[row]), int(ones[nearest[row]]), int(bits[row, nearest[row]])


def _in_two_splits(
    folder: FolderSummary, names: list[Names], imgs_dir: Path, splits: Mapping[str, Iterable[str]]
) -> Iterator[Finding]:
    """Pictures of a split that an earlier one holds too; each once, and stems that the folder does not hold."""
    number_of = {stem: number for number, (stem, _, _) in enumerate(names)}
    files = {stem: image.removeprefix(stem) for stem, image, _ in names if image}
    parts = {}
    for split, stems in splits.items():
        known = dict.fromkeys(stem_of_id(one, imgs_dir, files) for one in as_list(stems))
        for stem in sorted(known.keys() - number_of.keys()):
            yield make_finding("split without file", imgs_dir / stem, f"in {split}")
        parts[split] = np.array([number_of[stem] for stem in known if stem in number_of], int)
    reported: set[int] = set()
    for (split, ones), (other_split, others) in combinations(parts.items(), 2):
        for number, twin, bits in folder.twins(ones, others):
            if number not in reported:
                reported.add(number)
                measured = f"in {other_split}; {bits} of 64 bits differ from {names[twin][1]} in {split}"
                yield make_finding("same picture in two splits", imgs_dir / str(names[number][1]), measured)


def _inspect_in_threads(inspector: PairInspector, names: list[Names]) -> Iterator[PairSummary]:
    """The summaries of all pairs, in order, from one thread a core."""
    parts = [names[start : start + 16] for start in range(0, len(names), 16)]
    pool = Threads("audit")
    try:
        for summaries in pool.map(lambda part: [inspector.inspect(one) for one in part], parts):
            yield from summaries
    finally:
        pool.shutdown(cancel_futures=True)
