"""Catch up with a notebook, for whoever is lost: make what the cells before a heading make.

    %run -i ../tools/rejoin.py 03 "Look"

is the first cell under the heading *Look* of notebook 03. Where every name that the cells before it define is there, it
does nothing and prints nothing. Otherwise it says how many they are, runs all of them in order, checks too, as they are
in the notebook's file, hides what they print and show, and says how long it took. A check that fails does not stop it;
its message is printed.

Under *Your turn* it does more: from then on, a check of an exercise that an error stops says it in words, and one that
follows an answer with an error says that it judges the answer before.

`%run -i` works among the learner's own names, and none of this file may stay there. So imports are in the functions.
"""


def rejoin():
    """Do what the cell `%run -i ../tools/rejoin.py NUMBER "HEADING"` asks for."""
    import sys

    from IPython import get_ipython

    number, heading = sys.argv[1:]
    before, after = rejoin_cells(number, heading)
    if not all(name in get_ipython().user_ns for name in rejoin_names(before)):
        rejoin_run(get_ipython(), before, heading)
    if heading == "Your turn":
        checks = [cell.source for cell in after if "check" in cell.metadata.get("tags", [])]
        rejoin_answer_in_words(get_ipython(), checks)


def rejoin_run(shell, before, heading):
    """Run cells in IPython's `shell`, hide what they print, and print a line at the beginning and one at the end."""
    import time
    from unittest import mock

    from IPython.utils.capture import capture_output

    print(f"Running the {len(before)} cells before {heading} ...", flush=True)
    start, failed = time.monotonic(), []
    for cell in before:
        with capture_output(), mock.patch.object(shell, "_showtraceback"):
            result = shell.run_cell(cell.source, store_history=False, silent=True)
        tags = cell.metadata.get("tags", [])
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
    """The code cells before and after a heading, without those that rejoin."""
    from pathlib import Path

    import nbformat

    (path,) = (Path(__file__).resolve().parent.parent / "notebooks").glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    place = next(place for place, cell in enumerate(cells) if cell.source.splitlines()[:1] == [f"## {heading}"])
    return [
        [cell for cell in part if cell.cell_type == "code" and "rejoin" not in cell.metadata.get("tags", [])]
        for part in (cells[:place], cells[place:])
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


def rejoin_answer_in_words(shell, checks):
    """Let an error in one of these cells be said in words; every other cell keeps its traceback.

    After a cell that an error has stopped, one of these says first that it judges the answer before.
    """
    import linecache
    import traceback
    from pathlib import Path

    def answer(shell, kind, error, trace, tb_offset=None):
        frames = traceback.extract_tb(trace)
        cells = [frame.filename for frame in frames if "".join(linecache.getlines(frame.filename)).strip() in checks]
        if not cells:
            return shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        last = [frame for frame in frames if Path(frame.filename).parent == Path(cells[0]).parent][-1]
        if last.filename == cells[0]:
            print(f"The check cannot use your answer ({kind.__name__}: {error}). Print it: is it what was asked for?")
        else:
            print(f"Your answer stopped in line {last.lineno}, `{last.line}`, with {kind.__name__}: {error}")

    def rejoin_before(info):
        if stopped and info.raw_cell.strip() in checks:
            print(f"The last cell stopped with {stopped[0]}, so this is about what you had before it:")

    def rejoin_after(result):
        if result.info.raw_cell.strip() not in checks:
            error = result.error_before_exec or result.error_in_exec
            stopped[:] = [type(error).__name__.lstrip("_")] if error else []

    stopped = []
    for event, said in (("pre_run_cell", rejoin_before), ("post_run_cell", rejoin_after)):
        for earlier in [one for one in shell.events.callbacks[event] if one.__name__ == said.__name__]:
            shell.events.unregister(event, earlier)  # of a cell that rejoined before
        shell.events.register(event, said)
    shell.set_custom_exc((Exception,), answer)


if __name__ == "__main__":
    rejoin()
    del rejoin, rejoin_run, rejoin_cells, rejoin_names, rejoin_answer_in_words, __file__
