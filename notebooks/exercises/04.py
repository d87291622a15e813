"""Exercises of notebook 04: their stubs, hints, solutions and checks."""


# %% 1. Which calls, in which order?
# %% Hint 1
# There are two parts: a look ahead that comes once, and an epoch that comes `epochs` times. Keras looks at two batches
# at most, and says `"end"` after that look too.
# %% Hint 2
# The look ahead is `list(range(min(2, batches)))` and one `"end"`. An epoch is `["begin", *range(batches), "end"]`, and
# a list times `epochs` is repeated.
# %% Solution
def calls(batches, epochs):
    look_ahead = list(range(min(2, batches)))
    return [*look_ahead, "end", *epochs * ["begin", *range(batches), "end"]]


# %% Check
def judge(calls):
    cases = [(3, 1), (5, 2), (1, 3)]
    diaries = {
        case: whats(watch(Diary(case[0]), epochs=case[1]).calls) for case in cases
    }
    mine = {case: list(calls(*case) or []) for case in cases}
    case = next((case for case in cases if mine[case] != diaries[case]), cases[0])
    yours, diary = mine[case], diaries[case]
    strange = [what for what in yours if what not in [1, *diary]]
    missed = [
        what
        for what in ["end", "begin", 0, 1, *diary]
        if yours.count(what) != diary.count(what)
    ]
    hints = {
        "end": "There are epochs + 1, one of them before the first epoch.",
        "begin": "There is one in each epoch.",
    }
    hints |= dict.fromkeys(
        (0, 1), "Keras looks at batches 0 and 1 beforehand, as far as there are such."
    )
    if not mine[3, 1]:
        return "Nothing was returned: print only shows a list, return gives it back."
    elif yours == diary:
        return "Right: your list and the diary agree in all three cases."
    elif strange:
        return f"calls{case} holds {strange[0]!r}. The diary holds single numbers, 'begin' and 'end'."
    elif missed:
        times = f"number of times in your list: {yours.count(missed[0])}, in the diary: {diary.count(missed[0])}"
        return f"calls{case} holds {missed[0]!r}; {times}. {hints.get(missed[0], 'An epoch has every batch once.')}"
    else:
        return f"calls{case} has the right calls, but not in the order of the diary: {diary}."


# %% 2. How many batches are reached?
# %% Hint 1
# When the first epoch stops, some batches are trained on and others lie ready. After that the workers begin anew with
# batch 0, so no later batch is ever made.
# %% Hint 2
# After the first epoch `steps` batches are trained on, `queue` lie ready, and one more waits at the queue's door. `min`
# takes care of a Sequence that has fewer.
# %% Solution
def reached(batches, steps, queue):
    return min(batches, steps + queue + 1)


# %% Check
def judge(reached):
    cases = {(40, 10, 10): 21, (40, 10, 4): 15, (40, 20, 1): 22, (20, 10, 10): 20}
    wrong = {
        case: reached(*case) for case, right in cases.items() if reached(*case) != right
    }
    if all(reached(*case) is None for case in cases):
        return "Nothing was returned: print only shows a number, return gives it back."
    elif wrong:
        case, answer = next(iter(wrong.items()))
        hint = (
            "There are no more batches."
            if answer > case[0]
            else "Count what lies ready: the queue, and one at its door."
        )
        return f"reached{case} should be {cases[case]}, yours is {answer}. {hint}"
    else:
        return "Right in all four cases."


# %% 3. A window that moves
# %% Hint 1
# `on_epoch_end` moves `self.first` on by `self.batches`, but only if an epoch has begun. The end of the look ahead, and
# the first of the two ends in a validation, must not move it.
# %% Hint 2
# `if self.begun:` set `self.first` to `(self.first + self.batches) % 40`. Then, in any case, set `self.begun` to False.
# %% Stub
class Window(Diary):
    begun = False

    def on_epoch_begin(self):
        super().on_epoch_begin()
        self.begun = True

    def on_epoch_end(self):
        super().on_epoch_end()
        ...


# %% Solution
class Window(Diary):
    begun = False

    def on_epoch_begin(self):
        super().on_epoch_begin()
        self.begun = True

    def on_epoch_end(self):
        super().on_epoch_end()
        if self.begun:
            self.first = (self.first + self.batches) % 40
        self.begun = False


# %% Check
def judge(Window):
    window = watch(Window(10, workers=4), epochs=6)
    given, right = whats(seen), [*range(40), *range(20)]
    watch(Diary(1), validation_data=Window(10), epochs=6)
    validated = np.reshape(whats(seen), (6, 11))[:, 1:].ravel().tolist()
    if whats(window.calls).count("end") != 7 or whats(window.calls).count("begin") != 6:
        return "The diary lacks calls: on_epoch_begin and on_epoch_end both begin with that of super()."
    elif given == 6 * list(range(10)):
        return "Each epoch brings batches 0 to 9 again: self.first does not move."
    elif given[:10] == list(range(10, 20)):
        return "The first epoch begins at batch 10, because the end of the look ahead moved the window. Ask self.begun."
    elif max(given) >= 40:
        return f"Batch {max(given)} was asked for. There are 40, from 0 to 39: the remainder, % 40, begins again at 0."
    elif given != right:
        wrong = next(
            epoch
            for epoch in range(6)
            if given[10 * epoch :][:10] != right[10 * epoch :][:10]
        )
        return f"Epoch {wrong + 1} begins at batch {given[10 * wrong]}. It should begin at {right[10 * wrong]}."
    elif validated != right:
        return "As validation data it moves twice in an epoch: set self.begun to False when an epoch has ended."
    else:
        return "Right: each epoch brings the next ten, in training and in validation."


# %% 4. Noise that can be repeated
# %% Hint 1
# Make a random generator in each call, and let its key say which batch of which epoch and seed this is. Nothing may be
# remembered from the call before.
# %% Hint 2
# `np.random.default_rng` takes a list as its key: `[self.seed, self.epoch, index]`. Then `.normal(size=...)` draws an
# array of the shape that is asked for.
# %% Stub
class Noise(keras.utils.Sequence):
    seed, epoch = 7, 0

    def __len__(self):
        return 4

    def __getitem__(self, index): ...


# %% Solution
class Noise(keras.utils.Sequence):
    seed, epoch = 7, 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return np.random.default_rng([self.seed, self.epoch, index]).normal(
            size=(2, 8, 8, 1)
        )


# %% Check
def judge(Noise):
    noise, shared = Noise(), np.random.get_state
    before, first, again, others = (
        str(shared()),
        noise[0],
        noise[0],
        {"index": noise[1]},
    )
    noise.epoch = 1
    others["epoch"] = noise[0]
    noise.seed, noise.epoch = 8, 0
    others["seed"] = noise[0]
    if first is None:
        return "Return an array."
    elif np.shape(first) != (2, 8, 8, 1):
        return f"The shape is {np.shape(first)}, expected (2, 8, 8, 1)."
    elif np.ptp(first) == 0:
        return "All values of a batch are equal, and noise differs from pixel to pixel: draw an array, with size=...."
    elif not np.array_equal(first, again) or str(shared()) != before:
        return "Batch 0 is not the same twice, or comes from the state that all share. Make a generator in each call."
    elif lacking := [
        name for name, other in others.items() if np.array_equal(first, other)
    ]:
        return f"The key lacks the {lacking[0]}, or multiplies it by 0: batches that should differ are equal."
    elif len({other.tobytes() for other in others.values()}) < 3:
        return "Batches with different numbers are equal. Give the key as a list; do not add the three up."
    else:
        return "Right."
