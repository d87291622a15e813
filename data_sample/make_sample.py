"""Make the sample: photographed coins laid on photographed ground, each with its exact mask.

    python data_sample/make_sample.py [FOLDER]

Both kinds of photograph ship with scikit-image (`coins`, `brick`, `grass`, `gravel`), so nothing
is downloaded. The 24 coins are cut out once; every picture draws its ground, its light and its
coins from a generator keyed on (SEED, picture number), so any picture can be made alone.
"""

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data, filters, measure, segmentation, transform

SEED = 2019
SIZE = 256
PICTURES = {"train": 64, "validation": 16, "test": 16}
COINS = {
    "train": (1, 2, 4, 6, 7, 8, 9, 12, 14, 15, 17, 18, 19, 23),
    "validation": (3, 10, 13, 24),
    "test": (5, 11, 16, 20, 21, 22),
}
GROUND = {  # the part of each ground photograph that a split may use: rows, columns
    "train": (slice(0, 512), slice(0, 300)),
    "validation": (slice(0, 212), slice(300, 512)),
    "test": (slice(212, 512), slice(300, 512)),
}
SILVER, COPPER = 1, 2
COPPER_COINS = {1, 4, 8, 12, 15, 18, 23, 3, 24, 5, 16, 21}
METAL = {  # RGB gains on the grey photograph, from the darkest to the brightest piece
    SILVER: ((0.92, 0.94, 0.96), (1.10, 1.09, 1.05)),
    COPPER: ((0.92, 0.60, 0.41), (1.06, 0.74, 0.54)),
}
TINT = {
    "grass": ((0.62, 0.80, 0.34), (0.86, 0.86, 0.46)),
    "gravel": ((0.68, 0.60, 0.50), (0.84, 0.71, 0.54)),
    "brick": ((0.80, 0.60, 0.50), (0.95, 0.84, 0.72)),
}


def cut_out_coins() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the 24 coins, row by row, as (grey, alpha): float, (h, w), both in [0, 1]."""
    photograph = np.pad(data.coins(), 4, mode="edge")
    markers = np.zeros(photograph.shape, int)
    markers[photograph < 30] = 1
    markers[photograph > 150] = 2
    filled = segmentation.watershed(filters.sobel(photograph), markers) == 2
    filled = ndimage.binary_opening(ndimage.binary_fill_holes(filled), iterations=2)
    regions = [r for r in measure.regionprops(measure.label(filled)) if r.area > 500]
    regions.sort(key=lambda r: (round((r.centroid[0] - 50) / 72), r.centroid[1]))
    coins = []
    for region in regions:
        top, left, bottom, right = region.bbox
        window = slice(top - 4, bottom + 4), slice(left - 4, right + 4)
        inside = np.pad(region.image, 4).astype(float)
        coins.append((photograph[window] / 255, filters.gaussian(inside, 0.8)))
    return coins


def lay(coin, centre, scale, angle):
    """Turn and scale a coin about its middle and put it at `centre` (row, column) of a picture."""
    grey, alpha = coin
    middle = (np.array(grey.shape[::-1]) - 1) / 2
    move = (
        transform.SimilarityTransform(translation=-middle)
        + transform.SimilarityTransform(scale=scale, rotation=angle)
        + transform.SimilarityTransform(translation=centre[::-1])
    )
    shape = (SIZE, SIZE)
    return (
        transform.warp(grey, move.inverse, output_shape=shape, order=3, mode="edge"),
        transform.warp(alpha, move.inverse, output_shape=shape, order=1),
    )


def between(rng, low, high):
    """A colour on the line from `low` to `high`."""
    return np.array(low) + rng.random() * (np.array(high) - np.array(low))


def make_ground(rng, split):
    """Return (image, where): float (SIZE, SIZE, 3) in [0, 1], and the square it was cut from."""
    name = str(rng.choice(sorted(TINT)))
    rows, columns = GROUND[split]
    side = int(rng.integers(150, 212))
    top = int(rng.integers(rows.start, rows.stop - side + 1))
    left = int(rng.integers(columns.start, columns.stop - side + 1))
    square = getattr(data, name)()[top : top + side, left : left + side] / 255
    square = np.rot90(square, rng.integers(4))
    grey = transform.resize(square, (SIZE, SIZE), order=3, mode="edge").clip(0, 1)
    return grey[..., None] * between(rng, *TINT[name]), f"{name} {top} {left} {side}"


def make_picture(number, split, coins):
    """Return (image, classes, ground, numbers).

    image: uint8 RGB (SIZE, SIZE, 3); classes: uint8 (SIZE, SIZE) of 0, SILVER, COPPER;
    ground: where the ground was cut; numbers: the coins laid, 1 to 24.
    """
    rng = np.random.default_rng([SEED, number])
    image, ground = make_ground(rng, split)
    classes = np.zeros((SIZE, SIZE), np.uint8)
    light = rng.uniform(0, 2 * np.pi)
    away = 3 * np.array([np.sin(light), np.cos(light)])
    placed: list[tuple[np.ndarray, float]] = []
    numbers = []
    for coin in map(int, rng.choice(COINS[split], size=rng.integers(1, 5), replace=False)):
        scale = rng.uniform(1.3, 2.0)
        radius = scale * max(coins[coin - 1][0].shape) / 2
        tries = rng.uniform(0.08 * SIZE, 0.92 * SIZE, (100, 2))
        free = [c for c in tries if all(np.hypot(*(c - p)) > radius + r - 4 for p, r in placed)]
        if not free:  # no room left in this picture
            continue
        placed.append((free[0], radius))
        numbers.append(coin)
        grey, alpha = lay(coins[coin - 1], free[0], scale, rng.uniform(0, 2 * np.pi))
        shadow = ndimage.gaussian_filter(ndimage.shift(alpha, away, order=1), 2.5)
        image *= 1 - 0.55 * shadow[..., None]
        metal = COPPER if coin in COPPER_COINS else SILVER
        surface = grey[..., None] * between(rng, *METAL[metal])
        image += alpha[..., None] * (surface - image)
        classes[alpha >= 0.5] = metal
    rows, columns = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    slope = -(rows * np.sin(light) + columns * np.cos(light))
    image *= (rng.uniform(0.85, 1.15) + rng.uniform(0, 0.25) * slope)[..., None]
    image = filters.gaussian(image, 0.5, channel_axis=-1) + rng.normal(0, 0.012, image.shape)
    return (image.clip(0, 1) * 255).round().astype(np.uint8), classes, ground, sorted(numbers)


def write_sample(folder: Path) -> None:
    """Write every file of the sample below `folder`, the list of SHA-256 sums last."""
    for name in ("images", "masks", "masks_by_class"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    coins = cut_out_coins()
    splits = [split for split, count in PICTURES.items() for _ in range(count)]
    rows = []
    for number, split in enumerate(splits, start=1):
        image, classes, ground, numbers = make_picture(number, split, coins)
        stem = f"{number:04d}"
        Image.fromarray(image).save(folder / "images" / f"{stem}.jpg", quality=90)
        mask = np.where(classes > 0, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{stem}.png", optimize=True)
        Image.fromarray(classes).save(folder / "masks_by_class" / f"{stem}.png", optimize=True)
        rows.append([stem, split, " ".join(map(str, numbers)), ground])
    write_table(folder / "split.csv", ["id", "part", "coins", "ground_top_left_side"], rows)
    write_table(folder / "classes.csv", ["index", "name"], [[0, "ground"], [1, "silver"], [2, "copper"]])
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".jpg", ".png", ".csv"})
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="ascii", newline="\n")


def write_table(path, header, rows):
    with open(path, "w", newline="", encoding="ascii") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
