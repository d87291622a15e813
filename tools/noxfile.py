"""Newest and oldest: the tests on both ends of the versions that the README names. `make matrix` calls it.

Each session has an environment of its own in build/matrix (3 GB). Outputs of cells are not compared
(`--nbval-lax`): their digits belong to requirements.txt, with which `make test` compares them.
"""

import os
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bootstrap import NEWEST, OLDEST, version

os.chdir(Path(__file__).resolve().parent.parent)  # nox starts in the folder of this file
nox.options.envdir = str(Path("build", "matrix").resolve())
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True  # else a Python that is not here would be passed over


def test(session: nox.Session, *what: str) -> None:
    session.run("python", "tools/offline.py", "-m", "pytest", "-n", "2", "--nbval-lax", *what, *session.posargs)


@nox.session(python=version(OLDEST))
def lowest(session: nox.Session) -> None:
    """The lowest versions; the rest is the newest that goes with them."""
    session.install("-r", "requirements.in", "-c", "tests/lowest.txt")
    # pinned: what is true of requirements.txt alone; lowest.cfg: the one message that older NumPy words otherwise
    old = ["-m", "not pinned and not site", "--nbval-sanitize-with", "tests/lowest.cfg"]
    # notebook 08 compares what requirements.txt's Keras says to old code, message by message
    test(session, "tests", "notebooks", *old, "--ignore=notebooks/08_port_old_code.ipynb")


@nox.session(python=[version((3, minor)) for minor in range(OLDEST[1] + 1, NEWEST[1] + 1)])
def highest(session: nox.Session) -> None:
    """The highest versions, those of requirements.txt; the notebooks on the newest Python."""
    session.install("--require-hashes", "-r", "requirements.txt")
    session.install(
        "--no-deps", "--require-hashes", "--target", "build/legacy", "-r", "notebooks/code_2019/requirements.txt"
    )
    test(session, "tests", *(["notebooks"] if session.python == version(NEWEST) else []), "-m", "not site")
