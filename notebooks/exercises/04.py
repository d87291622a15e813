"""Exercises of notebook 04; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


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


# %% 2. How many batches are reached?
# %% Hint 1
# When the first epoch stops, some batches are trained on and others lie ready. After that the workers begin anew with
# batch 0, so no later batch is ever made.
# %% Hint 2
# After the first epoch `steps` batches are trained on, `queue` lie ready, and one more waits at the queue's door. `min`
# takes care of a folder that has fewer.
# %% Solution
def reached(batches, steps, queue):
    return min(batches, steps + queue + 1)


# %% 3. Noise that can be repeated
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
        return np.random.default_rng([self.seed, self.epoch, index]).normal(size=(2, 8, 8, 1))
