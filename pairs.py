"""Files to pixels: which image belongs to which mask, and what the two files hold."""

from __future__ import annotations

import errno
import functools
import io
import os
import struct
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from pack import Pack

T = TypeVar("T")


class DataError(ValueError):
    """An image or a mask that cannot be used: the message names the file, the value and the cure."""


class TooLargeError(DataError):
    """A file whose header declares more than `MAX_PIXELS`, perhaps a decompression bomb: it was not decoded."""


MAX_PIXELS = 178_956_970  # that a file's header may declare: 512 MB as RGB, and Pillow's own limit
SMALLER = "Cut the picture into tiles; if it should be smaller, copy the file again from its source."


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


def find_pairs(imgs_dir: str | Path, masks_dir: str | Path, ids: Iterable[str] | None = None) -> Pairs:
    """Match the images of one folder with the masks of another by stem.

    `ids` are stems or names of image files ("0007" or "0007.jpg") and fix the order; without them every file
    of both folders takes part, sorted by stem. Hidden files are passed over, and names are compared
    in one Unicode form (NFC), because macOS may store another than the one you type.

    Raises DataError for an image without a mask (or a mask without an image, when there are no
    `ids`), two files for one stem, an id given twice, and when there is nothing to pair.
    """
    imgs_dir, masks_dir = Path(imgs_dir), Path(masks_dir)
    files = files_by_stem(imgs_dir)
    if ids is None:
        stems = sorted(files.keys() | files_by_stem(masks_dir).keys())
    else:
        names = (unicodedata.normalize("NFC", str(name)) for name in ids)
        stems = [name if name in files else _stem_of(name, files) for name in names]
    if not stems:
        raise DataError(f"no pair to load: the ids are empty, or {imgs_dir} holds no file. Check the folder's name.")
    images = _match("image", imgs_dir, files, stems)
    del files  # a million names are 100 MB: one folder at a time
    if len(set(stems)) < len(stems):
        stem, times = Counter(stems).most_common(1)[0]
        raise DataError(f"the id {stem!r} is given {times} times. Give each id once.")
    return Pairs(imgs_dir, masks_dir, stems, images, _match("mask", masks_dir, files_by_stem(masks_dir), stems))


def _stem_of(name: str, files: dict[str, str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if stem in files and dot + suffix in files[stem].split("/") else name


def _match(kind: str, folder: Path, files: dict[str, str], stems: list[str]) -> list[str]:
    missing = [stem for stem in stems if stem not in files]
    if missing:
        near = next((stem for stem in files if _longer(stem, missing[0]) or _longer(missing[0], stem)), None)
        renamed = f"; or, if {missing[0]!r} belongs to {near!r}, give them one name" if near is not None else ""
        raise DataError(
            f"no {kind} in {folder} for {len(missing)} of {len(stems)} ids: {first_names(missing)}. "
            f"An image and its mask have the same name up to the extension: "
            f"add the {kind}, or leave the id out{renamed}."
        )
    found = [files[stem] for stem in stems]
    for rest in set(found):
        if "/" in rest:
            stem = stems[found.index(rest)]
            names = sorted(file_name(stem, part) for part in rest.split("/"))
            raise DataError(
                f"{len(names)} {kind} files in {folder} for the id {stem!r}: {first_names(names)}. Keep one of them."
            )
    return found


def _longer(stem: str, by: str) -> bool:
    """Whether a stem is another with an addition, as in 0007_mask."""
    return stem.startswith(by) and stem[len(by) : len(by) + 1] in set("_-. ")


def files_by_stem(folder: Path) -> dict[str, str]:
    """The files of a folder: what follows each stem in its name; of several files, joined by a slash."""
    files: dict[str, str] = {}
    for stored in _names_in(folder):
        name = stored if stored.isascii() else unicodedata.normalize("NFC", stored)
        if name[0] != "." and name not in {"Thumbs.db", "desktop.ini"}:
            stem = name.rpartition(".")[0] or name
            # a name that is stored in another Unicode form is kept whole; only a suffix begins with a dot
            rest = sys.intern(name[len(stem) :]) if name == stored else stored
            files[stem] = f"{files[stem]}/{rest}" if stem in files else rest
    return files


def _names_in(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        with os.scandir(os.fspath(folder)) as entries:
            yield from (entry.name for entry in entries if entry.is_file())
    else:
        try:
            yield from _pack(folder).names(folder.name)
        except FileNotFoundError:
            raise DataError(f"there is no folder {folder}. Check the path; it is relative to {Path.cwd()}.") from None


def _pack(folder: Path) -> Pack:
    """The shards for which `folder` stands; FileNotFoundError if there are none. See pack.py."""
    return _open_pack(folder.parent.absolute())


@functools.cache
def _open_pack(folder: Path) -> Pack:
    """The same one for all who ask; what is not there is looked for again the next time."""
    if not any(folder.glob("pairs-*-of-*.json")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    from pack import Pack  # whose package Windows lacks

    return Pack(folder)


def file_name(stem: str, rest: str) -> str:
    return rest if rest and rest[0] != "." else stem + rest


def first_names(names: Sequence[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def read_image(path: str | Path, for_size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file as RGB uint8, (H, W, 3), turned upright as its EXIF tag says.

    With `for_size` (height, width) a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, the
    smallest that divides it and is still 1.5 times as large: libjpeg leaves out the detail that nobody needs, and
    `resize_image` averages the rest.
    Grey becomes three equal channels and a palette becomes its colours. Raises DataError for a file
    that is missing, empty, unreadable or larger than `MAX_PIXELS`, for 16-bit values and for transparent
    pixels: there is more than one way to make those 8-bit RGB, and only you know the right one.
    """
    return _read_image(path, for_size)[0]


def _read_image(path: str | Path, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """The pixels, and (height, width) of the whole image."""
    data = read_bytes(path)
    if data[:2] == b"\xff\xd8":
        return _read_jpeg(path, data, for_size)
    image = decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
    if image.dtype != np.uint8:
        raise DataError(
            f"{path}: {image.dtype} pixels up to {image.max()}, expected 8-bit. "
            f"Scale them to 0–255 by the full range of your camera and save again."
        )
    if checked(path, lambda: Image.open(io.BytesIO(data)).has_transparency_data):
        alpha = decode(path, data, cv2.IMREAD_UNCHANGED)[..., -1]
        if alpha.min() < 255:
            raise DataError(
                f"{path}: {np.mean(alpha < 255):.1%} of the pixels are transparent. "
                f"Lay the image on the background you want and save it without an alpha channel."
            )
    return image, image.shape[:2]


REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def _read_jpeg(path: str | Path, data: bytes, for_size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, ...]]:
    leave = b"Exif\0\0" in data  # perhaps: then leave it to OpenCV, and let either side be the height
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        leave |= colours in {"CMYK", "YCCK"}  # simplejpeg does not turn inks into light; OpenCV does
        sizes = [] if for_size is None else [for_size, for_size[::-1]][: 1 + leave]
        scale = max(
            n
            for n in (1, 2, 4, 8)
            if n == 1 or (sizes and all(height >= 1.5 * n * h and width >= 1.5 * n * w for h, w in sizes))
            if height % n == width % n == 0  # else the last row or column would be padded, and the picture stretched
        )
        if not leave:
            smaller = height // scale, width // scale
            return simplejpeg.decode_jpeg(data, min_height=smaller[0], min_width=smaller[1]), (height, width)
    except (ValueError, MemoryError):
        scale = 1  # OpenCV reads more kinds, and says what is wrong with the others
    if scale == 1:
        image = decode(path, data, cv2.IMREAD_COLOR_RGB)
        return image, image.shape[:2]
    image = cv2.cvtColor(decode(path, data, REDUCED[scale]), cv2.COLOR_BGR2RGB)
    lying = image.shape[:2] != (height // scale, width // scale)
    return image, (width, height) if lying else (height, width)


Colours = Mapping[tuple[int, int, int], int]  # RGB, 0–255 each, to a class index


def read_mask(path: str | Path, colours: Colours | None = None) -> np.ndarray:
    """Read a mask file as it was stored, uint8 (H, W, 1): no scaling, no smoothing.

    A palette file (Pascal VOC) gives its indices. With `colours`, a table of RGB colour to class
    index, each pixel gives the index of its colour. Raises DataError for a file that is missing,
    empty, unreadable or larger than `MAX_PIXELS`, for values above 255, for colour without a table
    and for a colour that is not in it, and for transparency.
    """
    data = read_bytes(path)
    stored = read_stored(path, data)
    if colours is None:
        return one_value_a_pixel(path, stored)
    _check_opaque(path, stored)
    return _classes_of(path, colours_of(path, data, stored), colours)


def _has_palette(data: bytes) -> bool:
    return data[:4] == b"\x89PNG" and data[25:26] == b"\x03"


def read_stored(path: str | Path, data: bytes) -> np.ndarray:
    """The pixels of a file as they were stored: (H, W) or (H, W, C) in OpenCV's order; of a palette, the indices."""
    if _has_palette(data):  # OpenCV would give its colours
        return checked(path, lambda: np.array(Image.open(io.BytesIO(data))))
    return decode(path, data, cv2.IMREAD_UNCHANGED)


def colours_of(path: str | Path, data: bytes, stored: np.ndarray) -> np.ndarray:
    """The colours, RGB (H, W, 3), of a file as stored: grey is a colour, and a palette is looked up."""
    if _has_palette(data):
        return checked(path, lambda: np.array(Image.open(io.BytesIO(data)).convert("RGB")))
    return np.repeat(stored[..., None], 3, axis=2) if stored.ndim == 2 else stored[..., 2::-1]


def _check_opaque(path: str | Path, mask: np.ndarray) -> None:
    if mask.ndim == 3 and mask.shape[2] == 4 and mask[..., 3].min() < 255:
        raise DataError(
            f"{path}: {np.mean(mask[..., 3] < 255):.1%} of the mask's pixels are transparent, and what lies there "
            f"is not said. Save it without an alpha channel."
        )


def one_value_a_pixel(path: str | Path, mask: np.ndarray) -> np.ndarray:
    """Make uint8 (H, W, 1) of a mask as stored; DataError where that would lose something."""
    _check_opaque(path, mask)
    if mask.ndim == 3:
        if (mask != mask[..., :1])[..., :3].any():
            raise DataError(
                f"{path}: a mask in colour, shape {mask.shape}, expected one value a pixel. "
                f"Save it as a grey or palette PNG that holds 0/255 or the class index, "
                f"or say with `colours` which colour is which class."
            )
        mask = mask[..., 0]
    if mask.dtype != np.uint8 and (mask != mask.astype(np.uint8)).any():
        found = f"{mask.dtype} values from {mask.min()} to {mask.max()}"
        raise DataError(f"{path}: {found}, expected whole numbers 0–255. Save the mask with 8 bits.")
    return mask.astype(np.uint8, copy=False)[..., None]


def _classes_of(path: str | Path, rgb: np.ndarray, colours: Colours) -> np.ndarray:
    """Class indices, uint8 (H, W, 1), of colours, (H, W, 3)."""
    if rgb.dtype != np.uint8:
        raise DataError(f"{path}: {rgb.dtype} colours up to {rgb.max()}, expected 8-bit. Save the mask with 8 bits.")
    codes = rgb.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    known = {red * 65536 + green * 256 + blue: index for (red, green, blue), index in sorted(colours.items())}
    keys, indices = np.array(list(known)), np.array(list(known.values()), np.uint8)
    places = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    unknown = keys[places] != codes
    if unknown.any():
        row, column = (int(places[0]) for places in unknown.nonzero())
        colour = tuple(rgb[row, column].tolist())
        raise DataError(
            f"{path}: the colour {colour} of the pixel in row {row}, column {column}, is no class "
            f"({in_pixels(unknown.sum())} of unknown colour). Add it to `colours`, or save the mask as PNG, "
            f"without smoothing, in the colours of the table."
        )
    return indices[places][..., None]


def in_pixels(count: int) -> str:
    return f"{count} pixel" if count == 1 else f"{count} pixels"


def raw_bytes(path: str | Path) -> bytes:
    """The bytes of a file, which may be one of those in shards; OSError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        path = Path(path)
        return _pack(path.parent).read(path.parent.name, path.name)


def file_status(path: str) -> os.stat_result:
    """Of a file, or of the shard that holds it; OSError if there is none."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        folder, name = os.path.split(path)
        return os.stat(_pack(Path(folder)).shard(os.path.basename(folder), name))


def read_bytes(path: str | Path) -> bytes:
    try:
        data = raw_bytes(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the path and the permissions.") from error
    if not data:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from its source.")
    height, width = checked(path, lambda: _declared_size(data))
    if height * width > MAX_PIXELS:
        raise TooLargeError(
            f"{path}: its {len(data)} bytes declare {height}×{width} = {height * width / 1e6:.0f} megapixels, "
            f"and at most {MAX_PIXELS / 1e6:.0f} are decoded. {SMALLER}"
        )
    return data


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as the header says, before anything is decoded; None if no decoder knows the file."""
    if data[:4] == b"\x89PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data[:2] == b"\xff\xd8":
        try:
            return simplejpeg.decode_jpeg_header(data)[:2]
        except ValueError:
            pass  # Pillow forgives more
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except UnidentifiedImageError:
        return None


def checked(path: str | Path, read: Callable[[], T | None]) -> T:
    """What `read` returns; DataError, by the file's name, if it raises or finds nothing."""
    try:
        found = read()
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{path}: {error} {SMALLER}") from error
    except Exception as error:  # a damaged file makes decoders raise anything, struct.error and MemoryError included
        raise _damaged(path, f"cannot be decoded ({error})") from error
    if found is None:
        raise _damaged(path, f"not an image that can be decoded (it begins with {raw_bytes(path)[:4]!r})")
    return found


def _damaged(path: str | Path, measured: str) -> DataError:
    data = raw_bytes(path)
    if is_cut(data):
        return DataError(f"{path}: the file is cut off ({len(data)} bytes, no end). Copy it again from its source.")
    return DataError(
        f"{path}: {measured}. Open it in an image viewer; save it again, or copy it again from its source."
    )


def is_cut(data: bytes) -> bool:
    """Whether a JPEG that does not decode well, or a PNG, lacks the mark of its end."""
    if data[:2] == b"\xff\xd8":  # the mark of a small picture in the header comes before the large one's pixels
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data[:4] == b"\x89PNG" and b"IEND" not in data


def decode(path: str | Path, data: bytes, flags: int) -> np.ndarray:
    # From memory, because cv2.imread cannot open a path with Korean letters on Windows.
    return checked(path, lambda: cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def read_pair(
    pair: Pair, for_size: tuple[int, int] | None = None, colours: Colours | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 (H, W, 3), and its mask, uint8 (H, W, 1); DataError if the files' sizes differ.

    `for_size` as in `read_image`; the mask comes whole. `colours` as in `read_mask`.
    """
    (image, size), mask = _read_image(pair.image, for_size), read_mask(pair.mask, colours)
    if size != mask.shape[:2]:
        raise DataError(
            f"{pair.mask}: the mask is {mask.shape[0]}×{mask.shape[1]} pixels and its image {size[0]}×{size[1]}. "
            f"Make the mask again from this image; "
            f"if the two are turned against each other, look at the image's EXIF orientation."
        )
    return image, mask
