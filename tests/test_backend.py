"""How Keras is set, by the environment and by keras.json: what needs it otherwise works, or says at once what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from segfeed import DataGenerator, build_unet
from segfeed.backend import keras_problem

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def as_it_was():
    kept = keras.config.image_data_format(), keras.config.floatx()
    yield
    keras.config.set_image_data_format(kept[0])
    keras.config.set_floatx(kept[1])


def test_keras_as_it_comes_is_no_problem(as_it_was, monkeypatch):
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    assert keras_problem() == ""
    keras.config.set_floatx("float64")
    assert keras_problem() == ""


@pytest.mark.parametrize(("change", "cure"), [
    ("image_data_format('channels_first')", "image_data_format('channels_last')"),
    ("floatx('float16')", "floatx('float32')"),
    ("floatx('bfloat16')", "floatx('float32')"),
])  # fmt: skip
def test_a_setting_that_the_u_net_cannot_have_is_named_and_the_cure_works(as_it_was, change, cure):
    exec(f"keras.config.set_{change}")
    with pytest.raises(RuntimeError) as error:
        build_unet("resnet18", img_size=32)
    assert str(error.value).endswith(f", or call keras.config.set_{cure}.")
    exec(f"keras.config.set_{cure}")
    assert keras_problem() == ""


def test_pairs_are_read_however_keras_is_set(as_it_was, folders):
    usual = DataGenerator(folders.ids, folders.imgs, folders.masks, 13, (12, 16))[0]
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    for one, other in zip(usual, DataGenerator(folders.ids, folders.imgs, folders.masks, 13, (12, 16))[0], strict=True):
        assert (one == other).all() and one.dtype == other.dtype == "float32" and one.shape == other.shape


def test_keras_of_2_and_another_backend_are_told_apart(monkeypatch):
    for value in ("1", "true", "True"):
        monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
        with pytest.raises(RuntimeError, match=r"TF_USE_LEGACY_KERAS is set.* unset it"):
            build_unet("resnet18", img_size=32)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"Keras runs on jax.* set KERAS_BACKEND=tensorflow"):
        build_unet("resnet18", img_size=32)


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_backend_that_is_not_installed_is_named(where, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch" if where == "file" else "tensorflow"}))
    changes = {"KERAS_HOME": str(tmp_path)} | ({"KERAS_BACKEND": "torch"} if where == "environment" else {})
    done = subprocess.run(
        [sys.executable, "-c", "import segfeed; segfeed.build_unet()"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} | changes,
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: Keras runs on torch, ") and "set KERAS_BACKEND=tensorflow" in last, (
        done.stderr
    )


def test_a_training_sets_keras_itself(tmp_path, write_pair):
    """Whatever other programs of this user need."""
    (tmp_path / "keras.json").write_text(
        json.dumps({"backend": "torch", "image_data_format": "channels_first", "floatx": "float16"})
    )
    changes = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1", "SM_FRAMEWORK": "keras"}
    for name in ("a", "b"):
        write_pair(tmp_path, name)
    words = f"train --images {tmp_path}/images --masks {tmp_path}/masks --output {tmp_path}/run --size 32 --epochs 1"
    words += " --validation 1"
    done = subprocess.run(
        [sys.executable, "-m", "segfeed", *words.split()],
        cwd=ROOT,
        env=os.environ | changes,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "run.json").is_file()
    model = keras.models.load_model(tmp_path / "run" / "best.keras")
    assert model.output_shape == (None, 32, 32, 1) and model.dtype == "float32"
