"""The exercises of the notebooks: `check("02.3", answer)` says in words what is right or wrong with an answer.

NN.py holds those of notebook NN, and nobody reads it to solve them. Its parts begin with `# %%`: the title of an
exercise, then `Stub` (else the first line of the solution, a function, with `...` for its body), `Hint 1`, `Hint 2`,
`Solution`, perhaps `Remark`, and `Check`: a function `judge` that takes the answer and returns words, which begin
with "Right" for a right one. It sees the names of the notebook, as the stub and the solution do, and `hint_for`. An exercise whose
answer another notebook takes over has `Names` too: the imports that the answer needs there.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
import traceback
import types
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

PARTS = {"Stub", "Hint 1", "Hint 2", "Names", "Solution", "Remark", "Check"}
# of the learner, for other notebooks
ANSWERS = Path(__file__).resolve().parents[2] / "build" / "answers"


class Exercise(NamedTuple):
    number: str  # "02.3", as the notebook's cells name it
    title: str
    hints: list[str]
    stub: str  # what the learner begins with
    names: str  # imports for another notebook that takes the answer over; empty if none does
    solution: str
    remark: str  # what is said about the solution
    check: str

    @property
    def name(self) -> str:
        """That of the answer: what the solution defines last."""
        last = ast.parse(self.solution).body[-1]
        return last.targets[0].id if isinstance(last, ast.Assign) else last.name  # type: ignore[attr-defined]


def read_exercises(notebook: str) -> list[Exercise]:
    """Those of a notebook, such as "02", in order; none if it has none."""
    path = Path(__file__).with_name(f"{notebook}.py")
    if not path.exists():
        return []
    found: list[tuple[str, dict[str, str]]] = []
    _, *pieces = re.split(
        r"^# %% (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
        if name not in PARTS:
            found.append((name, {}))
        elif name in ("Stub", "Names", "Solution", "Check"):
            found[-1][1][name] = piece.strip()
        else:
            found[-1][1][name] = " ".join(
                line.removeprefix("# ") for line in piece.strip().splitlines()
            )
    return [
        Exercise(
            f"{notebook}.{place}",
            title,
            [parts["Hint 1"], parts["Hint 2"]],
            parts.get("Stub", f"{parts['Solution'].splitlines()[0]} ..."),
            parts.get("Names", ""),
            parts["Solution"],
            parts.get("Remark", ""),
            parts["Check"],
        )
        for place, (title, parts) in enumerate(found, start=1)
    ]


OURS: dict[str, Any] = {}  # the course's own answers that were handed out


def check(number: str, answer: Any) -> Any:
    """Print what is right or wrong with the answer to an exercise; return it if it is right, else the course's own.

    So the cells that follow can go on in any case.
    """
    exercise = _exercise(number)
    names = dict(sys._getframe(1).f_globals)  # of the notebook
    stub = dict(names)
    exec(exercise.stub, stub)
    written = _likeness(answer) != _likeness(stub[exercise.name])
    if number[0] == "q":  # a question of a quiz: no other cell needs its answer
        words = _judge(exercise, answer, names) if written else "not answered yet."
        print(f"{number}: {words}")
        return answer
    ours = f"the course's own {exercise.name}"
    # after a cell that an error stopped, or a wrong answer
    if answer is OURS.get(number, check):
        print(f"{number} is still {ours}. Run the cell with yours first.")
        return answer
    if not written:
        print(f"{number} is not written yet. The notebook goes on with {ours}.")
    else:
        words = _judge(exercise, answer, names)
        if words.startswith("Right"):
            print(f"{number}: {words}")
            if exercise.names:
                _store(exercise, answer)
            return answer
        print(
            f"{number}: {words} From here on {exercise.name} is {ours}, until you run your cell again."
        )
    exec(exercise.solution, names)
    OURS[number] = names[exercise.name]
    return OURS[number]


def _store(exercise: Exercise, answer: Any) -> None:
    """Keep an answer for another notebook, with the imports, functions and classes of its cell."""
    cell = "".join(linecache.getlines(_codes(answer)[0].co_filename))
    kinds = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    try:
        nodes = [node for node in ast.parse(cell).body if isinstance(node, kinds)]
    except SyntaxError:  # a line of IPython's
        nodes = []
    if exercise.name not in [getattr(node, "name", "") for node in nodes]:
        print(
            f"It cannot be kept for other notebooks: write {exercise.name} in a cell without %%."
        )
        return
    kept = [ast.get_source_segment(cell, node) or "" for node in nodes]
    ANSWERS.mkdir(parents=True, exist_ok=True)
    path = ANSWERS / f"{exercise.number}.py"
    path.write_text("\n\n\n".join(kept), encoding="utf-8")


def answered(number: str) -> Any:
    """The learner's own answer to an exercise of another notebook if it was right, else the course's; says which."""
    exercise, path = _exercise(number), ANSWERS / f"{number}.py"
    # so that a class can be pickled
    sys.modules["answers"] = types.ModuleType("answers")
    names = vars(sys.modules["answers"])
    exec(exercise.names, names)
    if not path.exists():
        print(
            f"This is the course's own {exercise.name}: no checked one of yours was found."
        )
    else:
        try:
            exec(compile(path.read_text(encoding="utf-8"), path, "exec"), names)
            words = _judge(exercise, own := names[exercise.name], dict(names))
        except Exception as error:  # it may need a class of another cell
            words = f"{type(error).__name__}: {error}."
        if words.startswith("Right"):
            print(f"This is your own {exercise.name} of notebook {number[:2]}.")
            return own
        print(
            f"Your {exercise.name} does not work alone. {words} This is the course's own."
        )
    exec(exercise.solution, names)
    return names[exercise.name]


def solution(number: str) -> None:
    """Print an answer to an exercise."""
    exercise = _exercise(number)
    print(
        exercise.solution,
        *[f"\n{exercise.remark}"] if exercise.remark else [],
        sep="\n",
    )


def _exercise(number: str) -> Exercise:
    return next(
        one for one in read_exercises(number.partition(".")[0]) if one.number == number
    )


def hint_for(
    value: float, hints: dict[float, str], otherwise: str, **tolerance: float
) -> str:
    """The hint for a wrong number that is near `value`, as `np.isclose` says; the first of several."""
    near = (
        hint for wrong, hint in hints.items() if np.isclose(value, wrong, **tolerance)
    )
    return next(near, otherwise)


def _judge(exercise: Exercise, answer: Any, names: dict[str, Any]) -> str:
    names["hint_for"] = hint_for
    try:
        exec(exercise.check, names)
        return names["judge"](answer)
    except Exception as error:  # the learner's code may raise anything
        written = {code.co_filename for code in _codes(answer)}
        lines = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename in written
        ]
        if not lines:
            return f"The check cannot use your answer ({type(error).__name__}: {error}). Is it what was asked for?"
        where = (
            f"line {lines[-1].lineno}, `{lines[-1].line}`,"
            if lines[-1].line
            else f"line {lines[-1].lineno}"
        )
        return f"Your answer stopped in {where} with {type(error).__name__}: {error}."


def _codes(answer: Any) -> list[CodeType]:
    """Those of a function, or of the methods of a class."""
    functions = vars(answer).values() if isinstance(answer, type) else [answer]
    return [
        function.__code__
        for function in functions
        if isinstance(function, FunctionType)
    ]


def _likeness(answer: Any) -> Any:
    """Equal for equal values, and for functions and classes that do the same, wherever they are written."""
    if isinstance(answer, CodeType):
        return answer.co_code, answer.co_names, *map(_likeness, answer.co_consts)
    return [_likeness(code) for code in _codes(answer)] or repr(answer)
