"""What is looked at in each file: it is opened once, and only a summary is kept."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import simplejpeg

from segfeed.audit.faults import Finding, make_finding
from segfeed.audit.names import Names
from segfeed.audit.small import lost_objects
from segfeed.decode import decode_image, read_bytes, read_image, upright
from segfeed.errors import DataError, in_pixels
from segfeed.headers import Header, read_header, upright_size
from segfeed.masks import MIN_SOFT_VALUES, Colours, colour_codes, one_value_a_pixel, read_classes, read_values
from segfeed.near_duplicates import picture_hash
from segfeed.unreadable import JPEG, PNG

THUMBNAIL_SIDE = 64  # pixels that suffice to recognise a JPEG

T = TypeVar("T")
Reporter = Callable[[str, str], None]  # writes a finding about one file: its kind, and what was measured
Size = tuple[int, ...]

CONTENTS = (  # how a file begins, what it is, and the extensions that fit
    (JPEG, "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    (PNG, "PNG", (".png", ".apng")),
    (b"GIF8", "GIF", (".gif",)),
    (b"BM", "BMP", (".bmp", ".dib")),
    (b"II*\0", "TIFF", (".tif", ".tiff")),
    (b"MM\0*", "TIFF", (".tif", ".tiff")),
    (b"RIFF", "WebP", (".webp",)),
)


class PairSummary(NamedTuple):
    """What is kept of a pair when its pixels are gone."""

    findings: list[Finding]
    picture: np.ndarray | None  # its hash, uint64 (3,); None where there is no image
    grey: bool | None  # None where there is no image
    counts: np.ndarray | None  # pixels of each class; None where there is no mask, or a value without a class
    border: float  # share of the object along the mask's border
    keeps: Size | None  # the size that keeps objects which the chosen one loses


class PairInspector(NamedTuple):
    """Inspects one pair after the other."""

    imgs_dir: Path
    masks_dir: Path
    n_classes: int
    colours: Colours | None
    ignore: int | None
    resize_to: tuple[int, int] | None

    def inspect(self, names: Names) -> PairSummary:
        _, image, mask = names
        findings: list[Finding] = []
        seen = _open_and_inspect(os.path.join(self.imgs_dir, image), _inspect_image, findings) if image else None
        size, picture, grey = seen or (None, None, None)
        seen_mask = (
            _open_and_inspect(os.path.join(self.masks_dir, mask), self._inspect_mask, findings) if mask else None
        )
        mask_size, counts, border, keeps = seen_mask or (None, None, 0.0, None)
        if image and mask and size and mask_size and size != mask_size:
            measured = f"the mask has {mask_size[0]}×{mask_size[1]} pixels, its image {size[0]}×{size[1]}"
            findings.append(make_finding("unequal sizes", self.masks_dir / mask, measured))
        return PairSummary(findings, picture, grey, counts, border, keeps)

    def _inspect_mask(
        self, path: str, data: bytes, report: Reporter
    ) -> tuple[Size, np.ndarray | None, float, Size | None]:
        header = read_header(path, data)
        _report_turn(header, report)
        mask = self._classes_of(path, data, header, report)
        if mask is None:
            return upright_size(header), None, 0.0, None
        counts = self._count_values(mask, header, report)
        border, keeps = 0.0, None
        if counts is not None and 2 * counts[0] < counts.sum():  # only then it may be inverted
            edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
            border = float(np.mean((edge > 0) & (edge != self.ignore)))
        if counts is not None and self.resize_to and (found := lost_objects(mask, self.resize_to, self.ignore)):
            keeps = found.keeps
            gone = f"; nothing is left of class {', '.join(map(str, found.classes))}" if found.classes else ""
            measured = f"{found.lost} of {found.objects} objects at {self.resize_to[0]}×{self.resize_to[1]}{gone}; "
            report("object lost at this size", f"{measured}{keeps[0]}×{keeps[1]} keeps them")
        return mask.shape, counts, border, keeps

    def _classes_of(self, path: str, data: bytes, header: Header, report: Reporter) -> np.ndarray | None:
        """The values or, by the table, the classes of a mask, (H, W); None, and a finding, if it has others."""
        if self.colours is None:
            return _values_of(path, read_values(path, data, header), report)
        classes, known, rgb = read_classes(path, data, header, self.colours)
        if known.all():
            return classes
        kind = "mask saved as JPEG" if header.kind == "JPEG" else "unknown colour"
        report(kind, _most_frequent(np.where(known, -1, colour_codes(rgb)), _rgb_of))
        return None

    def _count_values(self, mask: np.ndarray, header: Header, report: Reporter) -> np.ndarray | None:
        """Pixels of each class; None, and a finding, where a value has none."""
        pixels = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        if self.ignore is not None:
            pixels[self.ignore] = 0
        allowed = {0, 1, 255} if self.n_classes == 1 else range(self.n_classes)
        unexpected = [value for value in np.flatnonzero(pixels).tolist() if value not in allowed]
        if unexpected:
            kind = "soft edges" if self.n_classes == 1 and len(unexpected) >= MIN_SOFT_VALUES else "unknown value"
            kind = "mask saved as JPEG" if header.kind == "JPEG" else kind
            report(kind, _most_frequent(np.where(np.isin(mask, unexpected), mask.astype(np.int16), -1), str))
            return None
        if self.n_classes == 1:
            if pixels[1] and pixels[255]:
                report("two object values", f"1 in {in_pixels(pixels[1])}, 255 in {pixels[255]}")
                return None
            pixels[1] += pixels[255]
        counts = pixels[: max(2, self.n_classes)]
        if not counts[1:].any():
            report("empty mask", f"0 of {mask.size} pixels show an object")
        return counts


def _open_and_inspect(path: str, inspect: Callable[[str, bytes, Reporter], T], findings: list[Finding]) -> T | None:
    """What `inspect` returns of a file, or None and a finding that it cannot be read."""

    def report(kind: str, measured: str) -> None:
        findings.append(make_finding(kind, path, measured))

    try:
        data = read_bytes(path)
        for start, name, suffixes in CONTENTS:
            if data.startswith(start) and not path.lower().endswith(suffixes):
                report("wrong extension", f"the file holds {name}")
        return inspect(path, data, report)
    except DataError as error:
        report(error.kind, " ".join(str(error).removeprefix(f"{path}: ").partition(". ")[0].split()))
        return None


def _inspect_image(path: str, data: bytes, report: Reporter) -> tuple[Size, np.ndarray, bool | None]:
    """The size of an image, the hash of what it shows, and whether it has no colours."""
    header = read_header(path, data)
    grey: bool | None
    _report_turn(header, report)
    pixels, grey = (_inspect_jpeg if header.kind == "JPEG" else _inspect_other)(path, data, header, report)
    if (pixels == pixels[:1, :1]).all() and ((whole := read_image(path)) == whole[:1, :1]).all():
        report("constant image", f"every pixel is {_rgb(*whole[0, 0])}")
        grey = None
    return upright_size(header), picture_hash(pixels, data), grey


def _inspect_jpeg(path: str, data: bytes, header: Header, report: Reporter) -> tuple[np.ndarray, bool]:
    """Pixels in grey (few suffice; libjpeg still reads the whole file), and whether it has no colours."""
    said = ""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        inks = space in {"CMYK", "YCCK"}  # simplejpeg does not turn them into light; OpenCV does
        least = {"min_height": min(height, THUMBNAIL_SIDE), "min_width": min(width, THUMBNAIL_SIDE)}
        small = simplejpeg.decode_jpeg(data, "CMYK" if inks else "GRAY", **least)
        if not inks:
            return upright(small[..., 0], header), space == "Gray"
    except (ValueError, MemoryError) as error:
        said = str(error)
    pixels = read_image(path)
    if said:
        report("damaged file", said)
    return pixels, False


def _inspect_other(path: str, data: bytes, header: Header, report: Reporter) -> tuple[np.ndarray, bool]:
    pixels = decode_image(path, data, header)
    if header.palette:
        used = np.zeros(1 << 24, bool)
        for row in pixels:  # of 100 megapixels at once numpy would make gigabytes
            used[colour_codes(row)] = True
        report("palette image", f"{np.count_nonzero(used)} colours")
    if header.alpha:
        report("image with alpha", "all of it is opaque")
    return pixels, bool((pixels == pixels[..., :1]).all())


def _report_turn(header: Header, report: Reporter) -> None:
    if header.orientation > 1:
        lies = ": the picture lies on its side" if header.orientation >= 5 else ""
        report("turned by EXIF", f"orientation {header.orientation}{lies}")


def _values_of(path: str, stored: np.ndarray, report: Reporter) -> np.ndarray | None:
    """A mask with one value a pixel; None, and a finding, if it has more."""
    try:
        return one_value_a_pixel(path, stored)[..., 0]
    except DataError:
        if stored.dtype != np.uint8 or (stored[..., :3] == stored[..., :1]).all():
            raise
        report("mask in colour", _most_frequent(colour_codes(stored[..., 2::-1]), _rgb_of))
        return None


def _rgb(*colour: int) -> str:
    return "({}, {}, {})".format(*colour)


def _rgb_of(code: int) -> str:
    return _rgb(code >> 16, code >> 8 & 255, code & 255)


def _most_frequent(values: np.ndarray, name: Callable[[int], str]) -> str:
    """The most frequent of some pixels' values, those below 0 left out, and where it comes first."""
    counts: Counter[int] = Counter()
    for row in values:
        found, times = np.unique(row[row >= 0], return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    most = max(sorted(counts), key=counts.__getitem__)
    row, column = divmod(int((values == most).argmax()), values.shape[1])
    more = f"; {len(counts) - 1} more, {in_pixels(counts.total() - counts[most])}" if len(counts) > 1 else ""
    return f"{name(most)} in {in_pixels(counts[most])}, the first at row {row}, column {column}{more}"
