"""`segfeed train --split`: each picture in its part, the test judged at the end, and a run knows its split."""

import json

import numpy as np
import pytest
from test_train import command as command_with_validation
from test_train import deterministic_here_only, photos, small  # noqa: F401 — fixtures

from segfeed import load_run
from segfeed.__main__ import main
from segfeed.counts import count_pixels
from segfeed.scores import iou_intervals, ious
from segfeed.train import data as train_data
from utils import DataGenerator

PARTS = {"train": ["00", "01", "02", "03", "04", "05"], "validation": ["06", "07", "08"], "test": ["09", "10", "11"]}


def write(path, parts, separator=",", encoding="utf-8"):
    rows = [separator.join(("id", "part")), *(f"{name}{separator}{part}" for part in parts for name in parts[part])]
    path.write_text("\r\n".join(rows), encoding=encoding)
    return path


def command(photos, path, *more):  # noqa: F811
    words = command_with_validation(photos, path.parent / "run", 1, "--split", path, *more)
    at = words.index("--validation")
    return words[:at] + words[at + 2 :]


@pytest.fixture
def made(monkeypatch):
    """The ids of each generator that a run makes."""
    ids = []

    def make(names, *arguments, **options):
        ids.append(list(names))
        return DataGenerator(names, *arguments, **options)

    monkeypatch.setattr(train_data, "DataGenerator", make)
    return ids


def test_each_part_is_used_for_what_it_is_and_the_test_is_judged_at_the_end(photos, tmp_path, made, capsys):  # noqa: F811
    path = write(tmp_path / "split.csv", PARTS)
    assert main(command(photos, path)) == 0
    # the validation once more to be judged in uint8, and three pictures for augmented.png
    assert sorted(made) == sorted([*PARTS.values(), PARTS["validation"], *([name] for name in PARTS["train"][:3])])
    words = capsys.readouterr().out
    assert "6 images to train on, 3 to validate, 3 to test, 32×32" in words
    assert words.index("On the 3 validation images") < words.index("On the 3 test images, which chose nothing:")
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert run["test_scores"].keys() == run["scores"].keys() == {"ground", "object"}
    assert run["test_scores"]["object"].keys() == run["scores"]["object"].keys()
    assert run["test_overall"].keys() == run["overall"].keys()
    assert f"threshold too: {run['threshold']:.3f}, " in words and "The scores of the test and `segfeed pre" in words
    assert run["options"]["split"].startswith("parts with SHA-256") and run["options"]["validation"] is None


def test_a_run_goes_on_only_with_its_split(photos, tmp_path, capsys):  # noqa: F811
    path = write(tmp_path / "split.csv", PARTS)
    assert main(command(photos, path)) == 0
    write(path, {part: names[::-1] for part, names in reversed(PARTS.items())}, ";", "utf-8-sig")
    assert main(command(photos, path)) == 0
    assert "nothing to do" in capsys.readouterr().out
    write(path, PARTS | {"train": PARTS["train"][1:]})
    assert main(command(photos, path)) == 2
    assert "holds another run, saved up to epoch 1: --split was parts with SHA-256" in capsys.readouterr().err
    assert main(command_with_validation(photos, tmp_path / "run", 1)) == 2
    assert "--split was parts with" in (words := capsys.readouterr().err) and "--validation was None" in words


def test_without_a_test_part_there_are_no_scores_of_it(photos, tmp_path, capsys):  # noqa: F811
    path = write(tmp_path / "split.csv", PARTS | {"test": []})
    assert main(command(photos, path)) == 0
    words = capsys.readouterr().out
    assert "3 pictures are in no part of" in words and ": 09, 10, 11. They" in words and "to test" not in words
    assert "test_scores" not in json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "parts, message",
    [
        (PARTS | {"train": ["0"]}, "no picture is named '0', but '00' is there: a spreadsheet cuts zeros"),
        (PARTS | {"train": ["a", "b", "c"]}, "no picture is named 'a'; so are 2 other rows"),
        (PARTS | {"train": ["00", "06.png"]}, "the id '06' is given twice"),
        (PARTS | {"train": ["00", "06"]}, "the id '06' is given 2 times"),
        (PARTS | {"train": []}, "no picture is in train"),
        (PARTS | {"validation": []}, "no picture is in validation"),
        (PARTS | {"training": ["00"]}, "the part is 'training'"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(photos, tmp_path, capsys, parts, message):  # noqa: F811
    path = write(tmp_path / "split.csv", parts)
    assert main(command(photos, path)) == 2
    said, words = capsys.readouterr()
    assert "audit:" not in said  # which may take long
    assert message in words and str(path) in words and not (tmp_path / "run").exists()


def test_two_words_for_the_validation_are_refused(photos, tmp_path, capsys):  # noqa: F811
    path = write(tmp_path / "split.csv", PARTS)
    assert main(command(photos, path, "--validation", "0.2")) == 2
    assert "--split names the validation images already: leave --validation out" in capsys.readouterr().err
    assert main(command(photos, tmp_path / "none.csv")) == 2
    assert "none.csv: cannot be opened" in capsys.readouterr().err


def test_a_leak_is_told_before_the_training(photos, tmp_path, capsys):  # noqa: F811
    copy = tmp_path / "copy"
    for name in ("images", "masks"):
        (copy / name).mkdir(parents=True)
        for path in (photos / name).iterdir():
            (copy / name / path.name).write_bytes(path.read_bytes())
    (copy / "images" / "11.png").write_bytes((copy / "images" / "00.png").read_bytes())
    assert main(command(copy, write(tmp_path / "split.csv", PARTS))) == 0
    words = capsys.readouterr().out
    assert "audit: same picture in two splits (1)" in words and "0 of 144 bits differ from 00.png in train" in words


def test_the_interval_is_drawn_over_the_groups_of_the_split_and_the_test_at_the_threshold(photos, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "split.csv"
    rows = [
        ("id", "part", "group"),
        *((name, part, f"film {int(name) // 2}") for part in PARTS for name in PARTS[part]),
    ]
    path.write_text("\n".join(map(",".join, rows)), encoding="utf-8")
    assert main(command(photos, path)) == 0
    words = capsys.readouterr().out
    assert words.count("Interval: 1,000 draws of 2 groups. ") == 2  # 6 and 7, 8; 9, 10 and 11
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    test = DataGenerator(PARTS["test"], photos / "images", photos / "masks", 3, 32, shuffle=False, dtype="uint8")
    loaded = load_run(tmp_path / "run")
    counts = count_pixels(loaded.model, test, loaded.threshold)
    intervals = iou_intervals(counts.pixels, np.array([0, 1, 1]))
    for index, score in enumerate(run["test_scores"].values()):
        assert score["iou"] == pytest.approx(ious(counts.pixels.sum(axis=0))[index])
        assert score["iou_interval"] == pytest.approx(intervals[index].tolist())
