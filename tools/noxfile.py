"""Newest and oldest: the tests on both ends of the versions that the README names, and on those that come next.

`make matrix` calls it. Each session has an environment of its own in build/matrix (3 GB). Outputs of cells are not
compared (`--nbval-lax`): their digits belong to requirements.txt, with which `make test` compares them. What the
session `next` finds may be a fault of Keras: what was built last night is no release.
"""

import os
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bootstrap import NEWEST, OLDEST, ROOT, version

nox.options.envdir = os.path.join(ROOT, "build", "matrix")
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True  # else a Python that is not here would be passed over


def install(session: nox.Session, *what: str) -> None:
    session.chdir(ROOT)  # nox begins each session in the folder of this file
    session.install(*what)


def test(session: nox.Session, *what: str) -> None:
    session.run("python", "tools/offline.py", "-m", "pytest", "-n", "2", "--nbval-lax", *what, *session.posargs)


@nox.session(python=version(OLDEST))
def lowest(session: nox.Session) -> None:
    """The lowest versions; the rest is the newest that goes with them."""
    install(session, "-r", "requirements.in", "-c", "tests/lowest.txt")
    # pinned: what is true of requirements.txt alone; lowest.cfg: the one message that older NumPy words otherwise
    old = ["-m", "not pinned and not site", "--nbval-sanitize-with", "tests/lowest.cfg"]
    # notebook 10 compares what requirements.txt's Keras says to old code, message by message
    test(session, "tests", "notebooks", *old, "--ignore=notebooks/10_port_old_code.ipynb")


@nox.session(python=[version((3, minor)) for minor in range(OLDEST[1] + 1, NEWEST[1] + 1)])
def highest(session: nox.Session) -> None:
    """The highest versions, those of requirements.txt; the notebooks on the newest Python."""
    install(session, "--require-hashes", "-r", "requirements.txt")
    session.install(
        "--no-deps", "--require-hashes", "--target", "build/legacy", "-r", "notebooks/code_2019/requirements.txt"
    )
    test(session, "tests", *(["notebooks"] if session.python == version(NEWEST) else []), "-m", "not site")


@nox.session(python=version(NEWEST))
def without_fast_png(session: nox.Session) -> None:
    """Where there is no package of kornia-rs."""
    install(session, "--require-hashes", "-r", "requirements.txt")
    session.run_install("pip", "uninstall", "--yes", "kornia-rs")
    names = ("audit", "cache", "classes", "files", "generator", "mutated", "utils")
    test(session, *(f"tests/test_{name}.py" for name in names), "-m", "not site")


@nox.session(name="next", python=version(NEWEST))
def upcoming(session: nox.Session) -> None:
    """What comes next: the Keras of last night, and the newest NumPy and OpenCV, also before their release."""
    install(session, "-r", "requirements.in")
    session.run_install("pip", "uninstall", "--yes", "keras")  # keras-nightly is the same package by another name
    session.install("--pre", "--upgrade", "keras-nightly", "numpy", "opencv-python-headless")
    notebooks = sorted(map(str, Path("notebooks").glob("0[1-5]_*.ipynb")))
    # next.cfg: the one message that newer Keras words otherwise
    test(session, "tests", *notebooks, "-m", "not pinned and not site", "--nbval-sanitize-with", "tests/next.cfg")


@nox.session(python=version((3, NEWEST[1] + 1)))
def without_tensorflow(session: nox.Session) -> None:
    """A Python that is too new for TensorFlow: what does without it, and Keras on JAX."""
    install(session, ".", "jax", "-r", "requirements.in")
    session.env["KERAS_BACKEND"] = "jax"
    names = ("audit", "cache", "check", "classes", "command", "files", "generator", "mutated", "pack", "plots")
    test(session, *(f"tests/test_{name}.py" for name in names), "-m", "not tensorflow and not pinned")
