"""What the tests share: the course on the path, a quiet TensorFlow, and tiny pairs of files."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from segfeed.atomic import write_json  # noqa: E402

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before the first import of TensorFlow
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of `make test`: a make that a test starts is a user's, not a part
    os.environ.pop(name, None)

MAC = "/Applications/{0}.app/Contents/MacOS/{0}"
NAMES = ["chromium", "chromium-browser", "google-chrome", MAC.format("Google Chrome"), MAC.format("Chromium")]
CHROMIUM = next(filter(None, map(shutil.which, [os.environ.get("CHROMIUM", ""), *NAMES])), None)
CURE = (
    "`apt-get install chromium` (Debian, Ubuntu), `brew install --cask chromium` (macOS), "
    "or CHROMIUM=/path/to/chrome make test"
)
# On a computer without a browser the rest is tested; CI must have one.
collect_ignore = [] if CHROMIUM or "CI" in os.environ else ["test_lab.py", "test_site_in_browser.py", "test_slides.py"]


def pytest_terminal_summary(terminalreporter):
    if collect_ignore:
        terminalreporter.write_line(
            f"Left out, because no Chromium was found: {', '.join(collect_ignore)}. Cure: {CURE}"
        )


# They train many models, several processes, and the Keras of 2019: minutes each. Where there is a browser, test_lab.py
# runs them and compares what nbval would, so nbval need not do it again.
LONG_NOTEBOOKS = ("06", "07", "08", "09", "10")
LONGEST = [
    "test_workers.py",
    "test_train.py",
    "test_lab.py",
    *LONG_NOTEBOOKS,
    "03",
    "test_slides.py",
    "test_notebooks.py",
]


def pytest_collection_modifyitems(items):
    long = [item for item in items if item.path.suffix == ".ipynb" and item.path.name.startswith(LONG_NOTEBOOKS)]
    for item in long:
        item.add_marker(pytest.mark.long)
    if any(item.path.name == "test_lab.py" for item in items):
        items[:] = [item for item in items if item not in {*long}]

    def place(item):
        return next((n for n, name in enumerate(LONGEST) if item.path.name.startswith(name)), len(LONGEST))

    items.sort(key=place)  # what takes longest first, so that both processes end together


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


EXTRAS = ROOT / "build" / "docs"  # the packages of the site and of the browser tests, apart from the course's


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course, to run and write in."""
    copy = tmp_path_factory.mktemp("copy") / "course"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "runs", "__pycache__"))
    return copy


def _build(source, target, *options):
    """Build the site of `source` into `target` as the Makefile does, and return what became of it."""
    options = [*options, "-d", target.with_name(f"{target.name}.doctrees")]
    assert (EXTRAS / "ready").exists(), "The site's packages are missing. Cure: make site"
    command = re.search(r"-m sphinx (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
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


def _built_once(factory, name, *options):
    """The folder of the site or of the slides: the process that asks first builds it, and the others wait."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # then this is a folder of the whole run
        folder = folder.parent
    begun, outcome = folder / f"{name}.begun", folder / f"{name}.json"
    try:
        begun.touch(exist_ok=False)
    except FileExistsError:
        while not outcome.exists():
            time.sleep(0.2)
    else:
        said = "The build was interrupted."
        try:
            done = _build(ROOT, folder / name, *options)
            said = done.stderr or (f"exit status {done.returncode}" if done.returncode else "")
        finally:
            write_json(outcome, said)
    assert json.loads(outcome.read_text(encoding="utf-8")) == ""
    return folder / name


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    return _built_once(tmp_path_factory, "site")


@pytest.fixture(scope="session")
def slides(tmp_path_factory):
    return _built_once(tmp_path_factory, "slides", "-b", "revealjs")


@pytest.fixture(scope="module")  # no longer: while Playwright is open, no other test can have an event loop
def browser():
    """A headless Chromium that Playwright drives."""
    assert CHROMIUM, f"No Chromium was found. Cure: {CURE}"
    assert (EXTRAS / "ready").exists(), "The packages of the browser tests are missing. Cure: make site"
    sys.path.append(str(EXTRAS))  # at the end: what the course has itself comes first
    from playwright.sync_api import sync_playwright

    quiet = ["quic", "gpu", "background-networking", "component-update", "sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            chromium_sandbox=False,
            args=["--no-first-run", *(f"--disable-{name}" for name in quiet)],
        )
        yield browser
        browser.close()
    sys.path.remove(str(EXTRAS))


def _faults(page, *parts):
    """What the accessibility checker axe finds serious or critical on an open page, or in parts of it, kind by kind."""
    page.evaluate((EXTRAS / "axe_playwright_python" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("parts => axe.run(parts, {resultTypes: ['violations']})", list(parts) or ["html"])
    return [
        f"{fault['id']}: {fault['help']}, {[node['target'] for node in fault['nodes']]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="session")
def faults():
    return _faults


@pytest.fixture(scope="session")
def screenshots():
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
