"""`fit` as a film: batches move from the Sequence through workers and queue to the model, as they really did."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Call(Protocol):
    """What a diary notes: a batch that was made, or trained on."""

    @property
    def what(self) -> Any: ...  # the number of the batch; a text is another call, and is left out
    @property
    def thread(self) -> str: ...
    @property
    def start(self) -> float: ...  # seconds
    @property
    def end(self) -> float: ...


class Film(NamedTuple):
    """A player in one piece of HTML, without a network, and a line that says what it shows."""

    html: str
    text: str

    def _ipython_display_(self) -> None:
        from IPython.display import display

        print(self.text)
        display({"text/html": self.html, "text/plain": self.text}, raw=True)


def film(settings: Sequence[str], runs: Mapping[tuple, tuple[Sequence[Call], Sequence[Call]]]) -> Film:
    """Make a film of some runs of `fit`, between which the reader chooses.

    settings: the names of what differs, such as "workers"; runs: for each combination of their values the calls of
    `__getitem__` and the training steps. Calls by the main thread are Keras' look ahead, and are left out. All
    combinations must be there, or one would choose a run that is not.
    """
    values = [list(dict.fromkeys(key[place] for key in runs)) for place in range(len(settings))]
    selects = "\n".join(
        f"<label>{escape(name)} <select>"
        + "".join(f'<option value="{escape(str(value))}">{escape(str(value))}</option>' for value in choices)
        + "</select></label>"
        for name, choices in zip(settings, values, strict=True)
    )
    scenes = {" ".join(map(str, key)): scene(*run) for key, run in runs.items()}
    page = Path(__file__).with_name("film.html").read_text(encoding="utf-8")
    page = page.replace("SELECTS", selects).replace("RUNS", json.dumps(scenes))
    lost = sum(batch["used"] is None for scene in scenes.values() for batch in scene["batches"])
    text = f"A film of {len(runs)} runs of fit, by {', '.join(settings)}; {lost} batches were made and never used"
    return Film(page.replace("ID", f"film-{uuid.uuid4().hex[:8]}"), text)


def scene(made: Sequence[Call], trained: Sequence[Call]) -> dict[str, Any]:
    """The batches of a run, as they were begun: who made each, and when it was made and trained on, in seconds.

    "workers" is the number of batches that were in the making at once; a batch has "number", "row" (0 to workers - 1),
    and "made" and "used" (begin, end), of which "used" is None for a batch that was never trained on.
    """
    made = sorted(
        (one for one in made if one.thread != "MainThread" and isinstance(one.what, int)), key=lambda one: one.start
    )
    zero, free = made[0].start, list[float]()  # when each row is free again; Keras starts new threads in each epoch
    steps = sorted(trained, key=lambda one: one.start)
    batches = []
    for one in made:
        row = next((row for row, end in enumerate(free) if end <= one.start), len(free))
        free[row : row + 1] = [one.end]
        step = next((step for step in steps if step.what == one.what and step.start >= one.end), None)
        if step:
            steps.remove(step)
        batches.append({
            "number": one.what,
            "row": row,
            "made": [round(one.start - zero, 4), round(one.end - zero, 4)],
            "used": [round(step.start - zero, 4), round(step.end - zero, 4)] if step else None,
        })  # fmt: skip
    return {"workers": len(free), "batches": batches}
