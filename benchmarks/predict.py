"""How much of the model's own speed `segfeed predict` reaches: a folder of photographs beside ready batches.

    .venv/bin/python benchmarks/predict.py --backbone resnet18 --size 256 --pictures 64 --rounds 5

Both are measured in turns, so that a busy machine slows both. The median and the range of the rounds are printed.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "SM_FRAMEWORK": "tf.keras"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import keras
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
    rates: dict[str, list[float]] = {"model alone": [], "segfeed predict": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number:04d}.jpg") for number in range(given.pictures)]
        for number, path in enumerate(paths):
            photograph(path, number)
        for turn in range(-1, given.rounds):  # the first is not counted
            start = time.perf_counter()
            for batch in batches:
                model.predict_on_batch(batch)
            alone = time.perf_counter() - start
            with Output(Path(folder, f"out{turn}"), {}) as output:
                start = time.perf_counter()
                jobs = (Job(number, path, path.stem, OPTIONS, output) for number, path in enumerate(paths))
                ensemble = Ensemble([Network(size, model.predict_on_batch)])
                assert len(list(predict_folder(ensemble, jobs, output, None, None))) == given.pictures
                whole = time.perf_counter() - start
            if turn >= 0:
                rates["model alone"].append(given.pictures / alone)
                rates["segfeed predict"].append(given.pictures / whole)
    for name, values in rates.items():
        print(f"{name:16} {statistics.median(values):8.1f} pictures/s ({min(values):.1f}–{max(values):.1f})")
    shares = [whole / alone for alone, whole in zip(*rates.values(), strict=True)]
    print(f"share of the model's speed {statistics.median(shares):.2f} ({min(shares):.2f}–{max(shares):.2f}), "
          f"{model.count_params() / 1e6:.1f} million weights, {keras.backend.backend()}")  # fmt: skip


if __name__ == "__main__":
    main()
