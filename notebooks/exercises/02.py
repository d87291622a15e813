"""Exercises of notebook 02; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. Count the batches
# %% Hint 1
# The two cases differ only where a rest remains: dropping it means rounding down, keeping it means rounding up.
# %% Hint 2
# `samples // batch_size` rounds down, and `math.ceil(samples / batch_size)` rounds up. Choose between them with
# `... if drop_last else ...`.
# %% Solution
def batches(samples, batch_size, drop_last):
    return samples // batch_size if drop_last else math.ceil(samples / batch_size)


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
