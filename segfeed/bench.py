"""Where the time goes when your pairs are read, and what would help most: `segfeed bench`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from segfeed.cache import slot_bytes
from segfeed.decode import read_image_and_size
from segfeed.files import raw_bytes
from segfeed.generator import DataGenerator
from segfeed.masks import Colours, read_mask
from segfeed.pairing import find_pairs
from segfeed.threads import CORES
from segfeed.transforms import resize_image, resize_mask

PAIRS, ROUNDS, BATCH = 200, 3, 8
PARTS = "read the files", "decode the image", "decode the mask", "resize the image", "resize the mask"


class Timing(NamedTuple):
    """Seconds a pair takes on one core in each part of the work, medians, and what the generator makes of them."""

    parts: dict[str, float]
    speeds: list[float]  # pairs per second of `DataGenerator` on all cores, one of each round
    pairs: int
    size: tuple[int, int]  # to which they are resized, in pixels
    image: tuple[int, int]  # of the images, medians of height and width in pixels
    bytes_of_all: int  # that the cache needs

    @property
    def limit(self) -> float:
        """Pairs per second, if all cores did nothing but decode and resize."""
        return CORES / sum(self.parts[part] for part in PARTS[1:])

    @property
    def advice(self) -> str:
        """The one thing that would help most."""
        total, read = sum(self.parts.values()), self.parts["read the files"]
        larger = min(side / wanted for side, wanted in zip(self.image, self.size, strict=True))
        if read > total / 2:
            return "Reading the files takes most of the time: copy them to a local disk, or pack them (segfeed pack)."
        if self.bytes_of_all > 2**30:
            return (
                f"Keep what was decoded: all pairs take {self.bytes_of_all / 1e9:.1f} GB at this size. Give "
                f"DataGenerator cache_memory={self.bytes_of_all} if there is room, or cache_dir= on a fast disk."
            )
        if larger >= 2:
            height, width = (round(1.5 * side) for side in self.size)
            return (
                f"The images are {larger:.1f} × as large as needed: save them once with about {height}×{width} pixels."
            )
        return "Nothing stands out: from the second epoch on the pairs come from the cache."

    def __str__(self) -> str:
        total = sum(self.parts.values())
        lines = [f"{part:18} {1000 * seconds:7.2f} ms  {seconds / total:4.0%}" for part, seconds in self.parts.items()]
        speed = statistics.median(self.speeds)
        return "\n".join(
            [
                f"One pair on one core, median of {self.pairs} pairs, {ROUNDS} rounds, resized to "
                f"{self.size[0]}×{self.size[1]}:",
                *lines,
                f"DataGenerator, first epoch, {CORES} cores: {speed:,.0f} pairs/s "
                f"({min(self.speeds):,.0f} to {max(self.speeds):,.0f}), {speed / self.limit:.2f} of the limit of these "
                f"files, {self.limit:,.0f}: decode and resize alone.",
                f"A batch of {BATCH} is ready every {1000 * BATCH / speed:.0f} ms: a training step that takes longer "
                f"does not wait.",
                self.advice,
            ]
        )


def bench(
    imgs_dir: Path,
    masks_dir: Path,
    size: tuple[int, int],
    n_classes: int = 1,
    colours: Colours | None = None,
    ignore: int | None = None,
    progress: bool = False,
) -> Timing:
    """Read up to `PAIRS` pairs of two folders, spread evenly, in `ROUNDS` rounds. Raises DataError as the generator."""
    pairs = find_pairs(imgs_dir, masks_dir)
    count = min(PAIRS, len(pairs))
    chosen = [pairs[int(number)] for number in np.linspace(0, len(pairs) - 1, count)]
    settings: dict[str, Any] = {"n_classes": n_classes, "colours": colours, "ignore": ignore, "dtype": "uint8"}
    ids = [pair.stem for pair in chosen]
    generator = DataGenerator(ids, imgs_dir, masks_dir, BATCH, size, shuffle=False, cache_memory=0, **settings)
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    sides, speeds = [], []

    def timed(part: str, function: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments)
        seconds[part].append(time.perf_counter() - start)
        return result

    for number in tqdm(range(ROUNDS), unit="round", disable=not progress):
        for pair in chosen:
            if number == 0:  # later they are in memory
                timed("read the files", lambda files=pair[1:]: [raw_bytes(file) for file in files])
            image, whole = timed("decode the image", read_image_and_size, pair.image, size)
            mask = timed("decode the mask", read_mask, pair.mask, colours)
            timed("resize the image", resize_image, image, size)
            timed("resize the mask", resize_mask, mask, size)
            sides.append(whole)
        start = time.perf_counter()
        for index in range(len(generator)):
            generator[index]
        speeds.append(count / (time.perf_counter() - start))
    height, width = (int(side) for side in np.median(sides, axis=0))
    medians = {part: statistics.median(values) for part, values in seconds.items()}
    return Timing(medians, speeds, count, size, (height, width), len(pairs) * slot_bytes(size))
