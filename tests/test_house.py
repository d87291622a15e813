"""The house: what lies at the top, how large a file may be, what an import loads, and what others install."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

import segfeed
import utils
from segfeed.errors import NO_TENSORFLOW

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_top_holds_the_course_and_nothing_else():
    made = [".*", *(ROOT / ".gitignore").read_text(encoding="utf-8").replace("/", "").splitlines()]
    assert {path.name for path in ROOT.iterdir() if not any(map(path.match, made))} == {
        *("README.md", "environment.yml", "notebooks", "data_sample", "utils.py", "segfeed", "tests", "docs"),
        *("benchmarks", "tools", "Makefile", "pyproject.toml", "requirements.in", "requirements.txt", "LICENSE"),
        "requirements.gpu.txt",
    }


def test_no_file_is_too_large_to_read():
    for path in ROOT.glob("segfeed/**/*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
    assert len((ROOT / "utils.py").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("name", ["segfeed", "utils"])
def test_an_import_loads_neither_tensorflow_nor_matplotlib(name):
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'skimage', 'segmentation_models'}"
    code = f"import sys, {name}; print(sorted({heavy} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "[]\n"


def test_utils_hands_on_every_public_name():
    assert {"DataGenerator", "find_pairs", "build_unet", "plot_pair"} <= set(segfeed.__all__)
    for name in segfeed.__all__:
        assert getattr(utils, name) is getattr(segfeed, name)
    assert set(segfeed.__all__) <= set(dir(utils))
    with pytest.raises(AttributeError, match="nobody"):
        _ = utils.nobody


# --- What others install ---------------------------------------------------------------------


def test_what_is_installed_has_the_reasons_and_ranges_of_the_course():
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    course = [Requirement(line.split("#")[0]) for line in lines if line[:1] not in "# "]
    optional = dict(PROJECT["optional-dependencies"])
    (gpu,) = map(Requirement, optional.pop("gpu"))  # the same TensorFlow, with its libraries of CUDA
    extras = [package for packages in optional.values() for package in packages]
    ours = [Requirement(text) for text in PROJECT["dependencies"] + extras if not text.startswith("segfeed")]
    for package in ours:
        assert str(package) in map(str, course), package
    assert gpu.extras == {"and-cuda"} and gpu.specifier == next(p for p in course if p.name == gpu.name).specifier


def test_the_lock_for_a_gpu_adds_the_libraries_of_cuda_and_nothing_else():
    pins = [
        dict(re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.txt", "requirements.gpu.txt")
    ]
    added = pins[1].items() - pins[0].items()
    assert added and all(name.startswith("nvidia-") for name, _ in added)
    assert pins[1]["tensorflow"] == pins[0]["tensorflow"]


def needed(names):
    """These installed packages and all that they need."""
    here, found, providers = default_environment(), set(), packages_distributions()
    names = list(names)
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        name = providers.get(name, [name])[0]  # keras may be installed as keras-nightly
        if name not in found:
            found.add(name)
            wanted = map(Requirement, requires(name) or [])
            names += [one.name for one in wanted if one.marker is None or one.marker.evaluate(here | {"extra": ""})]
    return found


def installed_files(name):
    """The folders and files of an installed package, at the top of where packages lie."""
    found = distribution(name)
    tops = {Path(file).parts[0] for file in found.files if ".." not in Path(file).parts}
    return [Path(found.locate_file(top)) for top in tops if top != "__pycache__"]


READ_A_PAIR = """
import sys
import segfeed
image, mask = segfeed.read_pair(segfeed.find_pairs(sys.argv[1], sys.argv[2])[0])
batch = segfeed.DataGenerator(["0001", "0002"], sys.argv[1], sys.argv[2], batch_size=4, img_size=64)[0]
print(segfeed.__file__, image.shape, mask.shape, batch[0].shape, {"matplotlib", "skimage"} & sys.modules.keys())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of a new environment that has the wheel of segfeed, what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    source, env = folder / "source", folder / "env"  # setuptools writes into its source
    shutil.copytree(ROOT / "segfeed", source / "segfeed", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    venv.create(env)
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(pip, check=True)
    packages = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    for name in needed(Requirement(text).name for text in PROJECT["dependencies"]):
        for path in installed_files(name):
            (Path(packages.strip()) / path.name).symlink_to(path)
    return python


def test_the_wheel_reads_and_feeds_without_what_draws_and_trains(installed, tmp_path):
    folders = [ROOT / "data_sample" / name for name in ("images", "masks")]
    done = subprocess.run([installed, "-c", READ_A_PAIR, *folders], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, said = done.stdout.split(maxsplit=1)
    assert Path(where).is_relative_to(installed.parent.parent)
    assert said == "(256, 256, 3) (256, 256, 1) (2, 64, 64, 3) set()\n"
    missing = subprocess.run([installed, "-c", "import matplotlib"], capture_output=True)
    assert missing.returncode == 1, "the test would not see an import of it"


HIDE_TENSORFLOW = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name=name)
sys.meta_path.insert(0, Hide())
"""


PHOTOS = [str(ROOT / "data_sample" / name) for name in ("images", "masks")]


@pytest.fixture
def without_tensorflow(tmp_path):
    """Run Python where TensorFlow is not installed."""
    (tmp_path / "sitecustomize.py").write_text(HIDE_TENSORFLOW)
    (tmp_path / "mine.py").write_text("from segfeed import DataGenerator")
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def run(*words):
        return subprocess.run([sys.executable, *words], env=env, cwd=tmp_path, capture_output=True, text=True)

    return run


def test_what_needs_no_tensorflow_works_without_it(without_tensorflow):
    done = without_tensorflow("-m", "segfeed", "audit", *PHOTOS)
    assert done.returncode == 0 and done.stdout, done.stderr
    code = "import sys, segfeed; print(segfeed.read_pair(segfeed.find_pairs(*sys.argv[1:])[0])[0].shape)"
    assert without_tensorflow("-c", code, *PHOTOS).stdout == "(256, 256, 3)\n"


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "segfeed", "train", "--images", PHOTOS[0], "--masks", PHOTOS[1]],
        ["-m", "segfeed", "check", "segfeed.generator:DataGenerator"],
        ["-m", "segfeed", "check", "mine:DataGenerator"],
        ["-c", "from segfeed import DataGenerator"],
    ],
)
def test_what_needs_tensorflow_says_so(without_tensorflow, words):
    done = without_tensorflow(*words)
    assert done.returncode and done.stderr.endswith(f"{NO_TENSORFLOW}\n"), done.stderr


def test_the_wheel_brings_the_command(installed, tmp_path):
    command = [installed.with_name("segfeed"), "audit", *(ROOT / "data_sample" / name for name in ("images", "masks"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr
    command = [command[0], "port", ROOT / "notebooks" / "code_2019" / "train_2019.py"]  # reads a file of the wheel
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "cure:" in done.stdout, done.stderr


def test_a_missing_extra_is_named_with_the_cure(installed, tmp_path):
    photos = ROOT / "data_sample"
    for words, cure in (
        (["train", "--images", photos / "images", "--masks", photos / "masks"], 'pip install "segfeed[train]"'),
        (["pack", photos / "images", photos / "masks", tmp_path / "packed"], "`pip install array-record`"),
    ):
        command = [installed.with_name("segfeed"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2 and cure in done.stderr.splitlines()[-1], done.stderr
        assert os.listdir(tmp_path) == []
