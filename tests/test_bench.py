"""`segfeed bench` says where the time goes, and what would help most."""

import re

import numpy as np
import pytest

from segfeed.__main__ import main
from segfeed.bench import PARTS, Timing, bench
from segfeed.classes import find_classes_table


def timing(**changes):
    usual = {"parts": dict.fromkeys(PARTS, 0.001), "speeds": [90.0, 100.0, 120.0], "pairs": 10, "size": (384, 384)}
    return Timing(**{**usual, "image": (480, 640), "bytes_of_all": 2**20, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": {**dict.fromkeys(PARTS, 0.001), "read the files": 0.005}}, "local disk, or pack them"),
        ({"bytes_of_all": 2**31}, "2.1 GB at this size. Give DataGenerator cache_memory=2147483648 if"),
        ({"image": (3000, 4000)}, "7.8 × as large as needed: save them once with about 576×576 pixels"),
        ({"image": (700, 4000)}, "Nothing stands out"),
        ({}, "Nothing stands out"),
    ],
)
def test_the_advice_is_about_what_costs_most(changes, words):
    assert words in timing(**changes).advice


def test_the_report_gives_the_parts_the_limit_and_the_wait(monkeypatch):
    monkeypatch.setattr("segfeed.bench.CORES", 2)
    text = str(timing())
    assert timing().limit == pytest.approx(500)
    assert "decode the mask       1.00 ms   20%" in text and "100 pairs/s (90 to 120), 0.20 of the limit" in text
    assert "A batch of 8 is ready every 80 ms" in text and text.endswith(timing().advice)


def test_every_part_is_timed_for_each_pair(folders):
    found = bench(folders.imgs, folders.masks, (32, 64))
    assert list(found.parts) == list(PARTS) and found.pairs == len(folders.ids) and len(found.speeds) == 3
    assert found.image == (12, 16) and found.bytes_of_all == len(folders.ids) * (4 * 32 * 64 + 16)
    assert all(seconds > 0 for seconds in found.parts.values())


def test_the_command_reports_and_stops_by_name(folders, tmp_path, write_pair, capsys):
    assert main(["bench", str(folders.imgs), str(folders.masks), "--size", "32"]) == 0
    assert re.match("One pair on one core, median of 13 pairs, 3 rounds, resized to 32×32:\n", capsys.readouterr().out)
    write_pair(tmp_path, "a", mask=np.full((12, 16), 7, np.uint8))
    assert main(["bench", str(tmp_path / "images"), str(tmp_path / "masks")]) == 2
    assert "a.png: the mask holds 7 (192 pixels)" in capsys.readouterr().err


def test_a_table_beside_a_folder_that_is_not_there_is_not_its_table(tmp_path):
    (tmp_path / "classes.csv").write_text("id,part\n")
    assert find_classes_table(tmp_path / "masks") is None
