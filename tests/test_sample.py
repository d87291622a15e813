"""The sample is what its script makes, fits its contract, and its splits share nothing."""

import csv
import hashlib
from itertools import chain, combinations

import numpy as np
import pytest

from data_sample import make_sample
from utils import SAMPLE, check_sample, find_pairs, read_mask, read_pair, read_split

STEMS = [f"{number:04d}" for number in range(1, 97)]


@pytest.fixture(scope="module")
def pairs():
    return find_pairs(SAMPLE / "images", SAMPLE / "masks")


@pytest.fixture(scope="module")
def made_again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    make_sample.write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def table():
    with open(SAMPLE / "split.csv", newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def test_the_sample_holds_96_pairs(pairs):
    assert [pair.stem for pair in pairs] == STEMS


def test_every_pair_is_256_pixels_square_and_its_masks_agree(pairs):
    for pair in pairs:
        image, mask = read_pair(pair)
        classes = read_mask(SAMPLE / "masks_by_class" / pair.mask.name)
        assert image.shape == (256, 256, 3), pair.stem
        assert set(np.unique(mask)) == {0, 255}, pair.stem
        assert set(np.unique(classes)) <= {0, 1, 2}, pair.stem
        assert np.array_equal(mask > 0, classes > 0), pair.stem


def test_every_class_is_found_in_every_split(table):
    for split in ("train", "validation", "test"):
        stems = [row["id"] for row in table if row["part"] == split]
        found = [np.unique(read_mask(SAMPLE / "masks_by_class" / f"{stem}.png")) for stem in stems]
        assert set(np.concatenate(found)) == {0, 1, 2}, split


def test_the_split_is_64_16_16_and_holds_each_pair_once():
    split = read_split()
    assert {name: len(stems) for name, stems in split.items()} == {"train": 64, "validation": 16, "test": 16}
    assert sorted(chain(*split.values())) == STEMS


def test_no_coin_is_in_two_splits(table):
    coins = {row["part"]: set() for row in table}
    for row in table:
        coins[row["part"]] |= set(map(int, row["coins"].split()))
    assert all(one.isdisjoint(other) for one, other in combinations(coins.values(), 2))
    assert set.union(*coins.values()) == set(range(1, 25))


def test_no_pixel_of_the_ground_is_in_two_splits(table):
    used: dict[str, dict[str, np.ndarray]] = {}
    for row in table:
        name, *where = row["ground_top_left_side"].split()
        top, left, side = map(int, where)
        assert top + side <= 512 and left + side <= 512, row
        photograph = used.setdefault(name, {}).setdefault(row["part"], np.zeros((512, 512), bool))
        photograph[top : top + side, left : left + side] = True
    assert used.keys() == {"brick", "grass", "gravel"}
    for parts in used.values():
        assert not any((one & other).any() for one, other in combinations(parts.values(), 2))


def test_every_file_is_listed_with_its_sum():
    listed = dict(reversed(line.split()) for line in (SAMPLE / "SHA256SUMS").read_text().splitlines())
    files = [path for path in SAMPLE.rglob("*") if path.suffix in {".jpg", ".png", ".csv"}]
    assert listed == {p.relative_to(SAMPLE).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert check_sample() == []


def test_the_sample_is_smaller_than_5_mb():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 5e6


@pytest.mark.parametrize("name", ["masks", "masks_by_class"])
def test_the_script_makes_the_same_masks_again(made_again, name):
    for stem in STEMS:
        again = read_mask(made_again / name / f"{stem}.png")
        assert np.array_equal(again, read_mask(SAMPLE / name / f"{stem}.png")), stem


def test_the_script_makes_the_same_images_again(made_again, pairs):
    again = find_pairs(made_again / "images", made_again / "masks")
    for pair, other in zip(pairs, again, strict=True):
        difference = read_pair(pair)[0].astype(float) - read_pair(other)[0]
        # Another processor may round a few values otherwise, and JPEG spreads them; another shadow differs by some 0.5.
        assert np.abs(difference).mean() < 0.1, pair.stem


@pytest.mark.parametrize("name", ["split.csv", "classes.csv"])
def test_the_script_makes_the_same_tables_again(made_again, name):
    assert (made_again / name).read_bytes() == (SAMPLE / name).read_bytes()


def test_the_script_lists_what_it_made(made_again):
    assert check_sample(made_again) == []


def test_a_picture_can_be_made_alone(table):
    number = 90
    row = table[number - 1]
    _, classes, ground, coins = make_sample.make_picture(number, row["part"], make_sample.cut_out_coins())
    assert np.array_equal(classes[..., None], read_mask(SAMPLE / "masks_by_class" / f"{number:04d}.png"))
    assert ground == row["ground_top_left_side"]
    assert " ".join(map(str, coins)) == row["coins"]


def test_the_classes_are_named_in_the_order_of_their_indices():
    with open(SAMPLE / "classes.csv", newline="", encoding="ascii") as file:
        rows = list(csv.reader(file))
    assert rows == [["index", "name"], ["0", "ground"], ["1", "silver"], ["2", "copper"]]


def test_the_pictures_hold_one_to_four_coins(table):
    assert {len(row["coins"].split()) for row in table} == {1, 2, 3, 4}
