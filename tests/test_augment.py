"""`RandomAugment`: an image and its mask change alike, by the numbers that its docstring gives."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from segfeed import DataGenerator, RandomAugment, flip_and_turn
from segfeed.augment import KINDS
from utils import DataError

MOVES = ("flips", "turns", "zoom", "shift")
seeds = st.integers(0, 10_000)


def coin(height, width, rng):
    """A disc of 200 on black, and its mask of 1."""
    centre, radius = (
        (int(rng.integers(width // 4, 3 * width // 4)), int(rng.integers(height // 4, 3 * height // 4))),
        14,
    )
    mask = cv2.circle(np.zeros((height, width), np.uint8), centre, radius, 1, -1)[..., None]
    return np.repeat(mask * 200, 3, axis=2), mask


@given(seeds, st.sets(st.sampled_from(KINDS), min_size=1), st.sampled_from([(64, 64), (48, 80)]))
def test_the_mask_stays_on_its_object(seed, kinds, size):
    kinds -= {"turns"} if size[0] != size[1] else set()
    image, mask = coin(*size, np.random.default_rng(seed + 1))
    changed, moved = RandomAugment(*kinds)(image, mask, np.random.default_rng(seed))
    assert (changed.shape, moved.shape) == (image.shape, mask.shape)
    assert changed.dtype == moved.dtype == np.uint8 and set(np.unique(moved)) <= {0, 1}
    bright = (changed[..., 0] > changed.max() / 2).astype(np.uint8)
    border = cv2.dilate(moved, np.ones((5, 5))) - cv2.erode(moved, np.ones((5, 5)))  # 2 pixels on both sides
    assert not (bright != moved[..., 0])[border == 0].any()


@given(seeds, st.sets(st.sampled_from(["brightness", "blur"])))
def test_only_what_moves_pixels_changes_a_mask(seed, kinds):
    image, mask = coin(64, 64, np.random.default_rng(seed))
    assert np.array_equal(RandomAugment(*kinds)(image, mask, np.random.default_rng(seed))[1], mask)


@given(seeds, st.integers(0, 255))
def test_an_image_of_one_colour_keeps_it_but_for_its_brightness(seed, value):
    image, mask = np.full((32, 48, 3), value, np.uint8), np.zeros((32, 48, 1), np.uint8)
    kept, _ = RandomAugment("flips", "zoom", "shift", "blur")(image, mask, np.random.default_rng(seed))
    assert np.array_equal(kept, image)
    lit = RandomAugment("brightness")(image, mask, np.random.default_rng(seed))[0]
    assert lit.min() == lit.max() and round(0.7 * value) - 1 <= lit.max() <= min(255, round(1.3 * value) + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_does_something_and_is_drawn_by_the_rng(kind):
    image, mask = coin(64, 64, np.random.default_rng(0))
    image = np.clip(image + np.random.default_rng(1).integers(0, 50, image.shape), 0, 255).astype(np.uint8)

    def draws():
        return [RandomAugment(kind)(image, mask, np.random.default_rng(seed))[0] for seed in range(12)]

    assert all(map(np.array_equal, draws(), draws()))
    assert len({one.tobytes() for one in draws()}) >= {"flips": 2, "turns": 4}.get(
        kind, 10
    )  # two weak blurs are the same


def test_zoom_and_shift_reach_the_numbers_of_the_docstring_and_no_further():
    height, width = 200, 100
    mask = cv2.circle(np.zeros((height, width), np.uint8), (50, 100), 20, 1, -1)[..., None]
    image, area = np.repeat(mask, 3, axis=2), mask.sum()
    scales, rows, columns = [], [], []
    for seed in range(400):
        scales.append(RandomAugment("zoom")(image, mask, np.random.default_rng(seed))[1].sum() / area)
        moved = np.argwhere(RandomAugment("shift")(image, mask, np.random.default_rng(seed))[1][..., 0]).mean(axis=0)
        rows.append(moved[0] - 100)
        columns.append(moved[1] - 50)
    # a disc of this size counts its area to 3 percent, and its middle to half a pixel
    assert 0.64 * 0.97 < min(scales) < 0.68 and 1.5 < max(scales) < 1.5625 * 1.03
    assert 18 < max(map(abs, rows)) <= 20.5 and 8.5 < max(map(abs, columns)) <= 10.5


@given(seeds)
def test_flips_and_turns_draw_as_flip_and_turn(seed):
    image, mask = coin(64, 64, np.random.default_rng(seed))
    ours = RandomAugment("turns", "flips")(image, mask, np.random.default_rng(seed))
    theirs = flip_and_turn(image, mask, np.random.default_rng(seed))
    assert all(map(np.array_equal, ours, theirs))


def test_another_kind_and_turned_rectangles_are_named(folders):
    with pytest.raises(ValueError, match=r"unknown kinds: flip\. Give some of flips, turns, zoom"):
        RandomAugment("flip")
    pairs = DataGenerator(folders.ids[:1], folders.imgs, folders.masks, 1, (32, 64), augment=RandomAugment("turns"))
    with pytest.raises(DataError, match=r"augment returned uint8 \(64, 32, 3\) for the image"):
        for epoch in range(9):  # half of the turns fit
            pairs.set_epoch(epoch)
            pairs[0]
