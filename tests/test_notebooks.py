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
import tempfile
import types
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
import exercises  # noqa: E402
import rejoin  # noqa: E402
from exercises import check, read_exercises  # noqa: E402
from wrong_answers import WRONG, written  # noqa: E402

import notebooks as tool  # noqa: E402

PATHS = tool.NOTEBOOKS
TAGS = {"setup", "exercise", "check", "rejoin", "nbval-ignore-output", "raises-exception", "nbval-check-output"}
TAGS |= {"hide-output"}  # the answer to a question that stands before it
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
        "07_teach_several_classes.ipynb",
        "08_use_the_model.ipynb",
        "09_train_on_many_machines.ipynb",
        "10_port_old_code.ipynb",
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
def test_rejoining_does_nothing_where_all_cells_ran(path):
    """It would run all again and again if a cell deleted a name that another one made."""
    assert not any(cell.outputs for cell in cells(path) if "rejoin" in tags(cell))


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
        folded = {"source_hidden": "rejoin" in tags(cell), "outputs_hidden": "hide-output" in tags(cell)}
        if folded["outputs_hidden"]:  # whose first line JupyterLab shows
            assert cell.outputs[0].text.splitlines()[0] == "Guess first."
        assert cell.metadata.get("jupyter", {}) == {name: True for name, so in folded.items() if so}
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
        if target.startswith("https://"):
            continue
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
        name: text
        for path in PATHS
        for cell in cells(path)
        if "exercise" not in tags(cell)
        for name, text in functions(python(cell.source)).items()
    }
    assert taught.keys() & shared.keys() == {"resize_image", "resize_mask"}  # compared by their pixels


def test_the_augmentation_of_the_course_is_that_of_the_library():
    from segfeed.transforms import flip_and_turn

    names = {"np": np}
    exec(read_exercises("03")[0].solution, names)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for seed in range(20):
        ours, theirs = (
            one(image, image[..., :1], np.random.default_rng(seed)) for one in (names["flip_and_turn"], flip_and_turn)
        )
        assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))


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


def test_the_course_s_own_class_makes_the_batches_of_the_library(capsys):
    import utils

    own = exercises.answered("02.6")
    assert capsys.readouterr().out == "This is the course's own CoinSequence: no checked one of yours was found.\n"
    pairs = utils.read_split()["validation"], utils.SAMPLE / "images", utils.SAMPLE / "masks"
    # DataGenerator decodes a JPEG small, with other roundings, from a third of its size down; 96 is more
    made = [kind(*pairs, batch_size=5, img_size=96, seed=7) for kind in (own, utils.DataGenerator)]
    assert [len(one) for one in made] == 2 * [4]
    for _ in range(3):
        for index in range(4):
            for mine, theirs in zip(*(one[index] for one in made), strict=True):
                np.testing.assert_array_equal(mine, theirs, strict=True)
        for one in made:
            one.on_epoch_end()


def test_an_answer_is_kept_for_another_notebook_if_it_stands_alone(tmp_path, capsys):
    """In a kernel, whose cells Python knows line by line."""
    (asked,) = [one for one in read_exercises("02") if one.names]
    answers = f"import exercises\nfrom pathlib import Path\nexercises.ANSWERS = Path({str(exercises.ANSWERS)!r})\n"
    with kernel(PATHS[1]) as run:
        for cell in cells(PATHS[1])[:3]:
            run(cell.source)
        run(f"{answers}from utils import read_split\nsplit = read_split()")
        assert run(asked.solution) == ("", [])
        said, errors = run('CoinSequence = check("02.6", CoinSequence)')
        assert said == "02.6: Right. All 31 promises are kept.\n" and not errors
        # the source of a cell that begins with %% is not to be had
        path = exercises.ANSWERS / "02.6.py"
        path.rename(kept := path.with_suffix(".kept"))
        run(f"%%time\n{asked.solution}")
        said, errors = run('CoinSequence = check("02.6", CoinSequence)')
        assert said == (
            "02.6: Right. All 31 promises are kept.\n"
            "It cannot be kept for other notebooks: write CoinSequence in a cell without %%.\n"
        )
        assert not errors and not path.exists()
        kept.rename(path)
    assert path.read_text(encoding="utf-8").strip() == asked.solution
    assert exercises.answered("02.6").__name__ == "CoinSequence"
    assert capsys.readouterr().out == "This is your own CoinSequence of notebook 02.\n"
    path.write_text("class CoinSequence(Shuffled): pass", encoding="utf-8")
    exercises.answered("02.6")
    assert capsys.readouterr().out == (
        "Your CoinSequence does not work alone. NameError: name 'Shuffled' is not defined. This is the course's own.\n"
    )


def test_notebook_01_loads_no_tensorflow():
    imports = "\n".join(re.findall(r"^(?:from|import) .+$", "\n".join(c.source for c in cells(PATHS[0])), re.MULTILINE))
    path = [str(ROOT), str(ROOT / "notebooks")]
    code = f"import sys; sys.path[:0] = {path}\n{imports}\nassert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(autouse=True)
def answers_apart(tmp_path, monkeypatch):
    """What a test answers is not stored among the learner's own answers."""
    monkeypatch.setattr(exercises, "ANSWERS", tmp_path / "answers")


def said_of(exercise, namespace, source):
    """What the check of an exercise prints of its stub, changed by `source`, and the names of the learner then."""
    learner = sys.modules["learner"] = types.ModuleType("learner")  # so that a class can be pickled
    names = vars(learner)
    names |= namespace | {"check": check, "__name__": "learner"}
    exec(exercise.stub, names)
    exec(source, names)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(f'answer = check("{exercise.number}", {exercise.name})', names)
    return printed.getvalue(), names


MADE_IN_05 = "temporary", "for folder", "pairs", "SIDE", "tiles"  # cells that the exercises build on


@functools.cache
def prepared(path):
    """The names that the exercises of a notebook build on."""
    import utils

    namespace = {name: getattr(utils, name) for name in dir(utils)} | {"np": np}
    if path == PATHS[2]:
        import keras
        from keras import layers

        share = np.zeros((2, 4, 8, 8, 1))
        share[:, :, :2] = 1
        namespace |= {"test": [(None, masks) for masks in share], "scores": [utils.ClassScore("ground", 1.0, 0.75)]}
        namespace |= {"keras": keras, "layers": layers}
        exec(next(cell.source for cell in cells(path) if cell.source.startswith("def block")), namespace)
        exec(read_exercises("03")[2].solution, namespace)
        return namespace
    if path in PATHS[5:9]:
        return namespace | {"cv2": cv2, "json": json, "math": math, "Path": Path}
    if path == PATHS[-1]:
        import keras
        import tensorflow

        namespace |= {"keras": keras, "tf": tensorflow, "contextlib": contextlib, "shutil": shutil, "utils": utils}
        namespace["PORT"] = Path(tempfile.mkdtemp())
        for cell in cells(path):
            if cell.source.startswith(("split =", "def lay_out", "lay_out(")):  # the folders
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(cell.source, namespace)
        return namespace
    namespace["sys"] = sys
    solutions = iter([one.solution for one in read_exercises(path.name[:2])])
    for cell in cells(path):
        if path == PATHS[3] and ("exercise" in tags(cell) or "watch(Diary" in cell.source):
            break
        if path == PATHS[4] and "exercise" in tags(cell):  # later classes are made of it
            exec(next(solutions), namespace)
        elif path == PATHS[4] and not cell.source.startswith(("import", "from", "def", "class", *MADE_IN_05)):
            continue  # what measures takes long
        elif not tags(cell) & {"raises-exception", "rejoin"}:
            source = re.sub(r"^ROOT = .*$", f"ROOT = Path({str(ROOT)!r})", cell.source, flags=re.MULTILINE)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(source, namespace)
    return namespace


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
            said, names = said_of(asked := read_exercises(path.name[:2])[exercise], namespace, written(source))
            assert words in said and said.endswith(
                f"is the course's own {asked.name}, until you run your cell again.\n"
            ), source
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
        assert exercise.title in text or f"Exercise {exercise.number}" in text


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
            if cell.cell_type == "markdown" and (heading := re.search(r"^## (.+)", cell.source, re.MULTILINE)):
                assert heading.start() == 0, f"{heading[0]} must begin its cell"
                second = heading[1]
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
        # whose answers they are: of the learner, who may not have saved them, or of the course
        checks = [line for line in said.splitlines() if re.match(r"\d\d\.\d is not written yet\. ", line)]
        assert len(checks) == sum('= check("' in cell.source for cell in stored[:place])
        said = "".join(f"{line}\n" for line in said.splitlines() if line not in checks)
        assert re.fullmatch("\n".join([*lines, ""]), said) and not errors
        assert run(stored[place].source) == ("", []), "once all is there, nothing is done"
        for cell in stored[place + 1 :]:
            printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
            said, errors = run(cell.source)
            assert said == printed and bool(errors) == ("raises-exception" in tags(cell)), cell.source


def test_who_has_half_of_the_names_gets_all_of_them_anew():
    with kernel(PATHS[0]) as run:
        run("pairs, images, mask = 'mine', 'mine', 'mine'")
        assert run('%run -i ../tools/rejoin.py 01 "Look"')[0].startswith("Running the 25 cells before Look ...")
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
        run(cells(PATHS[0])[0].source)
        run("from exercises import solution\nfrom utils import SAMPLE, find_pairs, read_mask")
        run("pairs = find_pairs(SAMPLE / 'images', SAMPLE / 'masks')")
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
            said, errors = run('coin_share = check("01.3", coin_share)')
            assert words in said and not errors, (said, errors)
        assert "own" in run("def coin_share(mask) return 1")[0] + run('coin_share = check("01.3", coin_share)')[0]
        run("def coin_share(mask): return np.mean(mask == 255)")
        assert run('coin_share = check("01.3", coin_share)') == (
            "01.3: Right: 0.298 of the pixels of 0001 show a coin.\n",
            [],
        )
        assert run('solution("01.3")') == ("def coin_share(mask):\n    return np.mean(mask == 255)\n", [])


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
