"""`fit` as a film: what is shown is what the diaries noted."""

import json
import re
from collections import namedtuple
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from segfeed.film import film

Call = namedtuple("Call", "what thread start end")
AHEAD = [Call(0, "MainThread", 0.0, 0.1), Call("end", "MainThread", 0.1, 0.1)]


def scenes(made):
    return json.loads(re.search(r"runs = (\{.*\});", made.html)[1])


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 12))
def test_each_batch_is_shown_once_and_trained_on_after_it_was_made(durations, workers, used):
    free, made = [0.5] * workers, []
    for number, seconds in enumerate(durations):
        row = free.index(min(free))
        made.append(Call(number, f"worker_{row}", free[row], free[row] + seconds))
        free[row] += seconds
    clock, trained = 0.0, []
    for one in made[:used]:
        clock = max(clock, one.end) + 0.01
        trained.append(Call(one.what, "any", clock, clock + 0.1))
        clock += 0.1
    shown = film(["workers"], {(workers,): (AHEAD + made, trained)})
    (scene,) = scenes(shown).values()
    assert sorted(batch["number"] for batch in scene["batches"]) == list(range(len(made)))
    assert min(batch["made"][0] for batch in scene["batches"]) == 0
    assert all(0 <= batch["row"] < scene["workers"] <= workers for batch in scene["batches"])
    for row in range(scene["workers"]):  # one batch at a time
        own = [batch["made"] for batch in scene["batches"] if batch["row"] == row]
        assert all(before[1] <= after[0] for before, after in pairwise(own))
    left = [batch["number"] for batch in scene["batches"] if not batch["used"]]
    assert left == [one.what for one in made[used:]]
    assert all(batch["used"][0] >= batch["made"][1] - 1e-3 for batch in scene["batches"] if batch["used"])
    assert shown.text == f"A film of 1 runs of fit, by workers; {len(left)} batches were made and never used"


def test_every_setting_has_its_choices_and_needs_no_network():
    calls = [Call(0, "worker", 0.0, 1.0)], [Call(0, "x", 1.0, 2.0)]
    shown = film(["a<b", "steps"], {(a, b): calls for a in (1, 2) for b in ("all", 6)})
    assert "a&lt;b <select>" in shown.html and shown.html.count("<option") == 4
    assert scenes(shown).keys() == {"1 all", "1 6", "2 all", "2 6"}
    assert {*re.findall(r"https?://[^\"\s]+", shown.html)} == {"http://www.w3.org/2000/svg"}
    other = film(["a", "steps"], {(1, 1): calls})
    assert re.search(r'id="(film-\w+)"', shown.html)[1] != re.search(r'id="(film-\w+)"', other.html)[1]
