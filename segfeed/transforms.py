"""Pixels moved: resized, turned and mirrored, an image and its mask alike."""

from __future__ import annotations

import math

import cv2
import numpy as np


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, C) to `size` (height, width), anti-aliased: each source pixel contributes.

    A side that shrinks 1.5 times or more is averaged; up to there linear interpolation weighs every pixel.
    """
    height, width = (new if old >= 1.5 * new else old for new, old in zip(size, image.shape, strict=False))
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(*size, -1)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 1) to `size` (height, width) by the nearest pixel, so that no new value appears.

    The centre of a new pixel may lie just between two pixels, as at half the size. OpenCV always takes the second,
    which moves a mask against its image. Here it is the one nearer to the middle of the mask.
    """
    if all(old // math.gcd(old, new) % 2 for old, new in zip(mask.shape, size, strict=False)):  # never between two
        return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[..., None]
    for axis, new in enumerate(size):
        nearest, rest = np.divmod((2 * np.arange(new) + 1) * mask.shape[axis], 2 * new)
        nearest -= (rest == 0) & (np.arange(new) >= new / 2)
        mask = mask.take(nearest, axis)
    return mask


def flip_and_turn(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn a square pair by 0, 90, 180 or 270 degrees and mirror it or not: image and mask alike."""
    turns, mirror = int(rng.integers(4)), rng.integers(2)
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    return (image[:, ::-1], mask[:, ::-1]) if mirror else (image, mask)
