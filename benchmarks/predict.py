"""How much of the model's own speed `segfeed predict` reaches: a folder of photographs beside ready batches.

    .venv/bin/python benchmarks/predict.py --backbone resnet18 --size 256 --pictures 64 --rounds 5

Both are measured in turns, so that a busy machine slows both. The median and the range of the rounds are printed, by
the clock, and in processor time, which other programs disturb less.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "SM_FRAMEWORK": "tf.keras"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from segfeed.inference.ensemble import Ensemble, Network
from segfeed.inference.folder import Job, predict_folder
from segfeed.inference.output import Output
from segfeed.inference.results import Category, Options
from segfeed.inference.runs import with_preprocessing
from segfeed.models import build_unet

OPTIONS = Options([Category("background", (0, 0, 0)), Category("object", (230, 159, 0))], 0.5, 1, None, False)


def photograph(path: Path, seed: int) -> None:
    """480×360 with some texture, JPEG."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (45, 60, 3), dtype=np.uint8), (480, 360))
    cv2.imwrite(str(path), image + rng.integers(0, 9, image.shape, dtype=np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    size = given.size, given.size
    model = with_preprocessing(build_unet(given.backbone, img_size=size))
    count = max(1, 2**20 // given.size**2)
    batches = np.split(np.random.default_rng(0).integers(0, 256, (given.pictures, *size, 3), dtype=np.uint8),
                       range(count, given.pictures, count))  # fmt: skip
    seconds: list[tuple[np.ndarray, np.ndarray]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number:04d}.jpg") for number in range(given.pictures)]
        for number, path in enumerate(paths):
            photograph(path, number)
        for turn in range(-1, given.rounds):  # the first is not counted
            start = now()
            for batch in batches:
                model.predict_on_batch(batch)
            alone = now() - start
            with Output(Path(folder, f"out{turn}"), {}) as output:
                start = now()
                jobs = (Job(number, path, path.stem, OPTIONS, output) for number, path in enumerate(paths))
                ensemble = Ensemble([Network(size, model.predict_on_batch)])
                assert len(list(predict_folder(ensemble, jobs, output, None, None))) == given.pictures
                whole = now() - start
            if turn >= 0:
                seconds.append((alone, whole))
    for column, clock in enumerate(("clock", "processor time")):
        alone, whole = np.array(seconds)[:, :, column].T
        for name, values in (("model alone", alone), ("segfeed predict", whole)):
            print(f"{clock:15}{name:16}{words(1000 * values / given.pictures, 1)} ms a picture")
        print(f"{clock:15}share of the model's speed {words(alone / whole, 2)}")
    print(f"{model.count_params() / 1e6:.1f} million weights, {given.size}×{given.size} pixels, {os.cpu_count()} cores")


def now() -> np.ndarray:
    """Seconds of the clock, and of the processor in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def words(values: np.ndarray, digits: int) -> str:
    return f"{np.median(values):8.{digits}f} ({values.min():.{digits}f}–{values.max():.{digits}f})"


if __name__ == "__main__":
    main()
