"""Exercises of notebook 08; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. The rate that falls
# %% Hint 1
# Old Keras divided the rate by a number that grows with the steps: 1 in step 0, and a little more in each step.
# %% Hint 2
# In step `step` that number is `1 + decay * step`.
# %% Solution
def rate(lr, decay, step):
    return lr / (1 + decay * step)


# %% 2. A target from an old mask
# %% Hint 1
# Take one of the three channels, but keep the axis; then cut in the middle, for JPEG has softened 0 and 255.
# %% Hint 2
# `mask[..., :1]` keeps the axis, `> 127` gives True and False, and `astype(np.float32)` makes 1 and 0 of them.
# %% Stub
def target(mask): ...


noisy = np.repeat(np.array([[0, 9], [130, 251]], np.uint8)[..., None], 3, axis=-1)


# %% Solution
def target(mask):
    return (mask[..., :1] > 127).astype(np.float32)


# %% 3. IoU of the whole set
# %% Hint 1
# A fraction of sums is not a mean of fractions: add up `both` and `either` over the batches first.
# %% Hint 2
# `sum(both) / sum(either)` is the score; where `sum(either)` is 0, return 0 in its place.
# %% Solution
def whole_iou(both, either):
    return sum(both) / sum(either) if sum(either) else 0
