"""Exercises of notebook 10: their stubs, hints, solutions and checks."""


# %% 1. The rate that falls
# %% Hint 1
# Old Keras divided the rate by a number that grows with the steps: 1 in step 0, and a little more in each step.
# %% Hint 2
# In step `step` that number is `1 + decay * step`.
# %% Solution
def rate(lr, decay, step):
    return lr / (1 + decay * step)


# %% Check
def judge(rate):
    cases = [(0.1, 0.5, 2), (0.1, 0.5, 0), (1e-3, 1e-2, 700)]
    right = [
        float(keras.optimizers.schedules.InverseTimeDecay(lr, 1, decay)(step))
        for lr, decay, step in cases
    ]
    mine = [rate(*case) for case in cases]
    hints = {
        0.1 * 0.5**2: "That falls by a factor in each step.",
        0.1 / 1.5**2: "The power is a product: decay × step.",
    }
    hints |= {
        0.1 / 2.5: "Step 0 has the whole rate.",
        0.1: "It does not fall.",
        0.1 * np.exp(-1): "That is an exponential.",
    }
    if None in mine:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif not np.allclose(mine, right, rtol=1e-5):
        place = int(np.argmin(np.isclose(mine, right, rtol=1e-5)))
        hint = next(
            (text for value, text in hints.items() if np.isclose(mine[0], value)),
            "Divide the rate by 1 + ….",
        )
        return f"rate{cases[place]} should be {right[place]:.4g}, yours is {mine[place]:.4g}. {hint}"
    else:
        return "Right in all three cases."


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


# %% Check
def judge(target):
    made = target(noisy.copy())
    wanted = np.array([[[0], [0]], [[1], [1]]], np.float32)
    if made is None:
        return "Return an array."
    elif np.shape(made) != wanted.shape:
        return f"The shape is {np.shape(made)}, expected (2, 2, 1): one channel, and the axis stays."
    elif not np.isin(made, (0, 1)).all():
        hint = (
            "Compare with 127: JPEG has softened the values."
            if made.max() < 255
            else "Coin is 1, not 255."
        )
        return f"It holds {np.unique(made).astype(float).round(2).tolist()}, expected 0, and 1 for coin. {hint}"
    elif np.array_equal(made, 1 - wanted):
        return "Coin and ground are exchanged: coin is 1."
    elif not np.array_equal(made, wanted):
        return f"{int(np.sum(made != wanted))} of 4 pixels are wrong. Cut in the middle of 0 and 255."
    elif made.dtype != np.float32:
        return f"The values are right, but of type {made.dtype}; metrics want float32."
    else:
        return "Right."


# %% 3. IoU of the whole set
# %% Hint 1
# A fraction of sums is not a mean of fractions: add up `both` and `either` over the batches first.
# %% Hint 2
# `sum(both) / sum(either)` is the score; where `sum(either)` is 0, return 0 in its place.
# %% Solution
def whole_iou(both, either):
    return sum(both) / sum(either) if sum(either) else 0


# %% Check
def judge(whole_iou):
    score, empty = whole_iou([60, 0], [100, 20]), None
    if score is not None:
        with contextlib.suppress(ZeroDivisionError):
            empty = whole_iou([0, 0], [0, 0])
    if score is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.isclose(score, 0.3):
        return "You return 0.30, the mean over batches: 20 pixels weigh as much as 100."
    elif np.isclose(score, 0.6):
        return "You return 0.60: a batch was left out, one of 20 pixels in either mask and none in both."
    elif not np.isclose(score, 0.5):
        return f"You return {score:.3g}, expected 0.5: sum first, divide once."
    else:
        return (
            "Right."
            if empty == 0
            else "The score is right; now return 0 where both sums are 0."
        )
