"""The whole road of the README, from annotations with the faults that real folders have to predictions and exports."""

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from segfeed import read_mask
from segfeed.__main__ import main
from segfeed.classes import make_class_table, write_classes_table
from utils import SAMPLE, read_split


@pytest.fixture
def said(capsys):
    """Run a command; its exit status, and its words with no line broken."""

    def run(*words):
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, " ".join(f"{out}\n{err}".split())

    return run


def make_folder(root, said):
    """images/ and annotations/ of 60 photographs, as they come from a camera and from LabelMe."""
    split = read_split()
    stems = split["train"][:36] + split["validation"][:12] + split["test"][:12]
    for name in ("masks", "images"):
        (root / name).mkdir()
    for stem in stems:
        shutil.copy(SAMPLE / "images" / f"{stem}.jpg", root / "images")
        shutil.copy(SAMPLE / "masks_by_class" / f"{stem}.png", root / "masks")
    write_classes_table(root / "masks" / "classes.csv", make_class_table(["silver", "copper"], void=False))
    assert said("masks", "--to", "labelme", root / "masks", root / "images", root / "annotations")[0] == 0
    shutil.rmtree(root / "masks")
    return stems


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def break_folder(stems, images, annotations):
    """The faults of real folders, one in each file."""
    files = [annotations / f"{stem}.json" for stem in stems]
    edit(files[0], lambda content: content["shapes"][0].update(label="Silver"))
    edit(files[1], lambda content: content["shapes"][0].update(points=[[300, 300], [320, 300], [320, 320]]))
    line = {"label": "copper", "shape_type": "line", "points": [[1, 1], [9, 9]]}
    edit(files[2], lambda content: content["shapes"].append(line))
    files[3].unlink()
    shutil.copy(files[4], annotations / f"{stems[4]} copy.json")
    files[5].write_bytes(files[5].read_bytes()[:-20])
    (annotations / ".DS_Store").write_bytes(b"Bud1")
    (images / "Thumbs.db").write_bytes(b"thumbs")


@pytest.mark.long
def test_from_annotations_with_faults_to_predictions_and_exports(tmp_path, said):
    stems = make_folder(tmp_path, said)
    images, annotations, masks = (tmp_path / name for name in ("images", "annotations", "masks"))
    turned, cut = images / f"{stems[6]}.jpg", images / f"{stems[7]}.jpg"
    whole = cut.read_bytes()
    with Image.open(turned) as image:
        exif = image.getexif()
        exif[274] = 6  # as a camera stores what it saw upright
        image.transpose(Image.Transpose.ROTATE_90).save(turned, quality=95, exif=exif)
    cut.write_bytes(whole[:-3000])
    good = {path.name: path.read_bytes() for path in annotations.iterdir()}

    # --- Annotations to masks
    break_folder(stems, images, annotations)
    status, words = said("masks", annotations, images, masks)
    assert (
        status == 2 and not masks.exists() and words.startswith("Stopped: nothing was written, because of 7 problems")
    )
    for what in (
        f"broken annotation (1): {annotations / stems[5]}.json: Expecting property name",
        f"shape without area (1): {annotations / stems[2]}.json, shape 2, copper Give --line-width, in pixels",
        f"two annotations for one picture (1): {stems[4]}.jpg: {annotations / stems[4]} copy.json and",
        f"picture without annotation (2): {images / stems[3]}.jpg; {images / stems[5]}.jpg Annotate it; or give --e",
        f"shape outside the picture (1): {annotations / stems[1]}.json, shape 0, silver: x from 300 to 320",
        "labels that look alike (1): 'Silver' and 'silver' Give them one name in the tool",
    ):
        assert what in words
    shutil.rmtree(annotations)
    annotations.mkdir()
    for name, data in good.items():
        (annotations / name).write_bytes(data)
    status, words = said("masks", annotations, images, masks)
    assert status == 0 and words.count(" of 60 masks") == 3 and "1 copper: " in words and "2 silver: " in words
    for stem in stems:  # the one that was turned too
        theirs = np.array([0, 2, 1], np.uint8)[read_mask(SAMPLE / "masks_by_class" / f"{stem}.png")]
        assert np.array_equal(read_mask(masks / f"{stem}.png"), theirs), stem
    status, words = said("masks", annotations, images, masks)
    assert status == 2 and words.endswith("masks is there already, and nothing is overwritten. Give a new folder.")

    # --- Audit and split
    status, words = said("audit", images, masks)
    assert status == 1 and "truncated file (1)" in words and f"{cut} the file is cut off" in words
    assert f"{turned} orientation 6: the picture lies on its side" in words and "2 findings in 60 pairs" in words
    cut.write_bytes(whole)
    for folder, suffix in ((images, ".jpg"), (masks, ".png")):  # a copy under another name, the leak of real folders
        shutil.copy(folder / f"{stems[8]}{suffix}", folder / f"copy of {stems[8]}{suffix}")
    table, run = tmp_path / "split.csv", tmp_path / "run"
    assert said("split", images, "--masks", masks, "--near-duplicates", "--output", table)[0] == 0
    rows = {row["id"]: row["part"] for row in csv.DictReader(table.open(encoding="utf-8", newline=""))}
    assert len(rows) == 61 and rows[stems[8]] == rows[f"copy of {stems[8]}"]
    status, words = said("audit", images, masks, "--split", table)
    assert status == 1 and "two splits" not in words and "1 findings in 61 pairs" in words  # the one that lies

    # --- Train
    words = ["--size", 128, "--batch", 4, "--epochs", 20]
    status, words = said("train", "--images", images, "--masks", masks, "--split", table, "--output", run, *words)
    assert status == 0 and "small, 0.5 million weights" in words and "test images, which chose nothing" in words
    scores = json.loads((run / "run.json").read_text(encoding="utf-8"))["test_scores"]
    assert list(scores) == ["background", "copper", "silver"]
    assert scores["background"]["iou"] > 0.9 and scores["copper"]["iou"] > 0.5 and scores["silver"]["iou"] > 0.5

    # --- Predict and export
    photos, out = tmp_path / "new", tmp_path / "out"
    photos.mkdir()
    for stem in read_split()["test"][12:]:
        shutil.copy(SAMPLE / "images" / f"{stem}.jpg", photos / f"동전 {stem}.jpg")
    (photos / "cut.jpg").write_bytes(whole[:-3000])
    status, words = said("predict", run, photos, out)
    assert status == 1 and "cut.jpg" in (out / "errors.csv").read_text(encoding="utf-8-sig")
    names = sorted(path.stem for path in photos.glob("동전*"))
    assert (
        sorted(path.stem for path in (out / "masks").glob("*.png"))
        == names
        == sorted(path.stem for path in (out / "overlays").iterdir())
    )
    hits = [
        np.mean((read_mask(out / "masks" / f"{name}.png") > 0) == (read_mask(SAMPLE / "masks" / f"{name[3:]}.png") > 0))
        for name in names
    ]
    assert min(hits) > 0.9
    with open(out / "objects.csv", encoding="utf-8-sig", newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} <= {"copper", "silver"}
    status, words = said("export", run, tmp_path / "exported", "--images", photos)
    about = json.loads((tmp_path / "exported" / "export.json").read_text(encoding="utf-8"))
    assert status == 0 and set(about["files"]) == {"SavedModel", "LiteRT", "ONNX"}
    assert max(row["largest_difference"] for row in about["files"].values()) < 1e-4

    # --- A prediction is corrected in LabelMe, and comes back
    (photos / "cut.jpg").unlink()
    assert said("masks", "--to", "labelme", out / "masks", photos, tmp_path / "to correct")[0] == 0
    table = ["--classes-table", masks / "classes.csv"]
    assert said("masks", tmp_path / "to correct", photos, tmp_path / "corrected", *table, "--empty")[0] == 0
    for name in names:
        assert np.array_equal(
            *(read_mask(folder / f"{name}.png") for folder in (out / "masks", tmp_path / "corrected"))
        )
