"""`segfeed port`: its rows are those of the page, each message is raised, and each old line is found."""

import json
import re
import warnings

import pytest

from segfeed.__main__ import main
from segfeed.port import find_rows, read_rows
from utils import ROOT

ROWS = read_rows()
OLD = [row for row in ROWS if row.old]


def in_markdown(row):
    """A row of the table on the page: a message that holds backticks stands between two of them."""
    marks = "``" if "`" in row.message else "`"
    message = f"{marks} {row.message} {marks}" if row.message[:1] == "`" else f"{marks}{row.message}{marks}"
    symptom = f"{message} {row.note}".strip() if row.message else row.note
    return f"| {symptom} | {row.cause} | {row.cure} |"


@pytest.mark.parametrize(
    ("mark", "rows"),
    [
        ("table", [row for row in ROWS if row.message and not row.old]),
        ("more", OLD),
        ("silent", [row for row in ROWS if not row.message]),
    ],
)
def test_the_page_has_the_same_rows(mark, rows):
    page = (ROOT / "docs" / "port_old_code.md").read_text(encoding="utf-8")
    table = re.search(f"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", page, re.DOTALL)[1]
    assert table.splitlines()[2:] == [in_markdown(row) for row in rows]


@pytest.mark.pinned
@pytest.mark.tensorflow
@pytest.mark.parametrize("row", OLD, ids=lambda row: row.message[:40])
def test_the_old_code_brings_the_message(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(row.old, {})
        except Exception as error:
            said = str(error)
    said += "".join(str(warning.message) for warning in caught)
    assert row.message in said


@pytest.mark.parametrize("row", [row for row in OLD if row.code], ids=lambda row: row.message[:40])
def test_the_old_code_is_found_by_its_line(row, tmp_path):
    path = tmp_path / "old.py"
    path.write_text(f"# {row.old.splitlines()[-1]}\n\n{row.old}\n", encoding="utf-8")
    found = [match for match in find_rows(path) if match.row == row]
    assert found and all(match.line > 2 for match in found), "a comment is no code"


@pytest.mark.parametrize("row", [row for row in ROWS if row.message], ids=lambda row: row.message[:40])
def test_a_message_is_found_however_it_is_quoted_and_wrapped(row, tmp_path):
    path = tmp_path / "traceback.txt"
    wrapped = row.message.replace("'", '"').replace("`", "").replace(" ", "\n    ")
    path.write_text(f"Traceback (most recent call last):\n  ...\nSomeError: {wrapped} and more", encoding="utf-8")
    assert row in [match.row for match in find_rows(path)]


def test_the_script_of_2019_is_found_line_by_line_and_that_of_today_is_clean(capsys):
    folder = ROOT / "notebooks" / "code_2019"
    assert main(["port", str(folder / "train_2019.py"), str(folder / "generator_2019.py")]) == 1
    said = capsys.readouterr().out
    for words in ("tf.set_random_seed(seed)", "Adam(lr=1e-3, decay=1e-5)", "fit_generator(", "ImageDataGenerator"):
        assert re.search(rf"_2019\.py:\d+: .*{re.escape(words)}", said), words
    assert "cure:   `learning_rate`" in said
    assert "a Sequence of your own (notebook 02)" in said and "](" not in said, "a terminal shows no links"
    assert main(["port", str(folder / "train_today.py"), str(folder / "generator_today.py")]) == 0
    assert capsys.readouterr().out.count("no row applies.") == 2


def test_a_notebook_is_read_by_its_code_and_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    cells = [
        {"cell_type": "markdown", "source": ["model.fit_generator(x)"]},
        {"cell_type": "code", "source": ["a = 1\n", "model.fit_generator(x)"]},
    ]
    (tmp_path / "old.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert [match.line for match in find_rows(tmp_path / "old.ipynb")] == [2]
    (tmp_path / "broken.ipynb").write_text("{}")
    for name in ("broken.ipynb", "none.py"):
        assert main(["port", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert f"{tmp_path / name} cannot be read" in said and "Give a .py, a .ipynb" in said
