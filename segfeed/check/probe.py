"""The probe: a folder of pictures from which their number and their mask can be read, even flipped and turned."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import keras
import numpy as np


class Unknown(Exception):
    """A check cannot be judged; the message says what would be needed."""


PROBES = 13  # a prime: almost every batch size leaves a rest


def probe_folder(folder: str | Path, n_classes: int = 1) -> list[str]:
    """Write images/<stem>.png and masks/<stem>.png, 64×64 pixels, below `folder`; return the stems.

    A picture is a board of 4×4 fields, as bright as their classes are high, from black to yellow: with half as
    much blue as red.
    """
    top = max(2, n_classes) - 1
    pictures = [(f"probe{number:02d}", board) for number, (board, *_) in enumerate(probe_forms(n_classes))]
    colour, grey = np.array([255, 255, 127]) // top, np.array([255 if n_classes == 1 else 1])
    for kind, factors in (("images", colour), ("masks", grey)):
        (Path(folder) / kind).mkdir(parents=True, exist_ok=True)
        for stem, board in pictures:
            pixels = board.repeat(16, 0).repeat(16, 1)[..., None] * factors
            keras.utils.save_img(Path(folder) / kind / f"{stem}.png", pixels, scale=False)
        pictures.reverse()  # who pairs files in the order of writing shall pair wrongly
    return [stem for stem, _ in pictures]


@functools.cache
def probe_forms(n_classes: int) -> np.ndarray:
    """The boards, turned and mirrored in 8 ways, (PROBES, 8, 4, 4); any two of them differ in 4 fields or more."""
    classes, rng = max(2, n_classes), np.random.default_rng(0)
    forms: list[np.ndarray] = []
    while len(forms) < PROBES:
        board = rng.integers(classes, size=(4, 4))
        new = np.stack([np.rot90(side, turn) for side in (board, board.T) for turn in range(4)])
        others = np.concatenate([new[1:], *forms])
        if np.sum(others != board, axis=(1, 2)).min() >= 4 and np.ptp(board) == classes - 1:
            forms.append(new)
    return np.stack(forms)


def classes_shown(image: np.ndarray, n_classes: int) -> np.ndarray | None:
    """The class of each pixel of a probe's image, whatever was done to its values; None if it is blank."""
    grey = image.mean(axis=-1, dtype=np.float64)
    if np.ptp(grey) == 0:
        return None
    return np.rint((grey - grey.min()) / np.ptp(grey) * (max(2, n_classes) - 1)).astype(int)


def probe_number(image: np.ndarray, n_classes: int) -> int | None:
    """Which probe an image shows, flipped and turned or not; None if it is blank."""
    shown = classes_shown(image, n_classes)
    if shown is None:
        return None
    rows, columns = (((np.arange(4) + 0.5) * side / 4).astype(int) for side in shown.shape)
    board = shown[np.ix_(rows, columns)]
    errors = np.sum(probe_forms(n_classes) != board, axis=(2, 3)).min(axis=1)
    if errors.min() > 1:
        raise Unknown("the images are no probes any more: flip and turn them, but do not crop or zoom.")
    return int(np.argmin(errors))


def moved(shown: np.ndarray, mask: np.ndarray) -> tuple[int, int]:
    """By how many rows and columns a mask would have to be moved to fit its image much better; (0, 0) if it fits.

    Looked for up to 1/16 of the sides, in steps of 1/32: resizing image and mask in two ways moves them less.
    """
    rows, columns = ([steps * max(1, side // 32) for steps in (0, -2, -1, 1, 2)] for side in shown.shape)
    shares = {place: np.mean(np.roll(mask, place, (0, 1)) == shown) for place in itertools.product(rows, columns)}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= shares[0, 0] + 0.02 else (0, 0)  # a move of 1/32 changes 6 in 100 pixels
