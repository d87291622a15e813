"""`segfeed export`: what each runtime gives is compared with Keras, and what is missing is named."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from test_predict_folder import float_model, write_old_run, write_run  # noqa: E402

from segfeed import export, load_run  # noqa: E402
from segfeed.__main__ import main  # noqa: E402

ONNX = ["tf2onnx", "onnx", "onnxruntime"]
MISSING = [name for name in ONNX if importlib.util.find_spec(name) is None]
LINE = r"{} +\d+\.\d MB +\d+\.\d ms a picture, largest difference of a probability (\S+)\n"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A small network of the layers that a U-Net has, for pictures of any size."""
    import keras

    keras.utils.set_random_seed(0)
    images = keras.Input((None, None, 3), dtype="uint8")
    x = wide = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.MaxPooling2D()(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), wide])
    x = keras.layers.Conv2DTranspose(4, 3, padding="same", activation="relu")(x)
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))
    return write_run(tmp_path_factory.mktemp("runs") / "any", model, size=[32, 64])


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "notes.txt").touch()
    return tmp_path / "photos"


def only(monkeypatch, *titles):
    monkeypatch.setattr(export, "FORMATS", [one for one in export.FORMATS if one.title in titles])


def test_each_format_is_compared_with_keras(run_folder, photos, tmp_path, capsys):
    out = tmp_path / "out"
    status = main(["export", str(run_folder), str(out), "--images", str(photos)])
    said = capsys.readouterr().out
    assert said.startswith(f"Compared with Keras on 3 pictures of {photos}, 32×64 pixels, one at a time:\nKeras ")
    about = json.loads((out / "export.json").read_text(encoding="utf-8"))
    assert about["input"] == "uint8 RGB, (batch, 32, 64, 3)" and about["threshold"] == 0.5
    assert about["classes"][1] == {"index": 1, "name": "coin, round"}
    titles = ["SavedModel", "LiteRT"] + ["ONNX"] * (not MISSING)
    assert list(about["files"]) == titles and status == (1 if MISSING else 0)
    for title in titles:
        assert float(re.search(LINE.format(title), said)[1]) < 1e-5  # float32 sums in another order
    if MISSING:
        assert f"ONNX       was not made: pip install {' '.join(MISSING)}\n" in said
    files = ["export.json", "model.tflite", *(["model.onnx"] if not MISSING else []), "saved_model"]
    assert sorted(os.listdir(out)) == sorted(files)
    assert said.endswith(f"{out} holds {', '.join(row['file'] for row in about['files'].values())} and export.json.\n")
    assert not any(path.name.startswith(".out") for path in tmp_path.iterdir())
    batch = np.random.default_rng(1).integers(0, 256, (3, 32, 64, 3), dtype=np.uint8)
    expected = load_run(run_folder).model.predict_on_batch(batch)
    for one in export.FORMATS[: len(titles)]:
        with export._quietly():
            found = one.load(out / one.file)(batch)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=one.title)


def test_an_earlier_run_is_exported_with_its_preprocessing(tmp_path, monkeypatch, capsys):
    only(monkeypatch, "LiteRT")
    run = write_old_run(tmp_path / "old", float_model(), backbone="mobilenetv2", encoder_weights="imagenet")
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Compared with Keras on 20 pictures of noise, 32×32 pixels, one at a time:\n" in said
    assert float(re.search(LINE.format("LiteRT"), said)[1]) < 1e-5


def test_an_earlier_export_is_replaced_and_nothing_else(run_folder, tmp_path, monkeypatch, capsys):
    only(monkeypatch, "SavedModel")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()
    assert main(["export", str(run_folder), str(out)]) == 2
    assert capsys.readouterr().err == f"Stopped: {out} holds other files: give a new folder.\n"
    (out / "mine.txt").rename(out / "export.json")
    assert main(["export", str(run_folder), str(out)]) == 0
    assert (out / "saved_model" / "saved_model.pb").is_file()


def test_a_format_that_fails_costs_no_other(run_folder, tmp_path, monkeypatch, capsys):
    def broken(path):
        raise RuntimeError("no such operation\nand more")

    formats = [one._replace(load=broken) if one.title == "SavedModel" else one for one in export.FORMATS[:2]]
    monkeypatch.setattr(export, "FORMATS", formats)
    assert main(["export", str(run_folder), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "SavedModel was not made: RuntimeError: no such operation\n" in said and "\nLiteRT " in said
    assert "saved_model" not in os.listdir(tmp_path / "out")


def test_pictures_that_cannot_be_read_are_named(run_folder, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").touch()
    assert main(["export", str(run_folder), str(tmp_path / "out"), "--images", str(tmp_path / "photos")]) == 2
    told = f"--images {tmp_path / 'photos'} holds no picture that can be read. `segfeed audit` says why."
    assert capsys.readouterr().err == f"Stopped: {told}\n" and not (tmp_path / "out").exists()
