"""Exercises of notebook 01; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. How much is coin?
# %% Hint 1
# A coin pixel has the value 255, but counts as one. So ask of each pixel whether it is coin, and forget the value.
# %% Hint 2
# `mask == 255` is an array of True and False, and NumPy counts True as 1. The mean of such an array is a share.
# %% Solution
def coin_share(mask):
    return np.mean(mask == 255)


# %% 2. Find the stranger
# %% Hint 1
# The wrong method mixes neighbours, and leaves values that no annotator wrote. How many different values does each of
# the three masks hold?
# %% Hint 2
# `len(np.unique(mask))` counts the values of one mask. Write it for each `mask` in `prepared`, as a list; `np.argmax`
# gives the index of the largest number of a list.
# %% Stub
methods = [cv2.INTER_NEAREST_EXACT, cv2.INTER_AREA, cv2.INTER_NEAREST_EXACT]
originals = [read_mask(pair.mask) for pair in pairs[:3]]
prepared = [cv2.resize(mask, (100, 100), interpolation=m) for mask, m in zip(originals, methods, strict=True)]

stranger = None
# %% Solution
stranger = int(np.argmax([len(np.unique(mask)) for mask in prepared]))
