"""What is wrong with this folder of images and masks: one call, every file, and a cure for each finding.

    print(audit("images", "masks"))

Nothing in the folders is changed. From a shell: `python audit.py images masks --csv findings.csv`.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from pairs import (
    Colours,
    DataError,
    TooLargeError,
    checked,
    colours_of,
    decode,
    file_name,
    files_by_stem,
    in_pixels,
    is_cut,
    one_value_a_pixel,
    raw_bytes,
    read_bytes,
    read_image,
    read_stored,
)

ALIKE = 3  # of 64 bits: pictures whose hashes differ in no more are taken for the same
RARE_IN_IMAGES, RARE_IN_PIXELS = 0.05, 0.01  # a class below either share is a finding
ENOUGH_MASKS = 5  # below this number a mask is not compared with the others

SOFT = 3  # so many different values between ground and object are a smoothed edge, fewer are something else
SEEN = 32  # pixels a side that suffice to recognise a JPEG
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

T = TypeVar("T")
Names = tuple[str, str | None, str | None]  # a stem, its image and its mask
Note = Callable[[str, str], None]  # writes a finding about one file: its kind, and what was measured
Size = tuple[int, ...]

JPEG = b"\xff\xd8"
CONTENTS = (  # how a file begins, what it is, and the extensions that fit
    (JPEG, "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    (b"\x89PNG", "PNG", (".png", ".apng")),
    (b"GIF8", "GIF", (".gif",)),
    (b"BM", "BMP", (".bmp", ".dib")),
    (b"II*\0", "TIFF", (".tif", ".tiff")),
    (b"MM\0*", "TIFF", (".tif", ".tiff")),
    (b"RIFF", "WebP", (".webp",)),
)

FAULTS = {  # kind: why it hurts the training, and the cure; the report comes in this order
    "missing mask": (
        "An image without a mask cannot be learned from; the generator stops.",
        "Add the mask under the image's name, or take the image out.",
    ),
    "orphan mask": (
        "A mask without an image is not used; perhaps the image was lost or renamed.",
        "Add the image under the mask's name, or take the mask out.",
    ),
    "two files for one stem": (
        "Nobody can say which of them belongs to the pair; the generator stops.",
        "Keep one of them.",
    ),
    "names differ in case": (
        "Linux takes them for two names, Windows and macOS for one: pairs fall apart, or files overwrite each other.",
        "Rename one of them; small letters everywhere are safest.",
    ),
    "names differ in Unicode form": (
        "They look the same and are not (NFC and NFD): this course's reader pairs them, other programs do not.",
        "Rename the files to one form, NFC.",
    ),
    "split without file": (
        "The split names a picture that the folder does not hold; the generator stops.",
        "Correct the split, or add the picture.",
    ),
    "empty file": ("A file of 0 bytes holds no picture; the generator stops.", "Copy it again from its source."),
    "truncated file": (
        "The end is missing: some readers stop, others fill the lost rows with grey and train on them.",
        "Copy it again from its source.",
    ),
    "damaged file": (
        "The decoder repaired what it could; some pixels are invented.",
        "Copy it again from its source.",
    ),
    "unreadable file": ("It cannot be decoded; the generator stops.", "Open it in a viewer; copy or save it again."),
    "decompression bomb": (
        "Decoding it would take the memory of the whole training; the generator refuses it.",
        "Cut the picture into tiles, or copy it again if it should be smaller.",
    ),
    "wrong extension": (
        "Programs that go by the name fail or read it wrongly; a mask that is secretly a JPEG has false values.",
        "Rename the file after what it holds.",
    ),
    "turned by EXIF": (
        "The pixels lie on their side and a tag says how to turn them. Programs that ignore the tag "
        "draw masks on the lying picture.",
        "Save the image upright, without the tag, and see that its mask fits.",
    ),
    "grey image": (
        "Most of the images have colour: a few grey ones teach the model to tell sources apart, not objects.",
        "Take colour versions, or make all images grey with n_channels=1.",
    ),
    "image with alpha": (
        "The fourth channel is not a colour: what is transparent has no certain colour, and the generator stops there.",
        "Lay the image on the background you want and save it as RGB.",
    ),
    "image not of 8 bits": (
        "There is more than one way to make 8 bits of them; the generator stops.",
        "Scale the values to 0–255 by the full range of the camera and save again.",
    ),
    "palette image": (
        "At most 256 colours: a photograph has lost its shades, or this is a mask among the images.",
        "Take the photograph it was made from, or move the mask to its folder.",
    ),
    "constant image": ("One colour all over: there is nothing to learn from.", "Take the pair out, or find the image."),
    "unequal sizes": (
        "The mask does not lie on its image: every pixel's class is that of another place; the generator stops.",
        "Make the mask again from this image; if they are turned against each other, look at the EXIF tag.",
    ),
    "mask saved as JPEG": (
        "JPEG changes values: near every edge are classes that nobody drew.",
        "Save the mask as PNG, from its source; rounding the values back moves the edges.",
    ),
    "mask in colour": (
        "A colour is no class: without a table nobody knows which is which; the generator stops.",
        "Give colours={(r, g, b): class}, and save the masks as PNG with the class index for the training.",
    ),
    "unknown colour": (
        "A colour that is not in the table has no class.",
        "Add it to the table, or repaint those pixels; blends at edges come from a brush or resize with smoothing.",
    ),
    "two object values": (
        "1 and 255 both mean the object, or one of them means something else; the generator stops.",
        "Use 0 and 255 throughout; look at what the other value marks.",
    ),
    "soft edges": (
        "Values between ground and object have no class: a brush or resize with smoothing made them.",
        "Draw with a hard brush, resize by the nearest pixel; or cut the mask at 128.",
    ),
    "unknown value": (
        "A value that is no class index cannot be encoded; the generator stops.",
        "Repaint those pixels, check n_classes, or give ignore= for a border that does not count.",
    ),
    "mask not of 8 bits": (
        "Values above 255, negative or broken ones are no class indices; the generator stops.",
        "Save the class index with 8 bits.",
    ),
    "empty mask": (
        "No object anywhere: right for a picture without one, and false where the drawing was forgotten.",
        "Look at the image; keep the pair only if it really shows no object.",
    ),
    "inverted mask": (
        "Probably ground and object are exchanged: the model is taught the opposite.",
        "Look at it beside its image; if so, save 255 minus the mask.",
    ),
    "same picture in two splits": (
        "The model is tested on what it has learned by heart: the score promises too much.",
        "Look at both; leave one out, or put them into the same split.",
    ),
    "rare class": (
        "A model that never says this class is nearly always right, and that is what it learns.",
        "Collect more of it, weigh it in the loss, or draw its images more often; judge by IoU per class.",
    ),
}


class Finding(NamedTuple):
    """One fault of one file, or of the folder: what was measured, why it hurts the training, and the cure."""

    kind: str
    file: str
    measured: str
    why: str
    cure: str


class ClassShare(NamedTuple):
    """How often a class occurs: its share of all pixels, and of the images that show it at all."""

    value: int
    pixels: float
    images: float


class Report(list[Finding]):
    """The findings, by kind; printed, a table with a paragraph for each kind."""

    pairs = 0
    balance: list[ClassShare]

    def __str__(self) -> str:
        lines = []
        for kind, group in groupby(self, key=lambda finding: finding.kind):
            found = list(group)
            width = max(len(finding.file) for finding in found)
            lines += [f"{kind} ({len(found)})", f"  why   {found[0].why}", f"  cure  {found[0].cure}"]
            lines += [f"    {finding.file:{width}}  {finding.measured}" for finding in found] + [""]
        for share in self.balance:
            lines.append(f"class {share.value}: {share.pixels:7.2%} of the pixels, in {share.images:7.2%} of the masks")
        return "\n".join([*lines, f"{len(self)} findings in {self.pairs} pairs."])


def audit(
    imgs_dir: str | Path,
    masks_dir: str | Path,
    *,
    n_classes: int = 1,
    colours: Colours | None = None,
    ignore: int | None = None,
    splits: Mapping[str, Iterable[str]] | None = None,
    progress: bool = True,
) -> Report:
    """Look at every file of two folders, with all cores, and tell what is wrong.

    Args:
        n_classes: 1 for masks of 0/255 or 0/1; more for masks that hold class indices.
        colours: for masks in colour: the class of each (red, green, blue).
        ignore: a mask value, or a class of `colours`, that marks pixels without a class.
        splits: the stems of each part, {"train": [...], "test": [...]}, to find pictures that are in two.
        progress: count the pairs on the error output.

    Of a file only its name, 64 bits of its picture and some counts are kept. Raises DataError when a folder
    does not exist or both are empty.
    """
    if ignore is not None and not 0 <= ignore <= 255:
        raise ValueError(f"ignore is {ignore}: a mask holds values from 0 to 255.")
    if colours:
        n_classes = max(n_classes, 1 + max((value for value in colours.values() if value != ignore), default=0))
    report = Report()
    names = list(_pair_names(Path(imgs_dir), Path(masks_dir), report))
    if not names:
        raise DataError(f"nothing to look at: {imgs_dir} and {masks_dir} hold no file. Check the folders' names.")
    look = _Look(Path(imgs_dir), Path(masks_dir), n_classes, colours, ignore)
    seen = _Seen(len(names), max(2, n_classes))
    looked = _in_threads(look.at, names)
    for number, facts in enumerate(counted(looked, len(names), "audit", "pairs") if progress else looked):
        report += facts.findings
        seen.keep(number, facts)
    for number in seen.odd_grey_ones():
        measured = f"one channel; {seen.colour.sum()} of {len(names)} images have colour"
        report.append(_finding("grey image", look.imgs_dir / str(names[number][1]), measured))
    for number in seen.inverted_ones() if n_classes == 1 else ():
        measured = f"{seen.share[number]:.1%} object, and {seen.border[number]:.0%} of the border; usual is "
        measured += f"{np.nanmedian(seen.share):.1%}"
        report.append(_finding("inverted mask", look.masks_dir / str(names[number][2]), measured))
    report += _in_two_splits(seen, names, look.imgs_dir, splits or {})
    report.pairs, report.balance = len(names), seen.balance()
    for share in report.balance if seen.masks else ():
        if (share.images < RARE_IN_IMAGES or share.pixels < RARE_IN_PIXELS) and share.value != ignore:
            measured = f"class {share.value}: {share.pixels:.2%} of the pixels, in {share.images:.1%} of the masks"
            report.append(_finding("rare class", masks_dir, measured))
    order = {kind: number for number, kind in enumerate(FAULTS)}
    report.sort(key=lambda finding: (order[finding.kind], finding.file))
    return report


def write_csv(findings: Iterable[Finding], path: str | Path) -> None:
    """Write findings as a table, with the mark (BOM) by which spreadsheets read Korean letters rightly."""
    with open(path, "w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(Finding._fields)
        writer.writerows(findings)


def _finding(kind: str, file: str | Path, measured: str) -> Finding:
    return Finding(kind, str(file), measured, *FAULTS[kind])


# --- Names -----------------------------------------------------------------------------------


def _pair_names(imgs_dir: Path, masks_dir: Path, report: Report) -> Iterator[Names]:
    """Pair the files of two folders by stem, sorted; what does not fit goes into the report, and comes alone."""
    images, masks = _names(imgs_dir, report), _names(masks_dir, report)
    lost = {stem.casefold(): stem for stem in masks.keys() - images.keys()}
    twins = {
        stem: lost.pop(stem.casefold()) for stem in sorted(images.keys() - masks.keys()) if stem.casefold() in lost
    }
    for stem in sorted(images.keys() | masks.keys() - set(twins.values())):
        image, mask = images.get(stem), masks.get(twins.get(stem, stem))
        if image and mask:
            if stem in twins:
                report.append(_finding("names differ in case", imgs_dir / image, f"its mask is {mask}"))
            elif _stem(image) != _stem(mask):
                measured = f"{_form(image)}, its mask {_form(mask)}"
                report.append(_finding("names differ in Unicode form", imgs_dir / image, measured))
        elif image:
            report.append(_finding("missing mask", imgs_dir / image, f"no mask {stem}.* in {masks_dir}"))
        elif mask:
            report.append(_finding("orphan mask", masks_dir / mask, f"no image {stem}.* in {imgs_dir}"))
        yield stem, image, mask


def _names(folder: Path, report: Report) -> dict[str, str]:
    """A file for each stem."""
    names = {}
    folded: dict[str, str] = {}
    for stem, rest in sorted(files_by_stem(folder).items()):
        # a name in NFC comes first: what is stored in another form is what `files_by_stem` kept whole
        first, *others = sorted(
            (file_name(stem, part) for part in rest.split("/")), key=lambda name: (not name.startswith(stem), name)
        )
        names[stem] = first
        for other in others:
            if _stem(first) == _stem(other):
                report.append(_finding("two files for one stem", folder / other, f"beside {first}"))
            else:
                measured = f"{_form(other)}, beside it {_form(first)}"
                report.append(_finding("names differ in Unicode form", folder / other, measured))
        twin = folded.setdefault(stem.casefold(), first)
        if twin != first:
            report.append(_finding("names differ in case", folder / first, f"beside {twin}"))
    return names


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _form(name: str) -> str:
    return f"{name!r} in {'NFC' if unicodedata.is_normalized('NFC', name) else 'NFD'}"


# --- Pixels ----------------------------------------------------------------------------------


class _Facts(NamedTuple):
    """What is kept of a pair when its pixels are gone."""

    findings: list[Finding]
    picture: int | None  # None where there is no picture to compare
    grey: bool | None  # None where there is no image
    counts: np.ndarray | None  # pixels of each class; None where there is no mask, or a value without a class
    border: float  # share of the object along the mask's border


class _Look(NamedTuple):
    """Looks at one pair after the other."""

    imgs_dir: Path
    masks_dir: Path
    n_classes: int
    colours: Colours | None
    ignore: int | None

    def at(self, names: Names) -> _Facts:
        _, image, mask = names
        findings: list[Finding] = []
        seen = _open(os.path.join(self.imgs_dir, image), _see_image, findings) if image else None
        size, picture, grey = seen or (None, None, None)
        seen_mask = _open(os.path.join(self.masks_dir, mask), self._see_mask, findings) if mask else None
        mask_size, counts, border = seen_mask or (None, None, 0.0)
        if image and mask and size and mask_size and size != mask_size:
            measured = f"the mask has {mask_size[0]}×{mask_size[1]} pixels, its image {size[0]}×{size[1]}"
            findings.append(_finding("unequal sizes", self.masks_dir / mask, measured))
        return _Facts(findings, picture, grey, counts, border)

    def _see_mask(self, path: str, data: bytes, note: Note) -> tuple[Size, np.ndarray | None, float]:
        stored = read_stored(path, data)
        size = stored.shape[:2]
        if data[:2] == JPEG:
            note("mask saved as JPEG", f"{len(np.unique(stored))} different values")
            return size, None, 0.0
        if stored.dtype == np.uint8 and self.colours is not None:
            mask = self._classes_of(path, data, stored, note)
        else:
            mask = _values_of(path, stored, note)
        counts = None if mask is None else self._count_values(mask, note)
        if mask is None or counts is None:
            return size, None, 0.0
        border = 0.0
        if 2 * counts[0] < counts.sum():  # only then it may be inverted
            edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
            border = float(np.mean((edge > 0) & (edge != self.ignore)))
        return size, counts, border

    def _classes_of(self, path: str, data: bytes, stored: np.ndarray, note: Note) -> np.ndarray | None:
        """The classes of a mask in colour, by the table."""
        if stored.ndim == 3 and stored.shape[2] == 4 and (least := stored[..., 3].min()) < 255:
            note("mask in colour", f"a channel of transparency beside the colours, down to {least}")
            return None
        codes = _codes(colours_of(path, data, stored)[..., ::-1])
        mask, known = np.zeros(codes.shape, np.uint8), np.zeros(codes.shape, bool)
        for (red, green, blue), value in (self.colours or {}).items():
            hit = codes == red << 16 | green << 8 | blue
            mask[hit], known[hit] = value, True
        if known.all():
            return mask
        note("unknown colour", _most(np.where(known, -1, codes), _rgb_of))
        return None

    def _count_values(self, mask: np.ndarray, note: Note) -> np.ndarray | None:
        """Pixels of each class; None, and a finding, where a value has none."""
        pixels = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        if self.ignore is not None:
            pixels[self.ignore] = 0
        allowed = {0, 1, 255} if self.n_classes == 1 else range(self.n_classes)
        stray = [value for value in np.flatnonzero(pixels).tolist() if value not in allowed]
        if stray:
            kind = "soft edges" if self.n_classes == 1 and len(stray) >= SOFT else "unknown value"
            note(kind, _most(np.where(np.isin(mask, stray), mask.astype(int), -1), str))
            return None
        if self.n_classes == 1:
            if pixels[1] and pixels[255]:
                note("two object values", f"1 in {in_pixels(pixels[1])}, 255 in {pixels[255]}")
                return None
            pixels[1] += pixels[255]
        counts = pixels[: max(2, self.n_classes)]
        if not counts[1:].any():
            note("empty mask", f"0 of {mask.size} pixels show an object")
        return counts


def _open(path: str, see: Callable[[str, bytes, Note], T], findings: list[Finding]) -> T | None:
    """What `see` sees in a file, or None and a finding that it cannot be read."""

    def note(kind: str, measured: str) -> None:
        findings.append(_finding(kind, path, measured))

    try:
        data = read_bytes(path)
        for start, name, suffixes in CONTENTS:
            if data.startswith(start) and not path.lower().endswith(suffixes):
                note("wrong extension", f"the file holds {name}")
        seen = see(path, data, note)
        if data[:2] != JPEG and is_cut(data):
            note("truncated file", "the mark of the file's end is missing")
        return seen
    except DataError as error:
        note(_kind_of(path, error), " ".join(str(error).removeprefix(f"{path}: ").partition(". ")[0].split()))
        return None


def _kind_of(path: str, error: DataError) -> str:
    """Why a file cannot be read."""
    if isinstance(error, TooLargeError):
        return "decompression bomb"
    try:
        data = raw_bytes(path)
    except OSError:
        return "unreadable file"
    return "empty file" if not data else "truncated file" if is_cut(data) else "unreadable file"


def _see_image(path: str, data: bytes, note: Note) -> tuple[Size, int | None, bool | None]:
    """The size of an image, the hash of what it shows, and whether it has no colours."""
    turn = _orientation(data)
    if turn > 1:
        note("turned by EXIF", f"orientation {turn}" + (": the picture lies on its side" if turn >= 5 else ""))
    size, pixels, grey = (_see_jpeg if data[:2] == JPEG else _see_other)(path, data, turn, note)
    if pixels.dtype != np.uint8:
        note("image not of 8 bits", f"{pixels.dtype} values up to {pixels.max()}")
        return size, None, None
    if (pixels == pixels[:1, :1]).all() and ((whole := read_image(path)) == whole[:1, :1]).all():
        note("constant image", f"every pixel is {_rgb(*whole[0, 0])}")
        return size, None, grey
    return size, difference_hash(pixels), grey


def _see_jpeg(path: str, data: bytes, turn: int, note: Note) -> tuple[Size, np.ndarray, bool]:
    """The size, pixels in grey (few suffice; libjpeg still reads the whole file), and whether it has no colours."""
    said = ""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in {"CMYK", "YCCK"}:  # simplejpeg does not turn inks into light; OpenCV does
            small = simplejpeg.decode_jpeg(data, "GRAY", min_height=min(height, SEEN), min_width=min(width, SEEN))
            return (width, height) if turn >= 5 else (height, width), small[..., 0], space == "Gray"
    except (ValueError, MemoryError) as error:
        said = str(error)
    pixels = read_image(path)
    if said:
        note("truncated file" if is_cut(data) else "damaged file", said)
    return pixels.shape[:2], pixels, False


def _see_other(path: str, data: bytes, turn: int, note: Note) -> tuple[Size, np.ndarray, bool]:
    pixels = decode(path, data, cv2.IMREAD_UNCHANGED)
    header = checked(path, lambda: Image.open(io.BytesIO(data)))
    if header.mode == "P":
        note("palette image", f"{len(np.unique(pixels.reshape(-1, pixels[0, 0].size), axis=0))} colours")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        note("image with alpha", f"{np.mean(pixels[..., 3] < np.iinfo(pixels.dtype).max):.1%} of it is transparent")
        pixels = pixels[..., :3]
    return pixels.shape[:2] if turn == 1 else read_image(path).shape[:2], pixels, pixels.ndim == 2


def _orientation(data: bytes) -> int:
    """How EXIF says an image must be turned: 1 is upright, and 5 to 8 lie on their side."""
    if (b"Exif\0\0" if data[:2] == JPEG else b"eXIf") not in data and not data.startswith((b"II*", b"MM\0", b"RIFF")):
        return 1
    try:
        turn = Image.open(io.BytesIO(data)).getexif().get(0x0112, 1)
    except Exception:  # a damaged tag: OpenCV passes over it too
        return 1
    return turn if turn in range(1, 9) else 1


def difference_hash(pixels: np.ndarray) -> int | None:
    """Whether it gets brighter from left to right, at 8×8 places of a picture, as 64 bits.

    The dHash of N. Krawetz, "Kind of Like That" (2013, hackerfactor.com): it stays the same, but for a few bits,
    when a picture is resized, saved again or made brighter. None for a picture too plain to be recognised.
    """
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = small[:, 1:] > small[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big") if 4 <= bits.sum() <= 60 else None


def _values_of(path: str, stored: np.ndarray, note: Note) -> np.ndarray | None:
    """A mask with one value a pixel; None, and a finding, if it has more."""
    try:
        return one_value_a_pixel(path, stored)[..., 0]
    except DataError:
        if stored.dtype != np.uint8:
            note("mask not of 8 bits", f"{stored.dtype} values from {stored.min()} to {stored.max()}")
        elif (stored[..., :3] == stored[..., :1]).all():
            note("mask in colour", f"a channel of transparency beside the values, down to {stored[..., -1].min()}")
        else:
            note("mask in colour", _most(_codes(stored), _rgb_of))
        return None


def _codes(stored: np.ndarray) -> np.ndarray:
    """Each pixel's colour as one number, 0xRRGGBB."""
    blue, green, red = (stored[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _rgb(*colour: int) -> str:
    return "({}, {}, {})".format(*colour)


def _rgb_of(code: int) -> str:
    return _rgb(code >> 16, code >> 8 & 255, code & 255)


def _most(values: np.ndarray, name: Callable[[int], str]) -> str:
    """The most frequent of some pixels' values, those below 0 left out, and where it comes first."""
    places = np.flatnonzero(values >= 0)
    found, first, counts = np.unique(values.ravel()[places], return_index=True, return_counts=True)
    most = counts.argmax()
    row, column = divmod(int(places[first[most]]), values.shape[1])
    more = f"; {len(found) - 1} more, {in_pixels(counts.sum() - counts[most])}" if len(found) > 1 else ""
    return f"{name(int(found[most]))} in {in_pixels(counts[most])}, the first at row {row}, column {column}{more}"


# --- The folder as a whole -------------------------------------------------------------------


class _Seen:
    """What is kept of all pairs: some thirty bytes each."""

    def __init__(self, length: int, classes: int):
        self.hashes, self.hashed = np.zeros(length, np.uint64), np.zeros(length, bool)
        self.grey, self.colour = np.zeros(length, bool), np.zeros(length, bool)
        self.share, self.border = np.full(length, np.nan), np.zeros(length)
        self.pixels, self.images, self.masks = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0

    def keep(self, number: int, facts: _Facts) -> None:
        if facts.picture is not None:
            self.hashes[number], self.hashed[number] = facts.picture, True
        self.grey[number], self.colour[number] = facts.grey is True, facts.grey is False
        if facts.counts is not None:
            self.share[number] = facts.counts[1:].sum() / max(1, facts.counts.sum())
            self.border[number] = facts.border
            self.pixels += facts.counts
            self.images += facts.counts > 0
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
            for row in np.flatnonzero(bits.min(axis=1) <= ALIKE):
                yield int(part[row]), int(ones[nearest[row]]), int(bits[row, nearest[row]])


def _in_two_splits(
    seen: _Seen, names: list[Names], imgs_dir: Path, splits: Mapping[str, Iterable[str]]
) -> Iterator[Finding]:
    """Pictures of a split that an earlier one holds too; each once, and stems that the folder does not hold."""
    number_of = {stem: number for number, (stem, _, _) in enumerate(names)}
    parts = {}
    for split, stems in splits.items():
        known = {unicodedata.normalize("NFC", str(stem)): stem for stem in stems}
        for stem in sorted(known.keys() - number_of.keys()):
            yield _finding("split without file", imgs_dir / stem, f"in {split}")
        parts[split] = np.array([number_of[stem] for stem in known if stem in number_of], int)
    reported: set[int] = set()
    for (split, ones), (other_split, others) in combinations(parts.items(), 2):
        for number, twin, bits in seen.twins(ones, others):
            if number not in reported:
                reported.add(number)
                measured = f"in {other_split}; {bits} of 64 bits differ from {names[twin][1]} in {split}"
                yield _finding("same picture in two splits", imgs_dir / str(names[number][1]), measured)


def _in_threads(look: Callable[[Names], _Facts], names: list[Names]) -> Iterator[_Facts]:
    """`look` at all names with one thread a core, in order; simplejpeg and OpenCV hold no lock while they decode."""
    parts = [names[start : start + 16] for start in range(0, len(names), 16)]
    pool = ThreadPoolExecutor(CORES, "audit", initializer=cv2.setNumThreads, initargs=(1,))
    try:
        for facts in pool.map(lambda part: [look(one) for one in part], parts):
            yield from facts
    finally:
        pool.shutdown(cancel_futures=True)


def counted(results: Iterable[T], total: int, doing: str, what: str) -> Iterator[T]:
    """The same, with a line on the error output that counts them."""
    due = 0.0
    for number, one in enumerate(results, 1):
        if time.monotonic() >= due or number == total:
            due = time.monotonic() + 0.1
            print(f"\r{doing}: {number} of {total} {what}", end="", file=sys.stderr, flush=True)
        yield one
    print(file=sys.stderr)


def read_colours(path: str) -> Colours:
    """The table of a CSV file without a header, rows of red,green,blue,class; errors are in the words of argparse."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # Excel begins a file with a mark
            rows = list(csv.reader(file))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: cannot be opened ({error.strerror})") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{path}: is no text in UTF-8, save it as CSV in UTF-8") from None
    table: dict[tuple[int, int, int], int] = {}
    for row in rows:
        values = [int(word) if word.strip().isdecimal() else 256 for word in row]
        if len(values) != 4 or max(values) > 255:
            raise argparse.ArgumentTypeError(f"{path}: the row {row} is not red,green,blue,class in numbers, 0-255")
        red, green, blue, index = values
        if table.setdefault((red, green, blue), index) != index:
            raise argparse.ArgumentTypeError(
                f"{path}: gives the colour {red},{green},{blue} both class {table[red, green, blue]} and {index}"
            )
    if not table:
        raise argparse.ArgumentTypeError(f"{path}: holds no row of red,green,blue,class")
    return table


def main() -> int:
    """Audit two folders from a shell; 1 if there are findings."""
    parser = argparse.ArgumentParser(
        description="What is wrong with this folder of images and masks? Changes nothing.",
        epilog="Exit status: 0 if nothing was found, 1 if there are findings, 2 if there is nothing to look at.",
    )
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.add_argument("masks", type=Path, help="folder of the masks, with the same names up to the extension")
    parser.add_argument("--classes", type=int, default=1, help="classes in the masks; 1 for 0/255 (default)")
    parser.add_argument("--colours", type=read_colours, help="for masks in colour: CSV file of red,green,blue,class")
    parser.add_argument("--ignore", type=int, help="mask value of void pixels, 0-255, which belong to no class")
    parser.add_argument("--csv", type=Path, help="write the findings into this file")
    arguments = parser.parse_args()
    try:
        report = audit(
            arguments.images,
            arguments.masks,
            n_classes=arguments.classes,
            colours=arguments.colours,
            ignore=arguments.ignore,
            progress=sys.stderr.isatty(),
        )
    except ValueError as error:
        parser.exit(2, f"Stopped: {error}\n")
    print(report)
    if arguments.csv:
        write_csv(report, arguments.csv)
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
