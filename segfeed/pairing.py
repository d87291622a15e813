"""Which image belongs to which mask, how pairs are split, and a pair read from its two files."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from segfeed.decode import read_image_and_size
from segfeed.errors import DataError, first_names
from segfeed.files import Lost, file_name, is_also_a_name, list_folder, names_of, stem_of
from segfeed.masks import Colours, check_mask, read_mask

T = TypeVar("T")


class Pair(NamedTuple):
    """An image and its mask: two files with the same stem."""

    stem: str
    image: Path
    mask: Path


class Pairs(Sequence[Pair]):
    """Pairs as stems and suffixes: a million take about 25 MB. A `Pair` is made when it is asked for."""

    def __init__(self, imgs_dir: Path, masks_dir: Path, stems: list[str], images: list[str], masks: list[str]):
        self._folders = str(imgs_dir), str(masks_dir)
        self._stems, self._images, self._masks = stems, images, masks

    def __len__(self) -> int:
        return len(self._stems)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        image, mask = self.files(index)
        return Pair(self._stems[index], Path(image), Path(mask))

    def files(self, index: int) -> tuple[str, str]:
        """The paths of image and mask."""
        stem = self._stems[index]
        return (
            f"{self._folders[0]}{os.sep}{file_name(stem, self._images[index])}",
            f"{self._folders[1]}{os.sep}{file_name(stem, self._masks[index])}",
        )


def find_pairs(imgs_dir: str | Path, masks_dir: str | Path, ids: Iterable[str | os.PathLike] | None = None) -> Pairs:
    """Match the images of one folder with the masks of another by stem.

    `ids` are stems, names of image files ("0007" or "0007.jpg") or their paths, and fix the order; without them every
    file of both folders takes part, sorted by stem. Side files of Windows and macOS and hidden files are passed over,
    and names are compared in one Unicode form (NFC), because macOS may store another than the one you type.

    Raises DataError for an image without a mask (or a mask without an image, when there are no
    `ids`), two files for one stem, a stem that is also the name of another image (a.png.png beside a.png), an id given
    twice, ids that are no text, when there is nothing to pair, when the two folders are one, and, without `ids`, for
    what would not be read: pictures in subfolders, hidden, or behind links that lead nowhere, and special files.
    """
    imgs_dir, masks_dir = Path(imgs_dir), Path(masks_dir)
    files, lost = list_folder(imgs_dir, masks_dir)
    if ids is None:
        masks = list_folder(masks_dir, imgs_dir)
        for folder, losses in ((imgs_dir, lost), (masks_dir, masks.lost)):
            if losses:
                raise DataError(_lost_words(folder, losses), losses[0].kind)
        stems = sorted(files.keys() | masks.files.keys())
        del masks
    else:
        stems = [stem_of_id(name, imgs_dir, files) for name in as_list(ids)]
    if not stems:
        raise DataError(f"no pair to load: the ids are empty, or {imgs_dir} holds no file. Check the folder's name.")
    for stem in stems:
        if is_also_a_name(stem, files) and stem in files:
            raise DataError(
                f"{imgs_dir}: the id {stem!r} may mean the file {stem} or {names_of(stem, files)[0]}. "
                f"Rename one of them.",
                "ambiguous name",
            )
    images = _match("image", imgs_dir, files, lost, stems)
    del files  # a million names are 100 MB: one folder at a time
    if len(set(stems)) < len(stems):
        stem, times = Counter(stems).most_common(1)[0]
        raise DataError(f"the id {stem!r} is given {times} times. Give each id once.")
    return Pairs(
        imgs_dir, masks_dir, stems, images, _match("mask", masks_dir, *list_folder(masks_dir, imgs_dir), stems)
    )


def find_images(imgs_dir: Path, beside: Path) -> dict[str, str]:
    """The file name of each image, by stem, sorted; `beside` as in `list_folder`. DataError as in `find_pairs`."""
    files, lost = list_folder(imgs_dir, beside)
    if lost:
        raise DataError(_lost_words(imgs_dir, lost), lost[0].kind)
    if not files:
        raise DataError(f"{imgs_dir} holds no file. Check the folder's name.")
    stems = sorted(files)
    found = _match("image", imgs_dir, files, lost, stems)
    return {stem: file_name(stem, rest) for stem, rest in zip(stems, found, strict=True)}


LOST_CURES = {
    "dead link": "Copy the file that it should point to, or delete the link",
    "special file": "Move it elsewhere, or delete it",
    "hidden file": "Rename it without the dot, or delete it",
    "subfolder": "Subfolders are not read. Move the pictures up (each needs a name of its own), or move it elsewhere",
}


def _lost_words(folder: Path, lost: Sequence[Lost]) -> str:
    kind, name, measured = lost[0]
    more = f" ({len(lost) - 1} more like it)" if len(lost) > 1 else ""
    return f"{folder / name}: {kind}, {measured}{more}. {LOST_CURES[kind]}."


def as_list(ids: Iterable[T]) -> list[T]:
    """The ids as a list; DataError for one text in place of several."""
    if isinstance(ids, str | bytes):
        raise DataError(f"the ids are one text, {ids!r}. Give a list of texts.")
    try:
        return list(ids)
    except TypeError:
        raise DataError(f"the ids are {ids!r}. Give a list of texts.") from None


def stem_of_id(given: Any, imgs_dir: Path, files: Mapping[str, str]) -> str:
    """The stem that an id means, a stem, a file name or a path; `files` as in `list_folder`. It may not be there."""
    if isinstance(given, str) and given in files and "." not in given:
        return given
    is_path = isinstance(given, bytes | os.PathLike)
    if is_path:
        given = os.fsdecode(given)
    if not isinstance(given, str):
        cure = "Read a table of ids as text: with pandas, read_csv(..., dtype=str)."
        if isinstance(given, Pair):
            cure = "Give its stem."
        raise DataError(f"the id {given!r} is of type {type(given).__name__}, expected text such as '0007'. {cure}")
    name = unicodedata.normalize("NFC", given.rstrip("\r\n"))  # a line of a file ends with it
    folder, _, last = name.replace("\\", "/").rpartition("/")
    if folder and os.path.abspath(folder) == os.path.abspath(imgs_dir):
        name, is_path = last, True
    stem = stem_of(name)
    return stem if name in names_of(stem, files) and (is_path or name not in files) else name


def cut_zeros(name: str, stems: Iterable[str]) -> str:
    """Which of the stems an id was before a spreadsheet took it for a number, in words; empty if none."""
    number = int(name) if name.isdecimal() else None
    near = next((stem for stem in stems if stem.isdecimal() and int(stem) == number), None)
    return "" if near is None else f", but {near!r} is there: a spreadsheet cuts zeros unless the column is text"


def _match(kind: str, folder: Path, files: dict[str, str], lost: Sequence[Lost], stems: list[str]) -> list[str]:
    missing = [stem for stem in stems if stem not in files]
    if missing:
        gone = set(missing)
        if behind := [one for one in lost if one.name in gone or stem_of(one.name.lstrip(".")) in gone]:
            raise DataError(_lost_words(folder, behind), behind[0].kind)
        if inside := [one for one in lost if one.kind == "subfolder"]:
            raise DataError(f"no {kind} for the id {missing[0]!r}. {_lost_words(folder, inside)}", "subfolder")
        near = next((stem for stem in files if _longer(stem, missing[0]) or _longer(missing[0], stem)), None)
        renamed = f"; or, if {missing[0]!r} belongs to {near!r}, give them one name" if near is not None else ""
        raise DataError(
            f"no {kind} in {folder} for {len(missing)} of {len(stems)} ids: {first_names(missing)}. "
            f"An image and its mask have the same name up to the last dot: "
            f"add the {kind}, or leave the id out{renamed}.",
            "missing mask" if kind == "mask" else "orphan mask",
        )
    found = [files[stem] for stem in stems]
    for rest in set(found):
        if "/" in rest:
            stem = stems[found.index(rest)]
            names = sorted(file_name(stem, part) for part in rest.split("/"))
            raise DataError(
                f"{len(names)} {kind} files in {folder} for the id {stem!r}: {first_names(names)}. Keep one of them.",
                "two files for one stem",
            )
    return found


def _longer(stem: str, by: str) -> bool:
    """Whether a stem is another with an addition, as in 0007_mask."""
    return stem.startswith(by) and stem[len(by) : len(by) + 1] in set("_-. ")


def split_ids(ids: Iterable[str], *sizes: int, seed: int = 0) -> list[list[str]]:
    """Shuffle `ids` by `seed` and cut off a part of each size; the rest comes first.

    `train, validation = split_ids(ids, 69)` sets 69 aside. The order in which `ids` come does not
    matter, so a split is the same on every disk. Pictures of one scene must stay in one part: give
    one id per scene then. Raises ValueError when a part, or the rest, would be empty.
    """
    names = sorted(as_list(ids))
    if len(set(names)) < len(names):
        raise ValueError(f"the id {Counter(names).most_common(1)[0][0]!r} is given twice: it would be in two parts.")
    if min(sizes, default=0) < 1 or sum(sizes) >= len(names):
        raise ValueError(
            f"{len(names)} ids cannot give parts of {sizes} and a rest: every part needs at least one id. "
            f"Give smaller parts, or more ids."
        )
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.cumsum([len(names) - sum(sizes), *sizes])
    return [[names[i] for i in part] for part in np.split(order, ends[:-1])]


def read_pair(
    pair: Pair, for_size: tuple[int, int] | None = None, colours: Colours | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 (H, W, 3), and its mask, uint8 (H, W, 1); DataError if the files' sizes differ.

    `for_size` as in `read_image`; the mask comes whole. `colours` as in `read_mask`.
    """
    return read_files(pair.image, pair.mask, for_size, colours)


def read_files(
    image_file: str | Path, mask_file: str | Path, for_size: tuple[int, int] | None, colours: Colours | None
) -> tuple[np.ndarray, np.ndarray]:
    """As `read_pair`, without the `Path` objects of a `Pair`, which take as long as opening the files."""
    (image, size), mask = read_image_and_size(image_file, for_size), read_mask(mask_file, colours)
    if size != mask.shape[:2]:
        raise DataError(
            f"{mask_file}: the mask is {mask.shape[0]}×{mask.shape[1]} pixels and its image {size[0]}×{size[1]}. "
            f"Make the mask again from this image; "
            f"if the two are turned against each other, look at the EXIF orientation of both.",
            "unequal sizes",
        )
    return image, mask


def read_checked(
    files: tuple[str, str],
    for_size: tuple[int, int] | None,
    colours: Colours | None,
    n_classes: int,
    ignore: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `read_files`, with the mask checked as in `check_mask`; its DataError names the file."""
    image, mask = read_files(*files, for_size, colours)
    try:
        check_mask(mask, n_classes, ignore)
    except DataError as error:
        raise DataError(f"{files[1]}: {error}", error.kind) from None
    return image, mask
