"""Pixels moved: resized, turned and mirrored, an image and its mask alike."""

from __future__ import annotations

import functools

import cv2
import numpy as np


def resize_image(image: np.ndarray, size: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
    """Resize (H, W, C) to `size` (height, width), into `out` if given, anti-aliased: each source pixel contributes.

    A side that shrinks 1.5 times or more is averaged; up to there linear interpolation weighs every pixel.
    """
    height, width = (new if old >= 1.5 * new else old for new, old in zip(size, image.shape, strict=False))
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], dst=out, interpolation=cv2.INTER_LINEAR).reshape(*size, -1)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 1) to `size` (height, width) by the nearest pixel, so that no new value appears."""
    sides = list(zip(mask.shape[:2], size, strict=True))
    if all(_as_opencv(old, new) for old, new in sides):
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[..., None]
    rows, columns = (nearest_pixels(old, new) for old, new in sides)
    return mask.take(rows, axis=0).take(columns, axis=1)


def nearest_pixels(old: int, new: int) -> np.ndarray:
    """For each of `new` pixels along a side the nearest of `old` pixels, int (new,).

    Where the centre of a new pixel lies between two, as at half the size, it is the one nearer to the middle.
    (`cv2.INTER_NEAREST_EXACT` takes the second, which moves a mask against its image.)
    """
    centres = (np.arange(new) + 0.5) * old / new
    return (centres + (old / 2 - centres) * 1e-9).astype(int)


@functools.cache
def _as_opencv(old: int, new: int) -> bool:
    """Whether OpenCV, which is faster, takes the same of `old` pixels: nowhere are two equally near."""
    numbers = np.arange(old, dtype=np.float32)[None]
    taken = cv2.resize(numbers, (new, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0]
    return old < 2**24 and np.array_equal(taken, nearest_pixels(old, new))


def flip_and_turn(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn a square pair by 0, 90, 180 or 270 degrees and mirror it or not: image and mask alike."""
    turns, mirror = int(rng.integers(4)), rng.integers(2)
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    return (image[:, ::-1], mask[:, ::-1]) if mirror else (image, mask)
