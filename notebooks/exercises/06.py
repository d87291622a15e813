"""Exercises of notebook 06; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. Weights by hand
# %% Hint 1
# Weighted, a class counts its pixels times its weight. For this to be the same for all classes, the weight must be
# some number divided by `counts`; the mean says which number.
# %% Hint 2
# All weights together must amount to `counts.sum()`, shared equally among `len(counts)` classes. So each class gets
# `counts.sum() / len(counts)`, divided by its own count.
# %% Solution
def weights_of(counts):
    return counts.sum() / (len(counts) * counts)


# %% 2. An augmentation of your own
# %% Hint 1
# Draw the two steps first, once, and keep them. Then move image and mask by the same two.
# %% Hint 2
# `way = rng.integers(-8, 9, size=2)` draws both (the upper end is left out), and `np.roll(image, way, axis=(0, 1))`
# moves the image. The mask moves in the same way.
# %% Stub
def shift(image, mask, rng):
    return image, mask


# %% Solution
def shift(image, mask, rng):
    way = rng.integers(-8, 9, size=2)
    return np.roll(image, way, axis=(0, 1)), np.roll(mask, way, axis=(0, 1))


# %% 3. A rule for the audit
# %% Hint 1
# You are given the areas of all parts. The ground is the first of them and no object, so leave it out, then count the
# small ones.
# %% Hint 2
# `cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]` are the areas without the ground. `areas < least`
# is True for the specks, and `np.sum` counts them.
# %% Solution
def specks(mask, least):
    areas = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
    return int(np.sum(areas < least))
