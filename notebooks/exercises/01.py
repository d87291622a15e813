"""Exercises of notebook 01: their stubs, hints, solutions and checks."""


# %% Pair by stem
# %% Stub
def pair_by_stem(images, masks):
    mask_by_stem = {}  # the mask of each stem
    pairs, without = [], []
    for image in images:
        ...  # append (image, mask) to pairs, or the image's stem to without
    return pairs, without


# %% Hint 1
# A dictionary finds the mask of a stem at once: its keys are stems, its values are files. Ask with `in` whether a stem
# is among the keys.
# %% Hint 2
# `{mask.stem: mask for mask in masks}` is that dictionary. In the loop: `if image.stem in mask_by_stem:` append
# `(image, mask_by_stem[image.stem])` to pairs, `else:` append the stem to without.
# %% Solution
def pair_by_stem(images, masks):
    mask_by_stem = {mask.stem: mask for mask in masks}
    pairs, without = [], []
    for image in images:
        if image.stem in mask_by_stem:
            pairs.append((image, mask_by_stem[image.stem]))
        else:
            without.append(image.stem)
    return pairs, without


# %% Check
def judge(pair_by_stem):
    made = pair_by_stem(images, lost[::-1])
    if not isinstance(made, tuple) or len(made) != 2:
        return "Return two lists: pairs, without."
    pairs, without = made
    of = {mask.stem: mask for mask in lost}
    wrong = [
        (one.name, two.name)
        for one, two in pairs
        if one not in images or two != of.get(one.stem)
    ]
    if wrong:
        return f"{len(wrong)} pairs are wrong, such as {wrong[0]}. (We gave the masks in another order.)"
    if len(pairs) != len(lost):
        return f"There are {len(lost)} masks and as many pairs to find; yours are {len(pairs)}."
    if [*without] != ["0002"]:
        return f"One image has no mask, and its stem should be in without. There is {without!r}."
    return "Right: 95 right pairs, and the image without a mask is named."


# %% Bytes to floats
# %% Hint 1
# Two steps, in this order: change the type of the array, then divide.
# %% Hint 2
# `image.astype(np.float32)` is a copy of the array with another type. Divide it by 255.
# %% Solution
def to_floats(image):
    return image.astype(np.float32) / 255


# %% Check
def judge(to_floats):
    image = np.array([[[10, 51, 204]]], np.uint8)
    made = to_floats(image)
    if made is None:
        return "Nothing was returned: print only shows an array, return gives it back."
    elif np.shape(made) != image.shape:
        return f"The shape is {np.shape(made)} afterwards, and was {image.shape}."
    elif made.dtype == np.float64:
        return (
            "The values are float64. Convert to float32 first, and divide afterwards."
        )
    elif made.dtype != np.float32:
        return f"The values are {made.dtype}, and should be float32."
    elif not np.allclose(made, [[[10 / 255, 0.2, 0.8]]]):
        return f"10, 51 and 204 became {made.ravel().round(3).tolist()}: divide by 255, whatever the picture holds."
    return "Right: float32, from 0 to 1."


# %% How much is coin?
# %% Hint 1
# A coin pixel has the value 255, but counts as one. So ask of each pixel whether it is coin, and forget the value.
# %% Hint 2
# `mask == 255` is an array of True and False, and NumPy counts True as 1. The mean of such an array is a share.
# %% Solution
def coin_share(mask):
    return np.mean(mask == 255)


# %% Check
def judge(coin_share):
    drawn = np.repeat([0, 0, 0, 255], 25).astype(np.uint8).reshape(10, 10, 1)
    share, coin = coin_share(drawn), 0.25
    if share is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(share):
        return f"You return an array of shape {np.shape(share)}, expected one number: the mean over all pixels."
    elif share > 1:
        return f"You return {share:.2f}. A share is at most 1: coin pixels by all pixels; each counts 1, not 255 nor 100."
    elif abs(share - (1 - coin)) < 1e-6:
        return f"Of a mask with a quarter of coin you return {share:.2f}, the share of the ground. Coin is where it is 255."
    elif abs(share - coin / (1 - coin)) < 1e-6:
        return f"Of a mask with a quarter of coin you return {share:.2f}, coin pixels by ground pixels. Divide by all pixels."
    elif abs(share - coin) > 1e-6:
        return f"Of a mask with a quarter of coin you return {share:.3f}. Compare first: mask == 255."
    elif abs(coin_share(np.zeros_like(drawn))) > 1e-6:
        return f"Of a mask without coin you return {coin_share(np.zeros_like(drawn)):.2f}. Coin is where the mask is 255."
    share = coin_share(read_mask(pairs[0].mask))
    return f"Right: {share:.3f} of the pixels of {pairs[0].stem} show a coin."


# %% Find the stranger
# %% Hint 1
# The wrong method mixes neighbours, and leaves values that no annotator wrote. How many different values does each of
# the masks hold?
# %% Hint 2
# `len(np.unique(mask))` counts the values of one mask. Make a list of it for each `mask` in `masks`; `np.argmax`
# gives the index of the largest number of a list.
# %% Solution
def stranger(masks):
    return int(np.argmax([len(np.unique(mask)) for mask in masks]))


# %% Check
def judge(stranger):
    originals = [read_mask(pair.mask) for pair in pairs[:4]]
    originals[0] = np.zeros_like(originals[0])  # without a coin it holds one value
    for wrong in (1, 3):
        masks = [
            cv2.resize(
                one,
                (100, 100),
                interpolation=cv2.INTER_AREA
                if place == wrong
                else cv2.INTER_NEAREST_EXACT,
            )
            for place, one in enumerate(originals)
        ]
        values = [len(np.unique(one)) for one in masks]
        yours = stranger(masks)
        if yours is None:
            return "Nothing was returned: return the index of the mask."
        elif np.ndim(yours):
            return f"You return {len(yours)} numbers, and one is asked for: the index of the mask."
        elif yours == values[wrong]:
            return f"{yours} is how many values the stranger holds. Return its index."
        elif yours != wrong:
            return f"The masks hold {values} values. The stranger is mask {wrong}, and yours is {yours}."
    return "Right: it was found in two lists of masks, at two places."
