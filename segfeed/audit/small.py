"""Objects that are so small or thin that no pixel of them is left when a mask is resized."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from segfeed.transforms import resize_mask

Size = tuple[int, int]


class LostObjects(NamedTuple):
    """What a mask loses at a size: objects are regions of one class that touch, corners included."""

    lost: int
    objects: int
    classes: list[int]  # of which no object is left
    keeps: Size  # the smallest size of those tried, in the same proportion and multiples of 32, that loses nothing


def lost_objects(mask: np.ndarray, size: Size, ignore: int | None = None) -> LostObjects | None:
    """Compare a mask of class indices, uint8 (H, W), with itself resized to (height, width); None if all are left."""
    regions = {
        value: cv2.connectedComponents((mask == value).astype(np.uint8), connectivity=8)
        for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()
        if value not in (0, ignore)
    }
    left = _left(mask, regions, size)
    objects = sum(count - 1 for count, _ in regions.values())
    if sum(left.values()) == objects:
        return None
    keeps, whole = size, mask.shape[:2]
    while keeps[0] < whole[0] or keeps[1] < whole[1]:
        keeps = keeps[0] * 5 // 4 // 32 * 32 + 32, keeps[1] * 5 // 4 // 32 * 32 + 32
        if sum(_left(mask, regions, keeps).values()) == objects:
            break
    return LostObjects(objects - sum(left.values()), objects, [c for c, count in left.items() if not count], keeps)


def _left(mask: np.ndarray, regions: dict[int, tuple[int, np.ndarray]], size: Size) -> dict[int, int]:
    """How many objects of each class have a pixel in the resized mask."""
    back = cv2.resize(resize_mask(mask[..., None], size), mask.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return {
        value: int(np.count_nonzero(np.bincount(labels[back == value], minlength=count)[1:]))
        for value, (count, labels) in regions.items()
    }
