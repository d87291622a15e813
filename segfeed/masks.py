"""The values of a mask: read as they were stored, checked, and turned into the targets of a network."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segfeed.decode import decode_rgb, decode_stored, palette_of, read_bytes, share_of_transparent
from segfeed.errors import DataError, first_names, in_pixels
from segfeed.files import table_text
from segfeed.headers import Header, read_header

MIN_SOFT_VALUES = 3  # so many different values between ground and object are a smoothed edge, fewer are something else
Colours = Mapping[tuple[int, int, int], int]  # RGB, 0–255 each, to a class index


def read_mask(path: str | Path, colours: Colours | None = None) -> np.ndarray:
    """Read a mask file as it was stored, uint8 (H, W, 1): no scaling, no smoothing, turned as its EXIF tag says.

    A palette file (Pascal VOC) gives its indices, and one of 1, 2 or 4 bits a pixel the values that were written.
    With `colours`, a table of RGB colour to class index, each pixel gives the index of its colour. Raises DataError
    for a file that is missing, empty, unreadable or larger than `MAX_PIXELS`, that holds several pictures or an
    inverted scale, for values above 255, for colour without a table and for a colour that is not in it, and for
    an alpha channel that is not opaque.
    """
    data = read_bytes(path)
    header = read_header(path, data)
    if colours is None:
        return one_value_a_pixel(path, read_values(path, data, header))
    classes, known, rgb = read_classes(path, data, header, colours)
    if not known.all():
        row, column = (int(places[0]) for places in (~known).nonzero())
        colour = tuple(rgb[row, column].tolist())
        raise DataError(
            f"{path}: the colour {colour} of the pixel in row {row}, column {column}, is no class "
            f"({in_pixels(np.sum(~known))} of unknown colour). Add it to `colours`, or save the mask as PNG, "
            f"without smoothing, in the colours of the table.",
            "unknown colour",
        )
    return classes[..., None]


def read_values(path: str | Path, data: bytes, header: Header) -> np.ndarray:
    """The values of a mask as they were stored, (H, W) or (H, W, C)."""
    stored = decode_stored(path, data, header)
    if header.inverted:
        raise DataError(
            f"{path}: the scale is inverted, so that a low value is seen as white. Programs disagree about which "
            f"pixels are the object. Save the mask as a grey PNG, 0 for ground.",
            "inverted scale",
        )
    if header.palette:
        palette = palette_of(path, data)
        if (index := _other_grey(stored, palette)) is not None:
            raise DataError(
                f"{path}: its palette shows the value {index} as the grey {palette[index, 0]}, and nobody knows "
                f"which of the two is the class. Save the mask as a grey PNG that holds 0/255 or the class index.",
                "palette of greys",
            )
    if header.kind == "TIFF" and header.alpha and (transparent := share_of_transparent(path, data, header)):
        raise _transparent(path, transparent)
    return stored


def _other_grey(stored: np.ndarray, palette: np.ndarray) -> int | None:
    """A value that a palette of greys shows as another grey; None where there is none, or colours are used."""
    grey = (palette == palette[:, :1]).all(axis=1)
    if not grey[stored.max()]:
        return None  # nothing need be counted
    used = np.flatnonzero(np.bincount(stored.ravel()))
    others = (i for i in used.tolist() if palette[i, 0] != i and (i, palette[i, 0]) != (1, 255))
    return next(others, None) if grey[used].all() else None  # 1 shown as white is the object in either reading


def read_classes(
    path: str | Path, data: bytes, header: Header, colours: Colours
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The class of each pixel's colour, (H, W), whether the table holds that colour, and the colours, (H, W, 3)."""
    if header.alpha and (transparent := share_of_transparent(path, data, header)):
        raise _transparent(path, transparent)
    rgb = decode_rgb(path, data, header)
    if rgb.dtype != np.uint8:
        raise DataError(
            f"{path}: {rgb.dtype} colours up to {rgb.max()}, expected 8-bit. Save the mask with 8 bits.",
            "mask not of 8 bits",
        )
    return *classes_of_colours(colour_codes(rgb), colours), rgb


def one_value_a_pixel(path: str | Path, mask: np.ndarray) -> np.ndarray:
    """Make uint8 (H, W, 1) of a mask as stored; DataError where that would lose something."""
    opaque = np.iinfo(mask.dtype).max if mask.dtype.kind in "iu" else 1
    if mask.ndim == 3 and mask.shape[2] == 4 and mask[..., 3].min() < opaque:
        raise _transparent(path, float(np.mean(mask[..., 3] < opaque)))
    if mask.ndim == 3:
        if (mask != mask[..., :1])[..., :3].any():
            raise DataError(
                f"{path}: a mask in colour, shape {mask.shape}, expected one value a pixel. "
                f"Save it as a grey or palette PNG that holds 0/255 or the class index, "
                f"or say with `colours` which colour is which class.",
                "mask in colour",
            )
        mask = mask[..., 0]
    if mask.dtype.kind == "f" and (unknown := np.count_nonzero(~np.isfinite(mask))):
        raise DataError(
            f"{path}: {unknown} pixels are NaN or infinite, expected whole numbers 0–255. Give those pixels a value, "
            f"such as 255 for void, and save the mask with 8 bits.",
            "mask not of 8 bits",
        )
    if mask.dtype != np.uint8 and (mask != mask.astype(np.uint8)).any():
        found = f"{mask.dtype} values from {mask.min()} to {mask.max()}"
        raise DataError(
            f"{path}: {found}, expected whole numbers 0–255. Save the mask with 8 bits.", "mask not of 8 bits"
        )
    return mask.astype(np.uint8, copy=False)[..., None]


def _transparent(path: str | Path, share: float) -> DataError:
    return DataError(
        f"{path}: {share:.1%} of the mask's pixels are transparent, and what lies there is not said. "
        f"Save it without an alpha channel.",
        "mask in colour",
    )


# --- Colours ---------------------------------------------------------------------------------


def colour_codes(rgb: np.ndarray) -> np.ndarray:
    """Each colour, RGB on the last axis, as one number 0xRRGGBB."""
    codes = rgb[..., 0].astype(np.int32)
    for channel in (1, 2):
        codes <<= 8
        codes |= rgb[..., channel]
    return codes


def classes_of_colours(codes: np.ndarray, colours: Colours) -> tuple[np.ndarray, np.ndarray]:
    """The class index of each colour code, uint8, and whether the table holds that colour; both of one shape."""
    table = sorted((int(colour_codes(np.array(colour))), index) for colour, index in colours.items())
    keys, indices = np.array([code for code, _ in table]), np.array([index for _, index in table], np.uint8)
    places = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    return indices[places], keys[places] == codes


def read_colours(path: str | Path) -> Colours:
    """Read a table of colours from a CSV file without a header, rows of red,green,blue,class, 0–255 each.

    Raises DataError for a file that cannot be read, a row of other content, and a colour of two classes.
    """
    rows = list(csv.reader(io.StringIO(table_text(path), newline="")))
    table: dict[tuple[int, int, int], int] = {}
    for row in rows:
        values = [int(word) if word.strip().isdecimal() else 256 for word in row]
        if len(values) != 4 or max(values) > 255:
            raise DataError(f"{path}: the row {row} is not red,green,blue,class in numbers of 0–255. Correct it.")
        red, green, blue, index = values
        if table.setdefault((red, green, blue), index) != index:
            raise DataError(
                f"{path}: the colour {red},{green},{blue} has the classes {table[red, green, blue]} and {index}. "
                f"Keep one of the rows."
            )
    if not table:
        raise DataError(f"{path}: no row of red,green,blue,class. Write one for each class.")
    return table


# --- Check, encode, decode -------------------------------------------------------------------


def check_mask(mask: np.ndarray, n_classes: int = 1, ignore: int | None = None) -> None:
    """Raise DataError, with how many pixels have which value, unless a mask as stored keeps the contract.

    `n_classes=1`: 0 is ground, and 1 or 255 (one of them in a file) is the object.
    `n_classes=k` > 1: the values are class indices 0…k-1.
    `ignore`: one more value, for pixels of which nobody knows the class (void).
    """
    signed = mask.view(np.int8)  # 255 is -1, so that two passes without a copy see all values
    if ignore is None and (
        mask.max() < max(2, n_classes) or (n_classes == 1 and signed.min() >= -1 and signed.max() <= 0)
    ):
        return
    counts = np.bincount(mask.ravel(), minlength=256)
    allowed = range(n_classes) if n_classes > 1 else (0, 255 if counts[255] and ignore != 255 else 1)
    unexpected = [value for value in np.flatnonzero(counts) if value not in allowed and value != ignore]
    if unexpected:
        kind = "unknown value"
        if n_classes == 1:
            blended = sum(value not in (1, 255) for value in unexpected)
            kind = "soft edges" if blended >= MIN_SOFT_VALUES else kind if blended else "two object values"
        found = first_names([f"{value} ({in_pixels(counts[value])})" for value in unexpected])
        expected = "0 and 255, or 0 and 1" if n_classes == 1 else f"class indices 0 to {n_classes - 1}"
        void = "" if ignore is None else f", and {ignore} for void"
        raise DataError(
            f"the mask holds {found}; expected {expected}{void}. "
            f"Save it as PNG, never as JPEG, resize it by the nearest pixel, and check n_classes={n_classes}.",
            kind,
        )


def encode_mask(mask: np.ndarray, n_classes: int = 1) -> np.ndarray:
    """Turn a mask as stored, uint8 (H, W, 1), into float32 targets of 0 and 1.

    One class gives (H, W, 1); more give one-hot, (H, W, n_classes). DataError as in `check_mask`.
    """
    check_mask(mask, n_classes)
    if n_classes == 1:
        return (mask > 0).astype(np.float32)
    return np.eye(n_classes, dtype=np.float32)[mask[..., 0]]


def mask_classes(mask: np.ndarray, ignore: int | None = None) -> np.ndarray:
    """Class indices, int (H, W), of a mask of indices, of 0/255, of probabilities or one-hot, (H, W, C).

    255 is the object where a mask holds nothing else but 0; beside other indices it stays 255. Void pixels, which
    have the value `ignore`, become 0, as in the batches of the generator.
    """
    if mask.shape[-1] > 1:
        return mask.argmax(axis=-1)
    mask = mask[..., 0]
    if mask.dtype.kind not in "biu":  # NumPy does not count bfloat16 among the floats
        return (mask >= 0.5).astype(int)
    if ignore is not None:
        mask = np.where(mask == ignore, 0, mask)
    return (mask > 0).astype(int) if np.isin(mask, (0, 255)).all() else mask.astype(int)
