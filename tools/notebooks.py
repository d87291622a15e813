"""Execute the notebooks in order, each in a fresh kernel.

python tools/notebooks.py run    executed copies and HTML pages in build/, the notebooks untouched
python tools/notebooks.py save   what they print is stored in them, and their line of links renewed
                                 (`save 02 03` takes only those whose names begin so); after all of
                                 them, their seconds and peak memory go into docs/instructor.md
python tools/notebooks.py weave  notebooks/exercises/NN.py and the cells that rejoin are put into them; executes nothing
                                 (`save` does it too)
"""

import os
import platform
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "notebooks"))
from exercises import Exercise, read_exercises  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
QUIZZES = sorted((ROOT / "notebooks").glob("q[0-9]_*.ipynb"))
BUILD = ROOT / "build"
GUIDE = ROOT / "docs" / "instructor.md"
LINKS = "<!-- links -->"
GUESS = 'print("Guess first.")'  # JupyterLab shows the first line of a folded output
REJOIN = "# Skipped cells, or a new kernel? Run this cell: it makes all that stands above it."
# What TensorFlow's C++ side says of itself before any log level is read; nothing else may be on stderr.
TENSORFLOW_STARTS = re.compile(r"^(WARNING: All log messages before absl|I\d{4} ).*\n?", re.MULTILINE)


def title(notebook: nbformat.NotebookNode) -> str:
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def links(path: Path) -> str:
    """The line previous · contents · next of a notebook, as Markdown."""
    place = NOTEBOOKS.index(path)
    parts = ["[Contents](../README.md#the-notebooks)"]
    if place > 0:
        parts.insert(0, f"[← {title(nbformat.read(NOTEBOOKS[place - 1], 4))}]({NOTEBOOKS[place - 1].name})")
    if place + 1 < len(NOTEBOOKS):
        parts.append(f"[{title(nbformat.read(NOTEBOOKS[place + 1], 4))} →]({NOTEBOOKS[place + 1].name})")
    return f"{' · '.join(parts)} {LINKS}"


class PeakMemory(threading.Thread):
    """The largest resident memory, in bytes, of a process and its children, looked at 20 times a second."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.process, self.peak, self.done = psutil.Process(pid), 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            with suppress(psutil.Error):
                tree = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(process.memory_info().rss for process in tree))


def execute(path: Path) -> tuple[nbformat.NotebookNode, float, int]:
    """Run one notebook in its own folder: the executed copy, its seconds, and its peak memory in bytes.

    Both numbers stand in a progress line as well.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": path.parent}},
        extra_arguments=["--log-level=ERROR"],
    )
    print(f"{path.name:32s}", end="", flush=True)
    start = time.monotonic()
    with client.setup_kernel(stderr=subprocess.DEVNULL):  # what is said there is in the notebook too
        assert client.km is not None and client.km.provisioner is not None
        memory = PeakMemory(client.km.provisioner.pid)  # type: ignore[attr-defined]
        memory.start()
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        finally:
            memory.done.set()
    seconds = time.monotonic() - start
    print(f"{seconds:6.0f} s {memory.peak / 1e9:6.2f} GB", flush=True)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                output.text = TENSORFLOW_STARTS.sub("", output.text)
            if output.output_type == "error":  # a traceback shows the folders of this computer
                output.traceback = [f"{output.ename}: {output.evalue}"]
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook, seconds, memory.peak


def with_measured(guide: str, measured: dict[str, tuple[float, int]]) -> str:
    """The guide with a new table between its two marks, from the seconds and bytes of each notebook."""
    machine = f"Measured by `make save` on {platform.system()} with {os.cpu_count()} processor cores."
    rows = [f"| {name[:2]} | {seconds:.0f} s | {peak / 1e9:.1f} GB |" for name, (seconds, peak) in measured.items()]
    table = "\n".join([machine, "", "| notebook | run | peak memory |", "|---|---|---|", *rows])
    before, mark, rest = guide.partition("<!-- measured -->\n")
    _, end, after = rest.partition("\n<!-- /measured -->")
    if not (mark and end):
        raise ValueError(f"{GUIDE.name} needs the lines <!-- measured --> and <!-- /measured -->")
    return before + mark + table + end + after


def folded(exercise: Exercise) -> str:
    """The hints, each to be opened by a click, and the way to the solution."""
    way = f'Run `from exercises import solution; solution("{exercise.number}")` in a cell of its own.'
    parts = {"Hint 1": exercise.hints[0], "Hint 2": exercise.hints[1], "Solution": way}
    return "\n\n".join(f"<details><summary>{name}</summary>\n\n{text}\n</details>" for name, text in parts.items())


def tagged(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def weave(path: Path) -> nbformat.NotebookNode:
    """A notebook whose stubs, hints, solutions, cells that rejoin, numbers and ids are made anew.

    Nothing is executed, and what the cells have printed stays.
    """
    notebook = nbformat.read(path, as_version=4)
    made = "<details><summary>Hint 1<"
    cells = [cell for cell in notebook.cells if not (tagged(cell, "rejoin") or cell.source.startswith(made))]
    stubs = [place for place, cell in enumerate(cells) if tagged(cell, "exercise")]
    # from the back, so that the places before stay right
    for begin, end, exercise in reversed(
        list(zip(stubs, [*stubs[1:], len(cells)], read_exercises(path.name[:2]), strict=True))
    ):
        cells[begin].source = exercise.stub
        check = next(place for place in range(begin, end) if tagged(cells[place], "check"))
        cells[check].source = f'{exercise.name} = check("{exercise.number}", {exercise.name})'
        cells.insert(check + 1, nbformat.v4.new_markdown_cell(folded(exercise)))
    headings = [place for place, cell in enumerate(cells) if cell.source.startswith("## ")]
    for begin, end in reversed(list(zip(headings, [*headings, len(cells)][1:], strict=True))):
        heading = cells[begin].source.splitlines()[0].removeprefix("## ")
        if heading != "Setup" and any(cell.cell_type == "code" for cell in cells[begin:end]):
            source = f'{REJOIN}\n%run -i ../tools/rejoin.py {path.name[:2]} "{heading}"'
            metadata = {"tags": ["rejoin"], "jupyter": {"source_hidden": True}}
            cell = nbformat.v4.new_code_cell(source, metadata=metadata, execution_count=0)
            cells.insert(begin + 1, cell)
    for cell in cells:
        if tagged(cell, "hide-output"):  # a question to predict comes before it
            cell.metadata["jupyter"] = {"outputs_hidden": True}
            cell.source = f"{GUESS}\n{cell.source.removeprefix(GUESS).lstrip()}"
    notebook.cells = cells
    executed = (cell for cell in cells if cell.get("execution_count") is not None)
    for number, cell in enumerate(executed, start=1):
        cell.execution_count = number
    number_ids(path, notebook)
    return notebook


def number_ids(path: Path, notebook: nbformat.NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{path.name[:2]}-{number:02d}"


def run() -> None:
    BUILD.mkdir(exist_ok=True)
    exporter = HTMLExporter(template_name="lab")
    for path in [*NOTEBOOKS, *QUIZZES]:
        notebook, _, _ = execute(path)
        nbformat.write(notebook, BUILD / path.name)
        page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title(notebook)}})
        (BUILD / path.with_suffix(".html").name).write_text(page, encoding="utf-8")


def save(names: tuple[str, ...]) -> None:
    measured = {}
    for path in [*NOTEBOOKS, *QUIZZES, *sorted((ROOT / "tests").glob("*.ipynb"))]:
        if path.name.startswith(names):
            if path in NOTEBOOKS or path in QUIZZES:
                nbformat.write(weave(path), path)
            notebook, seconds, peak = execute(path)
            if path in NOTEBOOKS:
                measured[path.name] = seconds, peak
                first = notebook.cells[0]
                first.source = re.sub(f"^.*{LINKS}$", links(path), first.source, flags=re.MULTILINE)
            number_ids(path, notebook)
            nbformat.write(notebook, path)
    if len(measured) == len(NOTEBOOKS):  # one table, one machine
        GUIDE.write_text(with_measured(GUIDE.read_text(encoding="utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["run"]:
            run()
        elif sys.argv[1:] == ["weave"]:
            for path in [*NOTEBOOKS, *QUIZZES]:
                nbformat.write(weave(path), path)
        elif sys.argv[1:2] == ["save"]:
            save(tuple(sys.argv[2:]) or ("",))
        else:
            sys.exit(__doc__)
    except CellExecutionError as error:
        sys.exit(f"\nA cell failed:\n{error}")
