"""Exercises of notebook 03: their stubs, hints, solutions and checks."""


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


# %% Check
def judge(iou):
    empty, score = np.zeros((2, 2), bool), iou(truth, found)
    if score is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif abs(score - 2 / 5) < 1e-9:
        return "You return 0.40, which is Dice: 2 × both / (sum of the two). IoU divides by the union."
    elif abs(score - 1 / 2) < 1e-9:
        return (
            "You return 0.50: the share of right pixels, or of found pixels that are right. IoU divides by the union."
        )
    elif abs(score - 1 / 4) > 1e-4:  # room for a small number against division by zero
        return f"You return {score:.2f}, expected 0.25. Both: truth & found. Either: truth | found."
    else:
        both_empty = abs(iou(empty, empty) - 1) < 1e-4
        return "Right." if both_empty else "The score is right; now return 1 for two empty masks, not 0 or nan."


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


# %% Check
def judge(accuracy):
    ground = scores[0].baseline
    if accuracy is None:
        return "Set accuracy to a number."
    elif np.ndim(accuracy):
        return f"You have an array of shape {np.shape(accuracy)}, expected one number: take the mean of them."
    elif accuracy > 1:
        return f"You have {accuracy:g}. A share is at most 1: right pixels by all pixels, and no percent."
    elif abs(accuracy - (1 - ground)) < 1e-3:
        return f"You have {accuracy:.3f}, the share of coin. The baseline is right where there is none."
    elif abs(accuracy - ground) > 1e-3:
        return f"You have {accuracy:.3f}. Average (mask == 0) over all pixels of all batches of test."
    else:
        return f"Right: {accuracy:.3f}. For the baseline accuracy equals the IoU of ground; can you say why?"
