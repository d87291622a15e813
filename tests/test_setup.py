"""One statement of the versions, a set-up that heals itself, and a network that is really off."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import bootstrap  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PINS = [Requirement(line) for line in re.findall(r"^([a-z0-9].*?) *\\$", LOCK, re.MULTILINE)]
DIRECT = [
    Requirement(line.split("#")[0])
    for line in (ROOT / "requirements.in").read_text().splitlines()
    if line[:1] not in "# "
]


def test_every_direct_package_has_a_reason_and_a_pin():
    for line in (ROOT / "requirements.in").read_text().splitlines():
        assert not line or line.startswith("#") or re.search(r"# \w.{6,}", line), line
    pinned = {pin.name: pin.specifier for pin in PINS}
    for package in DIRECT:
        number = str(pinned[package.name]).removeprefix("==")
        assert package.specifier.contains(number), package


def test_every_pin_has_a_hash_and_no_index_is_named():
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(PINS) > 100
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)
    assert "://" not in LOCK and "--index" not in LOCK.replace("--no-emit-index-url", "")


@pytest.mark.pinned
def test_what_is_installed_is_what_is_pinned():
    here = default_environment()
    wrong = [
        f"{pin.name} {version(pin.name)}, pinned {pin.specifier}"
        for pin in PINS
        if (pin.marker is None or pin.marker.evaluate(here)) and not pin.specifier.contains(version(pin.name))
    ]
    assert not wrong


def test_readme_conda_and_set_up_name_the_same_pythons():
    named = re.search(r"Python (3\.\d+), (3\.\d+) or (3\.\d+)", README).groups()
    assert [tuple(map(int, number.split("."))) for number in named] == [
        (3, minor) for minor in range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 1)
    ]
    conda = (ROOT / "environment.yml").read_text()
    assert f"python={named[-1]}" in conda and "-r requirements.txt" in conda
    newest = f"3.{bootstrap.NEWEST[1] + 1}"
    assert f">= '{named[0]}' and python_version < '{newest}'" in (ROOT / "pyproject.toml").read_text()
    assert f"python_full_version < '{newest}'" in LOCK


def test_a_container_has_a_python_of_the_course_and_runs_commands_that_exist():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    recipe = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text(encoding="utf-8")
    version = tuple(map(int, re.fullmatch(r"FROM python:(\d+)\.(\d+)\n", recipe).groups()))
    assert bootstrap.OLDEST <= version <= bootstrap.NEWEST
    program, *targets = container["postCreateCommand"].split()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert program == "make" and all(re.search(f"^{target}:", makefile, re.MULTILINE) for target in targets)
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == "${containerWorkspaceFolder}/" + re.search(r",(\.venv/bin/python)\)", makefile)[1]


def matrix(monkeypatch):
    """What each session of the noxfile does, by its name and Python: its commands in one text. nox is not needed."""
    done = {}

    def session(python, name=None):
        def run(function):
            for number in [python] if isinstance(python, str) else python:
                words = []

                def keep(*more, words=words):
                    assert all(Path(word).exists() for word in more if (ROOT / word).exists()), (Path.cwd(), more)
                    words.extend(more)

                monkeypatch.chdir(ROOT / "tools")  # nox begins each session in the folder of the noxfile
                does = dict.fromkeys(["install", "run", "run_install"], keep)
                function(SimpleNamespace(python=number, posargs=[], env={}, chdir=monkeypatch.chdir, **does))
                done[name or function.__name__, number] = " ".join(words)

        return run

    nox = SimpleNamespace(session=session, Session=None, options=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "nox", nox)
    monkeypatch.delitem(sys.modules, "bootstrap")  # nox has no tools/ on its path
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder).name != "tools"])
    runpy.run_path(str(ROOT / "tools" / "noxfile.py"))
    return done


def test_the_matrix_runs_every_python_and_the_notebooks_on_both_ends(monkeypatch):
    sessions = matrix(monkeypatch)
    oldest, newest = (bootstrap.version(python) for python in (bootstrap.OLDEST, bootstrap.NEWEST))
    between = [f"3.{minor}" for minor in range(bootstrap.OLDEST[1] + 1, bootstrap.NEWEST[1] + 1)]
    after = f"3.{bootstrap.NEWEST[1] + 1}"
    highest = [("highest", number) for number in between]
    others = [("without_fast_png", newest), ("next", newest), ("without_tensorflow", after)]
    assert list(sessions) == [("lowest", oldest), *highest, *others]
    assert "-r requirements.in -c tests/lowest.txt" in sessions["lowest", oldest]
    assert all("--require-hashes -r requirements.txt" in sessions[name] for name in highest)
    assert all(" tests" in commands for commands in sessions.values())
    notebooks = {name: re.findall(r" notebooks(?:/0\d)?(?=[_ ])", text) for name, text in sessions.items()}
    assert [name for name, found in notebooks.items() if found == [" notebooks"]] == [("lowest", oldest), highest[-1]]
    assert notebooks["next", newest] == [f" notebooks/0{number}" for number in range(1, 6)]


def test_the_versions_of_the_readme_are_the_ends_of_the_matrix(monkeypatch):
    pythons = [python for name, python in matrix(monkeypatch) if name in ("lowest", "highest")]
    assert f"Python {pythons[0]} to {pythons[-1]}" in " ".join(README.split())
    lines = re.findall(r"^([a-z].*?) +#", (ROOT / "tests" / "lowest.txt").read_text(), re.MULTILINE)
    lowest, highest, direct = (
        {package.name: package.specifier for package in packages}
        for packages in (map(Requirement, lines), PINS, DIRECT)
    )
    assert set(lowest) == {name for name, range_ in direct.items() if range_}
    for name, pin in lowest.items():
        assert re.fullmatch(r"==[\d.]+", str(pin)), name
        floor = next(part.version for part in direct[name] if part.operator == ">=")
        assert f"{pin}.".startswith(f"=={floor}."), f"{name}: requirements.in says from {floor}, tests/lowest.txt {pin}"
    for name in ("TensorFlow", "Keras", "NumPy"):
        low, high = re.search(rf"{name} ([\d.]+) to ([\d.]+\d)", " ".join(README.split())).groups()
        assert str(lowest[name.lower()]).startswith(f"=={low}."), name
        assert str(highest[name.lower()]).startswith(f"=={high}."), name


@pytest.mark.parametrize("exists", [False, True], ids=["no file", "a shim without a Python"])
def test_a_python_that_is_not_there_is_named(tmp_path, exists):
    name = tmp_path / "python3.99"
    if exists:
        name.write_text("#!/bin/sh\nexit 127\n")
        name.chmod(0o755)
    done = subprocess.run(["make", "setup", f"PYTHON={name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.startswith(f"There is no {name}: install Python 3.13, or name yours")


def test_the_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"`?make ([a-z]+)", README))
    assert {"lab", "test", "run", "clean"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_jupyterlab_keeps_its_token_listens_on_localhost_and_asks_for_no_news():
    command = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--ServerApp.ip=localhost" in command and "NeverCheckForUpdate" in command
    assert not re.search(r"\b(IdentityProvider|token=|password=)", command)
    configuration = Path(re.search(r'JUPYTER_CONFIG_PATH="(.*?)"', command)[1])
    page = json.loads((configuration / "labconfig" / "page_config.json").read_text())
    assert page["disabledExtensions"]["@jupyterlab/apputils-extension:announcements"]


@pytest.mark.parametrize(("number", "cure"), [((3, 10, 2), "3.11 to 3.13"), ((3, 14, 0), "3.11 to 3.13")])
def test_a_python_out_of_range_is_refused_with_the_cure(monkeypatch, number, cure):
    monkeypatch.setattr(sys, "version_info", number)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "python3.12" else None)
    with pytest.raises(SystemExit) as refusal:
        bootstrap.check_python()
    message = str(refusal.value)
    assert bootstrap.version(number) in message and cure in message and "make PYTHON=python3.12" in message
    assert "\n" not in message


def test_a_missing_venv_and_a_full_disk_are_refused_with_the_cure(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    with pytest.raises(SystemExit, match=r"disk has 1\.0 GB free"):
        bootstrap.check_python()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        bootstrap.check_python()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        (
            "NewConnectionError: Failed to establish a new connection\nERROR: No matching distribution",
            "needs a network",
        ),
        ("ERROR: No matching distribution found for tensorflow==2.21.0", "64-bit"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "pip cache purge"),
        ("something else", "setup.log"),
    ],
)
def test_a_failed_installation_is_explained(monkeypatch, tmp_path, log, reason):
    monkeypatch.setattr(bootstrap, "LOG", str(tmp_path / "setup.log"))
    (tmp_path / "setup.log").write_text(log)
    assert reason in bootstrap.explain()


@pytest.fixture
def course(tmp_path):
    """A folder with a difficult name that holds the set-up and a list of no packages."""
    folder = tmp_path / "케라스 course"
    (folder / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "bootstrap.py", folder / "tools")
    (folder / "requirements.txt").write_text("# none\n")
    return folder


def set_up(folder):
    done = subprocess.run([sys.executable, folder / "tools" / "bootstrap.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return "Setting up" in done.stdout


def stands(folder):
    code = f"import sys; sys.path.insert(0, {str(folder / 'tools')!r}); import bootstrap; print(bootstrap.stands())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_set_up_runs_once_and_heals_itself(course):
    assert set_up(course)
    assert stands(course) and not set_up(course), "nothing changed"
    stamp, lock = course / ".venv" / "made-from", course / "requirements.txt"
    text = stamp.read_text()
    stamp.unlink()
    assert not stands(course), "it was interrupted"
    stamp.write_text(text)
    lock.write_text("# none, again\n")
    assert not stands(course), "the packages changed"
    lock.write_text("# none\n")
    moved = course.rename(course.parent / "moved")
    assert not stands(moved), "the folder was moved"
    course = moved.rename(course)
    assert stands(course)
    shutil.rmtree(next((course / ".venv").glob("[Ll]ib/**/site-packages")) / "pip")
    assert not stands(course), "a package was lost"
    assert set_up(course) and stands(course), "made again"
    assert not (course / "setup.log").exists()


@pytest.mark.long
def test_a_set_up_that_fails_says_so_and_is_not_taken_for_done(course):
    (course / "requirements.txt").write_text("no-such-package @ file:///nowhere.whl\n")
    command = [sys.executable, course / "tools" / "bootstrap.py"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("The set-up failed: ") and done.stderr.count("\n") == 1


REACH = """
import os, socket
with socket.socket() as server:
    server.bind(("127.0.0.1", 0))
    server.listen()
    socket.create_connection(server.getsockname(), 5).close()
try:
    socket.create_connection(("192.0.2.1", 9), 1).close()
except OSError as error:
    print(os.environ.get("COURSE_OFFLINE"), os.getuid(), error.strerror or error)
"""


def test_offline_leaves_loopback_and_nothing_else():
    command = [sys.executable, ROOT / "tools" / "offline.py", "-c", REACH]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if sys.platform == "linux":
        assert done.stdout == f"1 {os.getuid()} Network is unreachable\n"
    else:
        assert "The network stays on" in done.stdout
