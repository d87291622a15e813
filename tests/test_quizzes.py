"""The two quizzes: their checks answer in words, and they stand stored as they are made."""

import contextlib
import functools
import io
import re
from pathlib import Path

import nbformat
import pytest
from test_notebooks import read_exercises, said_of, tool

ROOT = Path(__file__).resolve().parent.parent
each_quiz = pytest.mark.parametrize("path", tool.QUIZZES, ids=lambda path: path.stem)

IOU = "np.sum((truth == 1) & found & (truth < 255)) / np.sum(((truth == 1) | found) & (truth < 255))"  # of these masks
# by quiz and question: answers, and words of the reply
WRONG = {
    ("q1", 0): [
        ("0", "places do not match"),
        ("1", "one of them"),
        ("3", "first pair is right"),
        ("4", "three pairs"),
        ("7", "on paper"),
    ],
    ("q1", 1): [
        ("lambda mask: (mask == 255).astype(np.float32)[..., None]", "For a mask of 0 and 1"),
        ("lambda mask: (mask > 0).astype(np.float32)", "an axis for its one channel"),
        ("lambda mask: (mask > 0)[..., None]", "of type bool"),
        ("lambda mask: mask[..., None] / np.float32(255)", "For a mask of 0 and 1"),
        ("lambda mask: print(mask)", "Nothing was returned"),
    ],
    ("q1", 2): [
        ("(4, 8)", "rounded up"),
        ("(4, 5)", "smaller batch too"),
        ("(5, 8)", "what is left"),
        ("(37, 8)", "none is left out"),
    ],
    ("q1", 3): [
        ('{"image": "average", "mask": "average"}', "values in place of 2"),
        ('{"image": "nearest", "mask": "nearest"}', "false patterns"),
        ('{"image": "bilinear", "mask": "nearest"}', "Give each"),
        ('"nearest"', "keys image and mask"),
    ],
    ("q1", 4): [
        ("(np.mean(grains > 0), 0)", "the wrong pixels"),
        ("(100 * np.mean(grains == 0), 0)", "not percent"),
        ("(np.mean(grains == 0), np.mean(grains == 0))", "IoU of ground"),
        ("(np.mean(grains == 0), 0.5)", "no pixel was called grain"),
        ("(0.5, 0)", "Count the pixels"),
        ("(88, 0)", "not percent"),
        ("(0, np.mean(grains == 0))", "exchanged"),
        ("(None, 0)", "two numbers"),
    ],
    ("q1", 5): [
        ("'A'", "somebody does it for you"),
        ("'c'", "within an epoch"),
        ("'d'", "same order"),
        ("'keras'", "one of the letters"),
    ],
    ("q2", 0): [
        ("0.75", "in which it works"),
        ("1 / 3", "80 ms and not 60"),
        ("25", "from 0 to 1"),
        ("20", "milliseconds"),
        ("75", "from 0 to 1"),
        ("'25%'", "a sign for percent"),
        ("0.1", "Compare 20 ms"),
    ],
    ("q2", 1): [
        ("2000 * 384 * 384 * 3 / 1e9", "masks need room"),
        ("2000 * 384 * 384 / 1e9", "three channels"),
        ("2000 * 384 * 384 * 16 / 1e9", "in float32"),
        ("2000 * 384 * 384 * 4", "Those are bytes"),
        ("2000 * 384 * 384 * 4 / 1e6", "megabytes"),
        ("7", "height"),
    ],
    ("q2", 2): [
        ("lambda name: name", "are of one stone"),
        ("lambda name: name[:5]", "two stones"),
        ("lambda name: name[:6]", "many digits"),
        ("lambda name: name.split('_')[:1]", "Return a text"),
        ("lambda name: print(name)", "Nothing was returned"),
    ],
    ("q2", 3): [
        ("lambda t, f: np.sum((t == 1) & f) / np.sum((t == 1) | f)", "count as wrong there"),
        ("lambda t, f: np.sum((t > 0) & f) / np.sum((t > 0) | f)", "void counts as grain"),
        ("lambda t, f: np.mean(((t == 1) == f)[t != 255])", "the accuracy"),
        ("lambda t, f: f", "expected one number"),
        ("lambda t, f: 0.5", "at least one calls grain"),
        (f"lambda t, f: {IOU}", "from the two arguments"),
        ("lambda t, f: print(t)", "Nothing was returned"),
    ],
    ("q2", 4): [("'test'", "no test any more"), ("'train'", "by heart"), ("'all'", "Give train")],
    ("q2", 5): [
        ("16", "left out"),
        ("5", "of a row"),
        ("(5, 5)", "Multiply"),
        ("36", "are enough"),
        ("15.25", "whole"),
        ("9", "one row first"),
    ],
}


@functools.cache
def prepared(path):
    """The names that the questions use: those of the cells above them."""
    namespace = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and {"exercise", "check"}.isdisjoint(cell.metadata.get("tags", [])):
            source = re.sub(r"^ROOT = .*$", f"ROOT = Path({str(ROOT)!r})", cell.source, flags=re.MULTILINE)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(source, namespace)
    return namespace


@each_quiz
def test_each_question_takes_the_right_answer_and_is_kind_to_none(path):
    for question in read_exercises(path.name[:2]):
        said, _ = said_of(question, prepared(path), "")
        assert said == f"{question.number}: not answered yet.\n"
        said, names = said_of(question, prepared(path), question.solution)
        assert said.startswith(f"{question.number}: Right"), said
        assert names["answer"] is names[question.name]


@each_quiz
def test_a_wrong_answer_is_told_what_is_wrong(path):
    quiz = path.name[:2]
    for place, question in enumerate(read_exercises(quiz)):
        for answer, words in WRONG[quiz, place]:
            said, _ = said_of(question, prepared(path), f"{question.name} = {answer}")
            assert words in said and "Right" not in said, (question.number, answer, said)


@each_quiz
def test_a_quiz_is_stored_as_it_is_made_and_shows_no_answer(path):
    stored = nbformat.read(path, as_version=4)
    assert nbformat.writes(tool.weave(path)) + "\n" == path.read_text("utf-8"), "run `tools/notebooks.py save q`"
    assert all(cell.execution_count for cell in stored.cells if cell.cell_type == "code")
    text = "\n".join(cell.source for cell in stored.cells)
    assert not any(question.solution in text for question in read_exercises(path.name[:2]))
    assert text.count("<summary>Solution</summary>") == 6
