"""Measure the generator beside its peers: `make bench`.

Every round runs every loader once, one after the other; figures are the median of the rounds with the
smallest and the largest, ratios the median of the ratios within a round. In `fit` a model of negligible
cost takes the batches, and time counts from the end of its third step, so that nobody's start counts.
Writes build/bench.json, build/bench.md and build/bench.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
sys.path[:0] = [str(ROOT)]
sys.path.append(str(BUILD / "peers"))  # last: what the course has installed comes first
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import keras
import loaders
import numpy as np
import skimage.data
import tensorflow as tf
from matplotlib.figure import Figure

SIZE = 384
# source: pairs, height, width, batch, epochs a round
SOURCES = {
    "small": (512, 360, 480, 32, 2),
    "png": (512, 360, 480, 32, 1),
    "large": (40, 3000, 4000, 4, 3),
    "cache": (512, 360, 480, 32, 12),
}


def make_photos(folder: Path, count: int, height: int, width: int) -> list[tuple[str, str]]:
    """Photographs with the noise of a camera, JPEG of quality 90 (or PNG), and masks of a few discs, PNG."""
    suffix = ".png" if folder.name == "png" else ".jpg"
    originals = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        image, mask = folder / "images" / f"{number:04d}{suffix}", folder / "masks" / f"{number:04d}.png"
        files.append((str(image), str(mask)))
        if mask.exists():
            continue
        rng = np.random.default_rng(number)
        photo = originals[number % len(originals)]
        share = rng.uniform(0.6, 1)
        rows, columns = (int(share * side) for side in photo.shape[:2])
        top, left = (rng.integers(old - new + 1) for old, new in zip(photo.shape, (rows, columns), strict=False))
        pixels = cv2.resize(photo[top : top + rows, left : left + columns, ::-1], (width, height))
        pixels = cv2.add(pixels.astype(np.int16), rng.normal(0, 4, pixels.shape).astype(np.int16))
        truth = np.zeros((height, width), np.uint8)
        for _ in range(4):
            centre = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(truth, centre, int(rng.integers(height // 12, height // 5)), 255, -1)
        cv2.imwrite(str(image), np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
        cv2.imwrite(str(mask), truth)
    return files


class Touch(keras.Model):
    """A model that looks at one value of a batch and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = self.add_weight(shape=(), initializer="zeros")
        self.compile(jit_compile=False)

    def call(self, images):
        return tf.cast(images[0, 0, 0, 0], tf.float32)

    def train_step(self, data):
        images, masks = data
        self.seen.assign(self(images) + tf.cast(masks[0, 0, 0, 0], tf.float32))
        return {"seen": self.seen}


class Steady(keras.callbacks.Callback):
    """The time between the end of the third step and the end of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def forever(data):
    while True:
        yield from data


def in_fit(data, model: keras.Model, pairs: int, batch: int, epochs: int) -> float:
    """Pairs per second through `Model.fit`."""
    clock, steps = Steady(), pairs // batch
    options = {}
    if isinstance(data, loaders.SpdlLoader):
        data, options = forever(data), {"steps_per_epoch": steps}
    shuffle = not isinstance(data, keras.utils.Sequence)  # our Sequences shuffle for themselves; the others ignore it
    model.fit(data, epochs=epochs, verbose=0, shuffle=shuffle, callbacks=[clock], **options)
    assert len(clock.ends) == steps * epochs
    return (len(clock.ends) - 3) * batch / (clock.ends[-1] - clock.ends[2])


def bare(data, pairs: int, batch: int, epochs: int) -> float:
    """Pairs per second in a `for` loop."""
    ends = []
    for _ in range(epochs):
        for _ in data:
            ends.append(time.perf_counter())
        if isinstance(data, keras.utils.Sequence):
            data.on_epoch_end()
    assert len(ends) == pairs // batch * epochs
    return (len(ends) - 3) * batch / (ends[-1] - ends[2])


def limit(data, pairs: int, epochs: int) -> float:
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in data:
            pass
    return pairs * epochs / (time.perf_counter() - start)


Row = tuple[str, str, str, str, str]  # source, loader, dtype, epoch, path
Task = Callable[[], float]


def tasks(source: str, have: set[str]) -> dict[Row, Task]:
    """What is measured on a source."""
    pairs, height, width, batch, epochs = SOURCES[source]
    folder = "small" if source == "cache" else source
    files = make_photos(BUILD / "bench" / folder, pairs, height, width)
    found: dict[Row, Task] = {}

    def add(loader, make, dtype, paths=("fit", "bare"), epoch="first", share=1, epochs=epochs):
        count = pairs // share
        for path in paths:
            data, sizes = make(files[:count], SIZE, batch), (count, batch, epochs)
            row = (source, loader, dtype, epoch, path)
            found[row] = partial(in_fit, data, Touch(), *sizes) if path == "fit" else partial(bare, data, *sizes)

    generator = loaders.generator
    if source == "cache":
        found[source, "limit", "uint8", "later", "bare"] = partial(
            limit, loaders.CopyLimit(files, SIZE, batch), pairs, epochs
        )
        add("ready batch", loaders.ReadyBatch, "uint8", ("fit",), epoch="later")
        add("DataGenerator", partial(generator, dtype="uint8"), "uint8", epoch="later")
        add("DataGenerator", generator, "float32", epoch="later")
        add("tf.data tuned, cache()", partial(loaders.tf_tuned, cache=True), "uint8", epoch="later")
        return found
    limits = loaders.DecodeLimit(files, SIZE, batch)
    found[source, "limit", "uint8", "first", "bare"] = partial(limit, limits, pairs, epochs)
    for dtype in ("uint8", "float32"):
        add("DataGenerator", partial(generator, dtype=dtype, cache_memory=0), dtype)
    add("tf.data guide", loaders.tf_guide, "float32")
    add("tf.data tuned", loaders.tf_tuned, "uint8")
    peers = {"torch": loaders.torch_loader, "grain": loaders.grain_loader, "spdl": loaders.SpdlLoader}
    for dtype, paths in (("uint8", ("fit", "bare")), ("float32", ("fit",))):
        for peer in sorted(have):
            add(loaders.PEERS[peer], partial(peers[peer], dtype=dtype), dtype, paths)
    if source == "small":
        add("cv2 Sequence", loaders.PlainCv2, "float32", ("fit",))
        add("cv2 Sequence, 2 workers", partial(loaders.PlainCv2, workers=2), "float32", ("fit",))
        add("article", loaders.Article, "float32", ("fit",), share=4, epochs=1)
    return found


def measure(rounds: int, sources: list[str], have: set[str]) -> list[dict]:
    found: dict[Row, list[float]] = {}
    for source in sources:
        work = tasks(source, have)
        for number in range(rounds + 1):  # the first one warms up
            for row, task in work.items():
                speed = task()
                if number:
                    found.setdefault(row, []).append(speed)
                print(f"{source} round {number}: {row[1]:24} {row[2]:8} {row[4]:4} {speed:9.1f} pairs/s", flush=True)
    return [describe(row, found) for row in found]


def describe(row: Row, found: dict[Row, list[float]]) -> dict:
    source, loader, dtype, epoch, path = row
    speeds = found[row]

    def ratio(other: Row) -> float | None:
        if other not in found:
            return None
        return round(statistics.median(mine / theirs for mine, theirs in zip(speeds, found[other], strict=True)), 3)

    guide = (source, "tf.data guide", "float32", epoch, path)
    if source == "cache":
        guide = (source, "tf.data tuned, cache()", "uint8", epoch, path)
    return {
        "source": source,
        "loader": loader,
        "dtype": dtype,
        "epoch": epoch,
        "path": path,
        "pairs_per_second": [round(value, 1) for value in (min(speeds), statistics.median(speeds), max(speeds))],
        "ratio_to_limit": ratio((source, "limit", "uint8", epoch, "bare")),
        "ratio_to_tfdata": ratio(guide),
    }


def table(results: list[dict]) -> str:
    lines = [
        "| source | loader | dtype | epoch | path | pairs/s (min–max) | of the limit | × tf.data |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(results, key=lambda row: (row["source"], row["path"], -row["pairs_per_second"][1])):
        low, middle, high = (f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in row["pairs_per_second"])
        ratios = ("" if row[key] is None else f"{row[key]:.2f}" for key in ("ratio_to_limit", "ratio_to_tfdata"))
        names = (row[key] for key in ("source", "loader", "dtype", "epoch", "path"))
        lines.append(f"| {' | '.join(names)} | {middle} ({low}–{high}) | {' | '.join(ratios)} |")
    return "\n".join(lines)


def chart(results: list[dict], path: Path) -> None:
    """One panel a source: medians in `fit`, smallest and largest as whiskers, the limit as a line."""
    names = {
        "small": "480×360 JPEG, first epoch",
        "png": "480×360 PNG, first epoch",
        "large": "12-megapixel JPEG, first epoch",
        "cache": "later epochs",
    }
    sources = [name for name in names if any(row["source"] == name for row in results)]
    figure = Figure(figsize=(8, 1 + 0.28 * len(results)), layout="constrained")
    heights = [sum(row["source"] == name and row["path"] == "fit" for row in results) for name in sources]
    for axes, source in zip(
        np.atleast_1d(figure.subplots(len(sources), 1, height_ratios=heights)), sources, strict=True
    ):
        rows = [row for row in results if row["source"] == source and row["path"] == "fit"]
        rows.sort(key=lambda row: row["pairs_per_second"][1])
        for place, row in enumerate(rows):
            low, middle, high = row["pairs_per_second"]
            ours = row["loader"] == "DataGenerator"
            axes.barh(
                place,
                middle,
                xerr=[[middle - low], [high - middle]],
                color="#E69F00" if ours else "#56B4E9",
                hatch="//" if ours else None,
                edgecolor="black",
            )
        axes.set_yticks(range(len(rows)), [f"{row['loader']}, {row['dtype']}" for row in rows])
        line = next(
            row["pairs_per_second"][1] for row in results if row["source"] == source and row["loader"] == "limit"
        )
        if line < 5 * rows[-1]["pairs_per_second"][2]:
            axes.axvline(line, color="black", linestyle="--", label=f"limit: {line:,.0f}")
            axes.legend(loc="lower right")
        else:
            axes.text(0.98, 0.05, f"limit: {line:,.0f}", transform=axes.transAxes, ha="right")
        axes.set(title=names[source], xlabel="pairs per second in fit, median of the rounds")
    figure.savefig(path, dpi=110)


def million(folder: Path) -> str:
    """Time and memory of a generator over 1,000,000 ids, in a process of its own."""
    import subprocess

    for name, suffix in (("images", ".jpg"), ("masks", ".png")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name / f"0999999{suffix}").exists():
            for number in range(1_000_000):
                (folder / name / f"{number:07d}{suffix}").touch()
    code = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
import psutil; from segfeed import DataGenerator
ids = [f"{{number:07d}}" for number in range(1_000_000)]
memory = lambda: psutil.Process().memory_info().rss / 1e6
before, start = memory(), time.perf_counter()
data = DataGenerator(ids, {str(folder / "images")!r}, {str(folder / "masks")!r}, cache_memory=0)
made = time.perf_counter() - start
data.pairs
checked, held = time.perf_counter() - start, memory() - before
start = time.perf_counter(); data.set_epoch(1); shuffled = time.perf_counter() - start
print(f"1,000,000 ids: made in {{made:.2f}} s, names checked after {{checked:.2f}} s, "
      f"{{held:.0f}} MB, shuffled in {{shuffled * 1000:.0f}} ms")
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{loaders.CORES} cores, {model}, Python {platform.python_version()}, TensorFlow {tf.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--million", action="store_true", help="a generator over 1,000,000 ids, too")
    arguments = parser.parse_args()
    have = {name for name in loaders.PEERS if find_spec(name)}
    missing = [name for peer, name in loaders.PEERS.items() if peer not in have]
    BUILD.mkdir(exist_ok=True)
    results = measure(arguments.rounds, arguments.sources, have)
    (BUILD / "bench.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    chart(results, BUILD / "bench.png")
    text = f"{table(results)}\n\n{machine()}; {arguments.rounds} rounds. Missing: {', '.join(missing) or 'none'}.\n"
    if arguments.million:
        text += million(BUILD / "bench" / "million") + "\n"
    (BUILD / "bench.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
