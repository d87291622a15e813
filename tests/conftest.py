"""What the tests share: the course on the path, a quiet TensorFlow, and tiny pairs of files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before the first import of TensorFlow
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

settings.register_profile("course", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("course")


class Folders(NamedTuple):
    imgs: Path
    masks: Path
    classes: Path
    ids: list[str]


def _write_pair(folder, stem, image=None, mask=None):
    """Write images/<stem>.png and masks/<stem>.png below `folder`: 12×16 pixels, black, unless given."""
    for name, pixels, shape in (("images", image, (12, 16, 3)), ("masks", mask, (12, 16))):
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(np.zeros(shape, np.uint8) if pixels is None else pixels).save(folder / name / f"{stem}.png")


@pytest.fixture(scope="session")
def write_pair():
    return _write_pair


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """13 pairs to read, never to write: image n is grey n all over, and mask n has n + 1 pixels of the object."""
    root = tmp_path_factory.mktemp("pairs")
    ids = [f"{number:02d}" for number in range(13)]
    (root / "classes").mkdir()
    for number, stem in enumerate(ids):
        classes = np.zeros((12, 16), np.uint8)
        classes.flat[: number + 1] = np.arange(number + 1) % 2 + 1
        _write_pair(root, stem, np.full((12, 16, 3), number, np.uint8), np.where(classes > 0, np.uint8(255), classes))
        Image.fromarray(classes).save(root / "classes" / f"{stem}.png")
    return Folders(root / "images", root / "masks", root / "classes", ids)


ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ROOT / "build" / "docs"  # the packages of the site and of the browser tests, apart from the course's


def _build(source, target, *options):
    """Build the site of `source` into `target` with the command of the Makefile, and return what became of it."""
    assert (EXTRAS / "ready").exists(), "The site's packages are missing. Cure: make site"
    command = re.search(r"-m sphinx (.+) \. build/site$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    shutil.rmtree(target, ignore_errors=True)
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *command.split(), *options, source, target],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(EXTRAS)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="session")
def build():
    return _build


@pytest.fixture(scope="session")
def site():
    """The folder of the site, built anew."""
    done = _build(ROOT, ROOT / "build" / "site")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return ROOT / "build" / "site"
