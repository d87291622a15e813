"""Exercises of notebook 01: their stubs, hints, solutions and checks."""


# %% 1. How much is coin?
# %% Hint 1
# A coin pixel has the value 255, but counts as one. So ask of each pixel whether it is coin, and forget the value.
# %% Hint 2
# `mask == 255` is an array of True and False, and NumPy counts True as 1. The mean of such an array is a share.
# %% Solution
def coin_share(mask):
    return np.mean(mask == 255)


# %% Check
def judge(coin_share):
    share, coin = coin_share(mask), np.mean(mask == 255)
    if share is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(share):
        return f"You return an array of shape {np.shape(share)}, expected one number: the mean over all pixels."
    elif share > 1:
        return (
            f"You return {share:.2f}. A share is at most 1: coin pixels by all pixels; each counts 1, not 255 nor 100."
        )
    elif min(abs(share - coin), abs(share - round(coin, 2))) < 1e-6:
        return f"Right: {share:.3f} of the pixels show a coin."
    elif abs(share - np.mean(mask == 0)) < 1e-6:
        return f"You return {share:.3f}, the share of the ground. Coin is where the mask is 255."
    elif abs(share - coin / (1 - coin)) < 1e-6:
        return f"You return {share:.3f}, coin pixels by ground pixels. Divide by all pixels."
    else:
        return f"You return {share:.3f}, which is not the share of pixels that are 255. Compare first: mask == 255."


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


# %% Check
def judge(stranger):
    values = [len(np.unique(mask)) for mask in prepared]
    if stranger is None:
        return "Set stranger to 0, 1 or 2."
    elif stranger == 1:
        return f"Right: mask 1 holds {values[1]} values, the others {values[0]} and {values[2]}."
    elif stranger in (0, 2):
        return f"Mask {stranger} holds 2 values, as it should. Count with np.unique for each of the three."
    elif stranger == values[1]:
        return f"{stranger} is how many values the stranger holds. Set stranger to its index: 0, 1 or 2."
    else:
        return f"There is no mask {stranger}: set stranger to 0, 1 or 2."
