"""The old code on legacy Keras beside the code of today: batches, weights, rates; and the page of notebook 10."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

pytestmark = pytest.mark.pinned

ROOT = Path(__file__).resolve().parent.parent
LEGACY_KERAS, CODE = ROOT / "build" / "legacy", ROOT / "notebooks" / "code_2019"
NOTEBOOK = nbformat.read(ROOT / "notebooks" / "10_port_old_code.ipynb", as_version=4)
PAGE = (ROOT / "docs" / "port_old_code.md").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "notebooks"))
from exercises import read_exercises  # noqa: E402

LEGACY_SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from generator_legacy import pair_batches
from tensorflow import keras
from train_legacy import dice, dice_loss, unet

folder = sys.argv[1]
assert keras.layers.Layer.__module__.startswith("tf_keras"), keras.layers.Layer.__module__
images, masks = next(pair_batches(folder, size=64))

keras.utils.set_random_seed(0)
model = unet(64)
optimizer = keras.optimizers.legacy.Adam(lr=1e-3, decay=1e-2)
model.compile(optimizer, dice_loss, metrics=[dice])
model.fit_generator(pair_batches(folder, size=64), steps_per_epoch=1, verbose=0)
model.save_weights(folder + "/old.h5")
model.save(folder + "/whole.hdf5")
rates = []
for step in (0, 10, 700):
    optimizer.iterations.assign(step)
    rates.append(float(optimizer._decayed_lr("float32")))
guess = keras.callbacks.ModelCheckpoint("x.h5", monitor="val_dice").monitor_op.__name__

import keras as today

class Pairs(today.utils.Sequence):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return images, masks

try:
    model.fit(Pairs(), verbose=0)
    said = ""
except ValueError as error:
    said = str(error)
scores = [float(dice(*pair)) for pair in [(masks, 0.1 + 0.7 * masks), (0 * masks, 0 * masks)]]
np.savez(
    folder + "/old.npz", images, masks, model.predict(images, verbose=0), rates, guess, said, scores,
    *model.get_weights(),
)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folders of 2019, with 6 pairs of the sample."""
    import utils

    folder = tmp_path_factory.mktemp("2019")
    for name in ("imgs", "masks"):
        (folder / name).mkdir()
    for pair in utils.find_pairs(utils.SAMPLE / "images", utils.SAMPLE / "masks")[:6]:
        shutil.copy(pair.image, folder / "imgs")
        shutil.copy(pair.mask, folder / "masks")
    return folder


@pytest.fixture(scope="module")
def legacy(data):
    """What legacy Keras made of it: images, masks, predictions, rates, guess, message, scores, and weights."""
    assert (LEGACY_KERAS / "tf_keras").is_dir(), "Legacy Keras is missing. Cure: with a network, run `make legacy`."
    path = os.pathsep.join([str(LEGACY_KERAS), str(CODE)])
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", LEGACY_SCRIPT, str(data)], env=environment, check=True)
    with np.load(data / "old.npz") as stored:
        return [stored[name] for name in stored]


@pytest.fixture(scope="module")
def today():
    """The names of the two files of today."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(CODE))
        return runpy.run_path(str(CODE / "generator_today.py")) | runpy.run_path(str(CODE / "train_today.py"))


def test_old_masks_are_soft_and_those_of_today_are_not(data, legacy, today):
    assert np.any((legacy[1] > 0) & (legacy[1] < 1))
    for train in (False, True):
        masks = np.concatenate([batch[1] for batch in today["pair_batches"](data, size=64, train=train)])
        assert set(np.unique(masks)) == {0, 1} and len(masks) == 6


def test_the_generator_of_today_is_the_answer_to_its_exercise(today):
    source = (CODE / "generator_today.py").read_text(encoding="utf-8")
    answer = read_exercises("10")[2].solution.replace("utils.", "")
    assert source.endswith(answer + "\n")


def test_dice_of_today_gives_the_numbers_of_the_old_one(legacy, today):
    masks = legacy[1]
    for dice in (today["dice"], *names_of(read_exercises("10")[1].solution)):
        for (truth, found), old in zip(
            [(masks, 0.1 + 0.7 * masks), (0 * masks, 0 * masks)], legacy[6].tolist(), strict=True
        ):
            assert float(dice(truth, found)) == pytest.approx(old, rel=1e-5)  # float32, summed in another order


def names_of(source):
    import keras

    names = {}
    exec(source, {"keras": keras}, names)
    return names.values()


def test_weights_of_legacy_keras_come_back_equal(data, legacy, today):
    import keras

    model = today["unet"](64)
    model.load_weights(data / "old.h5")
    whole = keras.models.load_model(data / "whole.hdf5", compile=False)
    for loaded in (model, whole):
        arrays = loaded.get_weights()
        assert len(arrays) == len(legacy[7:]) == 30
        for mine, theirs in zip(arrays, legacy[7:], strict=True):
            np.testing.assert_array_equal(mine, theirs, strict=True)
        np.testing.assert_allclose(loaded.predict_on_batch(legacy[0]), legacy[2], atol=1e-5)


def test_the_schedule_falls_as_decay_did(legacy):
    import keras

    schedule = keras.optimizers.schedules.InverseTimeDecay(1e-3, 1, 1e-2)
    np.testing.assert_allclose([float(schedule(step)) for step in (0, 10, 700)], legacy[3], rtol=1e-5)


def test_what_is_said_of_legacy_keras(legacy):
    assert str(legacy[4]) == "less", "it guessed that less is better"


def table():
    return re.search(r"<!-- table -->\n(.*?)\n<!-- /table -->", PAGE, re.DOTALL)[1]


def test_the_scores_of_the_page_are_those_of_the_notebook():
    seeds = re.search(r"<!-- seeds -->\n(.*?)\n<!-- /seeds -->", PAGE, re.DOTALL)[1]
    assert any(seeds in cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")


def test_every_message_of_the_table_was_raised_by_the_notebook_or_by_legacy_keras(legacy):
    said = str(legacy[5])
    for cell in NOTEBOOK.cells:
        for output in cell.get("outputs", []):
            said += output.get("evalue", "") + output.get("text", "")
    said = said.replace("`", "")
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table().splitlines()[2:]]
    messages = [
        re.match("(`+) ?(.+?) ?\\1", row)[2].replace("`", "") for row in rows if not row.startswith("no message")
    ]
    assert len(messages) > 8
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
