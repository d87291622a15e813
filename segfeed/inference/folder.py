"""A folder of pictures predicted: all cores read ahead and write behind while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segfeed.errors import DataError
from segfeed.inference.bands import Grid, TileSum, resized_bands
from segfeed.inference.ensemble import Ensemble
from segfeed.inference.output import Finished, Output, signature
from segfeed.inference.pictures import declared_pixels, read_picture
from segfeed.inference.results import Options, Result
from segfeed.threads import CORES, Threads

READ_AHEAD = 2**28  # bytes of decoded pictures at one time, at most, unless one alone has more
UNKNOWN = 2**22  # pixels of a picture that does not say it
Size = tuple[int, int]


class Tiling(NamedTuple):
    side: int  # pixels
    overlap: float  # share of a side by which neighbours overlap


class Job:
    """One picture on its way: read, predicted in one or more batches, written."""

    def __init__(self, number: int, path: Path, stem: str, options: Options, output: Output):
        self.path, self.stem, self.name = path, stem, f"{number:08d}"
        self.bytes = 3 * (declared_pixels(path) or UNKNOWN)
        self._options, self._output = options, output
        self._written: Future | None = None

    def read(self, sizes: list[Size], tiling: Tiling | None) -> None:
        """Decode the picture, and make the networks' inputs of it: one for each size, or tile after tile."""
        picture = self._picture = read_picture(self.path, self._output.parts)
        self._result = Result(picture, self._options, self._output.parts, self.name)
        self._grid = Grid(picture.height, picture.width, *tiling) if tiling else None
        self._sum = TileSum(self._grid) if self._grid else None
        self._images = [] if tiling else [picture.resized(size) for size in sizes]

    def inputs(self) -> Iterator[list[np.ndarray]]:
        if self._grid is None:
            yield self._images
        else:
            yield from ([self._grid.read(self._picture, index)] for index in range(len(self._grid)))

    def take(self, maps: list[np.ndarray], threads: Threads) -> None:
        """The probabilities of the next input. What is complete is worked on in a thread, one task at a time."""
        band = self._sum.add(maps[0]) if self._sum else None
        if self._sum and band is None:
            return
        if self._written:
            self._written.result()
        last = band is None or band.stop == self._picture.height
        self._written = threads.submit(self._work, [band] if band else maps, last)

    def _work(self, found: list[Any], last: bool) -> dict[str, Any] | None:
        bands = found if self._sum else resized_bands(found, self._picture.height, self._picture.width)
        for band in bands:
            self._result.add(band)
        return self._result.finish() | {"file": signature(self.path)} if last else None

    @property
    def is_written(self) -> bool:
        return self._written is not None and self._written.done()

    def written(self) -> Finished:
        """Wait for it."""
        assert self._written is not None
        return Finished(self.name, self.path.name, self.stem, self._written.result())


def predict_folder(
    ensemble: Ensemble, jobs: Iterator[Job], output: Output, tiling: Tiling | None, batch: int | None
) -> Generator[tuple[Job, DataError | None]]:
    """Predict pictures, and record them in `output`; each as it is finished, or with what is wrong with its file.

    All cores read ahead and write behind while the networks work. `batch`: inputs that these take at once; None: as
    many as have a million pixels together.
    """
    sizes = [(tiling.side, tiling.side)] if tiling else ensemble.sizes
    batch = batch or max(1, 2**20 // max(height * width for height, width in sizes))
    reading: deque[tuple[Job, Future]] = deque()
    writing: deque[Job] = deque()  # from the networks on
    waiting: list[tuple[Job, list[np.ndarray]]] = []  # for the networks
    threads = Threads("predict")

    def predict_waiting() -> None:
        stacks = [np.stack(images) for images in zip(*(inputs for _, inputs in waiting), strict=True)]
        maps = [ensemble.predict(size, stack) for size, stack in zip(sizes, stacks, strict=True)]
        for number, (job, _) in enumerate(waiting):
            job.take([one[number] for one in maps], threads)
        waiting.clear()

    try:
        upcoming = next(jobs, None)
        while upcoming or reading or writing:
            held = [*(job.bytes for job, _ in reading), *(job.bytes for job in writing)]
            while upcoming and _has_room(held, upcoming.bytes, batch):
                reading.append((upcoming, threads.submit(upcoming.read, sizes, tiling)))
                held.append(upcoming.bytes)
                upcoming = next(jobs, None)
            ready: list[Job] = []
            if reading:
                job, read = reading.popleft()
                try:
                    read.result()
                except DataError as error:
                    yield job, error
                    continue
                writing.append(job)
                for inputs in job.inputs():
                    waiting.append((job, inputs))
                    if len(waiting) == batch:
                        predict_waiting()
                if not tiling and sum(one.bytes for one, _ in waiting) > READ_AHEAD / 4:
                    predict_waiting()
            elif waiting:
                predict_waiting()
            elif writing:
                ready.append(writing.popleft())
            while writing and writing[0].is_written:
                ready.append(writing.popleft())
            output.record([job.written() for job in ready])
            yield from ((job, None) for job in ready)
    finally:
        threads.shutdown(cancel_futures=True)


def _has_room(held: list[int], more: int, batch: int) -> bool:
    """Whether one more picture may be read beside those that are held, in bytes; a single one always may."""
    return not held or (sum(held) + more <= READ_AHEAD and len(held) < 2 * (batch + CORES))
