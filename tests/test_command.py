"""The command `segfeed`: its help, and `segfeed check` on anyone's Sequence. The rest stands beside what it calls."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segfeed.__main__ import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
MODULE = """
from pathlib import Path
from segfeed import DataGenerator

class Floor(DataGenerator):
    def __len__(self):
        return len(self.pairs) // self.batch_size

def ids():
    return sorted(path.stem for path in Path("probe/images").iterdir())

def sound():
    return DataGenerator(ids(), "probe/images", "probe/masks", batch_size=4, img_size=128)

def floor():
    return Floor(ids(), "probe/images", "probe/masks", batch_size=4, img_size=128)

nothing = None
"""
NEEDS = "import no_such_package\n\ndef make():\n    pass\n"


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_fits_on_a_screen_and_says_how_it_ends(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and "exit status: 0 done" in said
    assert max(map(len, said.splitlines())) <= 80
    assert words in (["train"], ["masks"], ["predict"], ["split"], ["audit"]) or len(said.splitlines()) <= 24
    assert words or all(f"    {name} " in said for name in COMMANDS)


def test_python_m_segfeed_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "segfeed", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage: segfeed ")


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_sequences.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_sequences", None)


def test_check_judges_the_sequence_of_a_module(module, capsys):
    probe = ["--probe", "probe", "--shuffle", "yes"]
    assert main(["check", "my_sequences:sound", *probe]) == 0
    said = capsys.readouterr().out
    assert "FAILED" not in said and "31 checks: 0 failed" in said
    assert main(["check", "my_sequences:floor", *probe]) == 1
    said = capsys.readouterr().out
    assert "FAILED" in said and "0 failed" not in said


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ("my_sequences", "Give it as MODULE:FUNCTION"),
        ("my_sequences:", "Give it as MODULE:FUNCTION"),
        (":sound", "Give it as MODULE:FUNCTION"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("my_sequences:none", "has no attribute 'none'"),
        ("my_sequences.py:sound", "without .py"),
        ("my_sequences:nothing", "is a NoneType: give a function"),
        (".my_sequences:sound", "Give it as MODULE:FUNCTION"),
    ],
)
def test_what_cannot_be_checked_is_named(module, capsys, make, words):
    assert main(["check", make]) == 2
    assert words in capsys.readouterr().err


def test_what_the_module_itself_lacks_is_no_fault_of_the_words(module, capsys):
    (module / "my_sequences.py").write_text(NEEDS)
    assert main(["check", "my_sequences:make"]) == 2
    assert capsys.readouterr().err == "Stopped: No module named 'no_such_package'\n"


def test_a_number_of_classes_that_no_mask_can_hold_is_refused(folders, capsys):
    for number in (-1, 0, 257):
        assert main(["audit", str(folders.imgs), str(folders.masks), "--classes", str(number)]) == 2
        assert f"n_classes is {number}: 1 for " in capsys.readouterr().err


def test_words_of_pack_are_judged_one_by_one(folders, tmp_path, capsys):
    words = ["pack", str(folders.imgs), str(folders.masks)]
    for more, said in {
        (): "give three folders, IMAGES MASKS PACKED, or --verify and one, PACKED.",
        ("x", "y"): "give three folders, IMAGES MASKS PACKED, or --verify and one, PACKED.",
        ("x", "--shard-mb", "0"): "--shard-mb is 0: give more than 0.",
        ("x", "--shard-mb", "nan"): "--shard-mb is nan: give more than 0.",
    }.items():
        assert main([*words, *more]) == 2
        assert capsys.readouterr().err == f"Stopped: {said}\n"


@pytest.mark.skipif(os.name == "nt", reason="its words differ")
def test_an_error_of_the_system_names_the_file_and_what_to_check(folders, tmp_path, capsys):
    (tmp_path / "file").touch()
    words = ["audit", str(folders.imgs), str(folders.masks), "--csv", str(tmp_path / "file" / "findings.csv")]
    assert main(words) == 2
    said = f"Stopped: {tmp_path / 'file' / 'findings.csv'}: Not a directory. Check the path and the permissions.\n"
    assert capsys.readouterr().err == said


def test_a_probe_does_not_mix_with_the_files_of_somebody(module, capsys):
    (module / "mine").mkdir()
    (module / "mine" / "images").mkdir()
    (module / "mine" / "images" / "holiday.jpg").touch()
    assert main(["check", "my_sequences:sound", "--probe", "mine"]) == 2
    assert "holiday.jpg" in capsys.readouterr().err
    assert os.listdir(module / "mine" / "images") == ["holiday.jpg"]


# --- Names and consoles -----------------------------------------------------------------------

BYTES = "\udcb5\udcbf" if sys.platform == "linux" else ""  # in a name, two bytes that are no UTF-8


@pytest.fixture
def odd_names(tmp_path, write_pair):
    """Pairs whose names many consoles have no characters for; each mask is empty, which is a finding."""
    for stem in ("동전", "–", "$1_$2", "new\nline", f"a{BYTES}"):
        write_pair(tmp_path, stem)
    return tmp_path


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "cp1252", "utf-8:strict"])
def test_a_console_that_lacks_characters_gets_their_numbers(odd_names, encoding):
    words = ["audit", odd_names / "images", odd_names / "masks", "--csv", odd_names / "findings.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "segfeed", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    said = done.stdout.decode(encoding.partition(":")[0])
    assert done.returncode == 1 and done.stderr == b""
    assert "empty mask (5)" in said and "new\\nline.png" in said and (not BYTES or "a\\udcb5\\udcbf.png" in said)
    assert ("동전.png" in said) == (encoding in ("cp949", "utf-8:strict")) != ("\\ub3d9\\uc804.png" in said)
    with open(odd_names / "findings.csv", encoding="utf-8-sig", newline="") as file:
        assert {Path(row["file"]).stem for row in csv.DictReader(file)} >= {"동전", "–", "$1_$2", "new\nline"}


@pytest.mark.parametrize("words", [["--help"], ["audit", "동전", "–\udcb5"]])
def test_help_and_errors_are_printed_on_any_console(words):
    for encoding in ("ascii", "cp1252"):
        command = [sys.executable, "-m", "segfeed", *map(os.fsencode, words)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
        assert done.returncode in (0, 2) and b"Traceback" not in done.stderr and done.stdout + done.stderr


def test_a_table_that_cannot_be_written_does_not_cost_the_report(odd_names, capsys):
    folders = [str(odd_names / "images"), str(odd_names / "masks")]
    assert main(["audit", *folders, "--csv", str(odd_names / "none" / "findings.csv")]) == 2
    said = capsys.readouterr()
    assert "empty mask (5)" in said.out and "findings.csv" in said.err


@pytest.mark.skipif(os.name == "nt", reason="the shell's words")
def test_a_command_without_a_console_works(odd_names):
    """As a service has none: standard output and error are closed."""
    words = f"-m segfeed audit {odd_names}/images {odd_names}/masks --csv {odd_names}/findings.csv >&- 2>&-"
    assert subprocess.run(f"{sys.executable} {words}", shell=True, cwd=ROOT).returncode == 1
    assert (odd_names / "findings.csv").is_file()
