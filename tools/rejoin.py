"""Catch up with a notebook, for whoever is lost: make what the cells before a heading make.

    %run -i ../tools/rejoin.py 03 "Look"

is the first cell under the heading *Look* of notebook 03. Where every name that the cells before it define is there, it
does nothing and prints nothing. Otherwise it says how many they are, runs all of them in order, checks too, as they are
in the notebook's file, hides what they print and show, and says how long it took. A check that fails does not stop it;
its message is printed.

`%run -i` works among the learner's own names, and none of this file may stay there. So imports are in the functions.
"""


def rejoin():
    """Do what the cell `%run -i ../tools/rejoin.py NUMBER "HEADING"` asks for."""
    import sys

    from IPython import get_ipython

    number, heading = sys.argv[1:]
    before = rejoin_cells(number, heading)
    if not all(name in get_ipython().user_ns for name in rejoin_names(before)):
        rejoin_run(get_ipython(), before, heading)


def rejoin_run(shell, before, heading):
    """Run cells in IPython's `shell`, hide what they print, and print a line at the beginning and one at the end."""
    import time
    from unittest import mock

    from IPython.utils.capture import capture_output

    print(f"Running the {len(before)} cells before {heading} ...", flush=True)
    start, failed = time.monotonic(), []
    for cell in before:
        with capture_output() as said, mock.patch.object(shell, "_showtraceback"):
            result = shell.run_cell(cell.source, store_history=False, silent=True)
        tags = cell.metadata.get("tags", [])
        if '= check("' in cell.source:  # of an exercise: whose answer is it?
            print(said.stdout, end="")
        if not result.success and "check" in tags:
            failed.append(f"A check failed: {result.error_in_exec}")
        elif not result.success and "raises-exception" not in tags:
            error = result.error_in_exec or result.error_before_exec
            # Python 3.13 has an _IncompleteInputError, which is a SyntaxError
            kind = next(kind for kind in type(error).__mro__ if not kind.__name__.startswith("_"))
            print(f"Stopped by {kind.__name__}: {error}\nin the cell\n\n{cell.source}\n")
            print("Cure: did you change it? Make it as it was, save the notebook, and run this cell again.")
            return
    print(f"Rejoined after {time.monotonic() - start:.0f} s.", *failed, sep="\n")


def rejoin_cells(number, heading):
    """The code cells before a heading, without those that rejoin."""
    from pathlib import Path

    import nbformat

    (path,) = (Path(__file__).resolve().parent.parent / "notebooks").glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    place = next(place for place, cell in enumerate(cells) if cell.source.splitlines()[:1] == [f"## {heading}"])
    return [
        cell for cell in cells[:place] if cell.cell_type == "code" and "rejoin" not in cell.metadata.get("tags", [])
    ]


def rejoin_names(cells):
    """The names that cells surely define when they are run: neither under an `if`, nor where an error is meant."""
    import ast
    import dis

    from IPython.core.inputtransformer2 import TransformerManager

    sure = ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.With
    names = set()
    for cell in cells:
        if "raises-exception" in cell.metadata.get("tags", []):
            continue
        try:
            body = ast.parse(TransformerManager().transform_cell(cell.source)).body
        except SyntaxError:
            names.add("<no Python>")  # which is never there, so that the cells are run, and this one is named
            continue
        code = ast.Module([statement for statement in body if isinstance(statement, sure)], [])
        steps = dis.get_instructions(compile(code, "<cells>", "exec"))
        names |= {step.argval for step in steps if step.opname == "STORE_NAME"}
    return names


if __name__ == "__main__":
    rejoin()
    del rejoin, rejoin_run, rejoin_cells, rejoin_names, __file__
