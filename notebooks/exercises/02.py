"""Exercises of notebook 02: their stubs, hints, solutions and checks."""


# %% 1. Count the batches
# %% Hint 1
# The two cases differ only where a rest remains: dropping it means rounding down, keeping it means rounding up.
# %% Hint 2
# `samples // batch_size` rounds down, and `math.ceil(samples / batch_size)` rounds up. Choose between them with
# `... if drop_last else ...`.
# %% Solution
def batches(samples, batch_size, drop_last):
    return samples // batch_size if drop_last else math.ceil(samples / batch_size)


# %% Check
def judge(batches):
    cases = {(64, 10, False): 7, (64, 10, True): 6, (60, 10, False): 6, (60, 10, True): 6, (3, 10, False): 1}
    wrong = {case: batches(*case) for case, right in cases.items() if batches(*case) != right}
    if all(batches(*case) is None for case in cases):
        return "Nothing was returned: print only shows a number, return gives it back."
    elif wrong:
        case, answer = next(iter(wrong.items()))
        return (
            f"batches{case} should be {cases[case]}, yours is {answer!r}. "
            "Only samples left over, and kept, make one more."
        )
    else:
        return "Right in all five cases."


# %% 2. A grey generator
# %% Hint 1
# Reading, resizing and stacking is done already: `super().__getitem__(index)` returns images and masks, and only the
# last axis of the images is to be averaged.
# %% Hint 2
# Take the two apart with `images, masks = super().__getitem__(index)`. Then `images.mean(axis=-1, keepdims=True)` has
# one channel; return it together with the masks.
# %% Stub
class GreyGenerator(CoinGenerator):
    def __getitem__(self, index):
        return super().__getitem__(index)


# %% Solution
class GreyGenerator(CoinGenerator):
    def __getitem__(self, index):
        images, masks = super().__getitem__(index)
        return images.mean(axis=-1, keepdims=True), masks


# %% Check
def judge(GreyGenerator):
    grey, colour = GreyGenerator(split["train"], *folders)[0], CoinGenerator(split["train"], *folders)[0]
    if not isinstance(grey, tuple):
        return f"A {type(grey).__name__} came back, expected a tuple: end the method with return images, masks."
    elif grey[0].shape == colour[0].shape:
        return "The images still have three channels."
    elif grey[0].shape != (10, 128, 128, 1):
        return f"The images have the shape {grey[0].shape}, expected (10, 128, 128, 1): axis=-1 and keepdims=True."
    elif not np.allclose(grey[0][..., 0], colour[0].mean(axis=-1)):
        return "One channel, but not the mean of the three. The images come first, then the masks."
    elif grey[0].dtype != np.float32:
        return f"The right mean, but as {grey[0].dtype}, expected float32."
    else:
        return "Right." if np.array_equal(grey[1], colour[1]) else "The masks changed: return them as they were."
