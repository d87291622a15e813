"""Exercises of notebook 03; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. IoU by hand
# %% Hint 1
# Between boolean arrays `&` is true where both are, and `|` where at least one is. `np.sum` counts what is true.
# %% Hint 2
# Keep `either = np.sum(truth | found)`; the answer is `np.sum(truth & found) / either`, or 1 where `either` is 0.
# %% Stub
def iou(truth, found): ...


truth, found = np.array([[1, 1, 1], [0, 0, 0]], bool), np.array([[0, 0, 1], [0, 0, 1]], bool)


# %% Solution
def iou(truth, found):
    either = np.sum(truth | found)
    return np.sum(truth & found) / either if either else 1


# %% 2. How good is nothing?
# %% Hint 1
# The baseline calls every pixel ground, so it is right exactly where the true mask is 0. Which share of all pixels
# is that?
# %% Hint 2
# `test[i][1] == 0` is True where the baseline is right in batch `i`. Make a list of it for each `i` in
# `range(len(test))`, and take `np.mean` of the list.
# %% Stub
accuracy = None
# %% Solution
accuracy = np.mean([test[i][1] == 0 for i in range(len(test))])
# %% Remark
# The baseline calls every pixel ground. So the union of "is ground" and "called ground" is the whole picture, and the
# intersection is what is ground: the same fraction. (`np.mean` over batches is right here because all test batches
# have four pictures.)
