"""The form of the notebooks, what they teach against the library, and that their comparison can fail."""

import ast
import contextlib
import functools
import io
import json
import math
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools"), str(ROOT / "notebooks")]
import rejoin  # noqa: E402
from exercises import check, read_exercises  # noqa: E402

import notebooks as tool  # noqa: E402

PATHS = tool.NOTEBOOKS
TAGS = {"setup", "exercise", "check", "rejoin", "nbval-ignore-output", "raises-exception", "nbval-check-output"}
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
LATER = [pytest.param(path, marks=pytest.mark.long) for path in PATHS[5:]]  # long themselves
each_with_long_ones_later = pytest.mark.parametrize("path", PATHS[:5] + LATER, ids=lambda path: path.stem)


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def tags(cell):
    return set(cell.metadata.get("tags", []))


def taught_cells(path):
    """The code cells that are there to be read."""
    return [cell for cell in cells(path) if "rejoin" not in tags(cell)]


def headings(path):
    text = re.sub(r"```.*?```", "", "\n\n".join(cell.source for cell in cells(path, "markdown")), flags=re.DOTALL)
    return re.findall(r"^(#+) (.+)$", text, re.MULTILINE)


def test_the_course_has_its_notebooks_in_order():
    assert [path.name for path in PATHS] == [
        "01_load_a_pair.ipynb",
        "02_write_a_sequence.ipynb",
        "03_train_the_unet.ipynb",
        "04_look_inside_fit.ipynb",
        "05_feed_it_faster.ipynb",
        "06_bring_your_own_data.ipynb",
        "07_train_on_many_machines.ipynb",
        "08_port_old_code.ipynb",
    ]


@each_notebook
def test_headings(path):
    found = headings(path)
    levels = [len(marks) for marks, _ in found]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels)), "a level is skipped"
    second = [title for marks, title in found if len(marks) == 2]
    assert second[:2] == ["Overview", "Setup"]
    assert second[-3:] == ["Your turn", "Summary", "If something went wrong"]
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    for phrase in (
        "**You need**",
        "**It helps**",
        "**Minutes:**",
        "**Computer:**",
        "Predict first",
        "reak it on purpose",
    ):
        assert phrase in text, f"{phrase} is missing"


@each_notebook
def test_executed_in_order_without_warnings_or_paths_of_a_machine(path):
    code = cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run `make save`"
    for cell in code:
        for output in cell.outputs:
            assert output.get("name") != "stderr", cell.source
            assert output.output_type != "error" or "raises-exception" in tags(cell)
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|usr|opt)/|[A-Z]:\\\\", path.read_text(encoding="utf-8"))
    assert path.stat().st_size <= 500_000


@each_notebook
def test_every_picture_has_the_printed_line_as_alternative_text(path):
    for cell in cells(path):
        printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                text = output.metadata["image/png"]["alt"]
                assert text in printed and re.search(r"\d", text)


@each_notebook
def test_tags_say_what_is_compared(path):
    code = taught_cells(path)
    ignored = ["nbval-ignore-output" in tags(cell) for cell in code]
    assert sum(ignored) <= 0.2 * len(code)
    assert not any(first and second for first, second in zip(ignored, [*ignored[1:], True], strict=True))
    for cell in cells(path):
        assert tags(cell) <= TAGS
        assert "rejoin" not in tags(cell) or not cell.outputs
        assert ("raises-exception" in tags(cell)) == ("nbval-check-output" in tags(cell))
        assert not {"raises-exception", "nbval-ignore-output"} <= tags(cell)
    assert "setup" in tags(code[0])


@each_notebook
def test_links_lead_somewhere(path):
    assert tool.links(path) in cells(path, "markdown")[0].source, "run `make save`"
    anchors = {title.replace(" ", "-") for _, title in headings(path)}
    anchors |= {anchor.replace("`", "") for anchor in anchors}
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        assert (path.parent / file).exists(), target
        assert not anchor or file or anchor in anchors, target


@each_notebook
def test_the_readme_lists_it(path):
    assert f"[{tool.title(nbformat.read(path, 4))}](notebooks/{path.name})" in (ROOT / "README.md").read_text("utf-8")


def python(source):
    """A cell as Python sees it: its lines that begin with % are IPython's."""
    return TransformerManager().transform_cell(source)


def functions(source):
    return {
        node.name: ast.get_source_segment(source, node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }


def test_taught_functions_are_those_of_the_library():
    shared = functions((ROOT / "segfeed" / "transforms.py").read_text(encoding="utf-8"))
    taught = {
        name: text for path in PATHS for cell in cells(path) for name, text in functions(python(cell.source)).items()
    }
    both = taught.keys() & shared.keys()
    assert both == {"resize_image", "resize_mask", "flip_and_turn"}
    assert taught["flip_and_turn"] == shared["flip_and_turn"]  # the others are compared by their pixels


def taught(name):
    namespace = {"np": np, "cv2": cv2}
    exec(next(cell.source for cell in cells(PATHS[0]) if cell.source.startswith(f"def {name}")), namespace)
    return namespace[name]


@pytest.mark.parametrize("size", [(100, 140), (300, 420), (299, 420), (300, 100), (900, 1260), (200, 280), (199, 281)])
def test_the_taught_resize_of_images_gives_the_pixels_of_the_library(size):
    from segfeed import resize_image

    image = np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8)
    assert np.array_equal(taught("resize_image")(image, size), resize_image(image, size))


def test_the_taught_resize_of_masks_takes_the_pixels_of_the_library():
    from segfeed import resize_mask

    resize = taught("resize_mask")
    mask = np.random.default_rng(0).integers(0, 256, (300, 420, 1), np.uint8)
    for size in ((100, 140), (60, 84), (300, 420), (900, 1260), (20, 28)):  # no two pixels are equally near
        assert np.array_equal(resize(mask, size), resize_mask(mask, size))
    # at half the size the second of two is also the one nearer to the middle in the upper left quarter
    assert np.array_equal(resize(mask, (150, 210))[:75, :105], resize_mask(mask, (150, 210))[:75, :105])


def test_the_taught_generator_makes_the_batches_of_the_library():
    import utils

    namespace = {name: getattr(utils, name) for name in dir(utils)}
    setup, taught = (
        next(c for c in cells(PATHS[1]) if c.source.startswith(start)) for start in ("import", "class CoinG")
    )
    exec("\n".join(line for line in setup.source.splitlines() if line.startswith("import")), namespace)
    exec(taught.source, namespace)
    pairs = utils.read_split()["validation"], utils.SAMPLE / "images", utils.SAMPLE / "masks"
    # DataGenerator decodes a JPEG small, with other roundings, from a third of its size down; 96 is more
    mine = namespace["CoinGenerator"](*pairs, batch_size=5, img_size=96, seed=7)
    theirs = utils.DataGenerator(*pairs, batch_size=5, img_size=96, seed=7)
    assert len(mine) == len(theirs) == 4
    for _ in range(3):
        for index in range(len(mine)):
            for part in range(2):
                np.testing.assert_array_equal(mine[index][part], theirs[index][part], strict=True)
        mine.on_epoch_end()
        theirs.on_epoch_end()


def test_notebook_05_starts_from_the_class_of_notebook_02():
    first, again = (
        next(cell.source for cell in cells(path) if cell.source.startswith("class CoinG"))
        for path in (PATHS[1], PATHS[4])
    )
    assert first == again


def test_notebook_01_loads_no_tensorflow():
    imports = "\n".join(re.findall(r"^(?:from|import) .+$", "\n".join(c.source for c in cells(PATHS[0])), re.MULTILINE))
    path = [str(ROOT), str(ROOT / "notebooks")]
    code = f"import sys; sys.path[:0] = {path}\n{imports}\nassert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def said_of(exercise, namespace, source):
    """What the check of an exercise prints of its stub, changed by `source`, and the answer that it hands back."""
    names = namespace | {"check": check}
    exec(exercise.stub, names)
    exec(source, names)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(f'answer = check("{exercise.number}", {exercise.name})', names)
    return printed.getvalue(), names


@functools.cache
def prepared(path):
    """The names that the exercises of a notebook build on."""
    import utils

    namespace = {name: getattr(utils, name) for name in dir(utils)} | {"np": np}
    if path == PATHS[2]:
        share = np.zeros((2, 4, 8, 8, 1))
        share[:, :, :2] = 1
        namespace |= {"test": [(None, masks) for masks in share], "scores": [utils.ClassScore("ground", 1.0, 0.75)]}
        return namespace
    if path in PATHS[4:7]:
        return namespace | {"cv2": cv2, "math": math}
    if path == PATHS[-1]:
        import keras

        return namespace | {"keras": keras, "contextlib": contextlib}
    namespace["sys"] = sys
    for cell in cells(path):
        if "exercise" in tags(cell) or (path == PATHS[3] and "watch(Diary" in cell.source):
            return namespace
        # a class that was made by `exec` cannot be pickled, which is one of the promises
        if not tags(cell) & {"raises-exception", "rejoin"} and "check_sequence(" not in cell.source:
            source = re.sub(r"^ROOT = .*$", f"ROOT = Path({str(ROOT)!r})", cell.source, flags=re.MULTILINE)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(source, namespace)
    raise AssertionError("no exercise")


WRONG = [
    (0, 0, "def coin_share(mask): return mask.sum() / mask.size", "at most 1"),
    (0, 0, "def coin_share(mask): return float(mask.mean() / 256)", "which is not the share"),
    (0, 0, "def coin_share(mask): return np.mean(mask == 0)", "share of the ground"),
    (0, 0, "def coin_share(mask): return mask == 255", "expected one number"),
    (0, 0, "def coin_share(mask): return np.sum(mask == 255) / np.sum(mask == 0)", "coin pixels by ground pixels"),
    (0, 0, "def coin_share(mask): return 100 * np.mean(mask == 255)", "each counts 1, not 255 nor 100"),
    (0, 0, "def coin_share(mask): return np.sum(mask == 255)", "at most 1"),
    (0, 1, "stranger = 0", "holds 2 values"),
    (0, 1, "stranger = 7", "no mask 7"),
    (0, 1, "stranger = max(len(np.unique(mask)) for mask in prepared)", "how many values the stranger holds"),
    (0, 1, "stranger = [len(np.unique(mask)) for mask in prepared]", "set stranger to 0, 1 or 2"),
    (1, 0, "def batches(samples, batch_size, drop_last): return samples // batch_size", "should be 7"),
    (1, 0, "def batches(samples, batch_size, drop_last): return -(-samples // batch_size)", "should be 6"),
    (1, 0, "def batches(samples, batch_size, drop_last): return samples // batch_size + 1 - drop_last", "should be 6"),
    (1, 0, "def batches(samples, batch_size, drop_last): return samples / batch_size", "should be 7, yours is 6.4"),
    (1, 1, "GREY images.mean(axis=-1), masks", "keepdims"),
    (1, 1, "GREY None", "A NoneType came back"),
    (1, 1, "GREY images.mean(axis=-1, keepdims=True)", "A ndarray came back"),
    (1, 1, "GREY masks, images.mean(axis=-1, keepdims=True)", "images come first"),
    (1, 1, "GREY images.astype(float).mean(axis=-1, keepdims=True), masks", "float64"),
    (1, 1, "GREY images[..., :1], masks", "not the mean"),
    (1, 1, "GREY images.mean(axis=-1, keepdims=True), 1 - masks", "masks changed"),
    (2, 0, "def iou(truth, found): return 2 * (truth & found).sum() / (truth.sum() + found.sum())", "Dice"),
    (2, 0, "def iou(truth, found): return (truth == found).mean()", "share of right pixels"),
    (2, 0, "def iou(truth, found): return (truth & found).sum()", "expected 0.25"),
    (2, 0, "def iou(truth, found): return (truth & found).sum() / max(1, (truth | found).sum())", "two empty masks"),
    (2, 1, "accuracy = 0.25", "share of coin"),
    (2, 1, "accuracy = 0.5", "Average (mask == 0)"),
    (2, 1, "accuracy = 75.0", "no percent"),
    (2, 1, "accuracy = sum(np.sum(masks == 0) for _, masks in test)", "right pixels by all pixels"),
    (2, 1, "accuracy = [np.mean(masks == 0) for _, masks in test]", "take the mean"),
    (3, 0, "def calls(batches, epochs): return [0, 1, *epochs * ['begin', *range(batches), 'end']]", "E + 1"),
    (3, 0, "def calls(batches, epochs): return ['end', *epochs * ['begin', *range(batches), 'end']]", "beforehand"),
    (3, 0, "def calls(batches, epochs): return [0, 1, 'end', *epochs * [*range(batches), 'end']]", "one in each epoch"),
    (
        3,
        0,
        "def calls(batches, epochs): return [0, 1, 'end', *epochs * ['begin', *range(batches), 'end']]",
        "as far as",
    ),
    (3, 0, "def calls(batches, epochs): return [0, 'end', 1, *epochs * ['begin', *range(batches), 'end']]", "order"),
    (3, 0, "def calls(batches, epochs): return [[0, 1], 'end', 'begin', [0, 1, 2], 'end']", "single numbers"),
    (3, 0, "def calls(batches, epochs): return '0 1 end begin 0 1 2 end'", "single numbers"),
    (3, 0, "def calls(batches, epochs): return [0, 1, 'end', 'begin', 0, 1, 'end']", "every batch once"),
    (3, 1, "def reached(batches, steps, queue): return steps + queue", "at its door"),
    (3, 1, "def reached(batches, steps, queue): return batches", "should be 21, yours is 40"),
    (3, 1, "def reached(batches, steps, queue): return steps", "Count what lies ready"),
    (3, 1, "def reached(batches, steps, queue): return steps + queue + 1", "no more"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1))", "not the same twice"),
    (3, 2, "NOISE normal(size=(8, 8, 1)) [self.seed, self.epoch, index]", "expected (2, 8, 8, 1)"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1)) [self.seed, self.epoch]", "lacks the index"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1)) [self.seed, index]", "lacks the epoch"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1)) [self.epoch, index]", "lacks the seed"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1)) self.seed + self.epoch + index", "do not add"),
    (3, 2, "NOISE normal(size=(2, 8, 8, 1)) [self.seed + self.epoch, index]", "do not add"),
    (
        3,
        2,
        "FILLED np.full((2, 8, 8, 1), 100 * self.seed + 10 * self.epoch + index)",
        "All values of a batch are equal",
    ),
    (3, 2, "FILLED np.random.seed([self.seed, self.epoch, index]) or np.random.normal(size=(2, 8, 8, 1))", "all share"),
    (4, 0, "def waiting(ready_ms, real_ms): return ready_ms / real_ms", "share of the model's own work"),
    (4, 0, "def waiting(ready_ms, real_ms): return real_ms - ready_ms", "milliseconds"),
    (4, 0, "def waiting(ready_ms, real_ms): return real_ms / ready_ms - 1", "whole step"),
    (4, 0, "def waiting(ready_ms, real_ms): return 1 - ready_ms / real_ms", "Less than no waiting"),
    (4, 0, "def waiting(ready_ms, real_ms): return 100 * (1 - ready_ms / real_ms)", "no percent"),
    (
        4,
        1,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or photo[0] >= n * wanted[0])",
        "both",
    ),
    (
        4,
        1,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or photo[1] >= n * wanted[1])",
        "both",
    ),
    (
        4,
        1,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or"
        " all(a > n * b for a, b in zip(photo, wanted)))",
        "or none, will do",
    ),
    (4, 1, "def shrink(photo, wanted): return min(a // b for a, b in zip(photo, wanted))", "Only 1, 2, 4 and 8"),
    (
        4,
        1,
        "def shrink(photo, wanted): return max([n for n in (1, 2, 4, 8) if"
        " all(a >= n * b for a, b in zip(photo, wanted))], default=0)",
        "if none fits, it is 1",
    ),
    (
        4,
        1,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or"
        " all(a >= n * b and a % n == 0 for a, b in zip(photo, wanted)))",
        "remainder",
    ),
    (5, 0, "def weights_of(counts): return counts / counts.sum()", "Divide by counts"),
    (5, 0, "def weights_of(counts): return np.round(counts.sum() / (len(counts) * counts), 2)", "Do not round"),
    (5, 0, "def weights_of(counts): return counts.sum() / counts", "number of classes too"),
    (5, 0, "def weights_of(counts): return 1 / counts", "Begin with counts.sum()"),
    (5, 0, "def weights_of(counts): return counts.sum() / (3 * counts.mean())", "shape ()"),
    (5, 1, "SHIFT np.roll(image, draw(), (0, 1)), np.roll(mask, draw(), (0, 1))", "move apart"),
    (5, 1, "SHIFT np.roll(image, draw(), (0, 1)), mask", "move apart"),
    (5, 1, "SHIFT np.roll(image, way := np.random.randint(-8, 9, 2), (0, 1)), np.roll(mask, way, (0, 1))", "from rng"),
    (5, 1, "SHIFT np.roll(image, way := 4 * draw(), (0, 1)), np.roll(mask, way, (0, 1))", "not what np.roll"),
    (5, 1, "SHIFT image[2:], mask[2:]", "not what np.roll"),
    (5, 1, "SHIFT np.roll(image, way := draw()[0], (0, 1)), np.roll(mask, way, (0, 1))", "draw two numbers"),
    (5, 1, "SHIFT np.roll(image, way := rng.integers(-8, 8, 2), (0, 1)), np.roll(mask, way, (0, 1))", "both ends"),
    (5, 1, "SHIFT np.roll(image, way := draw()[0], 0), np.roll(mask, way, 0)", "1 to the right. Draw both"),
    (5, 1, "SHIFT np.roll(image, way := draw()[0], 1), np.roll(mask, way, 1)", "1 down"),
    (5, 2, "SPECKS int(np.sum(areas[1:] <= least))", "not as many"),
    (5, 2, "SPECKS len(areas) - 1", "A coin is no speck"),
    (5, 2, "SPECKS int(np.sum(areas < least))", "leave out the ground"),
    (5, 2, "SPECKS int(areas[1:][areas[1:] < least].sum())", "should be 2, yours is 4"),
    (6, 0, "def iou_of(counts): return sum(b / e for b, e in counts if e) / len(counts)", "mean of the workers' IoUs"),
    (6, 0, "def iou_of(counts): return sum(b / e for b, e in counts) / len(counts)", "divides by zero"),
    (6, 0, "def iou_of(counts): return sum(b for b, _ in counts) / max(1, sum(e for _, e in counts))", "should be 1.0"),
    (6, 0, "def iou_of(counts): return 2 * counts[0][0] / (1 + sum(e for _, e in counts))", "should be 0.75, yours"),
    (6, 1, "WHO number // batch_size, number % batch_size % world", "place in the list of ids"),
    (6, 1, "WHO place // batch_size, place % world", "Deal anew in each batch"),
    (6, 1, "WHO place % batch_size % world, place // batch_size", "exchanged"),
    (6, 1, "WHO place // 4, place % 4 % 3", "should be ("),
    (6, 1, "WHO place // batch_size, place % batch_size // world", "should be ("),
    (6, 2, "def gigabits(machines, rate, size): return machines * rate * size / 1e9", "gigabytes"),
    (6, 2, "def gigabits(machines, rate, size): return rate * size * 8 / 1e9", "one machine's share"),
    (6, 2, "def gigabits(machines, rate, size): return machines * rate * size * 8 / 2**30", "not 2**30"),
    (6, 2, "def gigabits(machines, rate, size): return machines * rate * size * 8", "divide by 10**9"),
    (-1, 0, "def rate(lr, decay, step): return lr * (1 - decay) ** step", "by a factor in each step"),
    (-1, 0, "def rate(lr, decay, step): return lr / (1 + decay) ** step", "decay × step"),
    (-1, 0, "def rate(lr, decay, step): return lr / (1 + decay * (step + 1))", "Step 0 has the whole rate"),
    (-1, 0, "def rate(lr, decay, step): return lr * np.exp(-decay * step)", "an exponential"),
    (-1, 0, "def rate(lr, decay, step): return lr", "does not fall"),
    (-1, 0, "def rate(lr, decay, step): return lr - decay * step", "Divide the rate"),
    (-1, 1, "def target(mask): return mask / 255", "(2, 2, 3), expected (2, 2, 1)"),
    (-1, 1, "def target(mask): return (mask[..., 0] > 127).astype(np.float32)", "the axis stays"),
    (-1, 1, "def target(mask): return mask[..., :1] / np.float32(255)", "JPEG has softened"),
    (-1, 1, "def target(mask): return (mask[..., :1] > 0).astype(np.float32)", "in the middle"),
    (-1, 1, "def target(mask): return mask[..., :1] > 127", "of type bool"),
    (-1, 1, "def target(mask): return np.where(mask[..., :1] > 127, 255, 0)", "Coin is 1, not 255"),
    (-1, 1, "def target(mask): return (mask[..., :1] < 127).astype(np.float32)", "exchanged"),
    (-1, 1, "def target(mask): return (mask[..., :1] > 127).astype(float)", "of type float64"),
    (-1, 2, "def whole_iou(both, either): return np.mean([b / e for b, e in zip(both, either)])", "mean over batches"),
    (-1, 2, "def whole_iou(both, either): return np.mean([b / e for b, e in zip(both, either) if b])", "left out"),
    (-1, 2, "def whole_iou(both, either): return sum(both) / len(both)", "sum first"),
    (-1, 2, "def whole_iou(both, either): return 2 * sum(both) / (sum(both) + sum(either))", "sum first"),
    (-1, 2, "def whole_iou(both, either): return sum(both) / sum(either)", "now return 0"),
]


@each_with_long_ones_later
def test_checks_accept_the_solution_and_speak_kindly_to_the_stub(path):
    exercises = read_exercises(path.name[:2])
    assert len(exercises) >= 2
    for exercise in exercises:
        said, names = said_of(exercise, prepared(path), "")
        ours, own = f"The notebook goes on with the course's own {exercise.name}.", names["answer"]
        assert said == f"{exercise.number} is not written yet. {ours}\n"
        assert own is not names[exercise.name]
        said, names = said_of(exercise, prepared(path), exercise.solution)
        assert said.startswith(f"{exercise.number}: Right") and names["answer"] is names[exercise.name], said
        if callable(own):  # the cell of the learner has stopped, and the name is still that of the course
            said, names = said_of(exercise, prepared(path) | {"own": own}, f"{exercise.name} = own")
            assert (
                said == f"{exercise.number} is still the course's own {exercise.name}. Run the cell with yours first.\n"
            )
            assert names["answer"] is own


@each_with_long_ones_later
def test_checks_name_the_mistake(path):
    namespace = prepared(path)
    for notebook, exercise, source, words in WRONG:
        if PATHS[notebook] == path:
            if source.startswith("GREY"):
                source = (
                    "class GreyGenerator(CoinGenerator):\n    def __getitem__(self, index):\n"
                    f"        images, masks = super().__getitem__(index)\n        return {source[5:]}"
                )
            if source.startswith("NOISE"):
                draw, _, key = source[6:].partition(")) ")
                source = (
                    "class Noise(keras.utils.Sequence):\n    seed, epoch = 7, 0\n    def __getitem__(self, index):\n"
                    f"        return np.random.default_rng({key}).{draw.rstrip(')')}))"
                )
            if source.startswith("FILLED"):
                source = (
                    "class Noise(keras.utils.Sequence):\n    seed, epoch = 7, 0\n"
                    f"    def __getitem__(self, index): return {source[7:]}"
                )
            if source.startswith("SHIFT"):
                source = (
                    "def shift(image, mask, rng):\n    draw = lambda: rng.integers(-8, 9, size=2)\n"
                    f"    return {source[6:]}"
                )
            if source.startswith("WHO"):
                source = (
                    "def who_reads(order, number, batch_size, world):\n    place = order.index(number)\n"
                    f"    return {source[4:]}"
                )
            if source.startswith("SPECKS"):
                source = (
                    "def specks(mask, least):\n    areas = cv2.connectedComponentsWithStats(mask)[2][:, 4]\n"
                    f"    return {source[7:]}"
                )
            said, names = said_of(asked := read_exercises(path.name[:2])[exercise], namespace, source)
            assert words in said and said.endswith(f"The notebook goes on with the course's own {asked.name}.\n"), (
                source
            )
            assert names["answer"] is not names[asked.name]


@each_notebook
def test_what_is_woven_is_that_of_its_source(path):
    assert nbformat.writes(tool.weave(path)) + "\n" == path.read_text("utf-8"), "run `tools/notebooks.py weave`"


@each_notebook
def test_exercises_stand_with_their_hints_and_no_solution_is_in_sight(path):
    stored = nbformat.read(path, as_version=4).cells
    places = [place for place, cell in enumerate(stored) if "exercise" in tags(cell)]
    text = "\n".join(cell.source for cell in stored)
    for place, exercise in zip(places, read_exercises(path.name[:2]), strict=True):
        after = next(cell for cell in stored[place + 2 :] if cell.cell_type == "markdown")
        assert re.findall(r"<summary>(.+)</summary>", after.source) == ["Hint 1", "Hint 2", "Solution"]
        assert exercise.stub == stored[place].source and exercise.solution not in text
        assert all(10 <= len(hint.split()) <= 60 for hint in exercise.hints)
        assert exercise.title in text


def rejoined(path):
    """The headings under which one can rejoin."""
    text = "\n".join(cell.source for cell in cells(path) if "rejoin" in tags(cell))
    return re.findall(r'^%run -i \.\./tools/rejoin\.py \d\d "(.+)"$', text, re.MULTILINE)


def loaded(cell):
    return {node.id for node in ast.walk(ast.parse(python(cell.source))) if isinstance(node, ast.Name)}


def bound(cell):
    """Every name that a cell may bind, seen by `ast` in another way than by `rejoin`."""
    names = set()
    for node in ast.walk(ast.parse(python(cell.source))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


@each_notebook
def test_rejoining_makes_all_names_that_are_used_afterwards(path):
    stored = nbformat.read(path, as_version=4).cells
    found = rejoined(path)
    assert found[-1] == "Your turn"
    for heading in found:
        place = next(n for n, cell in enumerate(stored) if cell.source.startswith(f"## {heading}\n"))
        assert "rejoin" in tags(stored[place + 1]), "the cell that rejoins is the first one under its heading"
        code = [[cell for cell in part if cell.cell_type == "code"] for part in (stored[:place], stored[place:])]
        before, after = set().union(*map(bound, code[0])), set().union(*map(loaded, code[1]))
        ran = rejoin.rejoin_cells(path.name[:2], heading)
        made = set().union(*map(bound, ran))
        assert before & after <= made, heading
        # what is looked for is made by these cells, or it would be looked for in vain for ever
        assert rejoin.rejoin_names(ran) <= made


def test_only_names_that_are_surely_made_are_looked_for():
    """A name that Run All leaves out would make each cell that rejoins run everything again."""
    sources = ["import a.b", "for i in []:\n    c = 1", "if 0:\n    d = 1", "e, f = [g for g in '12']", "%time h = 1"]
    made = [nbformat.v4.new_code_cell(source) for source in sources]
    made.append(nbformat.v4.new_code_cell("k = 1 / 0", metadata={"tags": ["raises-exception"]}))
    assert rejoin.rejoin_names(made) == {"a", "e", "f"}


def test_no_code_stands_under_a_second_heading_without_a_cell_that_rejoins():
    for path in PATHS:
        second, with_code = None, []
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.source.startswith("## "):
                second = cell.source.splitlines()[0].removeprefix("## ")
            elif cell.cell_type == "code" and with_code[-1:] != [second]:
                with_code.append(second)
        assert with_code == ["Setup", *rejoined(path)]


@contextlib.contextmanager
def kernel(path):
    """A function that runs source in a fresh kernel of the notebook's folder and returns what was printed."""
    notebook = nbformat.v4.new_notebook()
    client = NotebookClient(notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": path.parent}})

    def run(source):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
        cell = client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
        errors = [output.evalue for output in cell.outputs if output.output_type == "error"]
        return "".join(output.text for output in cell.outputs if output.get("name") == "stdout"), errors

    with client.setup_kernel():
        yield run


HEADINGS = [(path, heading) for path in PATHS[:2] for heading in rejoined(path)]
HEADINGS = [HEADINGS[0], *(pytest.param(*one, marks=pytest.mark.long) for one in HEADINGS[1:])]


@pytest.mark.parametrize(("path", "heading"), HEADINGS, ids=lambda value: getattr(value, "stem", value))
def test_one_cell_rejoins_and_the_rest_runs(course, path, heading):
    stored = cells(path)
    place = next(n for n, cell in enumerate(stored) if f'"{heading}"' in cell.source and "rejoin" in tags(cell))
    with kernel(course / "notebooks" / path.name) as run:
        ran = sum("rejoin" not in tags(cell) for cell in stored[:place])
        said, errors = run(stored[place].source)
        lines = [
            f"Running the {ran} cells before {re.escape(heading)} ...",
            r"Rejoined after \d+ s\.",
        ]
        assert re.fullmatch("\n".join([*lines, ""]), said) and not errors
        assert run(stored[place].source) == ("", []), "once all is there, nothing is done"
        for cell in stored[place + 1 :]:
            printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
            said, errors = run(cell.source)
            assert said == printed and bool(errors) == ("raises-exception" in tags(cell)), cell.source


def test_who_has_half_of_the_names_gets_all_of_them_anew():
    with kernel(PATHS[0]) as run:
        run("pairs, images, mask = 'mine', 'mine', 'mine'")
        assert run('%run -i ../tools/rejoin.py 01 "Look"')[0].startswith("Running the 18 cells before Look ...")
        assert run("print(len(pairs), len(images), mask.shape)") == ("96 96 (256, 256, 1)\n", [])
        assert run("print({'rejoin', 'rejoin_run', 'time', 'ast', '__file__'} & set(dir()))") == ("set()\n", [])


def test_rejoining_says_which_cell_fails_and_passes_a_check_that_does(tmp_path):
    """A learner has spoiled a cell of Locate and saved the notebook."""
    for name in ("notebooks", "tools"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "tools" / "rejoin.py", tmp_path / "tools")
    path = tmp_path / "notebooks" / "01_any.ipynb"
    check = nbformat.v4.new_code_cell("print(1)\nassert x == 2, 'Cure: 2.'", metadata={"tags": ["check"]})
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("x = 1"), check, nbformat.v4.new_markdown_cell("## Look")]
    for spoiled, words in (
        ("x = 1", "Rejoined after 0 s.\nA check failed: Cure: 2.\n"),
        ("x = y", "Stopped by NameError: name 'y' is not defined\nin the cell\n\nx = y\n"),
        ("x = (", "Stopped by SyntaxError: "),
    ):
        notebook.cells[0].source = spoiled
        nbformat.write(notebook, path)
        with kernel(path) as run:
            said, errors = run('%run -i ../tools/rejoin.py 01 "Look"')
            assert said.startswith(f"Running the 2 cells before Look ...\n{words}") and not errors


def test_a_check_answers_in_words_when_an_error_stops_it():
    with kernel(PATHS[0]) as run:
        run("import numpy as np\nfrom exercises import check, solution\nmask = np.array([[0, 255]])")
        for answer, words in (
            (
                "def coin_share(mask):\n    return mask.sum() / 0 + nobody",
                "stopped in line 2, `return mask.sum() / 0 + ",
            ),
            ("def coin_share(mask): return 'a third'", "The check cannot use your answer (TypeError"),
            ("def coin_share(): return 1", "The check cannot use your answer (TypeError"),
            ("coin_share = 0.5", "The check cannot use your answer (TypeError"),
        ):
            assert run(answer) == ("", [])
            said, errors = run('coin_share = check("01.1", coin_share)')
            assert words in said and not errors, (said, errors)
        assert "own" in run("def coin_share(mask) return 1")[0] + run('coin_share = check("01.1", coin_share)')[0]
        run("def coin_share(mask): return np.mean(mask == 255)")
        assert run('coin_share = check("01.1", coin_share)') == ("01.1: Right: 0.500 of the pixels show a coin.\n", [])
        assert run('solution("01.1")') == ("def coin_share(mask):\n    return np.mean(mask == 255)\n", [])


@pytest.mark.long
def test_nbval_sees_a_change(tmp_path):
    """Strict nbval must be red for another output, for an exception that no longer comes, and for another one."""
    (tmp_path / "none.ini").write_text("[pytest]")
    for name, line, fails in (
        ("same", "print(1)", "1 / 0"),
        ("another output", "print(2)", "1 / 0"),
        ("no exception", "print(1)", "pass"),
        ("another exception", "print(1)", "int('x')"),
    ):
        good = nbformat.v4.new_code_cell(line, execution_count=1)
        good.outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
        bad = nbformat.v4.new_code_cell(
            fails, execution_count=2, metadata={"tags": ["raises-exception", "nbval-check-output"]}
        )
        error = {"ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
        bad.outputs = [nbformat.v4.new_output("error", **error)]
        nbformat.write(nbformat.v4.new_notebook(cells=[good, bad]), tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "-rA", "-c", "none.ini", *map(str, tmp_path.glob("*.ipynb"))]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    failed = set(re.findall(r"^FAILED (.+?)\.ipynb::", said, re.MULTILINE))
    assert failed == {"another output", "no exception", "another exception"} and "5 passed" in said, said


def test_stored_notebooks_are_plain_json_with_stable_ids():
    for path in PATHS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert [cell["id"][:3] for cell in notebook["cells"]] == [f"{path.name[:2]}-"] * len(notebook["cells"])
        assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
