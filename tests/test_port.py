"""The old code on legacy Keras beside the code of today: batches, weights, rates; and the page of notebook 10."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

os.environ["SM_FRAMEWORK"] = "tf.keras"

pytestmark = pytest.mark.pinned

ROOT = Path(__file__).resolve().parent.parent
LEGACY_KERAS = ROOT / "build" / "legacy"
NOTEBOOK = nbformat.read(ROOT / "notebooks" / "10_port_old_code.ipynb", as_version=4)
PAGE = (ROOT / "docs" / "port_old_code.md").read_text(encoding="utf-8")

LEGACY_SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import segmentation_models as sm
from tensorflow import keras
from generator_legacy import PairSequence

data, names = sys.argv[1], sys.argv[2:]
assert keras.layers.Layer.__module__.startswith("tf_keras"), keras.layers.Layer.__module__
pairs = PairSequence(names, data + "/imgs", data + "/masks", size=64, shuffle=False)
images, masks = pairs[0]

keras.utils.set_random_seed(0)
model = sm.Unet("resnet18", encoder_weights=None)
optimizer = keras.optimizers.legacy.Adam(lr=1e-3, decay=1e-2)
model.compile(optimizer, sm.losses.bce_dice_loss, metrics=[sm.metrics.iou_score])
five = np.repeat(masks[..., None], 3, axis=-2)

class Five(keras.utils.Sequence):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return images, five


model.fit_generator(Five(), verbose=0)
model.save_weights(data + "/old.h5")
model.save(data + "/whole.h5")
rates = []
for step in (0, 10, 700):
    optimizer.iterations.assign(step)
    rates.append(float(optimizer._decayed_lr("float32")))
guess = keras.callbacks.ModelCheckpoint("x.h5", monitor="val_iou_score").monitor_op.__name__
np.savez(
    data + "/old.npz", images, masks, model.predict(images, verbose=0), rates, guess, five.shape, len(pairs),
    *model.get_weights(),
)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folders of 2019 and those of today, with 10 pairs of the sample and masks of sharp edges."""
    import cv2

    import utils

    folder = tmp_path_factory.mktemp("2019")
    for name in ("imgs", "masks", "masks_png"):
        (folder / name).mkdir()
    for pair in utils.find_pairs(utils.SAMPLE / "images", utils.SAMPLE / "masks")[:10]:
        shutil.copy(pair.image, folder / "imgs")
        shutil.copy(pair.mask, folder / "masks_png")
        cv2.imwrite(str(folder / "masks" / pair.image.name), utils.read_mask(pair.mask))
    return folder


@pytest.fixture(scope="module")
def legacy(data):
    """What legacy Keras made of it: images, masks, predictions, rates, guess, shape, length, and weights."""
    assert (LEGACY_KERAS / "tf_keras").is_dir(), "Legacy Keras is missing. Cure: with a network, run `make legacy`."
    command = [sys.executable, "-c", LEGACY_SCRIPT, str(data), *sorted(path.name for path in data.glob("imgs/*"))]
    path = os.pathsep.join([str(LEGACY_KERAS), str(ROOT / "notebooks" / "code_2019")])
    subprocess.run(command, env=os.environ | {"TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": path}, check=True)
    with np.load(data / "old.npz") as stored:
        return [stored[name] for name in stored]


@pytest.fixture(scope="module")
def today(data):
    sys.path.insert(0, str(ROOT / "notebooks" / "code_2019"))
    from generator_today import PairSequence

    sys.path.remove(str(ROOT / "notebooks" / "code_2019"))
    names = sorted(path.name for path in (data / "imgs").iterdir())
    return PairSequence(names, str(data / "imgs"), str(data / "masks_png"), size=64, shuffle=False)


def test_old_and_new_give_equal_images_and_masks_that_differ_by_what_jpeg_did(legacy, today):
    images, masks = today[0]
    assert (images.dtype, masks.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(images, legacy[0], atol=1e-6, strict=False)
    np.testing.assert_array_equal(masks, legacy[1] > 0.5)
    assert set(np.unique(masks)) == {0, 1} and len(np.unique(legacy[1])) > 2
    assert (len(today), int(legacy[6])) == (3, 2), "floor leaves out the last batch of 10 pictures"


def test_the_generator_of_today_makes_the_batches_of_the_course(data, today):
    import utils

    ids = [Path(name).stem for name in today.names]
    theirs = utils.DataGenerator(ids, data / "imgs", data / "masks_png", 4, 128, shuffle=False)
    today_128 = type(today)(today.names, today.img_dir, today.mask_dir, size=128, shuffle=False)
    assert len(today_128) == len(theirs)
    for mine, course in zip(today_128, theirs, strict=True):
        np.testing.assert_allclose(mine[0], course[0], atol=1e-6)
        # at half the size two pixels are equally near: of these OpenCV takes the second, and the course the one nearer
        # to the middle, which is the same in the upper left quarter
        np.testing.assert_array_equal(mine[1][:, :64, :64], course[1][:, :64, :64])
        assert np.mean(mine[1] != course[1]) < 0.01


def test_weights_of_legacy_keras_come_back_equal(data, legacy):
    import keras

    import utils

    model = utils.build_unet("resnet18", img_size=64)
    model.load_weights(data / "old.h5")
    whole = keras.models.load_model(data / "whole.h5", compile=False)
    for loaded in (model, whole):
        arrays = loaded.get_weights()
        assert len(arrays) == len(legacy[7:]) > 100
        for mine, theirs in zip(arrays, legacy[7:], strict=True):
            np.testing.assert_array_equal(mine, theirs, strict=True)
        np.testing.assert_allclose(loaded.predict_on_batch(legacy[0]), legacy[2], atol=1e-5)


def test_the_schedule_falls_as_decay_did(legacy):
    import keras

    schedule = keras.optimizers.schedules.InverseTimeDecay(1e-3, 1, 1e-2)
    np.testing.assert_allclose([float(schedule(step)) for step in (0, 10, 700)], legacy[3], rtol=1e-5)


def test_what_is_said_of_legacy_keras(legacy):
    assert str(legacy[4]) == "less", "it guessed that less is better"
    assert legacy[5].tolist() == [4, 64, 64, 3, 1], "and trained on five dimensions"


def table():
    return re.search(r"<!-- table -->\n(.*?)\n<!-- /table -->", PAGE, re.DOTALL)[1]


def test_the_table_of_the_page_is_that_of_the_notebook():
    assert any(cell.source.endswith(table()) for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    seeds = re.search(r"<!-- seeds -->\n(.*?)\n<!-- /seeds -->", PAGE, re.DOTALL)[1]
    assert any(seeds in cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")


def test_every_message_of_the_table_was_raised_or_printed_by_the_notebook():
    said = ""
    for cell in NOTEBOOK.cells:
        for output in cell.get("outputs", []):
            said += output.get("evalue", "") + output.get("text", "")
    said = said.replace("`", "")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table().splitlines()[2:]]
    messages = [
        re.match("(`+) ?(.+?) ?\\1", row)[2].replace("`", "") for row in rows if not row.startswith("no message")
    ]
    assert len(messages) > 15
    for message in messages:
        assert message in said, message


def test_the_same_minor_version_of_keras_and_tensorflow_with_a_hash():
    old, new = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("notebooks/code_2019/requirements.txt", "requirements.txt")
    )
    pins = re.findall(r"^(\S+)==(\d+\.\d+)\.\S+ \\\n    --hash=sha256:[0-9a-f]{64}$", old, re.MULTILINE)
    assert pins == [("tf_keras", re.search(r"^tensorflow==(\d+\.\d+)\.", new, re.MULTILINE)[1])]
    assert "://" not in old


def test_without_legacy_keras_the_notebook_says_in_one_line_what_to_do(tmp_path):
    check = next(cell.source for cell in NOTEBOOK.cells if "Legacy Keras is missing" in cell.source)
    with pytest.raises(AssertionError, match="run `make legacy`") as refusal:
        exec(check, {"LEGACY_KERAS": tmp_path})
    assert "\n" not in str(refusal.value)


def test_make_fetches_legacy_keras_once(tmp_path):
    """With a Python that does nothing but note its arguments."""
    makefile = (ROOT / "Makefile").read_text()
    for target in ("lab", "run", "test", "save"):
        assert re.search(rf"^{target}: setup legacy ", makefile, re.MULTILINE), target
    (tmp_path / "notebooks" / "code_2019").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "code_2019" / "requirements.txt", tmp_path / "notebooks" / "code_2019")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*" >> called\ncase "$*" in *--target*) mkdir -p build/legacy;; esac\n')
    python.chmod(0o755)
    command = [
        "make",
        "--no-print-directory",
        "-f",
        ROOT / "Makefile",
        "legacy",
        "PYTHON=true",
        f"VENV_PYTHON={python}",
    ]
    calls = []
    for change in ("", "", "# another\n"):
        with open(tmp_path / "notebooks" / "code_2019" / "requirements.txt", "a") as file:
            file.write(change)
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        calls.append((tmp_path / "called").read_text().count("--require-hashes"))
    assert calls == [1, 1, 2]
    python.write_text("#!/bin/sh\nmkdir -p build/legacy\nexit 1\n")
    (tmp_path / "notebooks" / "code_2019" / "requirements.txt").write_text("# a third\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "run make legacy" in done.stdout and done.stdout.count("\n") == 1
    assert not (tmp_path / "build" / "legacy" / "made-from").exists()
